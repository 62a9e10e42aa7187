//! One simulated phone: joins, asks for words, answers them at its worker's speed, sends the answers.
//!
//! join → offer → for each few words: think → answer → deliver → … until nothing is left, the time is over, or enough is sent

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use rand::{Rng, rngs::SmallRng};
use record::{Clock, Error, ErrorKind, RecordId, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    connection::{Connection, Reply},
    delivery::{Outbox, Patience, Prepared, new_record_id},
    draw,
    printed::PrintedWords,
    report::{Tally, WorkerReport},
    run::{Crowd, Until},
    worker::Worker,
};
use crate::{answer::TEXT_CHARS_MAX, task::Label};

/// The time that a worker of usual speed takes for a word, in milliseconds at pace 1.
const THINK_MS: f64 = 2_500.0;
/// Answers that are sent together, at most.
const ANSWERS_PER_SEND_MAX: usize = 8;
/// Pauses between questions while nothing is offered, in milliseconds.
const EMPTY_PAUSE_MS_FIRST: u64 = 50;
const EMPTY_PAUSE_MS_MAX: u64 = 1_000;
/// A phone that the server forgets joins again this often; then it gives up.
const JOINS_MAX: usize = 5;
/// The longest rest of a slow phone after a send at pace 0, in milliseconds.
const REST_MS_MAX: u64 = 300;

#[derive(Deserialize)]
struct Joined {
    worker_id: String,
    secret: String,
}

#[derive(Deserialize)]
struct Offer {
    tasks: Vec<OfferedTask>,
    #[serde(default)]
    words: u64,
    #[serde(default)]
    words_decided: u64,
    #[serde(default)]
    settled: bool,
}

/// A word on offer; what the phone does not look at is left out.
#[derive(Deserialize)]
struct OfferedTask {
    task_id: String,
    reading_id: String,
    lease_id: String,
    text: String,
    #[serde(default)]
    crop: Option<Crop>,
}

#[derive(Deserialize)]
struct Crop {
    url: String,
}

#[derive(Serialize)]
struct AnswerRecord<'a> {
    record_id: RecordId,
    collection: &'a str,
    task_id: &'a str,
    reading_id: &'a str,
    lease_id: &'a str,
    label: Label,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    shown_at: Timestamp,
    answered_at: Timestamp,
}

/// A phone at work.
struct Phone<'a> {
    crowd: &'a Crowd,
    printed: &'a PrintedWords,
    worker: &'a Worker,
    connection: Connection,
    rng: SmallRng,
    tally: Tally,
    worker_ids: Vec<String>,
}

/// Runs a phone until the crowd ends or the phone gives up.
pub(super) async fn run(crowd: &Crowd, printed: &PrintedWords, worker: &Worker) -> Result<WorkerReport> {
    let mut phone = Phone {
        crowd,
        printed,
        worker,
        connection: Connection::new(&crowd.server)?,
        rng: draw::rng(crowd.config.seed, "phone", &[&worker.number().to_le_bytes()]),
        tally: Tally::default(),
        worker_ids: Vec::new(),
    };
    crowd.progress.phones.fetch_add(1, Relaxed);
    let end = phone.work().await;
    crowd.progress.phones.fetch_sub(1, Relaxed);
    // Being shut down is no failure of the phone.
    let gave_up = end.err().filter(|error| error.kind() != ErrorKind::Closed).map(|error| error.to_string());
    Ok(WorkerReport { number: worker.number(), worker_ids: phone.worker_ids, kind: worker.kind(), tally: phone.tally, gave_up })
}

