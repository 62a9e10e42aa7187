//! Import: OCR files and their images into a collection's folder. Called by `crowdread import` and by the server's upload.
//!
//! files → sort into images and OCR files → parse → pair → check boxes against the image → copy → page entry

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use record::{Digest, Error, Result};

use super::{Collection, ImageNote, PageReading, check_name, disk, read_page_entry, write_json, write_whole};
use crate::{
    crop::PageImage,
    formats::{self, Problem},
    page::Page,
};

/// The endings that are taken for images, in the order in which an image without a name in the OCR file is looked for.
pub const IMAGE_ENDINGS: [&str; 5] = ["png", "tif", "tiff", "jpg", "jpeg"];

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// What became of one OCR file.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Imported {
    /// The OCR file's name.
    pub file: String,
    /// The page's id: the digest of its image.
    pub page: String,
    /// Words taken.
    pub words: usize,
    /// Whether the same reading was there already; it is replaced by the same bytes.
    pub known: bool,
    /// Words that were left out, and why.
    pub problems: Vec<String>,
}

/// What an import did: what failed does not stop the rest.
#[derive(Debug, Default, serde::Serialize)]
pub struct ImportReport {
    /// OCR files that are now in the collection.
    pub imported: Vec<Imported>,
    /// OCR files that are not, each with what is wrong, where, and how to mend it.
    pub failed: Vec<String>,
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

/// The files below some paths (folders one level deep), sorted into OCR files and images.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that may be OCR files, by name.
    pub ocr: Vec<PathBuf>,
    /// Images, by path.
    pub images: Vec<PathBuf>,
}

