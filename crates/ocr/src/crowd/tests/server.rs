//! A small server that speaks the contract, with faults to order. It runs on threads of its own, so that stopping it cuts
//! every connection as a kill does; what it has stored outlives it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::page::Page;

/// Answers that decide a word.
pub const ANSWERS_PER_WORD: usize = 3;

/// What the server does with a post of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503 with `Retry-After` and no body.
    Unavailable,
    /// It stores everything, and the connection breaks in the middle of the reply.
    LostReply,
    /// Every other record is to be sent later.
    HalfLater,
    /// It stores the first half and says nothing of the rest.
    HalfUntold,
    /// It no longer knows the worker.
    ForgottenWorker,
}

/// What the server knows; shared with the test.
#[derive(Default)]
pub struct Memory {
    /// Task ids and shown texts.
    pub words: Vec<(String, String)>,
    /// Stored bodies by record id, in order of first arrival in `order`.
    pub stored: BTreeMap<String, String>,
    /// Times that a stored record came again, byte for byte; another body under the same id is a failure of the test.
    pub repeats: u64,
    /// Answers with their worker.
    pub answers: Vec<(String, Value)>,
    /// Faults to come, one for each post of records.
    pub faults: Vec<Fault>,
    /// Faults that were done.
    pub done: Vec<Fault>,
    /// Posts of records that came.
    pub posts: u64,
    /// Pictures given.
    pub pictures: u64,
    /// Pages with their ids and the task of each word.
    pub pages: Vec<(String, Page, Vec<Option<String>>)>,
    /// Questions after all words are decided that are told so before all answers are looked at together; the last opens a word again.
    pub unsettled: usize,
    /// Words that were opened again.
    pub reopened: usize,
    workers: HashSet<String>,
    offered: HashSet<(String, String)>,
}

pub type Shared = Arc<Mutex<Memory>>;

/// A running server.
pub struct Server {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
}

pub fn memory(words: impl IntoIterator<Item = (String, String)>) -> Shared {
    Arc::new(Mutex::new(Memory { words: words.into_iter().collect(), ..Memory::default() }))
}

pub fn locked(shared: &Shared) -> MutexGuard<'_, Memory> {
    shared.lock().unwrap()
}

