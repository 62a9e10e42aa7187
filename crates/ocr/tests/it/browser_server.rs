//! The pages as they are served, over an API that a test holds in its hand. Called by `browser.rs`.
//!
//! It speaks the API's contract, remembers every answer in the order of arrival, and can be away. What the real rooms
//! behind the API do is tested where they are; here it is what the *page* does.

use std::{
    io::Cursor,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

/// The texts that the engine is said to have read, in turn.
const TEXTS: [&str; 4] = ["insuperable,", "exiſtiera", "suprema", "providencia"];

#[derive(Default)]
struct Held {
    answers: Mutex<Vec<Value>>,
    offered: AtomicUsize,
    away: AtomicBool,
    turned_away: AtomicUsize,
    reject_next: AtomicBool,
    no_pictures: AtomicBool,
    /// Answers wait while this is held.
    slow: tokio::sync::Mutex<()>,
}

/// A server on a free port of loopback; it ends with the test's runtime.
pub struct Server {
    held: Arc<Held>,
    address: String,
}

impl Server {
    /// Starts it with words to read.
    pub async fn start() -> Self {
        let held = Arc::new(Held::default());
        let api = Router::new()
            .route("/v1/collections", get(collections))
            .route("/v1/workers", post(async || (StatusCode::CREATED, Json(json!({"worker_id": "0".repeat(32), "secret": "c2VjcmV0"})))))
            .route("/v1/tasks", get(tasks))
            .route("/v1/crops/{task}", get(crop))
            .route("/v1/lines/{task}", get(async || picture(1400, 54)))
            .route("/v1/join.svg", get(async || ([(header::CONTENT_TYPE, "image/svg+xml")], "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")))
            .route("/v1/records/answers", post(answers))
            .route("/v1/collections/{name}/status", get(async || Json(status())))
            .route("/v1/collections/{name}/live", get(live))
            .route("/v1/collections/{name}/pages/{page}/map", get(map))
            .layer(middleware::from_fn_with_state(held.clone(), turn_away))
            .with_state(held.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, api.merge(ocr::web::assets::router())).await });
        Self { held, address }
    }

    /// The address of a page.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The answers that were stored, in the order of arrival.
    pub fn answers(&self) -> Vec<Value> {
        self.held.answers.lock().expect("no test panics while it holds the answers").clone()
    }

    /// Takes the API away, or gives it back.
    pub fn set_away(&self, away: bool) {
        self.held.away.store(away, Ordering::SeqCst);
    }

    /// How many requests found it away.
    pub fn turned_away(&self) -> usize {
        self.held.turned_away.load(Ordering::SeqCst)
    }

    /// Loses the words' pictures, or has them again.
    pub fn set_without_pictures(&self, without: bool) {
        self.held.no_pictures.store(without, Ordering::SeqCst);
    }

    /// Lets answers wait as long as the guard lives.
    pub async fn hold_answers(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.held.slow.lock().await
    }

    /// How many words were offered.
    pub fn offered(&self) -> usize {
        self.held.offered.load(Ordering::SeqCst)
    }

    /// Rejects the first answer of the next request.
    pub fn reject_next(&self) {
        self.held.reject_next.store(true, Ordering::SeqCst);
    }
}

async fn turn_away(State(held): State<Arc<Held>>, request: Request, next: Next) -> Response {
    if held.away.load(Ordering::SeqCst) {
        held.turned_away.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"title": "away", "detail": "the server is away"}))).into_response();
    }
    next.run(request).await
}

async fn collections() -> Json<Value> {
    Json(json!({"collections": [{"name": "sample", "title": "Ocios", "languages": ["es"], "pages": 1, "words": 1800, "words_decided": 12,
        "convention": {"name": "default", "rules": [{"rule": "long_s", "says": "ſ is s", "example": ["ſo", "so"]}]}}]}))
}

