//! The journal as collector and loader see it in a run: each read, trim and end is noted, whoever waits for a record comes on in its own turn,
//! and the writer is woken by each append.

use std::{ops::Range, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use queue::{Headroom, Journal, Queue};
use record::{Durability, Offset, Partition, Position, Record, Result, Tail, TailBatch};
use tokio::sync::Notify;

use crate::{
    clock::{Turn, VirtualClock},
    oracle::Oracle,
    trace::{Class, Trace},
};

/// A view of the journal.
pub struct Tap {
    /// The journal.
    pub journal: Arc<Journal>,
    /// Wakes the writer.
    pub work: Arc<Notify>,
    /// The books.
    pub oracle: Oracle,
    /// The time.
    pub clock: Arc<VirtualClock>,
    /// The notes.
    pub trace: Trace,
    /// Whose view it is.
    pub turn: Turn,
}

impl Tail for Tap {
    fn partitions(&self) -> Vec<Partition> {
        self.journal.partitions()
    }

    fn range(&self, partition: &Partition) -> Result<Range<Offset>> {
        self.journal.range(partition)
    }

    fn read(&self, partition: &Partition, from: Offset, records_max: usize) -> Result<TailBatch> {
        let read = self.journal.read(partition, from, records_max);
        if let Ok(batch) = &read
            && batch.next > from
        {
            self.trace.note(format_args!("{:?} reads {from}..{}", self.turn, batch.next));
            self.oracle.read(partition, batch);
        }
        read
    }
}

impl Queue for Tap {
    fn durability(&self) -> Durability {
        self.journal.durability()
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Vec<Position>>> {
        let told = self.journal.append(records);
        self.work.notify_one();
        told
    }

    fn headroom(&self) -> Headroom {
        self.journal.headroom()
    }

    fn wait_for(&self, partition: &Partition, offset: Offset) -> BoxFuture<'static, Result<()>> {
        let (stored, clock, turn) = (self.journal.wait_for(partition, offset), Arc::clone(&self.clock), self.turn);
        async move {
            let stored = stored.await;
            clock.until(turn).await;
            stored
        }
        .boxed()
    }

    fn trim(&self, partition: &Partition, below: Offset) -> Result<()> {
        let before = self.journal.range(partition)?.start;
        self.journal.trim(partition, below)?;
        let after = self.journal.range(partition)?.start;
        if after > before {
            self.trace.note(format_args!("trimmed below {after}, asked for {below}"));
            self.trace.fired(Class::Trimmed);
        }
        Ok(())
    }

    fn close(&self) -> BoxFuture<'static, Result<()>> {
        self.journal.close()
    }
}
