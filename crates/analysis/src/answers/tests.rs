//! The answers read back from the table are the answers that were sent: each once, with every field, and from the cursor on the queue has
//! the rest.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use lake::{CursorMove, FileName, Row, build_batch};
use record::{ErrorKind, SystemClock};
use tempfile::TempDir;

use super::*;

fn id(number: u64) -> RecordId {
    let mut bytes = [3; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    RecordId::from_bytes(bytes)
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_764_000_000_000_000 + micros)
}

/// The answer with a number; every field differs between two of them, and the optional ones are missing in some.
fn answer(number: u64) -> AnswerRow {
    let at = number.cast_signed();
    AnswerRow {
        record_id: id(number),
        received_at: time(10 * at),
        collection: format!("collection {}", number % 3),
        task_id: format!("task {number}"),
        reading_id: format!("reading {number}"),
        worker_id: format!("worker {}", number % 5),
        lease_id: format!("lease {number}"),
        label: ["right", "wrong", "unreadable", "not_one_word"][(number % 4) as usize].to_owned(),
        text: (number % 4 == 1).then(|| format!("Waſſer {number}")),
        shown_at: (!number.is_multiple_of(3)).then(|| time(10 * at - 7)),
        answered_at: time(10 * at - 3),
        late: number.is_multiple_of(2),
    }
}

/// The payload as it stands in the queue.
fn payload(answer: &AnswerRow) -> String {
    serde_json::json!({
        "collection": answer.collection, "task_id": answer.task_id, "reading_id": answer.reading_id, "worker_id": answer.worker_id,
        "lease_id": answer.lease_id, "label": answer.label, "text": answer.text, "shown_at": answer.shown_at.map(Timestamp::as_micros),
        "answered_at": answer.answered_at.to_string(), "late": answer.late,
    })
    .to_string()
}

async fn lake_in(folder: &Path) -> Lake {
    Lake::open(&folder.display().to_string(), lake::Config::default(), Arc::new(SystemClock::new())).await.expect("opens")
}

fn partition(n: u32) -> Partition {
    Partition::new("q", n)
}

/// Commits answers as a loader does that has read `expected..next` of a partition.
async fn land(lake: &Lake, n: u32, answers: &[AnswerRow], expected: Offset, next: Offset) {
    let schema = TopicSchema::answers();
    let payloads: Vec<String> = answers.iter().map(payload).collect();
    let rows: Vec<Row<'_>> = answers
        .iter()
        .zip(&payloads)
        .map(|(answer, payload)| Row { id: answer.record_id, received_at: answer.received_at, door: "http", payload: payload.as_bytes() })
        .collect();
    let built = build_batch(&schema, &rows).expect("builds");
    assert!(built.bad.is_empty(), "{:?}", built.bad);
    let table = lake.table(&schema).await.expect("opens");
    let name = FileName { topic: schema.topic.to_string(), partition: partition(n), first: expected, last: next - 1 };
    let files = table.write(&[built.batch], &name).await.expect("writes");
    let moved = CursorMove { app_id: partition(n).cursor_id(&schema.topic), expected, next, counters: Vec::new() };
    table.commit(&files, &moved).await.expect("commits");
}

/// What a process that starts knows: the table's rows, then what stands in the queue from the cursor on. Also how many times it was
/// told of a row of the table.
async fn rebuilt(lake: &Lake, queue: &[AnswerRow]) -> (BTreeMap<RecordId, AnswerRow>, u64) {
    let (table, cursor) = table_and_cursor(lake, &partition(0)).await.expect("opens");
    let (mut known, mut told) = (BTreeMap::new(), 0);
    let mut tell = |row: AnswerRow| {
        told += 1;
        known.insert(row.record_id, row);
    };
    let counted = each_answer(&table, &mut tell).await.expect("reads");
    assert_eq!(counted, told);
    for answer in queue.iter().skip(usize::try_from(cursor).expect("small")) {
        known.entry(answer.record_id).or_insert_with(|| answer.clone());
    }
    (known, told)
}

/// L1, C3. Whatever has landed when a process starts, table and tail together are all that was stored. Seen to fail when the cursor is read
/// under another partition's name, and when a field is read from its neighbour's column.
#[tokio::test]
async fn table_and_tail_together_are_what_was_stored() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(folder.path()).await;
    let queue: Vec<AnswerRow> = (0..40).map(answer).collect();
    let stored: BTreeMap<RecordId, AnswerRow> = queue.iter().map(|answer| (answer.record_id, answer.clone())).collect();
    // Of another partition, whose cursor is not ours.
    land(&lake, 1, &[], 0, 33).await;
    let mut landed = 0;
    for next in [0, 1, 17, 40] {
        if next > landed {
            land(&lake, 0, &queue[landed as usize..next as usize], landed, next).await;
            landed = next;
        }
        assert_eq!(rebuilt(&lake, &queue).await, (stored.clone(), landed), "with {landed} in the table");
    }
}

/// C3. Seen to fail when `each_answer` tells of every row.
#[tokio::test]
async fn an_answer_that_two_loaders_landed_is_told_once() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(folder.path()).await;
    let queue: Vec<AnswerRow> = (0..10).map(answer).collect();
    land(&lake, 0, &queue, 0, 10).await;
    // In one file, and in another.
    let again: Vec<AnswerRow> = [3, 4, 4, 20, 20].map(answer).to_vec();
    land(&lake, 1, &again, 0, 5).await;
    let (known, told) = rebuilt(&lake, &queue).await;
    assert_eq!((known.len(), told), (11, 11));
    assert!(known.values().all(|row| (0..=20).any(|number| *row == answer(number))));
}

#[tokio::test]
async fn a_table_with_other_columns_is_corrupt() {
    let folder = TempDir::new().expect("a folder");
    let lake = lake_in(folder.path()).await;
    let events = lake.table(&TopicSchema::events()).await.expect("made");
    let row = Row { id: id(1), received_at: time(0), door: "http", payload: b"{}" };
    let batch = build_batch(&TopicSchema::events(), &[row]).expect("builds").batch;
    events.append(&[batch], "one").await.expect("appends");
    let error = each_answer(&events, &mut |_| {}).await.expect_err("no answers");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("column"), "{error}");
}
