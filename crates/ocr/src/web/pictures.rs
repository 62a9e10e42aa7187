//! Pictures of words and of their lines, cut out of the page when somebody asks, and kept for the next who does.

mod pages;

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use record::Digest;

use tokio::sync::Semaphore;

use self::pages::Pages;
use super::{Problem, Web, aside};
use crate::{
    crop::Plan,
    live::{self, LiveCollection, Picture},
    page::Rect,
};

/// Cut pictures that are kept, in bytes.
const CUTS_BYTES_MAX: u64 = 64 << 20;
/// How many are expected; only sizes the table.
const CUTS_EXPECTED: usize = 8_192;

/// A cut picture on its way out.
#[derive(Clone, Debug)]
struct Cut {
    content_type: &'static str,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
struct CutWeight;

impl Weighter<(Digest, Kind), Cut> for CutWeight {
    fn weight(&self, _: &(Digest, Kind), cut: &Cut) -> u64 {
        cut.bytes.len() as u64 + 64
    }
}

/// What is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Word,
    Line,
}

/// Pages that were decoded and pictures that were cut.
#[derive(Debug)]
pub struct Pictures {
    pages: Pages,
    cuts: Cache<(Digest, Kind), Cut, CutWeight>,
    /// As many are cut at a time as there are cores: a decoded page takes much memory.
    cutting: Arc<Semaphore>,
}

impl Default for Pictures {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            pages: Pages::default(),
            cuts: Cache::with_weighter(CUTS_EXPECTED, CUTS_BYTES_MAX, CutWeight),
            cutting: Arc::new(Semaphore::new(cores)),
        }
    }
}

/// Words are shown at twice the size of the scan.
const WORD_SCALE: f64 = 2.0;

/// A word's picture: where it is and how large it will be.
pub fn word_picture(live: &LiveCollection, word: u32) -> Picture {
    let entry = &live.words()[word as usize];
    // Import lets no box through that is not within the image.
    let (width, height) = Plan::of_word(live.pages()[entry.page].size_px, &entry.rect, WORD_SCALE).map_or((1, 1), |plan| plan.size_px());
    Picture { url: format!("/v1/crops/{}", entry.task), width, height }
}

/// A line's picture, and the word's place in it.
pub fn line_picture(live: &LiveCollection, word: u32) -> (Picture, Rect) {
    let entry = &live.words()[word as usize];
    let plan = Plan::of_line(live.pages()[entry.page].size_px, &entry.line_rect, &entry.rect);
    let ((width, height), place) = plan.map_or(((1, 1), Rect::default()), |(plan, place)| (plan.size_px(), place));
    (Picture { url: format!("/v1/lines/{}", entry.task), width, height }, place)
}

/// `GET /v1/crops/{task}`
pub async fn word(State(web): State<Arc<Web>>, Path(task): Path<String>) -> Result<Response, Problem> {
    cut(web, task, Kind::Word).await
}

/// `GET /v1/lines/{task}`
pub async fn line(State(web): State<Arc<Web>>, Path(task): Path<String>) -> Result<Response, Problem> {
    cut(web, task, Kind::Line).await
}

async fn cut(web: Arc<Web>, task: String, kind: Kind) -> Result<Response, Problem> {
    let task = Digest::parse(&task)?;
    let cut = match web.pictures.cuts.get(&(task, kind)) {
        Some(cut) => cut,
        None => {
            let turn = web.pictures.cutting.clone().acquire_owned().await;
            aside(move || {
                let _turn = turn; // also when nobody waits for the picture any more
                cut_out(&web, task, kind)
            })
            .await?
        }
    };
    // A task is a place on an image with a fixed digest: its picture never changes.
    let headers = [(header::CONTENT_TYPE, cut.content_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, cut.bytes).into_response())
}

fn cut_out(web: &Web, task: Digest, kind: Kind) -> Result<Cut, Problem> {
    let (id, path, rect, line) = find(web, &task).ok_or_else(|| Problem::not_found("no such word in any collection here"))?;
    if let Some(cut) = web.pictures.cuts.get(&(task, kind)) {
        return Ok(cut); // cut while this request waited for its turn
    }
    let page = web.pictures.pages.open(id, &path)?;
    let picture = match kind {
        Kind::Word => page.word_crop(&rect, WORD_SCALE)?,
        Kind::Line => page.line_crop(&line, &rect)?.picture,
    };
    let cut = Cut { content_type: picture.media_type, bytes: Bytes::from(picture.bytes) };
    web.pictures.cuts.insert((task, kind), cut.clone());
    Ok(cut)
}

fn find(web: &Web, task: &Digest) -> Option<(Digest, std::path::PathBuf, Rect, Rect)> {
    web.live.names().into_iter().find_map(|name| {
        let live = web.live.get(&name).ok()?;
        let live = live::lock(&live);
        let entry = &live.words()[live.word_of_task(task)? as usize];
        let page = &live.pages()[entry.page];
        Some((page.id, page.image.clone(), entry.rect, entry.line_rect))
    })
}
