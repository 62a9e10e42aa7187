//! What a failed fsync, a power cut, a slow commit and a damaged file do to a table.

use std::{path::Path, sync::Mutex};

use super::*;
use crate::{CursorMove, FaultPoint, faulty::FaultyDisk};

const CURSOR: &str = "events@q/0";

fn with(disk: &FaultyDisk) -> Config {
    Config { fsync: disk.fsync(), ..Config::default() }
}

/// One row at an offset, written and not committed.
async fn written(table: &crate::Table, offset: u64) -> Vec<DataFile> {
    let batch = build_batch(&TopicSchema::events(), &[row(offset as u8, "{}")]).expect("builds").batch;
    table.write(&[batch], &name(offset, offset)).await.expect("writes")
}

fn moved(offset: u64) -> CursorMove {
    CursorMove { app_id: CURSOR.into(), expected: offset, next: offset + 1, counters: Vec::new() }
}

async fn rows_and_cursor(folder: &Path) -> (u64, Option<u64>) {
    let lake = Lake::open(&folder.display().to_string(), Config::default(), Arc::new(SystemClock::new())).await.expect("opens");
    let table = lake.existing_table("events").await.expect("reads").expect("is there");
    let read: Vec<_> = table.scan(None).await.expect("scans").try_collect().await.expect("every file that the log names is whole");
    (read.iter().map(|batch| batch.num_rows() as u64).sum(), table.cursor(CURSOR).await.expect("reads"))
}

/// L1. Seen to fail when `make_durable` syncs the entry again instead of writing it anew: the power cut takes the commit.
#[tokio::test]
async fn a_commit_whose_fsync_failed_is_not_believed_when_the_next_fsync_succeeds() {
    let (folder, after) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let disk = FaultyDisk::new();
    let table = lake_in(&folder, with(&disk)).await.table(&TopicSchema::events()).await.expect("made");
    let files = written(&table, 0).await;
    disk.fail_next("00000000000000000001.json");
    assert_eq!(table.commit(&files, &moved(0)).await.expect_err("the fsync failed").kind(), ErrorKind::Unavailable);
    assert_eq!(disk.fired(), 1);
    table.commit(&files, &moved(0)).await.expect("is done");
    disk.after_power_cut(&folder.path().join("lake"), after.path()).expect("restored");
    assert_eq!(rows_and_cursor(after.path()).await, (1, Some(1)), "what was told to be committed is on the disk");
}

/// L1. As above, for a process that died of it. Seen to fail when `sync_log` only syncs.
#[tokio::test]
async fn a_commit_whose_fsync_failed_in_an_earlier_process_is_written_again_at_opening() {
    let (folder, after) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let disk = FaultyDisk::new();
    let table = lake_in(&folder, with(&disk)).await.table(&TopicSchema::events()).await.expect("made");
    let files = written(&table, 0).await;
    disk.fail_next("00000000000000000001.json");
    table.commit(&files, &moved(0)).await.expect_err("the fsync failed");
    let again = lake_in(&folder, with(&disk)).await.table(&TopicSchema::events()).await.expect("opens");
    assert_eq!(again.cursor(CURSOR).await.expect("reads"), Some(1), "the queue may be trimmed by this");
    disk.after_power_cut(&folder.path().join("lake"), after.path()).expect("restored");
    assert_eq!(rows_and_cursor(after.path()).await, (1, Some(1)));
}

/// L1. Seen to fail when only the newest entry is synced: then the log has a hole, and ends before it.
#[tokio::test]
async fn entries_of_another_loader_are_durable_before_a_later_commit_is_told() {
    let (folder, after) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let disk = FaultyDisk::new();
    let table = lake_in(&folder, with(&disk)).await.table(&TopicSchema::events()).await.expect("made");
    // The other dies between its commit and the fsync.
    let dies: crate::FaultHook = Arc::new(|point| match point {
        FaultPoint::SyncCommit => Err(record::Error::closed("crash injected")),
        _ => Ok(()),
    });
    let other = lake_in(&folder, Config { fault: Some(dies), ..with(&disk) }).await.table(&TopicSchema::events()).await.expect("opens");
    let theirs = CursorMove { app_id: "events@other/0".into(), expected: 0, next: 1, counters: Vec::new() };
    other.commit(&written(&other, 9).await, &theirs).await.expect_err("died");
    table.commit(&written(&table, 0).await, &moved(0)).await.expect("commits");
    disk.after_power_cut(&folder.path().join("lake"), after.path()).expect("restored");
    assert_eq!(rows_and_cursor(after.path()).await, (2, Some(1)));
}

