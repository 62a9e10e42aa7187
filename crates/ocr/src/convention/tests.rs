//! When two texts count as equal, rule by rule.

use proptest::prelude::*;

use super::*;

fn check(text: &str, equal_to: &str) {
    let convention = Convention::default();
    assert_eq!(convention.apply(text), equal_to, "{text:?}");
    assert!(convention.equal(text, equal_to));
}

#[test]
fn default_folds_what_old_type_sets_otherwise() {
    check("Monatsſchrift", "Monatsschrift");
    check("Zwo\u{364}lftes", "Zwölftes");
    check("U\u{364}ber", "Über");
    check("sch\u{e644}n", "schön");
    check("Ka\u{e42c}e\u{e72b}", "Kaäeü");
    check("oꝛdnung", "ordnung");
    check("Men\u{ac}", "Men-");
    check("Men⸗", "Men-");
    check("1784 .", "1784.");
    check("ﬁn", "fin");
    check("e\u{301}", "é");
    check("  a\u{a0} b\n", "a b");
}

#[test]
fn case_accents_and_punctuation_count() {
    let convention = Convention::default();
    for (a, b) in [("Und", "und"), ("mas", "más"), ("Komma,", "Komma"), ("à", "á"), ("-", "—"), ("Haus tür", "Haustür")] {
        assert!(!convention.equal(a, b), "{a} {b}");
    }
}

#[test]
fn diplomatic_keeps_every_letter() {
    let convention = Convention::diplomatic();
    assert!(convention.equal("e\u{301}", "é"));
    for text in ["Monatsſchrift", "Zwo\u{364}lftes", "sch\u{e644}n", "Men\u{ac}", "1784 .", "ﬁn"] {
        assert_eq!(convention.apply(text), text);
    }
}

#[test]
fn every_rule_is_described_by_an_example_that_it_alone_makes_equal() {
    for rule in ALL {
        let note = rule.note();
        let (a, b) = note.example;
        assert!(Convention { name: "one".to_owned(), rules: vec![rule] }.equal(a, b), "{rule:?}");
        let others = ALL.into_iter().filter(|other| *other != rule).collect();
        assert!(!Convention { name: "others".to_owned(), rules: others }.equal(a, b), "{rule:?}");
        assert_eq!(serde_json::to_value(rule).unwrap(), note.rule);
    }
    assert_eq!(Convention::default().describe().len(), 1 + ALL.len());
}

#[test]
fn named_conventions_survive_json() {
    for name in ["default", "diplomatic"] {
        let convention = Convention::named(name).unwrap();
        let json = serde_json::to_string(&convention).unwrap();
        assert_eq!(serde_json::from_str::<Convention>(&json).unwrap(), convention);
    }
    assert_eq!(Convention::named("mine").unwrap_err().kind(), record::ErrorKind::Invalid);
}

proptest! {
    /// Seen to fail without the second NFC in `apply`.
    #[test]
    fn applying_twice_changes_nothing_more(
        text in prop::collection::vec(prop::sample::select(
            "aouAOUſꝛsr \u{364}\u{301}\u{307}\u{308}\u{ad}\u{ac}⸗.,;-ﬁﬅ\u{e42c}\u{e72b}\u{eec5}\u{1e9b}é\u{a0}".chars().collect::<Vec<_>>()), 0..12),
        any in ".{0,12}",
    ) {
        let text: String = text.into_iter().collect::<String>() + &any;
        for convention in [Convention::default(), Convention::diplomatic()] {
            let once = convention.apply(&text);
            prop_assert_eq!(convention.apply(&once), once);
        }
    }
}
