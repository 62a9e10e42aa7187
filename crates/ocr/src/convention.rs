//! When two texts count as equal. One function, called by the crowd simulator, inference, `evaluate` and the accuracy estimate, so
//! that none of them can judge otherwise than the readers were told to.

use record::{Error, Result};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;

/// A difference between two texts that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// ſ is s.
    LongS,
    /// ꝛ is r.
    RRotunda,
    /// A vowel with a small e above is an umlaut.
    SmallEAbove,
    /// Private-use letters of the Medieval Unicode Font Initiative are what they stand for.
    PrivateUse,
    /// ﬁ is fi, and so on.
    Ligatures,
    /// Soft, double and other hyphens are the hyphen.
    Hyphens,
    /// A space before a closing punctuation mark is none.
    SpaceBeforePunctuation,
}

/// What a person is told of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleNote {
    /// The rule's name, by which a page finds its translation; `unicode` for what always holds.
    pub rule: &'static str,
    /// The rule in a sentence.
    pub says: &'static str,
    /// Two texts that it makes equal.
    pub example: (&'static str, &'static str),
}

/// A named list of rules. Letters' case and punctuation marks always count; canonically equal Unicode and the amount of white space never do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Convention {
    /// `default`, `diplomatic`, or a collection's own name for its list.
    pub name: String,
    /// The rules that hold.
    pub rules: Vec<Rule>,
}

const ALL: [Rule; 7] =
    [Rule::LongS, Rule::RRotunda, Rule::SmallEAbove, Rule::PrivateUse, Rule::Ligatures, Rule::Hyphens, Rule::SpaceBeforePunctuation];

/// Private-use letters (MUFI character recommendation 4.0 and the OCR-D transcription guidelines) and what they stand for.
const PRIVATE_USE: [(char, &str); 13] = [
    ('\u{e42c}', "ä"),
    ('\u{e644}', "ö"),
    ('\u{e72b}', "ü"),
    ('\u{e02c}', "Ä"),
    ('\u{e244}', "Ö"),
    ('\u{e32b}', "Ü"),
    ('\u{eec4}', "ch"),
    ('\u{eec5}', "ck"),
    ('\u{eedc}', "tz"),
    ('\u{eba2}', "si"),
    ('\u{eba3}', "sl"),
    ('\u{eba6}', "ss"),
    ('\u{f4f9}', "ll"),
];

const LIGATURES: [(char, &str); 7] = [
    ('\u{fb00}', "ff"),
    ('\u{fb01}', "fi"),
    ('\u{fb02}', "fl"),
    ('\u{fb03}', "ffi"),
    ('\u{fb04}', "ffl"),
    ('\u{fb05}', "st"),
    ('\u{fb06}', "st"),
];

/// Soft hyphen, not sign (a line's end in some transcriptions), hyphen, non-breaking hyphen, double oblique hyphen, double hyphen.
const HYPHENS: [char; 6] = ['\u{ad}', '\u{ac}', '\u{2010}', '\u{2011}', '\u{2e17}', '\u{2e40}'];

const SMALL_E_ABOVE: char = '\u{364}';

impl Default for Convention {
    fn default() -> Self {
        Self { name: "default".to_owned(), rules: ALL.to_vec() }
    }
}

impl Convention {
    /// Unicode's canonical equality alone: every letter as printed.
    pub fn diplomatic() -> Self {
        Self { name: "diplomatic".to_owned(), rules: Vec::new() }
    }

