//! Import: OCR files and their images into a collection's folder. Called by `crowdread import` and by the server's upload.
//!
//! files → sort and pair (`found`) → parse for the image's size → check boxes against the image → copy → page entry

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use record::{Digest, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::found::{Found, IMAGE_ENDINGS};
use super::{Collection, ImageNote, PageReading, check_name, disk, read_json, read_page_entry, write_json, write_whole};
use crate::{
    crop::PageImage,
    formats::{self, Problem, ReadPage},
    page::{Line, Page, Rect, scale_between},
};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// What became of one OCR file.
#[derive(Debug, serde::Serialize, serde::Deserialize, ToSchema)]
pub struct Imported {
    /// The OCR file's name.
    pub file: String,
    /// The page's id: the digest of its image.
    pub page: String,
    /// Words taken.
    pub words: usize,
    /// Whether the page had a reading by this engine already: the same, or one that this takes the place of.
    pub known: bool,
    /// Words that were left out, and what else is not as it should be, and why.
    pub problems: Vec<String>,
}

/// An OCR file and its image, as bytes with names.
#[derive(Debug)]
pub struct PageFiles {
    /// The OCR file's name.
    pub ocr_name: String,
    /// What the engine wrote.
    pub ocr: Vec<u8>,
    /// The image's name.
    pub image_name: String,
    /// The image's bytes.
    pub image: Vec<u8>,
}

/// What is done when the page has another reading by the same engine, from another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    /// It stays, and the new one is refused: people may be reading it.
    Keep,
    /// The new one takes its place.
    Replace,
}

/// An import of many files into a collection that no server has: another file by the same engine takes the place of a page's reading, but
/// not of one that this import brought, since which is meant is not known.
#[derive(Debug, Default)]
pub struct Batch {
    taken: HashMap<(Digest, String), PathBuf>,
}

impl Batch {
    /// Imports one page, read from the file `ocr`. Nothing of it is in the collection unless all of it is.
    ///
    /// # Errors
    /// `Invalid` says what is wrong with the file or its image, or that another file of this import has the same image and engine;
    /// `Unavailable` when the disk fails.
    pub fn import_page(&mut self, collection: &mut Collection, ocr: &Path, files: &PageFiles, engine: Option<&str>) -> Result<Imported> {
        let checked = check(files, engine)?;
        let key = (checked.id, checked.engine.clone());
        let existing = if self.taken.contains_key(&key) { Existing::Keep } else { Existing::Replace };
        let imported = take(collection, files, checked, existing).map_err(|error| match self.taken.get(&key) {
            Some(first) if error.kind() == ErrorKind::Invalid => twice(&key.1, first),
            _ => error,
        })?;
        self.taken.entry(key).or_insert_with(|| ocr.to_owned());
        Ok(imported)
    }
}

fn twice(engine: &str, first: &Path) -> Error {
    Error::invalid("another file of this import has the same image and engine: import one of them, or each with its own --engine")
        .with("engine", engine)
        .with("imported", first.display())
}

/// Reads an OCR file and its image.
///
/// # Errors
/// As [`Found::image_of`], and when a file cannot be read.
pub fn read_files(found: &Found, ocr: &Path) -> Result<PageFiles> {
    let ocr_bytes = read_capped(ocr)?;
    let ocr_name = file_name(ocr);
    let names = formats::image_names(&ocr_name, &ocr_bytes)?;
    let image = found.image_of(ocr, only(&ocr_name, &names)?.as_deref())?;
    Ok(PageFiles { ocr: ocr_bytes, image_name: file_name(image), image: read_capped(image)?, ocr_name })
}

/// Imports one page into a collection that people may be reading. Nothing of it is in the collection unless all of it is.
///
/// # Errors
/// `Invalid` says what is wrong with the file or its image, or that the page has another reading by this engine; `Unavailable` when the
/// disk fails.
pub fn import_page(collection: &mut Collection, files: &PageFiles, engine: Option<&str>) -> Result<Imported> {
    take(collection, files, check(files, engine)?, Existing::Keep)
}

/// A page that can be taken in.
struct Checked {
    id: Digest,
    engine: String,
    page: Page,
    size_px: (u32, u32),
    problems: Vec<Problem>,
}

