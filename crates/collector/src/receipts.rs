//! `GET /v1/records/{topic}/{id}`: what became of a record, for a sender whose answer was lost, or who wants to know it in its table.
//!
//! id → `tail_ids` (stored, not trimmed yet) → [`Receipts`] (what the tables have, plugged in) → the receipt
//!
//! | status | `state` | when |
//! |---|---|---|
//! | 200 | `stored` | on stable storage, on its way to its table |
//! | 200 | `landed` | a row of its table |
//! | 200 | `dead_letter` | rejected, and kept with its reason |
//! | 404 | – | `unknown_record`: never stored here, or rejected and not kept |
//! | 410 | – | `expired`: it landed longer ago than receipts are kept |
//! | 503 | – | it cannot be said now |

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use queue::Queue;
use record::{Durability, Error, ErrorKind, Letter, Offset, Partition, Position, RETRIED, Receipt, Receipts, RecordId, Result, Topic};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{http, ingest::Ingest, problem::Problem, tail_ids::TailIds};

/// The name of the door, in metrics.
const DOOR: &str = "receipts";
/// The most questions that are answered at a time; more wait.
const ASKED_MAX: usize = 4;
/// How often the queue's tail is read on while nobody asks.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The most records on their way to their tables whose ids are held, eight bytes each. While more are on their way, an id that is
    /// not found is answered with 503.
    pub tail_records_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { tail_records_max: 32 << 20 }
    }
}

/// What the address needs.
pub struct Desk {
    ingest: Arc<Ingest>,
    queue: Arc<dyn Queue>,
    tables: Arc<dyn Receipts>,
    tails: Mutex<Vec<TailIds>>,
    turns: Arc<Semaphore>,
}

impl Desk {
    /// Begins with what is in the queue.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub fn new(ingest: Arc<Ingest>, queue: Arc<dyn Queue>, tables: Arc<dyn Receipts>, config: Config) -> Result<Arc<Self>> {
        let partitions = queue.partitions();
        let share = config.tail_records_max / partitions.len().max(1);
        let tails = partitions.into_iter().map(|partition| TailIds::new(&*queue, partition, share)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self { ingest, queue, tables, tails: Mutex::new(tails), turns: Arc::new(Semaphore::new(ASKED_MAX)) }))
    }

    /// Reads the queue's tail on until the shutdown, so that a question has little to read.
    pub async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let following = async {
            loop {
                let desk = Arc::clone(&self);
                let read = tokio::task::spawn_blocking(move || desk.catch_up()).await;
                if let Ok(Err(error)) = read {
                    tracing::debug!(%error, "the queue's tail was not read for receipts; tried again");
                }
                tokio::time::sleep(FOLLOW_INTERVAL).await;
            }
        };
        shutdown.run_until_cancelled(following).await;
    }

    fn catch_up(&self) -> Result<()> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.iter_mut().try_for_each(|tail| tail.catch_up(&*self.queue))
    }

    /// What became of a record; nothing for one that was never stored here.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be said now.
    fn receipt(&self, topic: &Topic, id: &RecordId) -> Result<Option<Receipt>> {
        self.catch_up()?;
        // First the queue, then the tables: a record is in the tables before it leaves the queue.
        let (places, is_complete) = self.places(topic, id)?;
        let mut on_its_way = None;
        // Records come before letters.
        for (partition, offset) in places {
            on_its_way = self.at(&partition, offset, topic, id)?;
            if on_its_way.is_some() {
                break;
            }
        }
        let in_tables = self.tables.receipt(topic, id)?;
        let receipt = match (in_tables, on_its_way) {
            (Some(landed @ Receipt::Landed { .. }), _) => Some(landed),
            (_, Some(on_its_way)) => Some(on_its_way),
            (in_tables, None) => in_tables,
        };
        if receipt.is_none() && !is_complete {
            return Err(Error::unavailable("more records are on their way to their tables than are looked through: ask again later"));
        }
        Ok(receipt)
    }

    fn places(&self, topic: &Topic, id: &RecordId) -> Result<(Vec<(Partition, Offset)>, bool)> {
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut places, mut is_complete) = (Vec::new(), true);
        for tail in tails.iter() {
            places.extend(tail.candidates(topic, id).into_iter().map(|offset| (tail.partition().clone(), offset)));
            is_complete &= tail.is_complete(self.queue.range(tail.partition())?.start);
        }
        Ok((places, is_complete))
    }

    /// What stands at a place of the queue, if it is the record or a letter of it. A place that was trimmed meanwhile has nothing more.
    fn at(&self, partition: &Partition, offset: Offset, topic: &Topic, id: &RecordId) -> Result<Option<Receipt>> {
        let batch = match self.queue.read(partition, offset, 1) {
            Err(error) if error.kind() == ErrorKind::Invalid => return Ok(None),
            batch => batch?,
        };
        let found = batch.records.into_iter().next().filter(|found| found.offset == offset && found.record.id == *id);
        let Some(record) = found.map(|found| found.record) else { return Ok(None) };
        if record.topic == *topic {
            return Ok(Some(Receipt::Stored(Position { partition: partition.clone(), offset })));
        }
        if record.topic != Topic::dead_letters() {
            return Ok(None);
        }
        let letter = Letter::parse(&record.payload)?;
        let is_it = letter.topic == topic.as_str() && letter.tag != RETRIED;
        Ok(is_it.then(|| Receipt::DeadLetter { tag: letter.tag.into_owned().into(), message: letter.message.into_owned() }))
    }
}

