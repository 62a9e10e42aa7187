//! How collections stand: lists, the board's status and live stream, pages with their words, corrections, reports.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use record::Digest;
use serde::Serialize;

use super::{Problem, Web, pictures};
use crate::{
    convention::RuleNote,
    corrections::{self, PageCorrections},
    live::{self, CollectionStatus, LiveCollection, Thoroughness, WordState},
    page::{Page, Rect},
    report::Report,
};

/// How often the live stream tells how things stand, in milliseconds.
const LIVE_INTERVAL_MS: u64 = 1_000;

/// `GET /v1/collections`
#[derive(Debug, Serialize)]
pub struct CollectionList {
    collections: Vec<CollectionLine>,
}

/// A collection in a list.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub struct ConventionRules {
    name: String,
    rules: Vec<RuleNote>,
}

/// `GET /v1/collections`
pub async fn list(State(web): State<Arc<Web>>) -> Result<Json<CollectionList>, Problem> {
    let mut collections = Vec::new();
    for name in web.live.names() {
        let live = web.live.get(&name)?;
        let live = live::lock(&live);
        let readings = live.pages().iter().flat_map(|page| &page.readings);
        let mut languages: Vec<String> = readings.filter_map(|reading| reading.page.language.clone()).collect();
        languages.sort();
        languages.dedup();
        let convention = &live.settings().convention;
        collections.push(CollectionLine {
            title: live.settings().title.clone(),
            languages,
            convention: ConventionRules { name: convention.name.clone(), rules: convention.describe() },
            pages: live.pages().len(),
            words: live.words().len(),
            words_decided: live.words_decided(),
            name,
        });
    }
    Ok(Json(CollectionList { collections }))
}

fn status_of(web: &Web, name: &str) -> Result<StatusAndAddress, Problem> {
    let live = web.live.get(name).map_err(|error| Problem::not_found(error.to_string()))?;
    let live = live::lock(&live);
    let status = live.status(web.clock.now(), &|word| pictures::word_picture(&live, word));
    Ok(StatusAndAddress { status, join_url: web.places.join_url.clone() })
}

/// The status, and where to join.
#[derive(Debug, Serialize)]
pub struct StatusAndAddress {
    #[serde(flatten)]
    status: CollectionStatus,
    join_url: String,
}

/// `GET /v1/collections/{name}/status`
pub async fn status(State(web): State<Arc<Web>>, Path(name): Path<String>) -> Result<Json<StatusAndAddress>, Problem> {
    status_of(&web, &name).map(Json)
}

/// `GET /v1/collections/{name}/live`: the status as server-sent events, one a second.
pub async fn live(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    status_of(&web, &name)?; // an unknown collection is told once, as a problem
    let ticks = tokio::time::interval(Duration::from_millis(LIVE_INTERVAL_MS));
    let events = stream::unfold((web, name, ticks), |(web, name, mut ticks)| async move {
        ticks.tick().await;
        let status = status_of(&web, &name).ok()?;
        let event = Event::default().json_data(&status).ok()?;
        Some((Ok(event), (web, name, ticks)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// `GET /v1/collections/{name}/pages`
#[derive(Debug, Serialize)]
pub struct PageList {
    pages: Vec<PageLine>,
}

/// A page in a list.
#[derive(Debug, Serialize)]
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
    let live = web.live.get(&name).map_err(|error| Problem::not_found(error.to_string()))?;
    let live = live::lock(&live);
    let line = |(index, page): (usize, &crate::collection::PageEntry)| PageLine {
        id: page.id.to_string(),
        title: page.title.clone(),
        image_name: page.readings.first().and_then(|reading| reading.page.image_name.clone()),
        width: page.size_px.0,
        height: page.size_px.1,
        words: live.words().iter().filter(|word| word.page == index).count(),
    };
    Ok(Json(PageList { pages: live.pages().iter().enumerate().map(line).collect() }))
}

/// A page as its engine read it, with the task of each word.
#[derive(Debug, Serialize)]
pub struct PageWithTasks {
    page: Page,
    /// By the words' order; `None` where two words are one task.
    tasks: Vec<Option<String>>,
}

/// `GET /v1/collections/{name}/pages/{page}`
pub async fn page(State(web): State<Arc<Web>>, Path((name, page)): Path<(String, String)>) -> Result<Json<PageWithTasks>, Problem> {
    let live = web.live.get(&name).map_err(|error| Problem::not_found(error.to_string()))?;
    let live = live::lock(&live);
    let index = page_index(&live, &page)?;
    let reading = live.pages()[index].readings.first().ok_or_else(|| Problem::not_found("no engine has read this page"))?;
    let mut tasks = vec![None; reading.page.words().count()];
    for word in live.words().iter().filter(|word| word.page == index && word.engine == 0) {
        tasks[word.word] = Some(word.task.to_string());
    }
    Ok(Json(PageWithTasks { page: reading.page.clone(), tasks }))
}

/// A page's words by how they stand.
#[derive(Debug, Serialize)]
pub struct PageMap {
    width: u32,
    height: u32,
    words: Vec<MapWord>,
}

/// A word on the map.
#[derive(Debug, Serialize)]
pub struct MapWord {
    #[serde(flatten)]
    place: Rect,
    state: WordState,
}

/// `GET /v1/collections/{name}/pages/{page}/map`
pub async fn map(State(web): State<Arc<Web>>, Path((name, page)): Path<(String, String)>) -> Result<Json<PageMap>, Problem> {
    let live = web.live.get(&name).map_err(|error| Problem::not_found(error.to_string()))?;
    let live = live::lock(&live);
    let index = page_index(&live, &page)?;
    let on_page = live.words().iter().enumerate().filter(|(_, word)| word.page == index);
    let words = on_page.map(|(word, entry)| MapWord { place: entry.rect, state: live.verdict(word as u32).state }).collect();
    let (width, height) = live.pages()[index].size_px;
    Ok(Json(PageMap { width, height, words }))
}

fn page_index(live: &LiveCollection, page: &str) -> Result<usize, Problem> {
    let id = Digest::parse(page)?;
    live.pages().iter().position(|page| page.id == id).ok_or_else(|| Problem::not_found("no such page in this collection"))
}

/// `GET /v1/collections/{name}/report`: everything that the report tells, after a full pass of the inference.
pub async fn report(State(web): State<Arc<Web>>, Path(name): Path<String>) -> Result<Json<Report>, Problem> {
    let live = web.live.get(&name).map_err(|error| Problem::not_found(error.to_string()))?;
    let report = tokio::task::spawn_blocking(move || {
        let mut live = live::lock(&live);
        live.refit();
        live.update_accuracy(Thoroughness::Full);
        Report::of(&live)
    });
    Ok(Json(report.await.map_err(|error| record::Error::internal("the report failed").because(error))??))
}

/// `GET /v1/collections/{name}/corrections`: what is to be mended on each page.
pub async fn corrections(State(web): State<Arc<Web>>, Path(name): Path<String>) -> Result<Json<Vec<PageCorrections>>, Problem> {
    let live = web.live.get(&name).map_err(|error| Problem::not_found(error.to_string()))?;
    let live = live::lock(&live);
    Ok(Json(corrections::of(&live)))
}