fn check(files: &PageFiles, engine: Option<&str>) -> Result<Checked> {
    let image = PageImage::decode(&files.image).map_err(|error| error.with("image", &files.image_name))?;
    let size_px = image.size_px();
    let mut pages = formats::read_for_image(&files.ocr_name, &files.ocr, size_px)?;
    only(&files.ocr_name, &pages)?;
    let ReadPage { mut page, mut problems, .. } = pages.remove(0);
    if !page.has_word_boxes() && page.lines.iter().any(|line| line.text.is_some()) {
        return Err(Error::invalid(
            "the file has lines but no word boxes, and a word's picture cannot be cut out without one: export it again with words, or read the image with `crowdread ocr`",
        ));
    }
    fit(&mut page, size_px).map_err(|error| error.with("file", &files.ocr_name).with("image", &files.image_name))?;
    keep_words_inside(&mut page, size_px, &mut problems);
    if !page.has_word_boxes() {
        let first = problems.first().map(Problem::to_string).unwrap_or_default();
        return Err(Error::invalid("no words on this page").with("left_out", problems.len()).with("first", first));
    }
    let engine = engine_name(engine, &page);
    // What the file does not say, an export to another format says.
    page.image_name.get_or_insert_with(|| files.image_name.clone());
    if page.engine.is_none() && engine != UNKNOWN_ENGINE {
        page.engine = Some(engine.clone());
    }
    Ok(Checked { id: Digest::of(&[b"image", &files.image]), engine, page, size_px, problems })
}

fn take(collection: &mut Collection, files: &PageFiles, checked: Checked, existing: Existing) -> Result<Imported> {
    let (page, words) = (checked.id.to_string(), checked.page.words().count());
    let problems = checked.problems.iter().map(Problem::to_string).collect();
    let known = store(collection, files, checked, existing)?;
    Ok(Imported { file: files.ocr_name.clone(), page, words, known, problems })
}

fn only<'a, T>(name: &str, pages: &'a [T]) -> Result<&'a T> {
    match pages {
        [page] => Ok(page),
        pages => Err(Error::invalid("expected one page in a file: split it, one file for each image")
            .with("file", name)
            .with("pages", pages.len())),
    }
}

/// Brings the places of a page onto an image that is another copy of the one that was read, larger or smaller. A pixel or two are no
/// other size.
fn fit(page: &mut Page, size_px: (u32, u32)) -> Result<()> {
    const SAME_PX: u32 = 2;
    const SHAPE_SHARE: f64 = 0.01;
    let said = (page.width, page.height);
    let same = said.0.abs_diff(size_px.0) <= SAME_PX && said.1.abs_diff(size_px.1) <= SAME_PX;
    if same || said.0 == 0 || said.1 == 0 {
        return Ok(());
    }
    let scale = scale_between(said, size_px);
    if (scale.0 / scale.1 - 1.0).abs() > SHAPE_SHARE {
        return Err(Error::invalid(
            "the file is of an image of another shape: is it the right one, and is it turned or cut otherwise than the one that was read?",
        )
        .with("file_says", format_args!("{}x{}", said.0, said.1))
        .with("image_has", format_args!("{}x{}", size_px.0, size_px.1)));
    }
    let within = |rect: &Rect| {
        let rect = rect.scaled(scale);
        let (right, bottom) = (rect.right().min(size_px.0), rect.bottom().min(size_px.1));
        Rect { width: right.saturating_sub(rect.x), height: bottom.saturating_sub(rect.y), ..rect }
    };
    let corners = |polygon: &mut Vec<(u32, u32)>| {
        for corner in polygon {
            let at = Rect { x: corner.0, y: corner.1, ..Rect::default() }.scaled(scale);
            *corner = (at.x.min(size_px.0), at.y.min(size_px.1));
        }
    };
    for line in &mut page.lines {
        line.rect = within(&line.rect);
        corners(&mut line.polygon);
        for word in &mut line.words {
            word.rect = within(&word.rect);
            corners(&mut word.polygon);
        }
    }
    Ok(())
}

fn keep_words_inside(page: &mut Page, (width, height): (u32, u32), problems: &mut Vec<Problem>) {
    for line in &mut page.lines {
        line.words.retain(|word| {
            let found = word.rect;
            let inside = found.width > 0 && found.height > 0 && found.right() <= width && found.bottom() <= height;
            if !inside {
                let box_px = format!("{}x{}+{}+{}", found.width, found.height, found.x, found.y);
                let message = format!("the box {box_px} is not within the image of {width}x{height} pixels");
                problems.push(Problem { element: word.id.clone(), line: None, message });
            }
            inside
        });
        let around = line.words.iter().map(|word| word.rect).reduce(|a, b| a.union(&b));
        if line.rect.right() > width || line.rect.bottom() > height || line.rect.width == 0 || line.rect.height == 0 {
            line.rect = around.unwrap_or_default();
            line.polygon.clear();
        }
    }
    // A line without words is not judged; its text goes into exports.
    page.lines.retain(|line| !line.words.is_empty() || line.text.is_some());
    let unboxed: Vec<&Line> = page.lines.iter().filter(|line| line.words.is_empty()).collect();
    if let Some(first) = unboxed.first().filter(|_| page.has_word_boxes()) {
        let message =
            format!("{} lines have no word boxes: their words are not judged, and exports have them as they were read", unboxed.len());
        problems.push(Problem { element: first.id.clone(), line: None, message });
    }
    (page.width, page.height) = (width, height);
}

