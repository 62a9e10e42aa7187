//! What an MQTT connection has in flight: PUBLISHes that were taken, and which of them are submitted together. `mqtt_conversation` fills and
//! empties it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use futures::future::BoxFuture;
use mqtt_proto::QosPid;
use record::Outcome;

use crate::{
    ingest::Ingest,
    limits::Caps,
    mqtt_packet::{Detail, PubackReasonCode},
    mqtt_topics::Refusal,
    wire::Item,
};

/// A PUBLISH that was taken and is not answered yet.
pub(crate) struct Taken {
    pub(crate) qos_pid: QosPid,
    /// What it holds in memory.
    pub(crate) bytes: usize,
    /// How many records it has.
    pub(crate) records: usize,
    /// Whether its answer tells what becomes of its records.
    pub(crate) is_told: bool,
    pub(crate) task: Task,
}

/// What is to be done about it.
pub(crate) enum Task {
    /// Its records are submitted. `refusal` says in what words their one rejection is told.
    Store { topic: Arc<str>, items: Vec<Item>, refusal: Option<Refusal> },
    /// It was stored before.
    Again,
    /// Nothing of it is a record.
    Tell(PubackReasonCode, Detail),
}

/// PUBLISHes that are submitted together, in their order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) is_told: bool,
    pub(crate) taken: Vec<Taken>,
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Batch {
    /// Whether a further one may go with it: a batch is no larger than a body may be.
    pub(crate) fn takes(&self, next: &Taken, caps: &Caps) -> bool {
        let Task::Store { topic, .. } = &next.task else { return true };
        let is_same = self.topic.as_ref().is_none_or(|own| own == topic && self.is_told == next.is_told);
        let fits = self.records + next.records <= caps.records_per_request_max && self.bytes + next.bytes <= caps.body_bytes_max;
        is_same && (fits || self.records == 0)
    }

    pub(crate) fn push(&mut self, next: Taken) {
        if let Task::Store { topic, .. } = &next.task {
            (self.topic, self.is_told) = (Some(Arc::clone(topic)), next.is_told);
            self.records += next.records;
            self.bytes += next.bytes;
        }
        self.taken.push(next);
    }
}

/// A batch, and what became of its records.
pub(crate) struct Done {
    pub(crate) taken: Vec<Taken>,
    pub(crate) outcomes: record::Result<Vec<Outcome>>,
}

/// What has not been answered yet.
#[derive(Default)]
pub(crate) struct Flight {
    pub(crate) waiting: VecDeque<Taken>,
    pub(crate) running: Option<BoxFuture<'static, Done>>,
    pub(crate) publishes: usize,
    pub(crate) records: usize,
    /// Packet ids of QoS 2 among them.
    pub(crate) storing: BTreeSet<u16>,
    /// Exchanges of QoS 1 and 2 that are not over: those that MQTT 5's Receive Maximum counts.
    pub(crate) open: usize,
}

impl Flight {
    pub(crate) async fn done(&mut self) -> Done {
        match &mut self.running {
            Some(running) => {
                let done = running.await;
                self.running = None;
                done
            }
            None => std::future::pending().await,
        }
    }

    /// What goes together next, and its records.
    pub(crate) fn next_batch(&mut self, ingest: &Ingest) -> (Batch, Vec<Item>) {
        let mut batch = Batch::default();
        let caps_of = |taken: &Taken| match &taken.task {
            Task::Store { topic, .. } => ingest.caps(topic).unwrap_or_default(),
            Task::Again | Task::Tell(..) => Caps::default(),
        };
        while let Some(next) = self.waiting.pop_front_if(|next| batch.takes(next, &caps_of(next))) {
            batch.push(next);
        }
        let mut items = Vec::with_capacity(batch.records);
        for one in &mut batch.taken {
            if let Task::Store { items: own, .. } = &mut one.task {
                items.append(own);
            }
        }
        (batch, items)
    }
}