/// The route.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new().route("/v1/records/{topic}/{id}", get(receipt)).with_state(desk)
}

/// The answer, as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(crate) struct Told<'a> {
    /// The topic.
    topic: &'a str,
    /// The record's id.
    record_id: RecordId,
    #[serde(flatten)]
    state: Place<'a>,
}

/// Where it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
#[schema(as = ReceiptState)]
pub(crate) enum Place<'a> {
    /// On stable storage, on its way to its table.
    Stored {
        /// What *stored* means here.
        durability: Durability,
        /// `<queue id>/<n>:<offset>`.
        receipt: String,
    },
    /// A row of its table.
    Landed {
        /// `<queue id>/<n>:<offset>`, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
        /// Of the table's versions the first that is known to have it.
        #[serde(skip_serializing_if = "Option::is_none")]
        table_version: Option<u64>,
    },
    /// Rejected, and kept with its reason.
    DeadLetter {
        /// The reason in one word.
        tag: &'a str,
        /// The reason for people.
        message: &'a str,
    },
}

async fn receipt(State(desk): State<Arc<Desk>>, Path((topic, id)): Path<(String, String)>, headers: HeaderMap) -> Response {
    answer(desk, &topic, &id, &headers).await.unwrap_or_else(|problem| {
        crate::telemetry::refused(DOOR, problem.status().as_u16(), problem.detail());
        problem.into_response()
    })
}

async fn answer(desk: Arc<Desk>, topic: &str, id: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let credential = http::credential(headers)?;
    desk.ingest.caps(topic).ok_or_else(|| http::unknown_topic(&desk.ingest, topic))?;
    desk.ingest.authorize(topic, credential.as_deref()).map_err(http::unauthorized)?;
    let (topic, id) = (Topic::parse(topic), RecordId::parse(id));
    let (topic, id) = (topic.map_err(|error| Problem::from(&error))?, id.map_err(|error| Problem::from(&error))?);
    let closed = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closed", "the server ends");
    let turn = Arc::clone(&desk.turns).acquire_owned().await.map_err(closed)?;
    let (asked, for_topic) = (Arc::clone(&desk), topic.clone());
    // The turn goes with the work, which goes on when the asker has left.
    let work = move || {
        let _turn = turn;
        asked.receipt(&for_topic, &id)
    };
    let found = tokio::task::spawn_blocking(work).await;
    let found = found.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed half-way"))?;
    let state = match found.map_err(|error| Problem::from(&error))? {
        Some(Receipt::Stored(position)) => Place::Stored { durability: desk.ingest.durability(), receipt: position.to_string() },
        Some(Receipt::Landed { position, table_version }) => {
            Place::Landed { receipt: position.map(|position| position.to_string()), table_version }
        }
        Some(Receipt::DeadLetter { tag, message }) => {
            let state = Place::DeadLetter { tag: &tag, message: &message };
            return Ok(Json(Told { topic: topic.as_str(), record_id: id, state }).into_response());
        }
        Some(Receipt::Expired) => {
            return Err(Problem::new(StatusCode::GONE, "expired", "it landed longer ago than receipts are kept"));
        }
        None => return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_record", "no record with this id is known in this topic")),
    };
    Ok(Json(Told { topic: topic.as_str(), record_id: id, state }).into_response())
}
