//! The pure decisions: when to roll, and what a repeat is.

use record::{Digest, Timestamp};

use crate::{
    dedup::{Seen, Verdict, judge},
    roll::{Facts, Limits, Reason, decide},
};

#[test]
fn a_roll_is_due_by_rows_bytes_age_idleness_or_on_demand() {
    let limits = Limits { rows_max: 10, bytes_max: 100, age_us_max: 1_000, idle_us_max: 50 };
    let quiet = Facts { rows: 1, ..Facts::default() };
    for (facts, expected) in [
        (quiet, None),
        (Facts { asked: true, ..Facts::default() }, None),
        (Facts { age_us: 9_999, ..Facts::default() }, None),
        (Facts { asked: true, ..quiet }, Some(Reason::Asked)),
        (Facts { rows: 10, ..quiet }, Some(Reason::Rows)),
        (Facts { bytes: 100, ..quiet }, Some(Reason::Bytes)),
        (Facts { age_us: 1_000, ..quiet }, Some(Reason::Age)),
        (Facts { idle_us: 50, ..quiet }, Some(Reason::Idle)),
        (Facts { idle_us: 49, age_us: 999, bytes: 99, rows: 9, asked: false }, None),
    ] {
        assert_eq!(decide(&facts, &limits), expected, "{facts:?}");
    }
}

/// Seen to fail when the arm with `seen.offset >= record.offset` is taken out: a replay drops its own records.
#[test]
fn a_repeat_is_one_of_a_different_earlier_position() {
    let seen = |partition: &[u8], offset, hash: &[u8], micros| Seen {
        partition: Digest::of(&[partition]),
        offset,
        received_at: Timestamp::from_micros(micros),
        hash: Digest::of(&[hash]),
    };
    let first = seen(b"p", 5, b"x", 0);
    for (record, expected) in [
        (seen(b"p", 5, b"x", 0), Verdict::First),         // itself, before a crash
        (seen(b"p", 4, b"x", 0), Verdict::First),         // an earlier one than the index knows
        (seen(b"p", 6, b"x", 0), Verdict::Repeat),        // a later one
        (seen(b"q", 1, b"x", 0), Verdict::Repeat),        // in another partition
        (seen(b"p", 6, b"y", 0), Verdict::IdReused),      // with other content
        (seen(b"p", 6, b"x", i64::MAX), Verdict::Repeat), // when the clock was ahead
        (seen(b"p", 6, b"x", i64::MIN), Verdict::Repeat), // and when it was set back
    ] {
        assert_eq!(judge(Some(&first), &record), expected, "{record:?}");
    }
    assert_eq!(judge(None, &first), Verdict::First);
}