impl Phone<'_> {
    async fn work(&mut self) -> Result<()> {
        for _ in 0..JOINS_MAX {
            if self.crowd.stop.is_cancelled() {
                return Ok(());
            }
            let secret = self.join().await?;
            if !self.read_words(&secret).await? {
                return Ok(());
            }
        }
        Err(Error::invalid("the server forgets this worker again and again").with("joins", JOINS_MAX))
    }

    async fn join(&mut self) -> Result<String> {
        let address = self.connection.address(&["v1", "workers"], &[]);
        let mut patience = Patience::new();
        loop {
            let reply = self.until_shutdown(self.connection.post(address.clone(), None, "{}".into())).await;
            match self.judge::<Joined>(reply, "POST /v1/workers") {
                Ok(joined) => {
                    self.worker_ids.push(joined.worker_id);
                    return Ok(joined.secret);
                }
                Err((failure, asked_ms)) => patience.pause(self.crowd, asked_ms, &mut self.rng, failure).await?,
            }
        }
    }

    /// Reads words until the end. True when the server no longer knows the worker.
    async fn read_words(&mut self, secret: &str) -> Result<bool> {
        let mut idle = Idle::new(self.crowd);
        while !self.crowd.stop.is_cancelled() {
            let Some(offer) = self.offer(secret).await? else { return Ok(true) };
            self.note_progress(&offer);
            if offer.tasks.is_empty() {
                if !idle.pause(self.crowd, &mut self.rng).await {
                    return Ok(false);
                }
                continue;
            }
            idle = Idle::new(self.crowd);
            let mut tasks = offer.tasks.as_slice();
            while !tasks.is_empty() && !self.crowd.stop.is_cancelled() {
                let count = self.rng.random_range(1..=ANSWERS_PER_SEND_MAX).min(tasks.len());
                let (now, later) = tasks.split_at(count);
                tasks = later;
                if self.answer_and_send(now, secret).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Asks for words. None when the server does not know the worker.
    async fn offer(&mut self, secret: &str) -> Result<Option<Offer>> {
        let n = self.crowd.config.tasks_per_request.to_string();
        let address = self.connection.address(&["v1", "tasks"], &[("collection", &self.crowd.collection), ("n", &n)]);
        let mut patience = Patience::new();
        loop {
            let reply = self.until_shutdown(self.connection.get(address.clone(), Some(secret))).await;
            if reply.as_ref().is_ok_and(|reply| matches!(reply.status, 401 | 403)) {
                return Ok(None);
            }
            match self.judge(reply, "GET /v1/tasks") {
                Ok(offer) => return Ok(Some(offer)),
                Err((failure, asked_ms)) => patience.pause(self.crowd, asked_ms, &mut self.rng, failure).await?,
            }
        }
    }

    /// Reads a reply; an error comes with how long the server asks to wait.
    fn judge<T: for<'de> Deserialize<'de>>(&mut self, reply: Result<Reply>, asked: &'static str) -> Result<T, (Error, Option<u64>)> {
        match reply {
            Ok(reply) => reply.json(asked).map_err(|error| (error, reply.retry_after_ms)),
            Err(error) => {
                self.tally.network_errors += 1;
                self.crowd.progress.network_errors.fetch_add(1, Relaxed);
                Err((error, None))
            }
        }
    }

    fn note_progress(&self, offer: &Offer) {
        let progress = &self.crowd.progress;
        progress.words.store(offer.words, Relaxed);
        progress.words_decided.store(offer.words_decided, Relaxed);
        // A word that is decided may open again when the server looks at all answers together.
        let all_decided = offer.words > 0 && offer.words_decided >= offer.words && offer.settled;
        if self.crowd.config.until == Until::Done && all_decided {
            self.crowd.all_decided();
        }
    }

    /// Answers some words and sends the answers. True when the server no longer knows the worker.
    async fn answer_and_send(&mut self, tasks: &[OfferedTask], secret: &str) -> Result<bool> {
        let started = self.crowd.clock.monotonic_micros();
        let mut batch = Vec::with_capacity(tasks.len());
        for task in tasks {
            self.fetch_picture(task).await;
            let Some(view) = self.printed.look(&task.task_id, &task.text) else {
                self.tally.words_without_truth += 1;
                continue;
            };
            let shown_at = self.crowd.clock.now();
            self.think().await;
            if self.crowd.stop.is_cancelled() || !self.crowd.claim_record() {
                break;
            }
            let answer = self.worker.answer(&view.word(&task.task_id));
            let record = AnswerRecord {
                record_id: new_record_id(shown_at)?,
                collection: &self.crowd.collection,
                task_id: &task.task_id,
                reading_id: &task.reading_id,
                lease_id: &task.lease_id,
                label: answer.label,
                text: answer.text.map(|text| text.chars().take(TEXT_CHARS_MAX).collect()),
                shown_at,
                answered_at: self.crowd.clock.now(),
            };
            let json = serde_json::to_string(&record).map_err(|error| Error::internal("cannot write an answer as JSON").because(error))?;
            batch.push(Prepared { id: record.record_id, json, label: Some(answer.label) });
        }
        let outbox = Outbox { crowd: self.crowd, connection: &self.connection, topic: "answers", secret: Some(secret) };
        let forgotten = outbox.deliver(batch, &mut self.tally, &mut self.rng).await?;
        self.rest(started).await;
        Ok(forgotten)
    }

    async fn fetch_picture(&mut self, task: &OfferedTask) {
        let Some(crop) = task.crop.as_ref().filter(|_| self.rng.random::<f64>() < self.crowd.config.pictures_share) else { return };
        let Some(address) = self.connection.address_within(&crop.url) else {
            self.tally.pictures_failed += 1;
            return;
        };
        match self.until_shutdown(self.connection.get(address, None)).await {
            Ok(reply) if reply.is_success() && !reply.body.is_empty() => self.tally.pictures += 1,
            _ => self.tally.pictures_failed += 1,
        }
    }

    /// The time that the worker looks at a word.
    async fn think(&mut self) {
        let pace = self.crowd.config.pace;
        if pace > 0.0 {
            let think_ms = THINK_MS * pace * self.worker.slowness() * self.rng.random_range(0.5..1.5);
            self.sleep(think_ms as u64).await;
        }
    }

    /// At pace 0 the quick phones ask as fast as the server takes it; slow ones rest in proportion, so that, as among people,
    /// some give many answers and most give few.
    async fn rest(&mut self, started_micros: u64) {
        if self.crowd.config.pace == 0.0 {
            let took_ms = self.crowd.clock.monotonic_micros().saturating_sub(started_micros) as f64 / 1000.0;
            self.sleep(((took_ms * self.worker.slowness()) as u64).min(REST_MS_MAX)).await;
        }
    }

    async fn sleep(&self, ms: u64) {
        tokio::select! {
            () = self.crowd.stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        }
    }

    async fn until_shutdown(&self, reply: impl Future<Output = Result<Reply>>) -> Result<Reply> {
        tokio::select! {
            () = self.crowd.shutdown.cancelled() => Err(Error::closed("the crowd is shut down")),
            reply = reply => reply,
        }
    }
}

/// How long a phone has been offered nothing.
struct Idle {
    since_micros: u64,
    pause_ms: u64,
}

impl Idle {
    fn new(crowd: &Crowd) -> Self {
        Self { since_micros: crowd.clock.monotonic_micros(), pause_ms: EMPTY_PAUSE_MS_FIRST }
    }

    /// Waits before the next question; false when the phone should leave.
    async fn pause(&mut self, crowd: &Crowd, rng: &mut SmallRng) -> bool {
        let idle_micros = crowd.clock.monotonic_micros().saturating_sub(self.since_micros);
        if crowd.config.until == Until::Done && idle_micros > crowd.config.idle_ms.saturating_mul(1000) {
            return false;
        }
        let wait_ms = (self.pause_ms as f64 * rng.random_range(0.5..1.0)) as u64;
        self.pause_ms = (self.pause_ms * 2).min(EMPTY_PAUSE_MS_MAX);
        tokio::select! {
            () = crowd.stop.cancelled() => false,
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => true,
        }
    }
}
