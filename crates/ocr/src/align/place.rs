//! Which of the engine's words stand on which printed line, by place. Called by `align`.

use super::{EngineWord, OnLines, PrintedLine, PrintedWord};
use crate::page::{Line, Page, Rect};

/// The printed lines with their words, scaled to the engine's page where the sizes differ.
pub(super) fn printed_lines(page: &Page, truth: &Page) -> Vec<PrintedLine> {
    let ratio = |ours: u32, theirs: u32| if ours > 0 && theirs > 0 { f64::from(ours) / f64::from(theirs) } else { 1.0 };
    let scale = (ratio(page.width, truth.width), ratio(page.height, truth.height));
    truth.lines.iter().map(|line| printed_line(line, scale)).collect()
}

fn printed_line(line: &Line, scale: (f64, f64)) -> PrintedLine {
    let rect = scaled(&line.rect, scale);
    let polygon = line.polygon.iter().map(|(x, y)| (times(*x, scale.0), times(*y, scale.1))).collect();
    let text = line.text_or_words().into_owned();
    let printed: Vec<&str> = text.split_whitespace().collect();
    let characters = text.chars().count().max(1) as f64;
    let mut words = Vec::with_capacity(printed.len());
    let mut before = 0;
    for word in &printed {
        let length = word.chars().count();
        let share = (before as f64 + length as f64 / 2.0) / characters;
        let middle_x = (rect.width > 0).then(|| f64::from(rect.x) + share * f64::from(rect.width));
        words.push(PrintedWord { text: (*word).to_owned(), middle_x });
        before += length + 1;
    }
    // Words with boxes of their own know it better.
    if line.words.len() == words.len() {
        for (word, boxed) in words.iter_mut().zip(&line.words) {
            let rect = scaled(&boxed.rect, scale);
            word.middle_x = Some(f64::from(rect.x) + f64::from(rect.width) / 2.0);
        }
    }
    PrintedLine { text, rect, polygon, words }
}

fn times(number: u32, scale: f64) -> u32 {
    (f64::from(number) * scale).round() as u32
}

fn scaled(rect: &Rect, scale: (f64, f64)) -> Rect {
    Rect { x: times(rect.x, scale.0), y: times(rect.y, scale.1), width: times(rect.width, scale.0), height: times(rect.height, scale.1) }
}

/// Gives each word to the line whose middle is nearest where the word stands; the other words of the engine's own line have a say,
/// because a comma or a quotation mark alone may be nearer to a neighbouring line. Words of a line come from left to right.
pub(super) fn words_on_lines(engine: &[EngineWord<'_>], printed: &[PrintedLine]) -> OnLines {
    let scores: Vec<Vec<(usize, f64)>> = engine.iter().map(|word| candidates(&word.rect, printed)).collect();
    let best = |scores: &[(usize, f64)]| scores.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(line, _)| line);
    let mut votes = std::collections::HashMap::<(usize, usize), f64>::new();
    let mut of_engine_line = std::collections::HashMap::<usize, f64>::new();
    for (word, scores) in engine.iter().zip(&scores) {
        if let Some(line) = best(scores) {
            let weight = f64::from(word.rect.width);
            *votes.entry((word.line, line)).or_default() += weight;
            *of_engine_line.entry(word.line).or_default() += weight;
        }
    }
    let mut found = OnLines { of_line: vec![Vec::new(); printed.len()], rest: Vec::new() };
    for (index, (word, scores)) in engine.iter().zip(&scores).enumerate() {
        let share = |line: usize| votes.get(&(word.line, line)).map_or(0.0, |weight| weight / of_engine_line[&word.line]);
        let with_votes: Vec<_> = scores.iter().map(|(line, score)| (*line, score + 0.6 * share(*line))).collect();
        match best(&with_votes) {
            Some(line) => found.of_line[line].push(index),
            None => found.rest.push(index),
        }
    }
    for words in &mut found.of_line {
        words.sort_by_key(|index| 2 * engine[*index].rect.x + engine[*index].rect.width);
    }
    found
}

/// Lines that a word may stand on, each with 1 where the middles meet and 0 where the two just touch.
fn candidates(word: &Rect, printed: &[PrintedLine]) -> Vec<(usize, f64)> {
    let mut found = Vec::new();
    for (index, line) in printed.iter().enumerate() {
        let rect = &line.rect;
        // Lines' boxes often stop short of the last letter.
        let slack = word.height;
        let (left, right) = (rect.x.saturating_sub(slack), rect.right().saturating_add(slack));
        let beside = word.right().min(right).saturating_sub(word.x.max(left));
        if rect.width == 0 || rect.height == 0 || beside * 2 < word.width || word.bottom() <= rect.y || rect.bottom() <= word.y {
            continue;
        }
        let (top, bottom) = band_at(line, (word.x + word.width / 2).clamp(rect.x, rect.right()));
        let middles = (f64::from(word.y) + f64::from(word.height) / 2.0) - f64::midpoint(top, bottom);
        let reach = f64::midpoint(f64::from(word.height), bottom - top);
        let score = 1.0 - middles.abs() / reach;
        if score > 0.0 {
            found.push((index, score));
        }
    }
    found
}

/// The line's upper and lower edge at a place: of its outline, since boxes of skewed lines overlap.
fn band_at(line: &PrintedLine, x: u32) -> (f64, f64) {
    let x = f64::from(x);
    let corners = line.polygon.iter().map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let edges = corners.clone().zip(corners.clone().cycle().skip(1));
    let mut ends: Option<(f64, f64)> = None;
    for ((x0, y0), (x1, y1)) in edges {
        if (x0 - x) * (x1 - x) > 0.0 {
            continue;
        }
        for y in if x0 == x1 { [y0, y1] } else { [y0 + (y1 - y0) * (x - x0) / (x1 - x0); 2] } {
            ends = Some(ends.map_or((y, y), |(top, bottom)| (top.min(y), bottom.max(y))));
        }
    }
    ends.filter(|(top, bottom)| bottom > top).unwrap_or((f64::from(line.rect.y), f64::from(line.rect.bottom())))
}
