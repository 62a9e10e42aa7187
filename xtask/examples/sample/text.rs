//! The words of the pages: which sentences, in which order, with which of their alternatives.
//!
//! Each file of `text/` is one topic: a title, then sentences with alternatives as `{this|that}`. All of it was written for
//! this project in the manner of its time.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

const TOPICS: [(&str, &str, &str); 8] = [
    ("en", "bees", include_str!("text/en-bees.txt")),
    ("es", "imprenta", include_str!("text/es-imprenta.txt")),
    ("en", "clocks", include_str!("text/en-clocks.txt")),
    ("es", "olivos", include_str!("text/es-olivos.txt")),
    ("en", "lighthouse", include_str!("text/en-lighthouse.txt")),
    ("es", "puerto", include_str!("text/es-puerto.txt")),
    ("en", "river", include_str!("text/en-river.txt")),
    ("es", "viage", include_str!("text/es-viage.txt")),
];
/// About this many words stand on a page.
const WORDS_WANTED: usize = 232;

/// A page's words before they are set.
pub struct Text {
    /// `en` or `es`.
    pub language: &'static str,
    /// The topic's short name.
    pub topic: &'static str,
    /// The heading.
    pub title: String,
    /// Sentences in their order, grouped in paragraphs.
    pub paragraphs: Vec<String>,
}

/// Draws the texts of all pages, languages in turn.
pub fn draw(rng: &mut SmallRng) -> Vec<Text> {
    TOPICS.iter().map(|(language, topic, source)| page(language, topic, source, rng)).collect()
}

fn page(language: &'static str, topic: &'static str, source: &str, rng: &mut SmallRng) -> Text {
    let mut lines = source.lines();
    let title = choose(lines.next().unwrap_or_default(), rng);
    let mut sentences: Vec<String> = lines.map(|line| choose(line, rng)).collect();
    sentences.shuffle(rng);
    let (mut words, mut paragraphs) = (0, vec![String::new()]);
    for sentence in sentences {
        if words >= WORDS_WANTED {
            break;
        }
        words += sentence.split_whitespace().count();
        let paragraph = paragraphs.last_mut().filter(|last| last.is_empty() || rng.random_bool(0.7));
        match paragraph {
            Some(last) if last.is_empty() => *last = sentence,
            Some(last) => *last = format!("{last} {sentence}"),
            None => paragraphs.push(sentence),
        }
    }
    Text { language, topic, title, paragraphs }
}

/// Takes one of each `{a|b|c}`. A sentence begins with a capital whatever was chosen.
fn choose(pattern: &str, rng: &mut SmallRng) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').unwrap_or((after, ""));
        let choices: Vec<&str> = inside.split('|').collect();
        out.push_str(before);
        out.push_str(choices[rng.random_range(0..choices.len())]);
        rest = after;
    }
    out.push_str(rest);
    let first = out.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let tail: String = out.chars().skip(1).collect();
    first + &tail
}

/// Writes long s as the printers did: everywhere but at the end of a word, before an apostrophe, `f`, `b` or `k`.
pub fn long_s(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let long = |at: usize| letters[at] == 's' && letters.get(at + 1).is_some_and(|next| next.is_alphabetic() && !"fbk".contains(*next));
    (0..letters.len()).map(|at| if long(at) { 'ſ' } else { letters[at] }).collect()
}
