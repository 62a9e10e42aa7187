//! Looking at a journal, with the exit codes that scripts go by.

use std::fs;

use serde_json::Value;

use crate::programs::{crowdread, fail, succeed};

const SEGMENT: &str = "00000000000000000014.journal";

/// 0 whole, 4 damaged and told how, 2 none there; and nothing is made or changed.
#[test]
fn a_journal_is_looked_at_and_verified() {
    let folder = tempfile::tempdir().expect("folder");
    let journal = folder.path().join("journal");
    fs::create_dir(&journal).expect("folder");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../queue/tests/compat/journal-v1");
    for name in [SEGMENT, "00000000000000000027.journal"] {
        fs::copy(format!("{kept}/{name}"), journal.join(name)).expect("copied");
    }
    let output = succeed(crowdread().args(["journal", "inspect"]).arg(folder.path()));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains(SEGMENT) && text.contains("18 records, 0 lost"), "{text}");
    let output = succeed(crowdread().args(["journal", "verify", "--json"]).arg(&journal));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["records"], &found["segments"][0]["state"]), (&Value::from(18), &Value::from("sealed")));

    let mut image = fs::read(journal.join(SEGMENT)).expect("segment");
    image[4096 + 50] ^= 1;
    fs::write(journal.join(SEGMENT), &image).expect("written");
    succeed(crowdread().args(["journal", "inspect"]).arg(&journal));
    let told = fail(4, crowdread().args(["journal", "verify"]).arg(&journal));
    assert!(told.contains("lost_records: 1") && told.contains("mend"), "{told}");
    let output = crowdread().args(["journal", "verify"]).arg(&journal).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("1 records lost, offsets 14 to 14"), "{text}");
    assert_eq!(fs::read(journal.join(SEGMENT)).expect("segment"), image);
    assert_eq!(fs::read_dir(&journal).expect("folder").count(), 2, "no lock, nothing else");

    let told = fail(2, crowdread().args(["journal", "verify"]).arg(folder.path().join("away")));
    assert!(told.contains("no journal here"), "{told}");
}
