//! A collection's folder: its settings, its pages' images, and what engines read on them.
//!
//! ```text
//! collections/NAME/collection.json               settings: title, convention, census share and the key that draws it
//! collections/NAME/pages/IMAGE_DIGEST/image.EXT  the image, byte for byte
//! collections/NAME/pages/IMAGE_DIGEST/reading-ENGINE.DIGEST.source.EXT what the engine wrote, byte for byte
//! collections/NAME/pages/IMAGE_DIGEST/reading-ENGINE.json the same as a checked page, and which source it is of; written last, so it
//!                                                alone makes the reading count
//! ```
//!
//! A page has one reading of each engine. The same file again changes nothing; another file of the same engine takes the reading's place
//! only while no server reads the collection, because words that are under way point into it: what is not in the new one leaves the
//! population, and answers to it stay in the table without counting.
//!
//! No true text is ever kept here: a server that runs a crowd has nothing to look it up in.

mod census;
mod found;
pub mod import;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

pub use census::CensusKey;
use record::{Digest, Error, Result};
use serde::{Deserialize, Serialize};

use crate::{
    convention::Convention,
    page::Page,
    task::{reading_id, task_id},
};

/// What holds for all pages of a collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The name in addresses and records: 1 to 64 of `a-z 0-9 _ -`.
    pub name: String,
    /// The title that people see.
    pub title: String,
    /// When two texts count as equal.
    pub convention: Convention,
    /// The share of words that is drawn for the accuracy estimate, 0 to 1.
    pub census_share: f64,
    /// Draws the census share; never told to anybody. Collections made before there were keys have none, and keep their draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub census_key: Option<CensusKey>,
}

/// One engine's reading of one page, as imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageReading {
    /// The engine's name, as given at import.
    pub engine: String,
    /// The name of the file that was imported.
    pub source_name: String,
    /// The checked page.
    pub page: Page,
}

/// A page: one image and what engines read on it.
#[derive(Clone, Debug)]
pub struct PageEntry {
    /// The digest of the image's bytes.
    pub id: Digest,
    /// The image's name without its extension: what people call the page.
    pub title: String,
    /// The image's file.
    pub image: PathBuf,
    /// Width and height of the image in pixels.
    pub size_px: (u32, u32),
    /// One for each engine, by engine name.
    pub readings: Vec<PageReading>,
}

/// A collection as read from its folder.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its settings.
    pub settings: Settings,
    /// Its folder.
    pub folder: PathBuf,
    /// Its pages, by title.
    pub pages: Vec<PageEntry>,
}

/// What is kept beside an image.
#[derive(Serialize, Deserialize)]
struct ImageNote {
    file: String,
    title: String,
    width: u32,
    height: u32,
}

/// The share of words drawn for the estimate where nothing else is said.
pub const CENSUS_SHARE: f64 = 0.15;

/// The largest JSON file that is read back from a collection's folder, in bytes.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Checks a collection's name: it becomes a folder and a part of addresses.
///
/// # Errors
/// `Invalid` when the name has another form than a topic's.
pub fn check_name(name: &str) -> Result<()> {
    record::Topic::parse(name).map(|_| ()).map_err(|_| {
        let shown: String = name.chars().take(80).collect();
        Error::invalid("a collection's name is 1 to 64 of a-z, 0-9, _ and -, beginning with a letter").with("found", shown)
    })
}

impl Collection {
    /// Opens a collection below `collections`, and makes it when it is not there.
    ///
    /// # Errors
    /// `Invalid` for a bad name; `Corrupt` when its files are not readable as what they should be; `Unavailable` when the disk fails or the
    /// system has no randomness to give.
    pub fn open_or_create(collections: &Path, name: &str) -> Result<Self> {
        check_name(name)?;
        let folder = collections.join(name);
        if !folder.join("collection.json").exists() {
            fs::create_dir_all(folder.join("pages")).map_err(|error| disk("make the folder", &folder, error))?;
            let settings = Settings {
                name: name.to_owned(),
                title: name.to_owned(),
                convention: Convention::default(),
                census_share: CENSUS_SHARE,
                census_key: Some(CensusKey::random()?),
            };
            write_json(&folder.join("collection.json"), &settings)?;
        }
        Self::open(&folder)
    }

    /// Reads a collection from its folder.
    ///
    /// # Errors
    /// `Corrupt` when a file in it is not what it should be; `Unavailable` when the disk fails.
    pub fn open(folder: &Path) -> Result<Self> {
        let settings: Settings = read_json(&folder.join("collection.json"))?;
        let mut pages = Vec::new();
        for entry in sorted_entries(&folder.join("pages"))? {
            if entry.is_dir()
                && let Some(page) = read_page_entry(&entry)?
            {
                pages.push(page);
            }
        }
        pages.sort_by(|a, b| a.title.cmp(&b.title).then(a.id.cmp(&b.id)));
        Ok(Self { settings, folder: folder.to_owned(), pages })
    }