impl Server {
    /// Starts on an address; port 0 takes a free one.
    pub fn start(shared: &Shared, address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/v1/collections", get(|| async { Json(json!({"collections": [{"name": "sample"}]})) }))
            .route("/v1/collections/sample/pages", get(pages))
            .route("/v1/collections/sample/pages/{id}", get(page))
            .route("/v1/workers", post(join))
            .route("/v1/tasks", get(tasks))
            .route("/v1/records/{topic}", post(records))
            .route("/crops/{task}", get(picture))
            .with_state(Arc::clone(shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { runtime: Some(runtime), address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts all connections.
    pub fn kill(mut self) -> SocketAddr {
        self.runtime.take().unwrap().shutdown_background();
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn pages(State(shared): State<Shared>) -> Json<Value> {
    let pages = &locked(&shared).pages;
    let listed = pages.iter().map(|(id, page, _)| {
        json!({"id": id, "title": id, "image_name": page.image_name, "width": page.width, "height": page.height, "words": page.words().count()})
    });
    Json(json!({"pages": listed.collect::<Vec<_>>()}))
}

async fn page(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    match locked(&shared).pages.iter().find(|(known, _, _)| *known == id) {
        Some((_, page, tasks)) => Json(json!({"page": page, "tasks": tasks})).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn join(State(shared): State<Shared>) -> Json<Value> {
    let mut memory = locked(&shared);
    let number = memory.workers.len() + 1;
    memory.workers.insert(format!("secret-{number}"));
    Json(json!({"worker_id": format!("worker-{number}"), "secret": format!("secret-{number}")}))
}

fn secret_of(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.to_owned())
}

async fn tasks(State(shared): State<Shared>, headers: HeaderMap, Query(query): Query<HashMap<String, String>>) -> Response {
    let mut memory = locked(&shared);
    let Some(secret) = secret_of(&headers).filter(|secret| memory.workers.contains(secret)) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if query["collection"] != "sample" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let counts = memory.answers.iter().fold(HashMap::<String, usize>::new(), |mut counts, (_, answer)| {
        *counts.entry(answer["task_id"].as_str().unwrap().to_owned()).or_default() += 1;
        counts
    });
    let reopened = memory.reopened;
    let wanted = |place: usize| ANSWERS_PER_WORD + usize::from(place < reopened);
    let is_open = |place: usize, task: &str| counts.get(task).copied().unwrap_or(0) < wanted(place);
    let open: Vec<bool> = memory.words.iter().enumerate().map(|(place, (task, _))| is_open(place, task)).collect();
    let decided = open.iter().filter(|open| !**open).count();
    let settled = decided < open.len() || memory.unsettled == 0;
    if !settled {
        memory.unsettled -= 1;
        memory.reopened += usize::from(memory.unsettled == 0);
    }
    let n: usize = query["n"].parse().unwrap();
    let offer: Vec<(String, String)> = memory
        .words
        .iter()
        .zip(&open)
        .filter(|((task, _), open)| **open && !memory.offered.contains(&(secret.clone(), task.clone())))
        .map(|(word, _)| word.clone())
        .take(n)
        .collect();
    memory.offered.extend(offer.iter().map(|(task, _)| (secret.clone(), task.clone())));
    let tasks: Vec<Value> = offer
        .into_iter()
        .map(|(task, text)| {
            json!({"task_id": task, "reading_id": format!("r-{task}"), "lease_id": format!("{secret}/{task}"),
                "lease_expires_at": "2030-01-01T00:00:00Z", "text": text, "language": "es",
                "crop": {"url": format!("/crops/{task}"), "width": 80, "height": 20}, "line": {}, "page": {"id": "p1", "title": "1"},
                "box": {"x": 1, "y": 1, "width": 9, "height": 9}})
        })
        .collect();
    Json(json!({"tasks": tasks, "words": memory.words.len(), "words_decided": decided, "settled": settled})).into_response()
}

async fn picture(State(shared): State<Shared>, Path(_): Path<String>) -> &'static [u8] {
    locked(&shared).pictures += 1;
    b"not looked at"
}

async fn records(State(shared): State<Shared>, Path(topic): Path<String>, headers: HeaderMap, body: String) -> Response {
    let mut memory = locked(&shared);
    memory.posts += 1;
    let records: Vec<Value> = serde_json::from_str(&body).expect("phones send JSON arrays");
    let fault = if memory.faults.is_empty() { None } else { Some(memory.faults.remove(0)) };
    memory.done.extend(fault);
    let secret = secret_of(&headers).unwrap_or_default();
    let count = records.len();
    let stored = |from: usize, to: usize| json!({"from": from, "to": to, "outcome": "stored", "receipt": format!("q/0:{from}")});
    match fault {
        Some(Fault::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")]).into_response(),
        Some(Fault::ForgottenWorker) => {
            memory.workers.remove(&secret);
            Json(json!({"durability": "fsync", "outcomes": [
                {"from": 0, "to": count - 1, "outcome": "rejected", "tag": "unknown_worker", "message": "who is it"}]}))
            .into_response()
        }
        Some(Fault::HalfLater) => {
            let outcomes: Vec<Value> = (0..count)
                .map(|index| {
                    if index % 2 == 0 {
                        stored(index, index)
                    } else {
                        json!({"from": index, "to": index, "outcome": "retry", "retry_after_ms": 1})
                    }
                })
                .collect();
            (0..count).step_by(2).for_each(|index| memory.store(&topic, &secret, &records[index]));
            Json(json!({"durability": "fsync", "outcomes": outcomes})).into_response()
        }
        Some(Fault::HalfUntold) => {
            let half = count.div_ceil(2);
            records[..half].iter().for_each(|record| memory.store(&topic, &secret, record));
            Json(json!({"durability": "fsync", "outcomes": [stored(0, half - 1)]})).into_response()
        }
        Some(Fault::LostReply) => {
            records.iter().for_each(|record| memory.store(&topic, &secret, record));
            let broken = futures::stream::iter([Ok("{\"durab"), Err(std::io::Error::other("cut"))]);
            Body::from_stream(broken).into_response()
        }
        None => {
            records.iter().for_each(|record| memory.store(&topic, &secret, record));
            Json(json!({"durability": "fsync", "outcomes": [stored(0, count - 1)]})).into_response()
        }
    }
}

impl Memory {
    fn store(&mut self, topic: &str, secret: &str, record: &Value) {
        let id = record["record_id"].as_str().expect("every record has an id").to_owned();
        let text = record.to_string();
        match self.stored.get(&id) {
            Some(before) => {
                assert_eq!(*before, text, "the same record id came with other bytes");
                self.repeats += 1;
            }
            None => {
                self.stored.insert(id, text);
                if topic == "answers" {
                    let task = record["task_id"].as_str().unwrap();
                    assert!(self.offered.contains(&(secret.to_owned(), task.to_owned())), "an answer to a word that was not offered");
                    assert_eq!(record["lease_id"], format!("{secret}/{task}"));
                    self.answers.push((secret.to_owned(), record.clone()));
                }
            }
        }
    }
}
