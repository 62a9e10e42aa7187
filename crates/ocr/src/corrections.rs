//! What people's answers change: for each page the words whose likeliest text is not the engine's.

use record::{Digest, Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    collection::{Collection, PageEntry, PageReading, import::source_bytes},
    export,
    formats::{self, Format, WordCorrection},
    live::LiveCollection,
};

/// The corrections of one engine's reading of one page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PageCorrections {
    /// The page's id.
    pub page: String,
    /// The engine.
    pub engine: String,
    /// The words to mend, by their order on the page.
    pub words: Vec<WordCorrection>,
}

/// A corrected page as a file.
#[derive(Debug)]
pub struct CorrectedFile {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All corrections of a collection, also of pages without any.
pub fn of(live: &LiveCollection) -> Vec<PageCorrections> {
    let mut pages: Vec<Vec<PageCorrections>> = Vec::new();
    for page in live.pages() {
        let of_reading =
            |reading: &PageReading| PageCorrections { page: page.id.to_string(), engine: reading.engine.clone(), words: Vec::new() };
        pages.push(page.readings.iter().map(of_reading).collect());
    }
    for (index, entry) in live.words().iter().enumerate() {
        let verdict = live.verdict(index as u32);
        if let Some((text, posterior)) = verdict.correction() {
            let correction = WordCorrection { word: entry.word, text: text.to_owned(), by: "crowd".to_owned(), posterior };
            pages[entry.page][entry.engine].words.push(correction);
        }
    }
    pages.into_iter().flatten().collect()
}

/// The corrected pages, and those that could not be written.
#[derive(Debug, Default)]
pub struct CorrectedFiles {
    /// The files.
    pub files: Vec<CorrectedFile>,
    /// What is wrong with the others, each with its page.
    pub failed: Vec<Error>,
}

/// The corrected pages as files: each in the format that it came in, or all in `target`. A page that cannot be written does not stop
/// the rest.
///
/// A file has the name of its page's image; a page of which engines have several readings has the engine's too, and pages of one name
/// have a part of their ids, so that names are the same in every export of the same pages.
pub fn files(collection: &Collection, corrections: &[PageCorrections], target: Option<Format>, written_at: Timestamp) -> CorrectedFiles {
    let mut done = CorrectedFiles::default();
    for of_page in corrections {
        match file(collection, of_page, target, written_at) {
            Ok(file) => done.files.push(file),
            Err(error) => done.failed.push(error.with("page", &of_page.page).with("engine", &of_page.engine)),
        }
    }
    done
}

fn file(collection: &Collection, of_page: &PageCorrections, target: Option<Format>, written_at: Timestamp) -> Result<CorrectedFile> {
    let page = collection.pages.iter().find(|page| page.id.to_string() == of_page.page);
    let reading = page.and_then(|page| page.readings.iter().find(|reading| reading.engine == of_page.engine));
    let (Some(page), Some(reading)) = (page, reading) else {
        return Err(Error::invalid("a correction of a page that is not in the collection"));
    };
    let name = name_of(collection, page, reading);
    let corrected = || {
        let source = source_bytes(collection, &page.id, reading)?;
        let original = export::Original { name: &reading.source_name, bytes: &source };
        let target = match target {
            Some(target) => target,
            None => formats::detect(original.name, original.bytes)?,
        };
        let bytes = export::corrected(original, &reading.page, &of_page.words, target, written_at)?;
        Ok(CorrectedFile { name: format!("{name}.{}", target.ending()), bytes })
    };
    corrected().map_err(|error: Error| error.with("title", &page.title))
}

/// How many digits of a page's id tell pages of one name apart.
const ID_DIGITS: usize = 8;

/// The name of a reading's file, without its ending. Names that differ in capitals only are one name on some systems.
fn name_of(collection: &Collection, page: &PageEntry, reading: &PageReading) -> String {
    let same = |a: &str, b: &str| file_part(a).to_lowercase() == file_part(b).to_lowercase();
    let mut name = file_part(&page.title);
    if collection.pages.iter().any(|other| other.id != page.id && same(&other.title, &page.title)) {
        name = format!("{name}.{}", &page.id.to_string()[..ID_DIGITS]);
    }
    if page.readings.len() > 1 {
        name = format!("{name}.{}", file_part(&reading.engine));
        if page.readings.iter().any(|other| other.engine != reading.engine && same(&other.engine, &reading.engine)) {
            name = format!("{name}.{}", &Digest::of(&[reading.engine.as_bytes()]).to_string()[..ID_DIGITS]);
        }
    }
    name
}

/// A title or an engine's name as a part of a file's name: what means a folder to some system, or hides a file, is taken out.
fn file_part(name: &str) -> String {
    const FORBIDDEN: [char; 9] = ['/', '\\', ':', '*', '?', '"', '<', '>', '|'];
    let part: String = name.chars().map(|letter| if FORBIDDEN.contains(&letter) || letter.is_control() { '_' } else { letter }).collect();
    if part.is_empty() || part.starts_with('.') { format!("_{part}") } else { part }
}

#[cfg(test)]
mod tests;
