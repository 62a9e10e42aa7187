//! What the tables promise.

mod durable;

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use futures::{FutureExt, TryStreamExt};
use record::{
    Clock, Column, ColumnKind, ErrorKind, ManualClock, Partition, RecordId, RejectionTag, SystemClock, Timestamp, Topic, TopicSchema,
};
use tempfile::TempDir;

use crate::{Config, CursorMove, DataFile, FileName, Lake, Row, build_batch, row_hashes};

async fn lake_in(folder: &TempDir, config: Config) -> Lake {
    Lake::open(&folder.path().join("lake").display().to_string(), config, Arc::new(SystemClock::new())).await.expect("opens")
}

fn schema(columns: Vec<(&'static str, ColumnKind, bool)>) -> TopicSchema {
    let columns = columns.into_iter().map(|(name, kind, required)| Column { name: name.into(), kind, required }).collect();
    TopicSchema { topic: Topic::parse("readings").expect("a topic"), columns, payload_bytes_max: 1_000 }
}

fn row(n: u8, payload: &str) -> Row<'_> {
    Row { id: RecordId::from_bytes([n; 16]), received_at: Timestamp::from_micros(0), door: "http", payload: payload.as_bytes() }
}

fn name(first: u64, last: u64) -> FileName {
    FileName { topic: "readings".into(), partition: Partition::new("0192f0c4-8c5e-7000-8000-000000000001", 3), first, last }
}

/// L1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_folder_keeps_what_every_store_must() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("lake").display().to_string();
    let open = move |config| {
        let path = path.clone();
        async move { Lake::open(&path, config, Arc::new(SystemClock::new())).await }.boxed()
    };
    crate::conformance::check(&open).await.expect("the store works");
}

