//! Edit distances against known values.

use proptest::prelude::*;

use super::*;

fn by_the_book(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = substituted.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

proptest! {
    #[test]
    fn band_finds_what_the_whole_table_finds(a in prop::collection::vec(0u8..4, 0..60), b in prop::collection::vec(0u8..4, 0..60)) {
        prop_assert_eq!(distance(&a, &b), by_the_book(&a, &b));
    }

    #[test]
    fn counterparts_rise(a in prop::collection::vec(0u8..4, 0..20), b in prop::collection::vec(0u8..4, 0..20)) {
        let found: Vec<usize> = counterparts(&a, &b, |a, b| a == b).into_iter().flatten().collect();
        prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn far_apart_lengths_are_counted() {
    assert_eq!(distance(b"", b"abc"), 3);
    assert_eq!(distance(b"kitten", b"sitting"), 3);
    assert_eq!(distance(b"b", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 42);
}
