//! What every queue must do, whatever stands behind it. Each backend's tests call [`run`]; so may other crates' tests
//! with a queue of theirs.

use std::sync::Arc;

use futures::future::join_all;
use record::{ErrorKind, Offset, Partition, Record, RecordId, Timestamp, Topic};

use crate::{Headroom, Queue};

/// Runs the whole suite. `make` gives a new, empty queue with one partition and room for some thousand records.
///
/// # Panics
/// When the queue breaks a promise.
pub async fn run(make: impl AsyncFn() -> Arc<dyn Queue>) {
    positions_follow_each_other(&*make().await).await;
    what_is_appended_is_read(&*make().await).await;
    groups_of_many_appenders_stay_whole(&*make().await).await;
    a_read_stops_where_it_is_told(&*make().await).await;
    the_end_is_no_error_and_beyond_is_corrupt(&*make().await).await;
    a_foreign_partition_is_invalid(&*make().await).await;
    waiting_ends_when_the_record_is_stored(&*make().await).await;
    trimmed_records_may_go_and_later_ones_stay(&*make().await).await;
    a_closed_queue_takes_nothing(&*make().await).await;
}

/// A record of the topic `events` whose id and payload follow from a number.
pub fn record(number: u64) -> Record {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Record {
        topic: Topic::events(),
        id: RecordId::from_bytes(id),
        received_at: Timestamp::from_micros(1_764_000_000_000_000 + number.cast_signed()),
        door: "http".into(),
        payload: format!("{{\"number\":{number},\"filling\":\"{}\"}}", "x".repeat((number % 97) as usize)).into(),
    }
}

/// The only partition of a queue.
///
/// # Panics
/// When it has another number of them.
pub fn partition(queue: &dyn Queue) -> Partition {
    let partitions = queue.partitions();
    assert_eq!(partitions.len(), 1, "the suite is for a queue with one partition");
    partitions[0].clone()
}

/// Reads everything from an offset to the end, `records_max` at a time; also the number of quarantined records.
///
/// # Panics
/// When a read fails, or does not move on.
pub fn read_all(queue: &dyn Queue, from: Offset, records_max: usize) -> (Vec<(Offset, Record)>, u64) {
    let partition = partition(queue);
    let end = queue.range(&partition).expect("the range").end;
    let (mut at, mut records, mut quarantined) = (from, Vec::new(), 0);
    while at < end {
        let batch = queue.read(&partition, at, records_max).expect("a read within the range");
        assert!(batch.next > at, "a read below the end moves on: at {at} of {end}");
        assert!(batch.records.len() <= records_max);
        assert_eq!(batch.next - at, batch.records.len() as u64 + batch.quarantined, "every offset is read or counted");
        records.extend(batch.records.into_iter().map(|positioned| (positioned.offset, positioned.record)));
        quarantined += batch.quarantined;
        at = batch.next;
    }
    (records, quarantined)
}

async fn fill(queue: &dyn Queue, numbers: std::ops::Range<u64>) {
    let positions = queue.append(numbers.clone().map(record).collect()).await.expect("an append");
    assert_eq!(positions.len() as u64, numbers.end - numbers.start);
}

async fn positions_follow_each_other(queue: &dyn Queue) {
    let partition = partition(queue);
    let start = queue.range(&partition).expect("the range").end;
    let mut offset = start;
    for size in [1, 3, 0, 2] {
        let positions = queue.append((0..size).map(record).collect()).await.expect("an append");
        assert_eq!(positions.len() as u64, size);
        for position in positions {
            assert_eq!((position.partition, position.offset), (partition.clone(), offset));
            offset += 1;
        }
    }
    assert_eq!(queue.range(&partition).expect("the range").end, start + 6);
    assert_eq!(queue.headroom(), Headroom::Enough);
}

async fn what_is_appended_is_read(queue: &dyn Queue) {
    let mut strange = record(3);
    strange.topic = Topic::parse("sensor-7_b").expect("a topic");
    strange.door = "a door with a name of its own".to_owned().into();
    strange.received_at = Timestamp::from_micros(-5);
    strange.payload = "{\"text\":\"ſ ꝛ uͤ 𝔄\"}".into();
    let sent = vec![record(1), record(2), strange, Record { payload: "{}".into(), ..record(4) }];
    queue.append(sent.clone()).await.expect("an append");
    for records_max in [1, 2, 3, 100] {
        let (read, quarantined) = read_all(queue, 0, records_max);
        assert_eq!(read.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), sent);
        assert_eq!(quarantined, 0);
    }
}

