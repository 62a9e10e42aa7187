//! Holds, and backups as files. That a backup under load is whole is tried at the binary.

use lake::FileName;
use record::{Clock, ManualClock};

use super::*;
use crate::{
    backup::{self, Backup},
    holds::Holds,
};

/// Seen to fail when `roll_if_due` does not ask for holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_queue_is_not_trimmed_until_the_hold_ends() {
    let world = World::new();
    let running = world.start().await.expect("starts");
    let start = || world.queue.range(&world.queue.partitions()[0]).expect("a range").start;
    world.append((0..5).map(|n| record("events", n, "{}")).collect()).await;
    let held = running.handle.hold(600).await.expect("held");
    assert_eq!((start(), held.ends.values().copied().collect::<Vec<_>>()), (5, vec![5]), "what was stored before has landed");
    world.append((5..9).map(|n| record("events", n, "{}")).collect()).await;
    running.handle.flush().await.expect("flushes");
    assert_eq!(start(), 5, "held");
    assert_eq!(running.handle.renew(held.hold, 600).expect("lasts on").ends.values().max(), Some(&9));
    running.handle.renew(held.hold, 0).expect("ended");
    assert_eq!(running.handle.renew(held.hold, 600).expect_err("it is over").kind(), ErrorKind::Conflict);
    running.handle.flush().await.expect("flushes");
    assert_eq!(start(), 9);
    running.stop().await.expect("ends well");
}

#[test]
fn a_hold_that_is_not_renewed_lapses() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let holds = Holds::new(Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>);
    // Seen to fail when a longer hold is cut short in silence.
    assert_eq!(holds.take(601).expect_err("too long").kind(), ErrorKind::Invalid);
    let first = holds.take(10).expect("taken");
    assert_eq!(holds.renew(first, u64::MAX).expect_err("too long").kind(), ErrorKind::Invalid);
    clock.advance_micros(9_000_000);
    holds.renew(first, 10).expect("lasts on");
    clock.advance_micros(9_000_000);
    assert!(holds.any());
    clock.advance_micros(1_000_000);
    assert!(!holds.any());
    assert_eq!(holds.renew(first, 10).expect_err("lapsed").kind(), ErrorKind::Conflict);
    let taken: Vec<u64> = (0..16).map(|_| holds.take(10).expect("taken")).collect();
    assert!(!taken.contains(&first), "a number is given once");
    assert_eq!(holds.take(10).expect_err("too many").kind(), ErrorKind::Unavailable);
}

