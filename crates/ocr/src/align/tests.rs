//! True text finds its boxes, and what has none is told apart.

use super::*;
use crate::page::{Line, Word};

/// A page in a type of 10 by 20 pixels; `words` are text and column, lines stand 30 pixels apart.
fn page(lines: &[&[(&str, u32)]]) -> Page {
    let line = |(number, words): (usize, &&[(&str, u32)])| {
        let word = |(text, column): &(&str, u32)| Word {
            id: format!("{number}_{column}"),
            rect: Rect { x: column * 10, y: 30 * number as u32, width: 10 * text.chars().count() as u32, height: 20 },
            polygon: Vec::new(),
            text: (*text).to_owned(),
            confidence: None,
        };
        let words: Vec<Word> = words.iter().map(word).collect();
        let rect = words.iter().map(|word| word.rect).reduce(|a, b| a.union(&b)).unwrap();
        Line { id: format!("{number}"), rect, polygon: Vec::new(), words, text: None }
    };
    Page { lines: lines.iter().enumerate().map(line).collect(), ..Page::default() }
}

/// The words of a text side by side, with one space between.
fn row(text: &str) -> Vec<(&str, u32)> {
    let mut column = 0;
    text.split(' ')
        .map(|word| {
            let at = column;
            column += word.chars().count() as u32 + 1;
            (word, at)
        })
        .collect()
}

fn with_lines_only(mut page: Page) -> Page {
    for line in &mut page.lines {
        line.text = Some(line.text_or_words().into_owned());
        line.words.clear();
    }
    page
}

fn without_places(page: Page) -> Page {
    let mut page = with_lines_only(page);
    page.lines.iter_mut().for_each(|line| line.rect = Rect::default());
    page
}

/// `expected`: for each box what is printed in it, `-` for nothing.
fn check(engine: &str, truth: &str, expected: &[&str]) {
    let (page_read, page_printed) = (page(&[&row(engine)]), page(&[&row(truth)]));
    let expected: Vec<Option<String>> = expected.iter().map(|text| Some((*text).to_owned()).filter(|text| text != "-")).collect();
    for truth in [page_printed.clone(), with_lines_only(page_printed.clone()), without_places(page_printed)] {
        let found = align(&page_read, &truth, &Convention::default());
        assert_eq!(found.truth_of, expected, "{engine:?} against {truth:?}");
    }
}

#[test]
fn equal_lines_pair_word_by_word() {
    check("the wall of the city", "the wall of the city", &["the", "wall", "of", "the", "city"]);
}

#[test]
fn misread_words_keep_their_places() {
    check("tbe vvall of lhe citv", "the wall of the city", &["the", "wall", "of", "the", "city"]);
}

#[test]
fn a_missed_space_gives_a_box_several_words() {
    check("the wallof the city", "the wall of the city", &["the", "wall of", "the", "city"]);
    check("Monatsschrift. Ende", "Monatsſchrift . Ende", &["Monatsſchrift .", "Ende"]);
}

#[test]
fn a_split_word_gives_each_box_its_characters() {
    check("the Haus tür of", "the Haustür of", &["the", "Haus", "tür", "of"]);
    check("un deter minado fin", "un determinado fin", &["un", "deter", "minado", "fin"]);
}

#[test]
fn a_shifted_space_gives_each_box_what_is_printed_in_it() {
    check("ver dela casa grande", "ver de lacasa grande", &["ver", "de la", "casa", "grande"]);
}

#[test]
fn a_speck_has_no_truth_and_a_missed_word_no_box() {
    check("the | wall of city", "the wall of city", &["the", "-", "wall", "of", "city"]);
    let found = align(&page(&[&row("the wall city")]), &with_lines_only(page(&[&row("the wall of city")])), &Convention::default());
    assert_eq!(found.unaligned_printed, ["of"]);
}

/// Seen to fail without `Table::apart`: the last printed word is then the one without a box.
#[test]
fn text_that_is_nothing_like_the_print_is_placed_by_place() {
    let read = page(&[&[("xqz", 0), ("wvk", 9), ("jjj", 14)]]);
    let printed = page(&[&[("τὸν", 0), ("δέω", 4), ("μέγ", 9), ("ἔπη", 14)]]);
    let found = align(&read, &printed, &Convention::default());
    assert_eq!(found.truth_of[1].as_deref(), Some("μέγ"));
    assert_eq!(found.truth_of[2].as_deref(), Some("ἔπη"));
}

#[test]
fn order_of_lines_does_not_matter() {
    let engine = page(&[&row("first line of print"), &row("second row with words"), &row("the third and last")]);
    let mut truth = engine.clone();
    truth.lines.reverse();
    for truth in [with_lines_only(truth.clone()), without_places(truth)] {
        let found = align(&engine, &truth, &Convention::default());
        let read: Vec<_> = engine.words().map(|word| Some(word.text.clone())).collect();
        assert_eq!(found.truth_of, read);
        assert!(found.unaligned_printed.is_empty() && found.unplaced.is_empty());
    }
}

#[test]
fn engine_lines_across_two_columns_are_split_by_place() {
    let engine = page(&[&[("left", 0), ("one", 5), ("right", 40), ("two", 46)], &[("more", 0), ("words", 40)]]);
    let mut truth = page(&[&[("left", 0), ("one", 5)], &[("more", 0)]]);
    let mut right = page(&[&[("right", 40), ("two", 46)], &[("words", 40)]]);
    truth.lines.append(&mut right.lines);
    let found = align(&engine, &with_lines_only(truth), &Convention::default());
    let read: Vec<_> = engine.words().map(|word| Some(word.text.clone())).collect();
    assert_eq!(found.truth_of, read);
}