/// Q3, L1: the kernel may write a name before the bytes that it leads to, and then the power goes. Is to fail, as *corrupt*, when `builder`
/// leaves the store of the library in its place.
#[tokio::test]
async fn an_entry_whose_name_survives_a_power_cut_is_whole() {
    let (folder, after) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let disk = FaultyDisk::new();
    let dies: crate::FaultHook = Arc::new(|point| match point {
        FaultPoint::SyncCommit => Err(record::Error::closed("crash injected")),
        _ => Ok(()),
    });
    let table = lake_in(&folder, Config { fault: Some(dies), ..with(&disk) }).await.table(&TopicSchema::events()).await.expect("made");
    table.commit(&written(&table, 0).await, &moved(0)).await.expect_err("died");
    let log = folder.path().join("lake/events/_delta_log").canonicalize().expect("a folder");
    disk.fsync()(&log).expect("names are written whenever the kernel likes");
    disk.after_power_cut(&folder.path().join("lake"), after.path()).expect("restored");
    assert_eq!(rows_and_cursor(after.path()).await, (1, Some(1)));
}

/// L1. Seen to fail when the names of the folders above are not synced.
#[tokio::test]
async fn the_names_of_all_folders_that_are_made_are_durable() {
    let (folder, after) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let disk = FaultyDisk::new();
    let path = folder.path().join("a/b/lake");
    let lake = Lake::open(&path.display().to_string(), with(&disk), Arc::new(SystemClock::new())).await.expect("opens");
    let table = lake.table(&TopicSchema::events()).await.expect("made");
    table.commit(&written(&table, 0).await, &moved(0)).await.expect("commits");
    disk.after_power_cut(folder.path(), after.path()).expect("restored");
    assert_eq!(rows_and_cursor(&after.path().join("a/b/lake")).await, (1, Some(1)));
}

/// L1. Seen to fail, with a table that names a file which is gone, when `commit` takes files of any age.
#[tokio::test]
async fn files_that_waited_too_long_are_not_committed_and_another_sweeps_them() {
    let folder = TempDir::new().expect("a folder");
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let open = async |fault| {
        let config = Config { fault, ..Config::default() };
        let path = folder.path().join("lake").display().to_string();
        let lake = Lake::open(&path, config, Arc::<ManualClock>::clone(&clock)).await.expect("opens");
        lake.table(&TopicSchema::events()).await.expect("opens")
    };
    let away = Arc::new(Mutex::new(true));
    let is_away = Arc::clone(&away);
    let fault: crate::FaultHook = Arc::new(move |point| match point == FaultPoint::Commit && *is_away.lock().expect("no panic") {
        true => Err(record::Error::unavailable("the store is away")),
        false => Ok(()),
    });
    let (slow, sweeper) = (open(Some(fault)).await, open(None).await);
    let files = written(&slow, 0).await;
    slow.commit(&files, &moved(0)).await.expect_err("away");
    assert!(!slow.outdated(&files, &moved(0)).await.expect("asks"), "they are young");
    clock.advance_micros(7_200_000_000);
    *away.lock().expect("no panic") = false;
    assert!(slow.outdated(&files, &moved(0)).await.expect("asks"));
    assert_eq!(sweeper.sweep().await.expect("sweeps").files, 1);
    assert_eq!(slow.commit(&files, &moved(0)).await.expect_err("too old").kind(), ErrorKind::Unavailable);
    let files = written(&slow, 0).await;
    slow.commit(&files, &moved(0)).await.expect("commits");
    clock.advance_micros(7_200_000_000);
    assert!(!slow.outdated(&files, &moved(0)).await.expect("asks"), "what is committed is not written again");
    slow.commit(&files, &moved(0)).await.expect("is done already");
    assert_eq!(rows_and_cursor(&folder.path().join("lake")).await, (1, Some(1)));
}