/// The name of an engine that neither the file nor a person says.
const UNKNOWN_ENGINE: &str = "unknown";

fn engine_name(asked: Option<&str>, page: &Page) -> String {
    let name = asked.or(page.engine.as_deref()).unwrap_or(UNKNOWN_ENGINE);
    name.trim().chars().take(80).collect()
}

/// A reading as it is on disk.
#[derive(Serialize, Deserialize)]
struct StoredReading {
    /// The file with what the engine wrote.
    source_file: String,
    #[serde(flatten)]
    reading: PageReading,
}

/// Puts a page on disk and into the collection; tells whether the page had a reading by this engine.
fn store(collection: &mut Collection, files: &PageFiles, checked: Checked, existing: Existing) -> Result<bool> {
    check_name(&collection.settings.name)?;
    let Checked { id, engine, page, size_px, .. } = checked;
    let folder = collection.folder.join("pages").join(id.to_string());
    fs::create_dir_all(&folder).map_err(|error| disk("make the folder", &folder, error))?;
    let image_name = files.image_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let (title, ending) = image_name.rsplit_once('.').unwrap_or((image_name, "image"));
    let note =
        ImageNote { file: format!("image.{}", ending.to_ascii_lowercase()), title: title.to_owned(), width: size_px.0, height: size_px.1 };
    if !folder.join("image.json").exists() {
        write_whole(&folder.join(&note.file), &files.image)?;
        write_json(&folder.join("image.json"), &note)?;
    }
    // An engine's name may hold anything; its files are named by hash. A source is never written over: the reading names its own.
    let stem = reading_stem(&engine);
    let ocr_ending = files.ocr_name.rsplit_once('.').map_or("ocr", |(_, ending)| ending);
    let source_file = format!("{stem}.{}.source.{}", Digest::of(&[&files.ocr]), ending_or(ocr_ending));
    let path = folder.join(format!("{stem}.json"));
    let before: Option<StoredReading> = if path.exists() { Some(read_json(&path)?) } else { None };
    let known = before.is_some();
    let same_file = before.as_ref().is_some_and(|before| before.source_file == source_file);
    if existing == Existing::Keep && known && !same_file {
        return Err(Error::invalid(
            "the page has another reading by this engine, which people may be reading: give this one its own name with --engine, or stop the server and import again, which replaces it",
        )
        .with("engine", engine)
        .with("has", before.map(|before| before.reading.source_name).unwrap_or_default()));
    }
    if existing == Existing::Replace || !known {
        write_whole(&folder.join(&source_file), &files.ocr)?;
        let reading = PageReading { engine, source_name: files.ocr_name.clone(), page };
        write_json(&path, &StoredReading { source_file: source_file.clone(), reading })?;
        if let Some(old) = before.filter(|_| !same_file) {
            let _ = fs::remove_file(folder.join(old.source_file)); // nothing names it any more
        }
    }
    let entry = read_page_entry(&folder)?.ok_or_else(|| Error::internal("a page that was just written is not there"))?;
    match collection.pages.iter_mut().find(|page| page.id == id) {
        Some(page) => *page = entry,
        None => collection.pages.push(entry),
    }
    Ok(known)
}

fn reading_stem(engine: &str) -> String {
    format!("reading-{}", Digest::of(&[engine.as_bytes()]))
}

/// `json` is what our own files end in, so a source never does.
fn ending_or(ending: &str) -> &str {
    if ending.eq_ignore_ascii_case("json") || ending.len() > 8 { "ocr" } else { ending }
}

/// The bytes that an engine wrote for a page of this collection.
///
/// # Errors
/// `Corrupt` when they are gone.
pub fn source_bytes(collection: &Collection, page: &Digest, reading: &PageReading) -> Result<Vec<u8>> {
    let folder = collection.folder.join("pages").join(page.to_string());
    let stored: StoredReading = read_json(&folder.join(format!("{}.json", reading_stem(&reading.engine))))?;
    let path = folder.join(&stored.source_file);
    if !path.is_file() {
        return Err(Error::corrupt("what the engine wrote is gone from the collection's folder").with("file", path.display()));
    }
    read_capped(&path)
}

fn read_capped(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|error| disk("read", path, error))?.len();
    if length > FILE_BYTES_MAX {
        return Err(Error::invalid("the file is too large")
            .with("file", path.display())
            .with("bytes", length)
            .with("bytes_max", FILE_BYTES_MAX));
    }
    fs::read(path).map_err(|error| disk("read", path, error))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
