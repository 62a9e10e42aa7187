//! The draw is the same in every process, and nobody can tell it without the key.

use super::*;
use crate::collection::{Collection, tests::empty};

fn drawn(settings: &Settings) -> Vec<u64> {
    (0..2_000_u64).filter(|n| includes(settings, &Digest::of(&[&n.to_le_bytes()]))).collect()
}

/// Seen to fail when the draw is not keyed: both collections then draw the same words.
#[test]
fn collections_of_one_name_draw_different_words_and_each_the_same_again() {
    let ((_one, first), (_two, second)) = (empty(), empty());
    let words = drawn(&first.settings);
    assert_ne!(words, drawn(&second.settings));
    let again = Collection::open(&first.folder).unwrap().settings;
    assert_eq!((drawn(&again), &again), (words.clone(), &first.settings));
    // 15 % of 2,000, within five standard deviations.
    assert!((220..=380).contains(&words.len()), "{} words", words.len());
    assert!(format!("{again:?}").contains("CensusKey(secret)"));
}

/// Answers were asked for by the old draw: it stays. Seen to fail when a missing key is made up.
#[test]
fn a_collection_without_a_key_keeps_its_draw() {
    let (_folder, mut collection) = empty();
    collection.settings.census_key = None;
    collection.save_settings().unwrap();
    let stored = std::fs::read_to_string(collection.folder.join("collection.json")).unwrap();
    assert!(!stored.contains("census_key"), "as before there were keys: {stored}");
    let opened = Collection::open_or_create(collection.folder.parent().unwrap(), "books").unwrap();
    assert_eq!(opened.settings.census_key, None);
    assert_eq!(drawn(&opened.settings)[..8], OLD_DRAW);
}

/// The first words that were drawn before there were keys.
const OLD_DRAW: [u64; 8] = [5, 11, 20, 39, 53, 74, 78, 87];