    /// All collections below a folder, by name. A folder that is not there has none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_all(collections: &Path) -> Result<Vec<Self>> {
        if !collections.exists() {
            return Ok(Vec::new());
        }
        sorted_entries(collections)?.iter().filter(|entry| entry.join("collection.json").exists()).map(|entry| Self::open(entry)).collect()
    }

    /// Whether there is a collection of this name below `collections`.
    pub fn exists(collections: &Path, name: &str) -> bool {
        collections.join(name).join("collection.json").exists()
    }

    /// Takes a new title and, while there are no pages, a convention, and writes them.
    ///
    /// # Errors
    /// `Invalid` when the collection has pages and another convention; `Unavailable` when the disk fails.
    pub fn change(&mut self, title: Option<&str>, convention: Option<Convention>) -> Result<()> {
        if let Some(convention) = convention {
            if !self.pages.is_empty() && convention != self.settings.convention {
                return Err(Error::invalid("a collection keeps its convention: answers were given under it")
                    .with("collection", &self.settings.name)
                    .with("convention", &self.settings.convention.name)
                    .with("asked", convention.name));
            }
            self.settings.convention = convention;
        }
        if let Some(title) = title {
            title.clone_into(&mut self.settings.title);
        }
        self.save_settings()
    }

    /// Leaves the collection with the settings that it had before an import of which nothing was taken; one that was not there before
    /// goes, so that nothing is left behind that readers could choose.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails.
    pub fn restore(mut self, before: Option<Settings>) -> Result<()> {
        let Some(before) = before else { return self.remove() };
        self.settings = before;
        self.save_settings()
    }

    /// Takes the collection's folder away, with all that is in it.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).map_err(|error| disk("take away the folder", &self.folder, error))
    }

    /// Writes changed settings.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails.
    pub fn save_settings(&self) -> Result<()> {
        write_json(&self.folder.join("collection.json"), &self.settings)
    }
}

/// A word as a crowd is asked about it.
#[derive(Clone, Debug)]
pub struct WordTask {
    /// The place.
    pub task: Digest,
    /// The text at the place.
    pub reading: Digest,
    /// Whether the word belongs to the census share.
    pub census: bool,
    /// The line's index in the page.
    pub line: usize,
    /// The word's index in [`Page::words`] order.
    pub word: usize,
}

/// The tasks of one page's reading, in the order of its words. A second word with the same box and text is no task of its own.
pub fn word_tasks(settings: &Settings, page: &Digest, reading: &PageReading) -> Vec<WordTask> {
    let mut tasks: Vec<WordTask> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let words = reading.page.lines.iter().enumerate().flat_map(|(line, content)| content.words.iter().map(move |word| (line, word)));
    for (index, (line, word)) in words.enumerate() {
        let task = task_id(&settings.name, page, &word.rect);
        let reading = reading_id(&task, &reading.engine, &word.text);
        if seen.insert(reading) {
            tasks.push(WordTask { task, reading, census: census::includes(settings, &task), line, word: index });
        }
    }
    tasks
}

fn read_page_entry(folder: &Path) -> Result<Option<PageEntry>> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Ok(id) = Digest::parse(name) else { return Ok(None) };
    let note_path = folder.join("image.json");
    if !note_path.exists() {
        return Ok(None); // an import that was cut off before its image was whole
    }
    let note: ImageNote = read_json(&note_path)?;
    let mut readings = Vec::new();
    for file in sorted_entries(folder)? {
        if file.extension().is_some_and(|extension| extension == "json") && file != note_path {
            readings.push(read_json::<PageReading>(&file)?);
        }
    }
    readings.sort_by(|a, b| a.engine.cmp(&b.engine));
    let image = folder.join(&note.file);
    Ok(Some(PageEntry { id, title: note.title, image, size_px: (note.width, note.height), readings }))
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| disk("list the folder", folder, error))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(|error| disk("list the folder", folder, error))?;
    paths.sort();
    Ok(paths)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let length = fs::metadata(path).map_err(|error| disk("read", path, error))?.len();
    if length > JSON_BYTES_MAX {
        return Err(Error::corrupt("a file of the collection is larger than it can be").with("file", path.display()).with("bytes", length));
    }
    let bytes = fs::read(path).map_err(|error| disk("read", path, error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::corrupt("a file of the collection is not what it should be").with("file", path.display()).because(error))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::internal("cannot write as JSON").because(error))?;
    write_whole(path, &bytes)
}

/// Writes a file so that after a crash it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        match path.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&partial); // a full disk gets back what the attempt took
        disk("write", path, error)
    })
}

fn disk(what: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot {what}")).with("path", path.display()).because(error)
}

#[cfg(test)]
pub(crate) mod tests;