/// L1. Seen to fail when `dead_letters` is looked at before the topics' tables: a letter is missing of which the cursor says that it was judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_of_a_backup_are_what_they_were_and_dead_letters_come_last() {
    let world = World::new();
    world.append((0..10).map(|n| record("points", n, r#"{"n":"bad"}"#)).chain([record("points", 77, r#"{"n":1}"#)]).collect()).await;
    world.load().await;
    let (lake, to) = (world.folder.path().join("lake"), world.folder.path().join("backup"));
    let mut made = Backup::begin(&to, "test", Timestamp::from_micros(0)).expect("begins");
    let reads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&reads);
    // A lake that takes notes of what is made durable as its tables are opened.
    let fsync: Fsync = Arc::new(move |path| {
        seen.lock().expect("no panic").push(path.to_path_buf());
        Ok(())
    });
    let config = lake::Config { fsync, ..lake::Config::default() };
    let noted = Lake::open(&lake.display().to_string(), config, Arc::new(SystemClock::new())).await.expect("opens");
    made.tables(&noted, &lake).await.expect("copied");
    let reads = reads.lock().expect("no panic").clone();
    let place = |table: &str| reads.iter().position(|path| path.starts_with(lake.canonicalize().expect("there").join(table)));
    assert!(place("dead_letters") > place("points") && place("points").is_some(), "{reads:?}");
    let manifest = made.finish().expect("durable");
    assert!(manifest.files.iter().any(|file| file.path.starts_with("lake/points/received_date=") && FileName::parse(&file.path).is_some()));

    let restored = World { folder: TempDir::new().expect("a folder"), ..World::new() };
    let data = restored.folder.path().join("data");
    assert_eq!(backup::restore(&to, &data).expect("restored"), manifest);
    std::fs::rename(data.join("lake"), restored.folder.path().join("lake")).expect("moved");
    assert_eq!((restored.ids("points").await, restored.tags().await), (world.ids("points").await, world.tags().await));
}

#[test]
fn a_backup_that_is_not_what_it_was_is_not_restored() {
    let folder = TempDir::new().expect("a folder");
    let (data, to, new) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    std::fs::create_dir_all(data.join("collections/press/pages")).expect("made");
    std::fs::write(data.join("collections/press/collection.json"), "{}").expect("written");
    std::fs::write(data.join("collections/press/pages/image.png"), "a picture").expect("written");
    std::fs::write(data.join("collections/press/pages/image.partial"), "a pic").expect("written");
    std::fs::write(data.join("server.key"), [7; 32]).expect("written");
    let make = |to: &std::path::Path| {
        let mut made = Backup::begin(to, "test", Timestamp::from_micros(0))?;
        made.others(&data)?;
        made.finish()
    };
    let kind = |result: Result<backup::Manifest>| result.expect_err("refused").kind();
    let manifest = make(&to).expect("made");
    let paths: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["collections/press/collection.json", "collections/press/pages/image.png", "server.key"]);
    assert_eq!(kind(make(&to)), ErrorKind::Invalid, "not empty");
    assert_eq!(kind(backup::restore(&to, &data)), ErrorKind::Invalid, "not empty");
    backup::restore(&to, &new).expect("restored");
    assert_eq!(std::fs::read(new.join("collections/press/pages/image.png")).expect("there"), b"a picture");

    let other = folder.path().join("other");
    std::fs::write(to.join("collections/press/pages/image.png"), "a Picture").expect("damaged");
    assert_eq!(kind(backup::restore(&to, &other)), ErrorKind::Corrupt, "the same size");
    std::fs::remove_file(to.join("collections/press/pages/image.png")).expect("removed");
    assert_eq!(kind(backup::restore(&to, &other)), ErrorKind::Corrupt, "gone");
    std::fs::write(to.join("collections/press/pages/image.png"), "a picture").expect("mended");
    let text = std::fs::read_to_string(to.join("manifest.json")).expect("there");
    std::fs::write(to.join("manifest.json"), text.replace("\"server.key\"", "\"../data/server.key\"")).expect("written");
    assert_eq!(kind(backup::restore(&to, &other)), ErrorKind::Corrupt, "leads elsewhere");
    std::fs::write(to.join("manifest.json"), text.replace("\"format\": 1", "\"format\": 2")).expect("written");
    assert_eq!(kind(backup::restore(&to, &other)), ErrorKind::Invalid, "of another version");
    std::fs::remove_file(to.join("manifest.json")).expect("removed");
    assert_eq!(kind(backup::restore(&to, &other)), ErrorKind::Invalid, "never finished");
    assert!(!other.exists(), "nothing was written");
}

/// Seen to fail when a link is passed over: the backup is whole and has no key.
#[test]
fn what_a_link_leads_to_is_in_the_backup() {
    let folder = TempDir::new().expect("a folder");
    let (data, elsewhere, to) = (folder.path().join("data"), folder.path().join("elsewhere"), folder.path().join("to"));
    std::fs::create_dir_all(&data).expect("made");
    std::fs::create_dir_all(elsewhere.join("pages")).expect("made");
    std::fs::write(elsewhere.join("pages/page.json"), "{}").expect("written");
    std::os::unix::fs::symlink(&elsewhere, data.join("collections")).expect("linked");
    let mut made = Backup::begin(&to, "test", Timestamp::from_micros(0)).expect("begins");
    made.others(&data).expect("copied");
    assert_eq!(made.finish().expect("durable").files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["collections/pages/page.json"]);
    std::os::unix::fs::symlink("/nowhere", elsewhere.join("pages/other.json")).expect("linked");
    let mut made = Backup::begin(&folder.path().join("more"), "test", Timestamp::from_micros(0)).expect("begins");
    assert_eq!(made.others(&data).expect_err("nothing can be copied").kind(), ErrorKind::Invalid);
}
