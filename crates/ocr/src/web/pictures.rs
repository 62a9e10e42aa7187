//! Pictures of words and of their lines, cut out of the page when somebody asks, and kept for the next who does.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use record::{Digest, Error};

use super::{Problem, Web};
use crate::{
    crop::{PageImage, Plan},
    live::{self, LiveCollection, Picture},
    page::Rect,
};

/// Decoded pages that are kept, in bytes of pixels.
const PAGES_BYTES_MAX: u64 = 256 << 20;
/// Cut pictures that are kept, in bytes.
const CUTS_BYTES_MAX: u64 = 64 << 20;
/// How many of each are expected; only sizes the tables.
const PAGES_EXPECTED: usize = 64;
const CUTS_EXPECTED: usize = 8_192;

/// A cut picture on its way out.
#[derive(Clone, Debug)]
struct Cut {
    content_type: &'static str,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
struct PageWeight;

impl Weighter<Digest, Arc<PageImage>> for PageWeight {
    fn weight(&self, _: &Digest, image: &Arc<PageImage>) -> u64 {
        image.bytes() as u64
    }
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
    pages: Cache<Digest, Arc<PageImage>, PageWeight>,
    cuts: Cache<(Digest, Kind), Cut, CutWeight>,
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            pages: Cache::with_weighter(PAGES_EXPECTED, PAGES_BYTES_MAX, PageWeight),
            cuts: Cache::with_weighter(CUTS_EXPECTED, CUTS_BYTES_MAX, CutWeight),
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
            let cutting = tokio::task::spawn_blocking(move || cut_out(&web, task, kind)).await;
            cutting.map_err(|error| Error::internal("cutting a picture failed").because(error))??
        }
    };
    // A task is a place on an image with a fixed digest: its picture never changes.
    let headers = [(header::CONTENT_TYPE, cut.content_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, cut.bytes).into_response())
}

fn cut_out(web: &Web, task: Digest, kind: Kind) -> Result<Cut, Problem> {
    let (id, path, rect, line) = find(web, &task).ok_or_else(|| Problem::not_found("no such word in any collection here"))?;
    let page = web.pictures.pages.get_or_insert_with(&id, || PageImage::open(&path).map(Arc::new))?;
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
