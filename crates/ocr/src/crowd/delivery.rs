//! Sending records until each has an outcome, as a phone does that keeps what the server has not said is stored.
//!
//! The bytes of a record never change between two sends, and its id stays the same, so that a server that had it already
//! counts a repeat. `phone` sends answers this way, `events` plain events.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use rand::{Rng, rngs::SmallRng};
use record::{Clock, Error, ErrorKind, RecordId, Result, Timestamp};

use super::{
    connection::{Connection, Reply, Settled},
    report::Tally,
    run::Crowd,
};
use crate::task::Label;

/// The first pause after a failure, and the longest, in milliseconds; the server's own wish is followed up to the longest.
const PAUSE_MS_FIRST: u64 = 50;
const PAUSE_MS_MAX: u64 = 2_000;

/// A record ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub id: RecordId,
    pub json: String,
    /// The label, where it is an answer.
    pub label: Option<Label>,
}

/// Waits between tries, longer each time, and an end to them.
#[derive(Debug)]
pub(super) struct Patience {
    since_micros: Option<u64>,
    pause_ms: u64,
}

/// Where and in whose name a phone sends.
#[derive(Clone, Copy)]
pub(super) struct Outbox<'a> {
    pub crowd: &'a Crowd,
    pub connection: &'a Connection,
    /// The topic: `answers` or `events`.
    pub topic: &'a str,
    /// A worker's secret or a door's token.
    pub secret: Option<&'a str>,
}

/// A new id: the time and 74 random bits.
///
/// # Errors
/// `Unavailable` when the system has no randomness to give.
pub(super) fn new_record_id(now: Timestamp) -> Result<RecordId> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| Error::unavailable("no randomness from the system").because(error))?;
    Ok(RecordId::generate(now, random))
}

impl Patience {
    pub fn new() -> Self {
        Self { since_micros: None, pause_ms: PAUSE_MS_FIRST }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// `failure` itself when it is not one that passes or the crowd's patience is at an end, `Closed` when the crowd is shut down.
    pub async fn pause(&mut self, crowd: &Crowd, asked_ms: Option<u64>, rng: &mut SmallRng, failure: Error) -> Result<()> {
        if failure.kind() != ErrorKind::Unavailable {
            return Err(failure);
        }
        let now = crowd.clock.monotonic_micros();
        let since = *self.since_micros.get_or_insert(now);
        if now.saturating_sub(since) > crowd.config.patience_ms.saturating_mul(1000) {
            return Err(failure);
        }
        let backoff = (self.pause_ms as f64 * rng.random_range(0.5..1.0)) as u64;
        self.pause_ms = (self.pause_ms * 2).min(PAUSE_MS_MAX);
        let wait_ms = asked_ms.unwrap_or(0).min(PAUSE_MS_MAX).max(backoff);
        tokio::select! {
            () = crowd.shutdown.cancelled() => Err(Error::closed("the crowd is shut down")),
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => Ok(()),
        }
    }

    /// Something went well: the next failure begins anew.
    pub fn renew(&mut self) {
        *self = Self::new();
    }
}

impl Outbox<'_> {
    /// Sends a batch until each record is stored or rejected. Returns whether the server no longer knows the worker.
    ///
    /// # Errors
    /// When patience is at an end, the crowd is shut down, or the log cannot be written. The rest counts as unsettled.
    pub async fn deliver(&self, batch: Vec<Prepared>, tally: &mut Tally, rng: &mut SmallRng) -> Result<bool> {
        let twice = rng.random::<f64>() < self.crowd.config.resend_share;
        let (body, count_whole) = (body_of(&batch), batch.len());
        let mut pending = batch;
        let mut forgotten = false;
        let mut patience = Patience::new();
        let mut sends = 0_u64;
        while !pending.is_empty() {
            if sends > 0 {
                self.count_resent(pending.len(), tally);
            }
            sends += 1;
            let count = pending.len();
            let (asked_ms, failure) = match self.post(body_of(&pending), tally).await {
                Ok(reply) => {
                    let settled = reply.settled(count);
                    let after_ms =
                        settled.iter().filter_map(|one| if let Settled::Retry { after_ms } = one { *after_ms } else { None }).max();
                    pending = self.take_outcomes(pending, settled, tally, &mut forgotten)?;
                    if pending.len() < count {
                        patience.renew();
                    }
                    (after_ms, Error::unavailable("the server does not store what it is sent").with("status", reply.status))
                }
                Err(failure) => (None, failure),
            };
            if !pending.is_empty()
                && let Err(failure) = patience.pause(self.crowd, asked_ms, rng, failure).await
            {
                tally.unsettled += pending.len() as u64;
                return Err(failure);
            }
        }
        // A batch of which parts were sent again has had its repeats.
        if twice && sends == 1 {
            self.send_again(body, count_whole, tally).await;
        }
        Ok(forgotten)
    }