async fn groups_of_many_appenders_stay_whole(queue: &dyn Queue) {
    let groups: Vec<Vec<Record>> = (0..40).map(|group| (0..1 + group % 7).map(|n| record(group * 100 + n)).collect()).collect();
    let appended = join_all(groups.iter().map(|group| queue.append(group.clone()))).await;
    let (read, _) = read_all(queue, 0, 64);
    assert_eq!(read.len(), groups.iter().map(Vec::len).sum::<usize>());
    for (group, positions) in groups.iter().zip(appended) {
        let positions = positions.expect("an append");
        for (record, position) in group.iter().zip(&positions) {
            assert_eq!(read[position.offset as usize], (position.offset, record.clone()));
        }
        assert!(positions.windows(2).all(|pair| pair[1].offset == pair[0].offset + 1), "a group's offsets follow each other");
    }
}

async fn a_read_stops_where_it_is_told(queue: &dyn Queue) {
    fill(queue, 0..10).await;
    let partition = partition(queue);
    let batch = queue.read(&partition, 4, 3).expect("a read");
    assert!(!batch.records.is_empty() && batch.records.len() <= 3);
    assert_eq!(batch.records[0].offset, 4);
    assert_eq!(batch.next, 4 + batch.records.len() as u64);
}

async fn the_end_is_no_error_and_beyond_is_corrupt(queue: &dyn Queue) {
    let partition = partition(queue);
    assert_eq!(queue.read(&partition, 0, 10).expect("a read of an empty queue").next, 0);
    fill(queue, 0..3).await;
    let batch = queue.read(&partition, 3, 10).expect("a read at the end");
    assert!(batch.records.is_empty() && batch.next == 3 && batch.quarantined == 0);
    assert_eq!(queue.read(&partition, 4, 10).expect_err("beyond the end").kind(), ErrorKind::Corrupt);
}

async fn a_foreign_partition_is_invalid(queue: &dyn Queue) {
    let foreign = Partition::new("0192f0c4-8c5e-7000-8000-00000000ffff", 0);
    assert_eq!(queue.range(&foreign).expect_err("a foreign partition").kind(), ErrorKind::Invalid);
    assert_eq!(queue.read(&foreign, 0, 1).expect_err("a foreign partition").kind(), ErrorKind::Invalid);
    assert_eq!(queue.trim(&foreign, 0).expect_err("a foreign partition").kind(), ErrorKind::Invalid);
    assert_eq!(queue.wait_for(&foreign, 0).await.expect_err("a foreign partition").kind(), ErrorKind::Invalid);
}

async fn waiting_ends_when_the_record_is_stored(queue: &dyn Queue) {
    let partition = partition(queue);
    let waiting = queue.wait_for(&partition, 1);
    let (waited, ()) = futures::join!(waiting, fill(queue, 0..2));
    waited.expect("the record was stored");
    queue.wait_for(&partition, 0).await.expect("what is stored already is not waited for");
    let in_vain = queue.wait_for(&partition, 2);
    queue.close().await.expect("a close");
    assert_eq!(in_vain.await.expect_err("no more will come").kind(), ErrorKind::Closed);
}

async fn trimmed_records_may_go_and_later_ones_stay(queue: &dyn Queue) {
    fill(queue, 0..100).await;
    let partition = partition(queue);
    for below in [0, 60, 60, 10] {
        queue.trim(&partition, below).expect("a trim");
    }
    let range = queue.range(&partition).expect("the range");
    assert!(range.start <= 60 && range.end == 100, "{range:?}");
    let (read, _) = read_all(queue, 60, 7);
    assert_eq!(read, (60..100).map(|number| (number, record(number))).collect::<Vec<_>>());
    if range.start > 0 {
        assert_eq!(queue.read(&partition, range.start - 1, 1).expect_err("trimmed").kind(), ErrorKind::Invalid);
    }
    assert_eq!(queue.trim(&partition, 101).expect_err("beyond the end").kind(), ErrorKind::Corrupt);
    fill(queue, 100..103).await;
    assert_eq!(read_all(queue, 100, 10).0.len(), 3);
}

async fn a_closed_queue_takes_nothing(queue: &dyn Queue) {
    fill(queue, 0..2).await;
    queue.close().await.expect("a close");
    queue.close().await.expect("a second close does nothing");
    assert_eq!(queue.append(vec![record(2)]).await.expect_err("closed").kind(), ErrorKind::Closed);
}
