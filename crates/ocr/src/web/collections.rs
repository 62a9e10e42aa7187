//! How collections stand: lists, the board's status and live stream, pages with their words, corrections, reports.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use record::Digest;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, Web, aside, pictures};
use crate::{
    convention::RuleNote,
    corrections::{self, PageCorrections},
    live::{CollectionStatus, LiveCollection, Thoroughness, WordState},
    page::{Page, Rect},
    report::Report,
};

/// How often the live stream tells how things stand, in milliseconds.
const LIVE_INTERVAL_MS: u64 = 1_000;

/// `GET /v1/collections`
#[derive(Debug, Serialize, ToSchema)]
pub struct CollectionList {
    collections: Vec<CollectionLine>,
}

/// A collection in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct CollectionLine {
    name: String,
    title: String,
    languages: Vec<String>,
    convention: ConventionRules,
    pages: usize,
    words: usize,
    words_decided: usize,
}

/// A convention in words.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConventionRules {
    name: String,
    rules: Vec<RuleNote>,
}

/// `GET /v1/collections`
pub async fn list(State(web): State<Arc<Web>>) -> Result<Json<CollectionList>, Problem> {
    let mut collections = Vec::new();
    for name in web.live.names() {
        collections.push(web.look(&name, |live| Ok(line_of(live))).await?);
    }
    Ok(Json(CollectionList { collections }))
}

fn line_of(live: &LiveCollection) -> CollectionLine {
    let readings = live.pages().iter().flat_map(|page| &page.readings);
    let mut languages: Vec<String> = readings.filter_map(|reading| reading.page.language.clone()).collect();
    languages.sort();
    languages.dedup();
    let convention = &live.settings().convention;
    CollectionLine {
        name: live.settings().name.clone(),
        title: live.settings().title.clone(),
        languages,
        convention: ConventionRules { name: convention.name.clone(), rules: convention.describe() },
        pages: live.pages().len(),
        words: live.words().len(),
        words_decided: live.words_decided(),
    }
}

/// How collections stood when somebody asked last: all boards are told the same, and it is worked out once for all of them.
#[derive(Debug, Default)]
pub struct Statuses {
    /// By name: when (monotonic, in microseconds), and the JSON. Whoever works it out holds the lock; the others wait for the result.
    last: tokio::sync::Mutex<HashMap<String, (u64, Arc<str>)>>,
}

/// How old a status may be when it is told, in microseconds: less than the interval of the live stream.
const STATUS_AGE_MICROS_MAX: u64 = 500_000;

async fn status_of(web: &Arc<Web>, name: &str) -> Result<Arc<str>, Problem> {
    let mut last = web.statuses.last.lock().await;
    let now = web.clock.monotonic_micros();
    if let Some((at, status)) = last.get(name)
        && now.saturating_sub(*at) < STATUS_AGE_MICROS_MAX
    {
        return Ok(status.clone());
    }
    let asked = web.clone();
    let work_out = move |live: &mut LiveCollection| {
        let status = live.status(asked.clock.now(), &|word| pictures::word_picture(live, word));
        let told = StatusAndAddress { status, join_url: asked.places.join_url.clone() };
        Ok(serde_json::to_string(&told).map_err(|error| record::Error::internal("cannot write a status").because(error))?)
    };
    let status: Arc<str> = web.look(name, work_out).await?.into();
    last.insert(name.to_owned(), (now, status.clone()));
    Ok(status)
}

/// The status, and where to join.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAndAddress {
    #[serde(flatten)]
    status: CollectionStatus,
    join_url: String,
}

/// `GET /v1/collections/{name}/status`
pub async fn status(State(web): State<Arc<Web>>, Path(name): Path<String>) -> Result<impl IntoResponse, Problem> {
    let status = status_of(&web, &name).await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], status.to_string()))
}