async fn tasks(State(held): State<Arc<Held>>) -> Json<Value> {
    let first = held.offered.fetch_add(20, Ordering::SeqCst);
    let offers: Vec<_> = (first..first + 20)
        .map(|n| {
            json!({"task_id": format!("t{n}"), "reading_id": format!("r{n}"), "lease_id": format!("l{n}"),
                "lease_expires_at": "2100-01-01T00:00:00Z", "text": TEXTS[n % TEXTS.len()], "language": "es",
                "crop": {"url": format!("/v1/crops/t{n}"), "width": 420, "height": 96},
                "line": {"url": format!("/v1/lines/t{n}"), "width": 1400, "height": 54, "word": {"x": 300, "y": 2, "width": 180, "height": 50}},
                "page": {"id": "aa", "title": "p. 80"}, "box": {"x": 1, "y": 2, "width": 3, "height": 4}})
        })
        .collect();
    Json(json!({"collection": "sample", "tasks": offers, "words": 1800, "words_decided": 12}))
}

async fn answers(State(held): State<Arc<Held>>, Json(sent): Json<Vec<Value>>) -> Json<Value> {
    drop(held.slow.lock().await);
    let mut kept = held.answers.lock().expect("no handler panics while it holds the answers");
    let rejected = usize::from(held.reject_next.swap(false, Ordering::SeqCst));
    let mut outcomes = Vec::new();
    if rejected == 1 {
        outcomes.push(json!({"from": 0, "to": 0, "outcome": "rejected", "tag": "unknown_reading", "message": "no such reading"}));
    }
    if sent.len() > rejected {
        outcomes.push(json!({"from": rejected, "to": sent.len() - 1, "outcome": "stored", "receipt": "journal/0/7"}));
    }
    kept.extend(sent.into_iter().skip(rejected));
    Json(json!({"durability": "fsync", "outcomes": outcomes}))
}

fn status() -> Value {
    let history: Vec<_> = (1..40_u32)
        .map(|n| {
            let half = 0.05 / f64::from(n).sqrt();
            json!({"answers": n * 100, "estimate": 0.914, "low": 0.914 - half, "high": 0.914 + half})
        })
        .collect();
    json!({"collection": "sample", "title": "Ocios", "readers_now": 143, "answers": 3900, "answers_per_second": 212.4, "words": 1800,
        "words_decided": 900, "answers_per_word": 3.1, "history": history, "hardest": [], "join_url": "http://192.168.1.5:8080/",
        "accuracy": {"estimate": 0.914, "low": 0.906, "high": 0.922, "level": 0.95, "evidence": "conditional_on_model", "unreadable_bound": [0.905, 0.93], "assumptions": []},
        "pages": [{"id": "aa", "title": "p. 80", "width": 100, "height": 100, "words": 2, "words_decided": 1}],
        "corrected": [{"task_id": "t1", "text": "exiſtiera", "corrected": "existiera", "answers": 5, "crop": {"url": "/v1/crops/t1", "width": 420, "height": 96}}]})
}

/// One event and then another, until the server is away: then the connection ends.
async fn live(State(held): State<Arc<Held>>) -> Response {
    let events = futures::stream::unfold(held, |held| async move {
        if held.away.load(Ordering::SeqCst) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, std::convert::Infallible>(format!("data: {}\n\n", status())), held))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

async fn map(Path((_, _)): Path<(String, String)>) -> Json<Value> {
    let word = |x: u32, state: &str| json!({"x": x, "y": 10, "width": 30, "height": 10, "state": state});
    Json(json!({"width": 100, "height": 100, "words": [word(10, "right"), word(50, "open")]}))
}

async fn crop(State(held): State<Arc<Held>>) -> Response {
    if held.no_pictures.load(Ordering::SeqCst) {
        held.turned_away.fetch_add(1, Ordering::SeqCst);
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    picture(420, 96)
}

fn picture(width: u32, height: u32) -> Response {
    let mut bytes = Cursor::new(Vec::new());
    let grey = image::GrayImage::from_fn(width, height, |x, _| image::Luma([if x % 12 < 5 { 40 } else { 240 }]));
    grey.write_to(&mut bytes, image::ImageFormat::Png).expect("memory takes a picture");
    ([(header::CONTENT_TYPE, "image/png")], Bytes::from(bytes.into_inner())).into_response()
}
