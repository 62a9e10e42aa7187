//! A simulated page and its readers, for coverage tests. Shares no code with the inference and is not drawn from its model: words have
//! a difficulty of their own, some are misread by nearly everyone, the shown text pulls towards *right*, typing has errors.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use truth::{
    stopping::{Decision, StopConfig, retire, uncertainty},
    words::{Answer, Config, Inference, Label, Text},
};

/// A page with its truth, read until every word retired.
pub struct Page {
    pub inference: Inference,
    pub right: Vec<bool>,
    pub census: Vec<bool>,
    pub answers: usize,
}

impl Page {
    pub fn theta(&self) -> f64 {
        self.right.iter().filter(|right| **right).count() as f64 / self.right.len() as f64
    }
}

struct Word {
    right: bool,
    /// Everyone's chance to misjudge it beyond their own.
    pull: f64,
    fooled: bool,
}

/// `fooled`: share of all words that nearly everyone misjudges; four in five of them are wrong ones taken for right.
pub fn read_page(words: usize, theta: f64, workers: usize, fooled: f64, seed: u64) -> Page {
    let rng = &mut SmallRng::seed_from_u64(seed);
    let mut inference = Inference::new(Config::default());
    let mut page: Vec<Word> = Vec::new();
    let mut census = Vec::new();
    let wrong_count = ((1.0 - theta) * words as f64).round() as usize;
    for word in 0..words {
        // Which words are wrong is a draw without replacement, so that theta is exact.
        let left = (words - word) as f64;
        let wrong_left = wrong_count - page.iter().filter(|word| !word.right).count();
        let right = rng.random::<f64>() >= wrong_left as f64 / left;
        let confidence = if right { 1.0 - rng.random::<f64>().powi(4) * 0.7 } else { 0.95 - rng.random::<f64>().powf(1.3) * 0.8 };
        let hard = rng.random::<f64>() < if right { 0.05 + 0.3 * (1.0 - confidence) } else { 0.3 };
        let share = if right { 0.2 * fooled / theta } else { 0.8 * fooled / (1.0 - theta) };
        let fooled = rng.random::<f64>() < share;
        page.push(Word { right, pull: if hard { rng.random::<f64>() * 0.5 } else { 0.0 }, fooled });
        census.push(rng.random::<f64>() < 0.15);
        inference.add_task(Some(confidence), &[]);
    }
    let kinds: Vec<f64> = (0..workers).map(|_| rng.random::<f64>()).collect();
    let skill: Vec<f64> = (0..workers).map(|_| rng.random::<f64>()).collect();
    let stop = StopConfig::default();
    let mut had = vec![Vec::new(); words];
    let mut answers = 0;
    loop {
        let wants = |word: usize| {
            let verdict = inference.verdict(word as u32);
            let open = retire(&verdict, verdict.answers, &stop) == Decision::Open || (census[word] && verdict.answers < 5);
            open.then(|| uncertainty(&verdict))
        };
        let mut open: Vec<(f64, usize)> = (0..words).filter_map(|word| Some((wants(word)?, word))).collect();
        if open.is_empty() {
            break;
        }
        open.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, word) in open.into_iter().take(20) {
            let worker = rng.random_range(0..workers);
            if !had[word].contains(&worker) {
                had[word].push(worker);
                answers += 1;
                let answer = answer(&page[word], word as u32, (kinds[worker], skill[worker], worker as u32), rng);
                inference.set_answer(word as u32, worker as u32, answer);
            }
        }
        if answers % 200 < 20 {
            inference.refit();
        }
    }
    inference.refit();
    Page { inference, right: page.iter().map(|word| word.right).collect(), census, answers }
}

/// 63 % careful, 20 % careless, 7 % always yes, 5 % at random, 5 % colluding.
fn answer(word: &Word, number: u32, (kind, skill, worker): (f64, f64, u32), rng: &mut SmallRng) -> Answer {
    let yes = Answer { label: Label::Right, text: None };
    let wrong = |text: u32| Answer { label: Label::Wrong, text: Some(Text { number: text, change: 0 }) };
    let truth = number * 100;
    let (overlooks, rejects, mistypes) = match kind {
        k if k < 0.63 => (0.02 + 0.08 * skill, 0.01 + 0.03 * skill, 0.03),
        k if k < 0.83 => (0.2 + 0.3 * skill, 0.03 + 0.05 * skill, 0.12),
        k if k < 0.90 => return yes,
        k if k < 0.95 => return if rng.random::<f64>() < 0.6 { yes } else { wrong(truth + 10 + worker % 80) },
        // The ring gives the same made-up answer to the same word.
        _ => return if number.is_multiple_of(3) { wrong(truth + 9) } else { yes },
    };
    if rng.random::<f64>() < 0.01 {
        return Answer { label: Label::Unreadable, text: None };
    }
    let miss = if word.right { rejects } else { overlooks };
    let chance = if word.fooled { 0.93 } else { miss + word.pull * (1.0 - miss) };
    let errs = rng.random::<f64>() < chance;
    let typed = if rng.random::<f64>() < mistypes { truth + 2 + rng.random_range(0..6) } else { truth + u32::from(word.right) };
    if word.right != errs { yes } else { wrong(typed) }
}
