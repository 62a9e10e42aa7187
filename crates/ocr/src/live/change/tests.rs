//! Changes and letters as numbers.

use super::{letters, number};

#[test]
fn the_same_change_has_the_same_number_wherever_it_is() {
    assert_eq!(number("fome", "some"), number("liften", "listen"));
    assert_eq!(number("rnan", "man"), number("cornes", "comes"));
    assert_ne!(number("fome", "some"), number("some", "fome"));
    assert_eq!(number("libre.", "libre"), number("dos.", "dos"));
}

#[test]
fn more_than_one_change_has_no_number() {
    assert_eq!(number("ftaircafe", "staircase"), 0);
    assert_eq!(number("abc", "xyz"), 0);
}

#[test]
fn letters_are_told_once_in_any_order() {
    assert_eq!(letters("anna"), letters("naan"));
    assert_eq!(letters("anna").len(), 2);
    assert!(letters("").is_empty());
}