    /// The convention of a name: `default` or `diplomatic`.
    ///
    /// # Errors
    /// `Invalid` for another name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "default" => Ok(Self::default()),
            "diplomatic" => Ok(Self::diplomatic()),
            _ => Err(Error::invalid("expected the convention default or diplomatic").with("found", name)),
        }
    }

    /// Whether two texts are equal under this convention.
    pub fn equal(&self, a: &str, b: &str) -> bool {
        a == b || self.apply(a) == self.apply(b)
    }

    /// The text that stands for all texts equal to this one. Applying it twice changes nothing more.
    pub fn apply(&self, text: &str) -> String {
        let composed: Vec<char> = text.nfc().collect();
        let mut folded = String::with_capacity(text.len());
        for (index, character) in composed.iter().enumerate() {
            let umlaut = self.has(Rule::SmallEAbove) && *character == SMALL_E_ABOVE;
            if umlaut && let Some(dotted) = index.checked_sub(1).and_then(|before| dotted(composed[before])) {
                folded.pop();
                folded.push(dotted);
            } else if character.is_whitespace() {
                folded.push(' ');
            } else {
                self.fold(*character, &mut folded);
            }
        }
        let mut words = String::with_capacity(folded.len());
        for word in folded.split(' ').filter(|word| !word.is_empty()) {
            let joined = self.has(Rule::SpaceBeforePunctuation) && word.starts_with(['.', ',', ';', ':', '!', '?', ')', ']']);
            if !words.is_empty() && !joined {
                words.push(' ');
            }
            words.push_str(word);
        }
        words.nfc().collect() // a mark may compose with a letter that a rule gave
    }

    fn fold(&self, character: char, folded: &mut String) {
        let of = |table: &'static [(char, &'static str)]| table.iter().find(|(from, _)| *from == character).map(|(_, to)| *to);
        match character {
            'ſ' if self.has(Rule::LongS) => folded.push('s'),
            '\u{1e9b}' if self.has(Rule::LongS) => folded.push('ṡ'), // NFC of ſ with a dot
            'ꝛ' if self.has(Rule::RRotunda) => folded.push('r'),
            'Ꝛ' if self.has(Rule::RRotunda) => folded.push('R'),
            _ if self.has(Rule::Hyphens) && HYPHENS.contains(&character) => folded.push('-'),
            _ => match of(&PRIVATE_USE)
                .filter(|_| self.has(Rule::PrivateUse))
                .or_else(|| of(&LIGATURES).filter(|_| self.has(Rule::Ligatures)))
            {
                Some(text) => folded.push_str(text),
                None => folded.push(character),
            },
        }
    }

    fn has(&self, rule: Rule) -> bool {
        self.rules.contains(&rule)
    }

    /// What people are told: one note for each rule, and first what always holds.
    pub fn describe(&self) -> Vec<RuleNote> {
        let always = RuleNote {
            rule: "unicode",
            says: "Capitals, accents and punctuation marks count. How the computer stores an accent, and how wide a space is, do not.",
            example: ("e\u{301}", "é"),
        };
        std::iter::once(always).chain(self.rules.iter().map(|rule| rule.note())).collect()
    }
}

fn dotted(vowel: char) -> Option<char> {
    [('a', 'ä'), ('o', 'ö'), ('u', 'ü'), ('A', 'Ä'), ('O', 'Ö'), ('U', 'Ü')]
        .into_iter()
        .find(|(plain, _)| *plain == vowel)
        .map(|(_, dotted)| dotted)
}

impl Rule {
    /// What people are told of the rule.
    pub fn note(self) -> RuleNote {
        let (rule, says, example) = match self {
            Self::LongS => ("long_s", "The long s (ſ) and the round s are the same.", ("Waſſer", "Wasser")),
            Self::RRotunda => ("r_rotunda", "The round r (ꝛ) and the usual r are the same.", ("oꝛ", "or")),
            Self::SmallEAbove => ("small_e_above", "A vowel with a small e above is an umlaut.", ("Stu\u{364}k", "Stük")),
            Self::PrivateUse => ("private_use", "Letters that only special fonts have are what they stand for.", ("sch\u{e644}n", "schön")),
            Self::Ligatures => ("ligatures", "Letters that are printed as one are the same as those letters.", ("ﬁn", "fin")),
            Self::Hyphens => ("hyphens", "All kinds of hyphens are the same; a hyphen at a line's end counts.", ("Men⸗", "Men-")),
            Self::SpaceBeforePunctuation => {
                ("space_before_punctuation", "A space before a punctuation mark does not count.", ("1784 .", "1784."))
            }
        };
        RuleNote { rule, says, example }
    }
}

#[cfg(test)]
mod tests;
