//! A copy of a journal that is written meanwhile, up to an end: the records below it, and none else.

use std::{path::Path, sync::Arc};

use record::{ErrorKind, SystemClock};

use super::*;
use crate::journal::{SegmentState, copy};

fn real(folder: &Path) -> Journal {
    Journal::open(folder, small(), Arc::new(SystemClock::new())).expect("opens")
}

/// Seen to fail when the last segment is copied byte for byte: what was written behind the end is there, and when it is copied without a
/// marker.
#[tokio::test]
async fn a_copy_has_the_records_below_its_end_and_goes_on_from_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("source");
    let journal = real(&source);
    for batch in 0..60 {
        append(&journal, batch * 10..batch * 10 + 10).await.expect("stored");
    }
    assert!(journal.status().segments > 3, "it has sealed segments");
    for end in [0, 1, 10, 255, 257, 600] {
        let target = folder.path().join(format!("copy-{end}"));
        std::fs::create_dir(&target).expect("made");
        copy(&source, &target, end).expect("copied");
        let found = crate::journal::inspect(&target).expect("a journal");
        assert!(found.check_whole().is_ok() && found.end == end && found.queue_id == journal.queue_id(), "{found:?}");
        // So that damage to its last batch is not taken for a torn tail.
        assert_eq!(found.segments.last().expect("a segment").state, SegmentState::Marked);
        let copied = real(&target);
        assert_eq!(numbers(&copied), ((0..end).collect(), 0));
        append(&copied, end..end + 10).await.expect("stored");
        assert_eq!(numbers(&copied), ((0..end + 10).collect(), 0));
    }
    assert_eq!(numbers(&journal).0.len(), 600, "the source is as it was");
    let target = folder.path().join("beyond");
    std::fs::create_dir(&target).expect("made");
    assert_eq!(copy(&source, &target, 601).expect_err("it ends before").kind(), ErrorKind::Corrupt);
}