/// `GET /v1/collections/{name}/live`: the status as server-sent events, one a second.
pub async fn live(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    status_of(&web, &name).await?; // an unknown collection is told once, as a problem
    let ticks = tokio::time::interval(Duration::from_millis(LIVE_INTERVAL_MS));
    let events = stream::unfold((web, name, ticks), |(web, name, mut ticks)| async move {
        tokio::select! {
            _ = ticks.tick() => {}
            () = web.shutdown.cancelled() => return None,
        }
        let status = status_of(&web, &name).await.ok()?;
        let event = Event::default().data(&*status); // JSON has no line breaks
        Some((Ok(event), (web, name, ticks)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// `GET /v1/collections/{name}/pages`
#[derive(Debug, Serialize, ToSchema)]
pub struct PageList {
    pages: Vec<PageLine>,
}

/// A page in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageLine {
    id: String,
    title: String,
    image_name: Option<String>,
    width: u32,
    height: u32,
    words: usize,
}

/// `GET /v1/collections/{name}/pages`
pub async fn pages(State(web): State<Arc<Web>>, Path(name): Path<String>) -> Result<Json<PageList>, Problem> {
    let list = |live: &mut LiveCollection| {
        let mut words = vec![0; live.pages().len()];
        live.words().iter().for_each(|word| words[word.page] += 1);
        let line = |(page, words): (&crate::collection::PageEntry, usize)| PageLine {
            id: page.id.to_string(),
            title: page.title.clone(),
            image_name: page.readings.first().and_then(|reading| reading.page.image_name.clone()),
            width: page.size_px.0,
            height: page.size_px.1,
            words,
        };
        Ok(PageList { pages: live.pages().iter().zip(words).map(line).collect() })
    };
    web.look(&name, list).await.map(Json)
}

/// A page as its engine read it, with the task of each word.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageWithTasks {
    page: Page,
    /// By the words' order; `None` where two words are one task.
    tasks: Vec<Option<String>>,
}

/// `GET /v1/collections/{name}/pages/{page}`
pub async fn page(State(web): State<Arc<Web>>, Path((name, page)): Path<(String, String)>) -> Result<Json<PageWithTasks>, Problem> {
    let read = move |live: &mut LiveCollection| {
        let index = page_index(live, &page)?;
        let reading = live.pages()[index].readings.first().ok_or_else(|| Problem::not_found("no engine has read this page"))?;
        let mut tasks = vec![None; reading.page.words().count()];
        for word in live.words().iter().filter(|word| word.page == index && word.engine == 0) {
            tasks[word.word] = Some(word.task.to_string());
        }
        Ok(PageWithTasks { page: reading.page.clone(), tasks })
    };
    web.look(&name, read).await.map(Json)
}

/// A page's words by how they stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageMap {
    width: u32,
    height: u32,
    words: Vec<MapWord>,
}

/// A word on the map.
#[derive(Debug, Serialize, ToSchema)]
pub struct MapWord {
    #[serde(flatten)]
    place: Rect,
    state: WordState,
}

/// `GET /v1/collections/{name}/pages/{page}/map`: a word whose verdict would tell others' answers to who is still asked about it is open.
pub async fn map(State(web): State<Arc<Web>>, Path((name, page)): Path<(String, String)>) -> Result<Json<PageMap>, Problem> {
    let draw = move |live: &mut LiveCollection| {
        let index = page_index(live, &page)?;
        let on_page = live.words().iter().enumerate().filter(|(_, word)| word.page == index);
        let words = on_page.map(|(word, entry)| MapWord { place: entry.rect, state: live.told_state(word as u32) }).collect();
        let (width, height) = live.pages()[index].size_px;
        Ok(PageMap { width, height, words })
    };
    web.look(&name, draw).await.map(Json)
}

fn page_index(live: &LiveCollection, page: &str) -> Result<usize, Problem> {
    let id = Digest::parse(page)?;
    live.pages().iter().position(|page| page.id == id).ok_or_else(|| Problem::not_found("no such page in this collection"))
}

/// `GET /v1/collections/{name}/report`: everything that the report tells, after a full pass of the inference; for the owner.
///
/// The pass runs on a copy: readers do not wait for it.
pub async fn report(State(web): State<Arc<Web>>, Path(name): Path<String>, headers: HeaderMap) -> Result<Json<Report>, Problem> {
    web.check_owner(&headers)?;
    let mut live = web.look(&name, |live| Ok(live.snapshot())).await?;
    let write = move || {
        live.refit();
        live.update_accuracy(Thoroughness::Full);
        Ok(Report::of(&live))
    };
    aside(write).await.map(Json)
}

/// `GET /v1/collections/{name}/corrections`: what is to be mended on each page; for the owner.
pub async fn corrections(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Vec<PageCorrections>>, Problem> {
    web.check_owner(&headers)?;
    web.look(&name, |live| Ok(corrections::of(live))).await.map(Json)
}
