//! The inputs that are kept in `fuzz/inputs`, among them each that once broke something, and drawn ones: a fuzzer on the stable compiler,
//! for a moment.

use std::{fs, path::Path};

use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

use super::{journal_entry, journal_recovery, journal_scan};

/// So many drawn inputs for each target.
const DRAWN: u64 = 400;

/// The inputs of a target that are kept, and drawn ones.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/inputs").join(target);
    let kept = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<Vec<u8>> = kept.map(|entry| fs::read(entry.expect("an entry").path()).expect("an input")).collect();
    assert!(!inputs.is_empty(), "{target} has inputs");
    let mut random = SmallRng::seed_from_u64(1);
    for _ in 0..DRAWN {
        let mut input = vec![0; random.random_range(0..300)];
        random.fill_bytes(&mut input);
        inputs.push(input);
    }
    inputs
}

/// Seen to fail when `decode` forgets the door.
#[test]
fn an_entry_is_what_was_written() {
    inputs("journal_entry").iter().for_each(|input| journal_entry(input));
}

/// Q3. Seen to fail when a gap is not counted.
#[test]
fn a_scan_holds_together() {
    inputs("journal_scan").iter().for_each(|input| journal_scan(input));
}

/// Q3. Seen to fail when a header, or a body, is taken without its checksum, and when a gap is not counted.
#[test]
fn a_journal_that_was_changed_serves_nothing_that_was_not_written() {
    inputs("journal_recovery").iter().for_each(|input| journal_recovery(input));
}
