//! Reading what the clients say.

use super::{Rate, median, millis};

#[test]
fn times_of_wrk_are_read_in_each_unit() {
    for (text, expected) in [("930.00us", Some(0.93)), ("1.25ms", Some(1.25)), ("1.10s", Some(1_100.0)), ("1.10m", None), ("", None)] {
        let found = millis(text);
        assert!(
            found.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-9) && found.is_some() == expected.is_some(),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn the_median_is_taken_of_each_figure() {
    let rates = [(3.0, 1.0), (1.0, 5.0), (2.0, 9.0)].map(|(per_second, p99_ms)| Rate { per_second, p99_ms });
    let middle = median(&rates);
    assert_eq!((middle.per_second, middle.p99_ms), (2.0, 5.0));
}