#[test]
fn a_row_that_cannot_be_one_says_why() {
    let schema = schema(vec![("n", ColumnKind::Integer, true), ("at", ColumnKind::Timestamp, false), ("any", ColumnKind::Json, false)]);
    let rows = [
        row(1, r#"{"n":1,"at":"2026-11-24T11:00:00Z","any":{"a":[1]},"record_id":"ignored"}"#),
        row(2, r#"{"n":1.5}"#),
        row(3, r#"{"at":7}"#),
        row(4, r#"[1]"#),
        row(5, r#"{"n":2,"at":7}"#),
        row(6, "{"),
        row(7, r#"{"n":1,"at":"yesterday"}"#),
    ];
    let built = build_batch(&schema, &rows).expect("builds");
    assert_eq!(built.kept, [0, 4]);
    let said: Vec<(usize, RejectionTag, Option<&str>)> =
        built.bad.iter().map(|bad| (bad.index, bad.rejection.tag, bad.rejection.pointer.as_deref())).collect();
    assert_eq!(
        said,
        [
            (1, RejectionTag::SchemaMismatch, Some("/n")),
            (2, RejectionTag::SchemaMismatch, Some("/n")),
            (3, RejectionTag::NotAnObject, None),
            (5, RejectionTag::NotJson, None),
            (6, RejectionTag::SchemaMismatch, Some("/at")),
        ]
    );
    assert!(built.bad[0].rejection.message.contains("1.5"), "{:?}", built.bad[0]);
    let bytes = [Row { payload: &[0xff], ..row(1, "") }];
    assert_eq!(build_batch(&schema, &bytes).expect("builds").bad[0].rejection.tag, RejectionTag::NotUtf8);
}

#[tokio::test]
async fn another_schema_is_refused_and_an_optional_column_is_added() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(&folder, Config::default()).await;
    let old = schema(vec![("n", ColumnKind::Integer, true)]);
    let table = lake.table(&old).await.expect("made");
    let written = build_batch(&old, &[row(1, r#"{"n":1}"#)]).expect("builds");
    table.append(&[written.batch], "one").await.expect("appends");

    for wrong in [
        vec![("n", ColumnKind::String, true)],
        vec![("n", ColumnKind::Integer, false)],
        vec![("m", ColumnKind::Integer, false)],
        vec![("n", ColumnKind::Integer, true), ("m", ColumnKind::Integer, true)],
    ] {
        let error = lake.table(&schema(wrong)).await.expect_err("another schema");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    let new = schema(vec![("text", ColumnKind::String, false), ("n", ColumnKind::Integer, true)]);
    let table = lake.table(&new).await.expect("the column is added");
    let written = build_batch(&new, &[row(2, r#"{"n":2,"text":"x"}"#)]).expect("builds");
    table.append(&[written.batch], "two").await.expect("appends");
    let mut rows = Vec::new();
    let mut batches = table.scan(Some(&["text", "n"])).await.expect("scans");
    while let Some(batch) = batches.try_next().await.expect("reads") {
        let text = batch.column(0).as_string::<i32>();
        rows.push((batch.column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0), text.is_valid(0)));
    }
    rows.sort_unstable();
    assert_eq!(rows, [(1, false), (2, true)]);
}

#[tokio::test]
async fn the_same_key_appends_once() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(&folder, Config::default()).await;
    let columns = [Column { name: "page".into(), kind: ColumnKind::String, required: true }];
    let table = lake.product_table("pages", &columns).await.expect("made");
    let arrays: Vec<arrow::array::ArrayRef> = vec![Arc::new(arrow::array::StringArray::from(vec!["a", "b"]))];
    let batch = arrow::array::RecordBatch::try_new(table.schema(), arrays).expect("a batch");
    assert!(table.append(std::slice::from_ref(&batch), "import 7").await.expect("appends"));
    assert!(!table.append(&[batch], "import 7").await.expect("knows the key"));
    assert_eq!(table.rows().await.expect("counts"), 2);
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_recognised() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(&folder, Config::default()).await;
    let topic = TopicSchema::events();
    let table = lake.table(&topic).await.expect("made");
    let batch = build_batch(&topic, &[row(1, "{}")]).expect("builds").batch;
    let files = table.write(&[batch], &name(0, 0)).await.expect("writes");
    let moved = CursorMove { app_id: "events@q/0".into(), expected: 0, next: 1, counters: Vec::new() };
    let version = table.commit(&files, &moved).await.expect("commits");
    assert_eq!(table.commit(&files, &moved).await.expect("is done already"), version);
    assert_eq!(table.rows().await.expect("counts"), 1);
    let stranger = CursorMove { app_id: "events@q/0".into(), expected: 0, next: 1, counters: Vec::new() };
    let other: Vec<DataFile> =
        table.write(&[build_batch(&topic, &[row(2, "{}")]).expect("builds").batch], &name(0, 0)).await.expect("writes");
    assert_eq!(table.commit(&other, &stranger).await.expect_err("fenced").kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn rows_are_partitioned_by_date_of_receipt() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(&folder, Config::default()).await;
    let topic = TopicSchema::events();
    let table = lake.table(&topic).await.expect("made");
    let midnight = Timestamp::parse("2026-11-25T00:00:00Z").expect("a time");
    let rows = [-1, 0, 5].map(|micros| Row { received_at: midnight.plus_micros(micros), ..row(1, "{}") });
    let batch = build_batch(&topic, &rows).expect("builds").batch;
    let files = table.write(&[batch], &name(7, 9)).await.expect("writes");
    let found: Vec<(&str, Option<u64>)> = files.iter().map(|file| (file.path.split('/').next().unwrap_or(""), file.rows)).collect();
    assert_eq!(found, [("received_date=2026-11-24", Some(1)), ("received_date=2026-11-25", Some(2))]);
    assert_eq!(FileName::parse(&files[0].path), Some(name(7, 9)));
    assert_eq!(FileName::parse("pages.0123456789abcdef.parquet"), None);
}

#[tokio::test]
async fn old_orphans_are_swept_and_committed_files_stay() {
    let folder = TempDir::new().expect("a folder");
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let lake = Lake::open(&folder.path().display().to_string(), Config::default(), Arc::<ManualClock>::clone(&clock)).await.expect("opens");
    let topic = TopicSchema::events();
    let table = lake.table(&topic).await.expect("made");
    let batch = build_batch(&topic, &[row(1, "{}")]).expect("builds").batch;
    table.append(std::slice::from_ref(&batch), "kept").await.expect("appends");
    let orphan = table.write(&[batch], &name(0, 0)).await.expect("writes");
    assert_eq!(table.sweep().await.expect("sweeps").files, 0, "it may be about to be committed");
    clock.advance_micros(7_200_000_000);
    assert_eq!(table.sweep().await.expect("sweeps").files, 1);
    assert!(!folder.path().join("events").join(&orphan[0].path).exists());
    let read: Vec<_> = table.scan(None).await.expect("scans").try_collect().await.expect("reads");
    assert_eq!(read.len(), 1);
}

#[tokio::test]
async fn a_checkpoint_keeps_rows_and_cursors() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(&folder, Config { checkpoint_commits: 5, ..Config::default() }).await;
    let topic = TopicSchema::events();
    let table = lake.table(&topic).await.expect("made");
    for offset in 0..12 {
        let batch = build_batch(&topic, &[row(1, "{}")]).expect("builds").batch;
        let files = table.write(&[batch], &name(offset, offset)).await.expect("writes");
        let moved = CursorMove { app_id: "events@q/0".into(), expected: offset, next: offset + 1, counters: Vec::new() };
        table.commit(&files, &moved).await.expect("commits");
    }
    assert!(folder.path().join("lake/events/_delta_log/_last_checkpoint").exists());
    let again = lake_in(&folder, Config::default()).await.existing_table("events").await.expect("opens").expect("is there");
    assert_eq!((again.rows().await.expect("counts"), again.cursor("events@q/0").await.expect("reads")), (12, Some(12)));
}

#[tokio::test]
async fn a_row_read_back_has_the_hash_it_was_written_with() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(&folder, Config::default()).await;
    let topic = schema(vec![("n", ColumnKind::Number, true), ("s", ColumnKind::String, false), ("b", ColumnKind::Boolean, false)]);
    let table = lake.table(&topic).await.expect("made");
    let rows = [row(1, r#"{"n":1.5,"s":"x"}"#), row(2, r#"{"n":1.5,"b":true}"#), row(3, r#"{"b":true,"n":1.50,"other":3}"#)];
    let batch = build_batch(&topic, &rows).expect("builds").batch;
    let hashes = row_hashes(&batch).expect("hashes");
    assert_ne!(hashes[0], hashes[1]);
    assert_eq!(hashes[1], hashes[2], "what is no column does not count");
    table.append(&[batch], "all").await.expect("appends");
    let read: Vec<_> = table.scan(None).await.expect("scans").try_collect().await.expect("reads");
    assert_eq!(row_hashes(&read[0]).expect("hashes"), hashes);
}

#[tokio::test]
async fn an_address_that_is_no_folder_is_refused() {
    for address in ["s3://bucket/lake", "hdfs://cluster/lake"] {
        let error = Lake::open(address, Config::default(), Arc::new(SystemClock::new())).await.expect_err("not in this build");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
