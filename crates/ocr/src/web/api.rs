//! What a reader's page asks for: who am I, what shall I read, how do others join.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use record::{Digest, Error, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, Web, pictures};
use crate::{
    live::{LiveCollection, Picture},
    page::Rect,
};

/// A new worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewWorker {
    /// By which tables and reports name the worker.
    worker_id: String,
    /// What the worker shows, as `Authorization: Bearer`.
    secret: String,
}

/// `POST /v1/workers`: a new worker.
pub async fn new_worker(State(web): State<Arc<Web>>) -> Result<impl IntoResponse, Problem> {
    let worker = web.identity.new_worker()?;
    let new = NewWorker { worker_id: worker.worker_id.to_string(), secret: worker.secret };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(new)))
}

/// The worker whose secret the request shows.
pub fn worker_of(web: &Web, headers: &HeaderMap) -> Result<Digest, Problem> {
    super::bearer(headers).and_then(|secret| web.identity.worker_of(secret)).ok_or_else(|| {
        let detail = "the worker's secret is missing or was not given out here: POST /v1/workers gives one, sent as Authorization: Bearer";
        Problem::new(StatusCode::UNAUTHORIZED, "unknown_worker", detail)
    })
}

/// What a page asks for.
#[derive(Debug, Deserialize)]
pub struct TasksQuery {
    collection: String,
    #[serde(default = "batch_default")]
    n: u32,
}

fn batch_default() -> u32 {
    20
}

/// A line's picture and where the word stands in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinePicture {
    #[serde(flatten)]
    picture: Picture,
    word: Rect,
}

/// A word to judge.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskOffer {
    task_id: String,
    reading_id: String,
    lease_id: String,
    lease_expires_at: String,
    text: String,
    language: Option<String>,
    crop: Picture,
    line: LinePicture,
    page: PageName,
    #[serde(rename = "box")]
    place: Rect,
}

/// A page as people call it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageName {
    id: String,
    title: String,
}

/// The answer to `GET /v1/tasks`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskOffers {
    collection: String,
    tasks: Vec<TaskOffer>,
    words: usize,
    words_decided: usize,
    /// Whether verdicts were worked out as a whole since the last answer came: until then a word that is decided may open again.
    settled: bool,
}

/// `GET /v1/tasks`: words for this worker, leased.
pub async fn tasks(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    query: Result<Query<TasksQuery>, QueryRejection>,
) -> Result<Json<TaskOffers>, Problem> {
    let worker = worker_of(&web, &headers)?;
    let Query(query) = query.map_err(|refused| Error::invalid("expected ?collection=NAME and perhaps &n=COUNT").because(refused))?;
    let now = web.clock.now();
    let (asked, offering) = (query.collection.clone(), web.clone());
    let choose = move |live: &mut LiveCollection| {
        let chosen = live.choose(&worker, query.n as usize, now);
        let until = now.plus_micros(live.selection().config().lease_micros);
        let tasks = chosen.into_iter().map(|word| offer(&offering, live, &worker, word, until)).collect();
        let (words, words_decided) = (live.words().len(), live.words_decided());
        Ok(TaskOffers { collection: query.collection, tasks, words, words_decided, settled: live.is_settled() })
    };
    web.look(&asked, choose).await.map(Json)
}

fn offer(web: &Web, live: &LiveCollection, worker: &Digest, word: u32, until: Timestamp) -> TaskOffer {
    let entry = &live.words()[word as usize];
    let page = &live.pages()[entry.page];
    let (line, place) = pictures::line_picture(live, word);
    TaskOffer {
        task_id: entry.task.to_string(),
        reading_id: entry.reading.to_string(),
        lease_id: web.identity.lease(&entry.reading, worker, until),
        lease_expires_at: until.to_string(),
        text: entry.text.clone(),
        language: live.reading(word).page.language.clone(),
        crop: pictures::word_picture(live, word),
        line: LinePicture { picture: line, word: place },
        page: PageName { id: page.id.to_string(), title: page.title.clone() },
        place: entry.rect,
    }
}

/// `GET /v1/join.svg`: the QR code that a phone in the room scans.
pub async fn join_code(State(web): State<Arc<Web>>) -> Result<impl IntoResponse, Problem> {
    let code = qrcode::QrCode::new(web.places.join_url.as_bytes())
        .map_err(|error| Error::internal("the address does not fit into a QR code").because(error))?;
    let svg = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build();
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-cache")], svg))
}