impl Found {
    /// Looks at the paths; hidden files and files of other kinds in a folder are passed over, a file that is named is not.
    ///
    /// # Errors
    /// `Invalid` when a path is not there.
    pub fn below(paths: &[PathBuf]) -> Result<Self> {
        let mut found = Self::default();
        for path in paths {
            if path.is_dir() {
                for entry in super::sorted_entries(path)? {
                    let hidden = entry.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
                    if entry.is_file() && !hidden && (is_image(&entry) || formats::is_ocr_name(&entry)) {
                        found.add(entry);
                    }
                }
            } else if path.is_file() {
                found.add(path.clone());
            } else {
                return Err(Error::invalid("there is no such file or folder").with("path", path.display()));
            }
        }
        // An OCR file that is named without its image finds it among its neighbours.
        for folder in found.ocr.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect::<std::collections::BTreeSet<_>>() {
            let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
            for entry in super::sorted_entries(&folder)? {
                if entry.is_file() && is_image(&entry) && !found.images.contains(&entry) {
                    found.images.push(entry);
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, path: PathBuf) {
        if is_image(&path) { self.images.push(path) } else { self.ocr.push(path) }
    }

    /// The image of a page: the one with the name inside the file, else the one with the file's own stem.
    ///
    /// # Errors
    /// `Invalid` when there is none, naming what was looked for.
    pub fn image_of(&self, ocr: &Path, page: &Page) -> Result<&Path> {
        let named = page.image_name.as_deref().map(|name| name.rsplit(['/', '\\']).next().unwrap_or(name));
        if let Some(image) = named.and_then(|name| self.images.iter().find(|path| path.file_name().is_some_and(|file| file == name))) {
            return Ok(image);
        }
        let stems: Vec<&str> = named.into_iter().chain(ocr.file_name().and_then(|name| name.to_str())).collect();
        for stem in stems.iter().flat_map(|name| stems_of(name)) {
            if let Some(image) = self.images.iter().find(|path| path.file_stem().is_some_and(|file| file == stem)) {
                return Ok(image);
            }
        }
        Err(Error::invalid(
            "no image belongs to this file: put it beside the file, under the name that the file gives or under the file's own",
        )
        .with("file", ocr.display())
        .with("looked_for", stems.join(" or ")))
    }
}

/// `a.b.xml` gives `a.b.xml`, `a.b`, `a`: names with one ending after the other taken off.
fn stems_of(name: &str) -> Vec<&str> {
    let mut stems = vec![name];
    while let Some((stem, _)) = stems[stems.len() - 1].rsplit_once('.')
        && !stem.is_empty()
    {
        stems.push(stem);
    }
    stems
}

fn is_image(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| IMAGE_ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Imports files into a collection; `progress` is told after each OCR file how many are done, and of how many.
///
/// # Errors
/// `Invalid` when the paths hold no OCR file at all; what is wrong with one file is in the report.
pub fn import_paths(
    collection: &mut Collection,
    paths: &[PathBuf],
    engine: Option<&str>,
    progress: &dyn Fn(usize, usize),
) -> Result<ImportReport> {
    let found = Found::below(paths)?;
    if found.ocr.is_empty() {
        return Err(Error::invalid("no OCR files there: expected PAGE XML, ALTO, hOCR or Tesseract TSV beside their images")
            .with("images", found.images.len())
            .with("mend", "crowdread ocr IMAGE… --out DIR makes them"));
    }
    let mut report = ImportReport::default();
    for (index, ocr) in found.ocr.iter().enumerate() {
        match read_files(&found, ocr).and_then(|files| import_page(collection, &files, engine)) {
            Ok(imported) => report.imported.push(imported),
            Err(error) => report.failed.push(format!("{}: {error}", ocr.display())),
        }
        progress(index + 1, found.ocr.len());
    }
    Ok(report)
}

/// Reads an OCR file and its image.
///
/// # Errors
/// As [`Found::image_of`], and when a file cannot be read.
pub fn read_files(found: &Found, ocr: &Path) -> Result<PageFiles> {
    let ocr_bytes = read_capped(ocr)?;
    let ocr_name = file_name(ocr);
    let parsed = formats::read(&ocr_name, &ocr_bytes)?;
    let page = only_page(&ocr_name, &parsed)?;
    let image = found.image_of(ocr, &page.page)?;
    Ok(PageFiles { ocr: ocr_bytes, image_name: file_name(image), image: read_capped(image)?, ocr_name })
}

/// Imports one page. Nothing of it is in the collection unless all of it is.
///
/// # Errors
/// `Invalid` says what is wrong with the file or its image; `Unavailable` when the disk fails.
pub fn import_page(collection: &mut Collection, files: &PageFiles, engine: Option<&str>) -> Result<Imported> {
    let parsed = formats::read(&files.ocr_name, &files.ocr)?;
    let formats::ReadPage { mut page, mut problems, .. } = only_page(&files.ocr_name, &parsed)?.clone();
    if page.words().next().is_none() && page.lines.iter().any(|line| line.text.is_some()) {
        return Err(Error::invalid(
            "the file has lines but no word boxes, and a word's picture cannot be cut out without one: export it again with words, or read the image with `crowdread ocr`",
        ));
    }
    let image = PageImage::decode(&files.image).map_err(|error| error.with("image", &files.image_name))?;
    let size = image.size_px();
    keep_words_inside(&mut page, size, &mut problems);
    let words = page.words().count();
    if words == 0 {
        let first = problems.first().map(Problem::to_string).unwrap_or_default();
        return Err(Error::invalid("no words on this page").with("left_out", problems.len()).with("first", first));
    }
    let engine = engine_name(engine, &page);
    let known = store(collection, files, &engine, page, size)?;
    let page = Digest::of(&[b"image", &files.image]).to_string();
    Ok(Imported { file: files.ocr_name.clone(), page, words, known, problems: problems.iter().map(Problem::to_string).collect() })
}

fn only_page<'a>(name: &str, parsed: &'a [formats::ReadPage]) -> Result<&'a formats::ReadPage> {
    match parsed {
        [page] => Ok(page),
        pages => Err(Error::invalid("expected one page in a file: split it, one file for each image")
            .with("file", name)
            .with("pages", pages.len())),
    }
}

fn keep_words_inside(page: &mut Page, (width, height): (u32, u32), problems: &mut Vec<Problem>) {
    for line in &mut page.lines {
        line.words.retain(|word| {
            let inside = word.rect.width > 0 && word.rect.height > 0 && word.rect.right() <= width && word.rect.bottom() <= height;
            let text = !word.text.trim().is_empty();
            if !inside {
                let found = word.rect;
                problems.push(Problem {
                    element: word.id.clone(),
                    line: None,
                    message: format!(
                        "the box {}x{}+{}+{} is not within the image of {width}x{height} pixels",
                        found.width, found.height, found.x, found.y
                    ),
                });
            }
            inside && text
        });
        let around = line.words.iter().map(|word| word.rect).reduce(|a, b| a.union(&b));
        if line.rect.right() > width || line.rect.bottom() > height || line.rect.width == 0 || line.rect.height == 0 {
            line.rect = around.unwrap_or(line.rect);
        }
    }
    page.lines.retain(|line| !line.words.is_empty());
    (page.width, page.height) = (width, height);
}

fn engine_name(asked: Option<&str>, page: &Page) -> String {
    let name = asked.or(page.engine.as_deref()).unwrap_or("unknown");
    name.trim().chars().take(80).collect()
}

fn store(collection: &mut Collection, files: &PageFiles, engine: &str, page: Page, size: (u32, u32)) -> Result<bool> {
    check_name(&collection.settings.name)?;
    let id = Digest::of(&[b"image", &files.image]);
    let folder = collection.folder.join("pages").join(id.to_string());
    fs::create_dir_all(&folder).map_err(|error| disk("make the folder", &folder, error))?;
    let (title, ending) = files.image_name.rsplit_once('.').unwrap_or((&files.image_name, "image"));
    let note = ImageNote { file: format!("image.{}", ending.to_ascii_lowercase()), title: title.to_owned(), width: size.0, height: size.1 };
    if !folder.join("image.json").exists() {
        write_whole(&folder.join(&note.file), &files.image)?;
        write_json(&folder.join("image.json"), &note)?;
    }
    // An engine's name may hold anything; its files are named by hash.
    let stem = format!("reading-{}", Digest::of(&[engine.as_bytes()]));
    let ocr_ending = files.ocr_name.rsplit_once('.').map_or("ocr", |(_, ending)| ending);
    write_whole(&folder.join(format!("{stem}.source.{}", ending_or(ocr_ending))), &files.ocr)?;
    let reading = PageReading { engine: engine.to_owned(), source_name: files.ocr_name.clone(), page };
    let path = folder.join(format!("{stem}.json"));
    let known = path.exists();
    write_json(&path, &reading)?;
    let entry = read_page_entry(&folder)?.ok_or_else(|| Error::internal("a page that was just written is not there"))?;
    match collection.pages.iter_mut().find(|page| page.id == id) {
        Some(page) => *page = entry,
        None => collection.pages.push(entry),
    }
    Ok(known)
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
    let stem = format!("reading-{}.source.", Digest::of(&[reading.engine.as_bytes()]));
    let path = super::sorted_entries(&folder)?
        .into_iter()
        .find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&stem)))
        .ok_or_else(|| Error::corrupt("what the engine wrote is gone from the collection's folder").with("folder", folder.display()))?;
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

/// Problems of many pages, counted by message: what a person wants to read first.
pub fn summary(report: &ImportReport) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for imported in &report.imported {
        *counts.entry(imported.file.as_str()).or_default() += imported.problems.len();
    }
    counts.retain(|_, count| *count > 0);
    counts
}