#[test]
fn plain_text_in_paragraphs_is_aligned_in_order() {
    let engine = page(&[&row("es war einmal ein"), &row("Konig der hatte drei"), &row("Tochter und kein Haus")]);
    let mut truth = Page::default();
    truth.lines.push(Line {
        id: "l1".to_owned(),
        rect: Rect::default(),
        polygon: Vec::new(),
        words: Vec::new(),
        text: Some("es war einmal ein König der hatte drei Töchter und kein Haus".to_owned()),
    });
    let found = align(&engine, &truth, &Convention::default());
    assert_eq!(found.truth_of[4].as_deref(), Some("König"));
    assert_eq!(found.truth_of[8].as_deref(), Some("Töchter"));
    assert!(found.truth_of.iter().all(Option::is_some));
}

#[test]
fn a_misread_initial_beside_two_lines_is_found_by_its_place() {
    let mut engine = page(&[&[("N", 0), ("ufklärung", 4), ("ist", 14)], &[("schen", 4), ("aus", 10)]]);
    engine.lines[0].words[0].rect = Rect { x: 0, y: 2, width: 28, height: 44 };
    let mut truth = with_lines_only(page(&[&[("ufklärung", 4), ("ist", 14)], &[("schen", 4), ("aus", 10)]]));
    let mut initial = truth.lines[0].clone();
    (initial.text, initial.rect) = (Some("A".to_owned()), Rect { x: 0, y: 0, width: 30, height: 48 });
    truth.lines.push(initial);
    let found = align(&engine, &truth, &Convention::default());
    assert_eq!(found.truth_of[0].as_deref(), Some("A"));
    assert!(found.unaligned_printed.is_empty());
}

#[test]
fn truth_of_another_size_is_scaled() {
    let mut engine = page(&[&row("first line of print"), &row("second row with words")]);
    (engine.width, engine.height) = (400, 100);
    let mut truth = with_lines_only(engine.clone());
    (truth.width, truth.height) = (800, 200);
    for line in &mut truth.lines {
        line.rect = Rect { x: line.rect.x * 2, y: line.rect.y * 2, width: line.rect.width * 2, height: line.rect.height * 2 };
    }
    let found = align(&engine, &truth, &Convention::default());
    assert!(found.truth_of.iter().all(Option::is_some));
}

#[test]
fn empty_pages_align() {
    let words = page(&[&row("some words")]);
    assert_eq!(align(&words, &Page::default(), &Convention::default()).truth_of, [None, None]);
    assert_eq!(align(&Page::default(), &with_lines_only(words), &Convention::default()).unaligned_printed, ["some", "words"]);
}

/// Seen to fail without `Table::is_emptied`: text without places then puts the word that the engine missed into the empty box.
#[test]
fn an_emptied_box_takes_no_print_but_what_stands_in_it() {
    let emptied = |words: &[(&str, u32)]| {
        let mut engine = page(&[words]);
        engine.lines[0].words.iter_mut().filter(|word| word.text == "#").for_each(|word| word.text.clear());
        engine
    };
    for (read, printed) in [("the # wall of", "the wall of"), ("# wall of", "wall of"), ("wallof # city", "wall of city")] {
        let engine = emptied(&row(read));
        for truth in [with_lines_only(page(&[&row(printed)])), without_places(page(&[&row(printed)]))] {
            let found = align(&engine, &truth, &Convention::default());
            let of_empty = engine.words().zip(&found.truth_of).find(|(word, _)| word.text.is_empty());
            assert_eq!(of_empty.unwrap().1, &None, "{read:?}");
            assert!(found.unaligned_printed.is_empty(), "{read:?}: {:?}", found.unaligned_printed);
        }
    }
    let printed = [("the", 0), ("old", 4), ("wall", 20)];
    for (column, places, holds) in [(5, true, true), (12, true, false), (5, false, false)] {
        let engine = emptied(&[("the", 0), ("#", column), ("wall", 20)]);
        let truth = if places { page(&[&printed]) } else { without_places(page(&[&printed])) };
        let found = align(&engine, &truth, &Convention::default());
        assert_eq!(found.truth_of[1].is_some(), holds, "at {column}, places {places}");
        assert_eq!(found.unaligned_printed.is_empty(), holds);
    }
}

/// 10,000 words in plain text, as on a newspaper's page, with one more in the middle: all others are found, and only a band of the
/// table is kept, where all of it was a gigabyte.
#[test]
fn a_long_text_is_aligned_within_a_band() {
    let words: Vec<String> = (0..10_000_u32).map(|number| format!("w{}", number.wrapping_mul(2_654_435_761) % 9_973)).collect();
    let mut engine = page(&[&row(&words.join(" "))]);
    engine.lines[0].words.remove(5_000);
    let mut truth = without_places(page(&[&row(&words.join(" "))]));
    truth.lines[0].text = Some(words.join(" "));
    let found = align(&engine, &truth, &Convention::default());
    assert_eq!(found.unaligned_printed, [words[5_000].as_str()]);
    assert!(engine.words().zip(&found.truth_of).all(|(word, truth)| truth.as_deref() == Some(&word.text)));
    assert!(words::cells_of(10_000, 10_000) < 5_000_000);
}