    /// Counts each outcome and keeps what is to be sent again. Stored ones go to the log before anything else.
    fn take_outcomes(&self, batch: Vec<Prepared>, settled: Vec<Settled>, tally: &mut Tally, forgotten: &mut bool) -> Result<Vec<Prepared>> {
        if let Some(log) = &self.crowd.log {
            let stored: Vec<(RecordId, &str)> = batch
                .iter()
                .zip(&settled)
                .filter_map(|(record, one)| if let Settled::Stored { receipt } = one { Some((record.id, receipt.as_str())) } else { None })
                .collect();
            log.write(&stored, self.crowd.clock.now()).inspect_err(|error| self.crowd.fail(error))?;
        }
        let progress = &self.crowd.progress;
        let mut again = Vec::new();
        for (record, outcome) in batch.into_iter().zip(settled) {
            match outcome {
                Settled::Stored { .. } => {
                    tally.stored += 1;
                    progress.stored.fetch_add(1, Relaxed);
                    if let Some(label) = record.label {
                        tally.labels.count(label);
                    }
                }
                Settled::Rejected { tag } => {
                    *forgotten |= matches!(tag.as_str(), "unknown_worker" | "http_401" | "http_403");
                    *tally.rejected.entry(tag).or_default() += 1;
                    progress.rejected.fetch_add(1, Relaxed);
                }
                Settled::Retry { .. } => {
                    tally.retried += 1;
                    progress.retried.fetch_add(1, Relaxed);
                    again.push(record);
                }
            }
        }
        Ok(again)
    }

    /// Sends a whole batch once more, as a phone does that lost the acknowledgement. Its outcomes are known already.
    async fn send_again(&self, body: Bytes, count: usize, tally: &mut Tally) {
        self.count_resent(count, tally);
        if self.post(body, tally).await.is_ok_and(|reply| reply.is_success()) {
            tally.resent_on_purpose += count as u64;
        }
    }

    fn count_resent(&self, count: usize, tally: &mut Tally) {
        tally.resent += count as u64;
        self.crowd.progress.resent.fetch_add(count as u64, Relaxed);
    }

    async fn post(&self, body: Bytes, tally: &mut Tally) -> Result<Reply> {
        let address = self.connection.address(&["v1", "records", self.topic], &[]);
        let reply = tokio::select! {
            () = self.crowd.shutdown.cancelled() => return Err(Error::closed("the crowd is shut down")),
            reply = self.connection.post(address, self.secret, body) => reply,
        };
        reply.inspect_err(|_| {
            tally.network_errors += 1;
            self.crowd.progress.network_errors.fetch_add(1, Relaxed);
        })
    }
}

/// The JSON array of the records.
fn body_of(batch: &[Prepared]) -> Bytes {
    let mut body = String::with_capacity(2 + batch.iter().map(|record| record.json.len() + 1).sum::<usize>());
    body.push('[');
    for (index, record) in batch.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&record.json);
    }
    body.push(']');
    Bytes::from(body)
}
