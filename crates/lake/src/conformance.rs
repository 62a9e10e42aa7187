//! What every store must keep. The tests call [`check`] with a way to open a lake on the store; a new store adds one such line.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::array::AsArray;
use futures::{TryStreamExt, future::BoxFuture};
use record::{Error, ErrorKind, Partition, RecordId, Result, Timestamp, TopicSchema};

use crate::{Config, CursorMove, FaultHook, FaultPoint, FileName, Lake, Row, Table, build_batch};

/// Opens the same lake anew, as a process does that starts.
pub type Open<'a> = &'a (dyn Fn(Config) -> BoxFuture<'static, Result<Lake>> + Sync);

/// Runs the whole suite on an empty lake. Panics, as a test does, when the store breaks a promise.
///
/// # Errors
/// Whatever the store says where it should have worked.
pub async fn check(open: Open<'_>) -> Result<()> {
    appended_rows_read_back(open).await?;
    one_of_two_on_a_cursor_is_fenced(open).await?;
    for point in [FaultPoint::WriteFile, FaultPoint::SyncFile, FaultPoint::Commit, FaultPoint::SyncCommit, FaultPoint::Reply] {
        a_crash_neither_drops_nor_doubles(open, point).await?;
    }
    Ok(())
}

fn partition(n: u32) -> Partition {
    Partition::new("conformance", n)
}

/// Writes rows `first..next` and commits them.
async fn load(table: &Table, n: u32, first: u64, next: u64) -> Result<u64> {
    let schema = TopicSchema::events();
    let payloads: Vec<String> = (first..next).map(|offset| format!("{{\"offset\":{offset}}}")).collect();
    let rows: Vec<Row<'_>> = (first..next)
        .zip(&payloads)
        .map(|(offset, payload)| Row {
            id: id(n, offset),
            received_at: Timestamp::from_micros(0),
            door: "test",
            payload: payload.as_bytes(),
        })
        .collect();
    let batch = build_batch(&schema, &rows)?.batch;
    let name = FileName { topic: "events".into(), partition: partition(n), first, last: next - 1 };
    let files = table.write(&[batch], &name).await?;
    let app_id = partition(n).cursor_id(&schema.topic);
    let counters = vec![(format!("{app_id}#landed"), next)];
    table.commit(&files, &CursorMove { app_id, expected: first, next, counters }).await
}

fn id(n: u32, offset: u64) -> RecordId {
    let mut bytes = [1; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes[8..].copy_from_slice(&offset.to_be_bytes());
    RecordId::from_bytes(bytes)
}

async fn ids(table: &Table) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut batches = table.scan(Some(&["record_id"])).await?;
    while let Some(batch) = batches.try_next().await? {
        found.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

async fn has_exactly(table: &Table, n: u32, rows: u64) -> Result<()> {
    let wanted: BTreeSet<String> = (0..rows).map(|offset| id(n, offset).to_string()).collect();
    let all = ids(table).await?;
    let of_partition: Vec<String> = all.into_iter().filter(|id| id.starts_with(&format!("{n:08x}"))).collect();
    assert_eq!(of_partition.len(), wanted.len(), "L1: rows lost or doubled in partition {n}");
    assert_eq!(of_partition.into_iter().collect::<BTreeSet<_>>(), wanted, "L1: other rows than were committed");
    Ok(())
}

async fn appended_rows_read_back(open: Open<'_>) -> Result<()> {
    let lake = open(Config::default()).await?;
    let table = lake.table(&TopicSchema::events()).await?;
    assert_eq!(table.cursor("events@conformance/0").await?, None);
    load(&table, 0, 0, 10).await?;
    load(&table, 0, 10, 25).await?;
    let again = open(Config::default()).await?;
    assert_eq!(again.existing_tables().await?, ["events"]);
    let table = again.table(&TopicSchema::events()).await?;
    assert_eq!(table.cursor("events@conformance/0").await?, Some(25));
    assert_eq!(table.cursor("events@conformance/0#landed").await?, Some(25), "counters stand in the same commit");
    assert_eq!(table.rows().await?, 25);
    has_exactly(&table, 0, 25).await
}

async fn one_of_two_on_a_cursor_is_fenced(open: Open<'_>) -> Result<()> {
    let first = open(Config::default()).await?.table(&TopicSchema::events()).await?;
    let second = open(Config::default()).await?.table(&TopicSchema::events()).await?;
    let (one, other) = futures::join!(load(&first, 1, 0, 5), load(&second, 1, 0, 5));
    let fenced = [&one, &other].iter().filter(|result| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict)).count();
    assert_eq!(fenced, 1, "L1: exactly one of two loaders is fenced: {one:?} {other:?}");
    has_exactly(&first, 1, 5).await
}

async fn a_crash_neither_drops_nor_doubles(open: Open<'_>, point: FaultPoint) -> Result<()> {
    let n = 2 + point as u32;
    load(&open(Config::default()).await?.table(&TopicSchema::events()).await?, n, 0, 3).await?;
    let (table, fired) = {
        let fired = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&fired);
        let fault: FaultHook = Arc::new(move |at| match at == point && !seen.swap(true, Ordering::SeqCst) {
            true => Err(Error::closed("crash injected")),
            false => Ok(()),
        });
        (open(Config { fault: Some(fault), ..Config::default() }).await?.table(&TopicSchema::events()).await?, fired)
    };
    let crashed = load(&table, n, 3, 8).await;
    assert!(crashed.is_err() && fired.load(Ordering::SeqCst), "the fault at {point:?} fired");
    let table = open(Config::default()).await?.table(&TopicSchema::events()).await?;
    let cursor = table.cursor(&partition(n).cursor_id(&TopicSchema::events().topic)).await?.unwrap_or(0);
    let committed = matches!(point, FaultPoint::SyncCommit | FaultPoint::Reply);
    assert_eq!(cursor, if committed { 8 } else { 3 }, "the cursor says whether the rows count, at {point:?}");
    if cursor < 8 {
        load(&table, n, cursor, 8).await?;
    }
    has_exactly(&table, n, 8).await
}