/// Seen to fail when `sweep` only asks the store, which does not list the first kind.
#[tokio::test]
async fn what_was_being_written_when_its_writer_died_is_swept() {
    let folder = TempDir::new().expect("a folder");
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let lake = Lake::open(&folder.path().display().to_string(), Config::default(), Arc::<ManualClock>::clone(&clock)).await.expect("opens");
    let table = lake.table(&TopicSchema::events()).await.expect("made");
    table.commit(&written(&table, 0).await, &moved(0)).await.expect("commits");
    let left = [
        "received_date=1970-01-01/x.parquet#1",
        "_delta_log/00000000000000000002.json#17",
        "_delta_log/_commit_0b6e.json.tmp",
        "_delta_log/.00000000000000000001.json.0123456789abcdef.again",
    ];
    for name in left {
        std::fs::write(folder.path().join("events").join(name), "half").expect("written");
    }
    assert_eq!(table.sweep().await.expect("sweeps").files, 0, "they may be under way");
    clock.advance_micros(7_200_000_000);
    let swept = table.sweep().await.expect("sweeps");
    assert_eq!((swept.files, swept.bytes), (4, 16));
    assert!(left.iter().all(|name| !folder.path().join("events").join(name).exists()));
    assert_eq!(rows_and_cursor(folder.path()).await, (1, Some(1)));
}

/// Seen to fail when `failed` takes what the log's reader says for a store that is away: a loader would wait for ever.
#[tokio::test]
async fn a_damaged_log_is_corrupt() {
    let damages: [(&str, &[u8]); 4] = [
        ("00000000000000000001.json", b"{\"add\":{\"path\":\"x"),
        ("00000000000000000001.json", b"\0\0\0\0\0\0\0\0"),
        ("00000000000000000000.json", b"{}"),
        ("00000000000000000000.json", b"no JSON"),
    ];
    for (entry, bytes) in damages {
        let folder = TempDir::new().expect("a folder");
        let table = lake_in(&folder, Config::default()).await.table(&TopicSchema::events()).await.expect("made");
        table.commit(&written(&table, 0).await, &moved(0)).await.expect("commits");
        std::fs::write(folder.path().join("lake/events/_delta_log").join(entry), bytes).expect("damaged");
        let lake = lake_in(&folder, Config::default()).await;
        let error = lake.table(&TopicSchema::events()).await.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{entry}: {error}");
        let error = lake.existing_table("events").await.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{entry}: {error}");
    }
}

/// Seen to fail, as *unavailable*, when `read_file` does not look for the file after an error of the store.
#[tokio::test]
async fn a_damaged_data_file_is_corrupt() {
    type Damage = fn(&Path) -> std::io::Result<()>;
    let damages: [(&str, Damage); 4] = [
        ("gone", |path| std::fs::remove_file(path)),
        ("cut off", |path| std::fs::OpenOptions::new().write(true).open(path)?.set_len(100)),
        ("empty", |path| std::fs::write(path, "")),
        ("zeros", |path| std::fs::write(path, vec![0; usize::try_from(std::fs::metadata(path)?.len()).expect("small")])),
    ];
    for (what, damage) in damages {
        let folder = TempDir::new().expect("a folder");
        let table = lake_in(&folder, Config::default()).await.table(&TopicSchema::events()).await.expect("made");
        let files = written(&table, 0).await;
        table.commit(&files, &moved(0)).await.expect("commits");
        damage(&folder.path().join("lake/events").join(&files[0].path)).expect("damaged");
        let read: record::Result<Vec<_>> = table.scan(None).await.expect("the log is whole").try_collect().await;
        let error = read.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.to_string().contains(&files[0].path), "{error}");
    }
}
