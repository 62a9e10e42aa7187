//! What the writer waits for, by who came before: no clock, no thread.

use std::time::Duration;

use crate::journal::crowd::{Crowd, Wait};

/// A crowd of so many that each come again at once: what the writer finds after it has waited, with `early` of them before it began to.
fn finds(wait: Wait, senders: usize, early: usize) -> usize {
    match wait {
        Wait::Not => early,
        Wait::Until { groups, .. } | Wait::WhileComing { groups, .. } => groups.min(senders).max(early),
    }
}

#[test]
fn a_few_senders_are_never_waited_for() {
    let mut crowd = Crowd::default();
    for groups in [1, 3, 2, 1, 3] {
        assert_eq!(crowd.wait(), Wait::Not);
        crowd.came(groups);
    }
    assert_eq!(crowd.wait(), Wait::Not);
}

/// Seen to fail when all of the crowd are waited for.
#[test]
fn of_a_crowd_half_are_waited_for_and_it_is_counted_again_now_and_then() {
    let mut crowd = Crowd::default();
    crowd.came(5);
    let (mut counts, mut halves) = (0, 0);
    for _ in 0..1_000 {
        let wait = crowd.wait();
        match wait {
            Wait::Not => panic!("64 senders are a crowd"),
            Wait::Until { groups, time } => {
                assert_eq!(groups, 32);
                assert!(time < Duration::from_millis(1), "{time:?}");
                halves += 1;
            }
            Wait::WhileComing { .. } => counts += 1,
        }
        crowd.came(finds(wait, 64, 5));
    }
    assert!((5..=10).contains(&counts) && halves > 900, "counted {counts} times, waited for half of them {halves} times");
}

#[test]
fn no_more_are_waited_for_than_make_a_batch_cheap() {
    let mut crowd = Crowd::default();
    for _ in 0..1_000 {
        let wait = crowd.wait();
        if let Wait::Until { groups, time } = wait {
            assert!(groups <= 128 && time <= Duration::from_micros(2_048), "{wait:?}");
        }
        crowd.came(finds(wait, 100_000, 20));
    }
}

/// Seen to fail when a count stays good although fewer come.
#[test]
fn a_crowd_that_has_left_is_not_waited_for_any_more() {
    let mut crowd = Crowd::default();
    crowd.came(64);
    crowd.came(64);
    assert_eq!(crowd.wait(), Wait::Until { groups: 32, time: Duration::from_micros(512) });
    let mut waits = 0;
    while crowd.wait() != Wait::Not {
        waits += 1;
        crowd.came(2);
    }
    assert_eq!(waits, 1, "one wait, for nobody");
    // Ten of them stay: the first few batches wait in vain, then they are counted.
    crowd.came(64);
    let mut waits = 0;
    while crowd.wait() != (Wait::Until { groups: 5, time: Duration::from_micros(80) }) {
        waits += 1;
        crowd.came(10);
    }
    assert!(waits <= 9, "{waits}");
}
