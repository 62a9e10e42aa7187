//! Connections never take the last handles (promise C2).

use super::*;

#[test]
fn connections_leave_handles_to_the_others() {
    let check = |wanted, limit, expected| assert_eq!(fitting(wanted, 1, limit), expected, "{wanted} wanted of {limit:?}");
    check(16_384, None, 16_384);
    check(16_384, Some(1_048_576), 16_384);
    check(16_384, Some(16_384), 12_288);
    check(16_384, Some(4_096), 3_072);
    check(16_384, Some(1_024), 512);
    check(100, Some(1_024), 100);
    check(16_384, Some(64), 32);
    check(16_384, Some(1), 1);
    check(16_384, Some(0), 1);
    assert_eq!(fitting(16_384, 2, Some(4_096)), 1_536, "two listeners share what there is");
}

#[test]
fn the_limit_is_raised_to_what_is_allowed() {
    let limit = raise();
    assert_eq!(limit, getrlimit(Resource::Nofile).maximum);
}
