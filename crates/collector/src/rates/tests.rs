//! Who waits, and for how long.

use std::sync::Arc;

use record::{Digest, ManualClock, Timestamp};

use super::{Config, Rates, Who};

fn rates() -> (Rates, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let config = Config { address_records_per_second_max: 100, token_records_per_second_max: 0 };
    (Rates::new(Arc::clone(&clock) as _, config), clock)
}

fn at(address: &str) -> Option<Who> {
    Who::of_address(address.parse().expect("an address"))
}

#[test]
fn a_sender_may_bring_ten_seconds_at_once_and_then_waits_for_what_is_beyond() {
    let (rates, clock) = rates();
    let (here, there) = (at("192.0.2.1").expect("counted"), at("192.0.2.2").expect("counted"));
    rates.count(here, 1_000);
    assert_eq!(rates.wait_ms(here), None, "the burst");
    rates.count(here, 500);
    assert_eq!(rates.wait_ms(here), Some(5_000));
    assert_eq!(rates.wait_ms(there), None, "another sender does not wait");
    clock.advance_micros(5_000_000);
    assert_eq!(rates.wait_ms(here), None);
    rates.count(here, 1);
    assert_eq!(rates.wait_ms(here), Some(10));
    clock.advance_micros(3_600_000_000);
    rates.count(here, 1_000);
    assert_eq!(rates.wait_ms(here), None, "a quiet hour earns the burst again, and no more");
}

#[test]
fn a_household_counts_together_and_this_machine_not_at_all() {
    assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
    assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    for own in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(at(own), None, "{own}");
    }
}

#[test]
fn a_limit_of_zero_is_none() {
    let (rates, _) = rates();
    let token = Who::Token(Digest::of(&[b"t"]));
    rates.count(token, 1_000_000_000);
    assert_eq!(rates.wait_ms(token), None);
}
