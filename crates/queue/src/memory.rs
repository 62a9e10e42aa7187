//! A queue in memory, for tests: what it stores is lost with the process ([`Durability::Memory`]).

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt, future::BoxFuture};
use record::{Durability, Error, Offset, Partition, Position, Positioned, Record, Result, Tail, TailBatch};

use crate::{
    Headroom, Queue,
    tip::{Tip, TipReceiver, TipSender},
};

/// How long a sender waits when the memory is full, in milliseconds.
const RETRY_AFTER_MS: u64 = 100;

/// A queue in memory with one partition, `<queue id>/0`.
#[derive(Debug)]
pub struct MemoryQueue {
    partition: Partition,
    records_max: usize,
    kept: Mutex<Kept>,
    tip: TipReceiver,
}

#[derive(Debug)]
struct Kept {
    first: Offset,
    records: VecDeque<Record>,
    is_closed: bool,
    tip: TipSender,
}

impl Kept {
    fn end(&self) -> Offset {
        self.first + self.records.len() as u64
    }
}

impl MemoryQueue {
    /// An empty queue that keeps at most `records_max` records at a time. Its id must differ from every other queue's
    /// whose table is kept.
    pub fn new(queue_id: &str, records_max: usize) -> Self {
        let (sender, tip) = Tip::channel(0);
        let kept = Kept { first: 0, records: VecDeque::new(), is_closed: false, tip: sender };
        Self { partition: Partition::new(queue_id, 0), records_max, kept: Mutex::new(kept), tip }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, partition: &Partition) -> Result<()> {
        check_partition(&self.partition, partition)
    }

    fn append_now(&self, records: Vec<Record>) -> Result<Vec<Position>> {
        let mut kept = self.kept();
        if kept.is_closed {
            return Err(Error::closed("the queue is closed"));
        }
        if kept.records.len() + records.len() > self.records_max {
            return Err(Error::unavailable("the queue in memory is full").with("records_max", self.records_max));
        }
        let first = kept.end();
        kept.records.extend(records);
        let end = kept.end();
        kept.tip.advance(end);
        Ok(positions(&self.partition, first..end))
    }
}

/// The positions of a range of offsets.
pub(crate) fn positions(partition: &Partition, offsets: Range<Offset>) -> Vec<Position> {
    offsets.map(|offset| Position { partition: partition.clone(), offset }).collect()
}

/// Whether a partition is the only one of a queue.
pub(crate) fn check_partition(ours: &Partition, asked: &Partition) -> Result<()> {
    if ours == asked {
        return Ok(());
    }
    Err(Error::invalid("no partition of this queue: it may have been made anew").with("found", asked).with("expected", ours))
}

/// Whether records from an offset on can be read.
pub(crate) fn check_from(range: &Range<Offset>, from: Offset) -> Result<()> {
    if from > range.end {
        return Err(Error::corrupt("an offset beyond the end of the queue: the queue has lost records, or is another one")
            .with("offset", from)
            .with("end", range.end));
    }
    if from < range.start {
        return Err(Error::invalid("the records at this offset were trimmed away").with("offset", from).with("first", range.start));
    }
    Ok(())
}

impl Tail for MemoryQueue {
    fn partitions(&self) -> Vec<Partition> {
        vec![self.partition.clone()]
    }

    fn range(&self, partition: &Partition) -> Result<Range<Offset>> {
        self.check(partition)?;
        let kept = self.kept();
        Ok(kept.first..kept.end())
    }

    fn read(&self, partition: &Partition, from: Offset, records_max: usize) -> Result<TailBatch> {
        self.check(partition)?;
        let kept = self.kept();
        check_from(&(kept.first..kept.end()), from)?;
        let skip = usize::try_from(from - kept.first).unwrap_or(usize::MAX);
        let records: Vec<Positioned> = kept
            .records
            .iter()
            .skip(skip)
            .take(records_max)
            .zip(from..)
            .map(|(record, offset)| Positioned { offset, record: record.clone() })
            .collect();
        let next = from + records.len() as u64;
        Ok(TailBatch { records, next, quarantined: 0 })
    }
}

impl Queue for MemoryQueue {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Vec<Position>>> {
        std::future::ready(self.append_now(records)).boxed()
    }

    fn headroom(&self) -> Headroom {
        match self.kept().records.len() < self.records_max {
            true => Headroom::Enough,
            false => Headroom::Low { retry_after_ms: RETRY_AFTER_MS },
        }
    }

    fn wait_for(&self, partition: &Partition, offset: Offset) -> BoxFuture<'static, Result<()>> {
        match self.check(partition) {
            Ok(()) => self.tip.wait_for(offset),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn trim(&self, partition: &Partition, below: Offset) -> Result<()> {
        self.check(partition)?;
        let mut kept = self.kept();
        check_from(&(0..kept.end()), below)?;
        while kept.first < below {
            kept.records.pop_front();
            kept.first += 1;
        }
        Ok(())
    }

    fn close(&self) -> BoxFuture<'static, Result<()>> {
        let mut kept = self.kept();
        kept.is_closed = true;
        kept.tip.close();
        std::future::ready(Ok(())).boxed()
    }
}
