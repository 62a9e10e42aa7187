//! What people's answers change: for each page the words whose likeliest text is not the engine's.

use record::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    collection::{Collection, import::source_bytes},
    export,
    formats::{self, Format, WordCorrection},
    live::LiveCollection,
};

/// The corrections of one engine's reading of one page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        let of_reading = |reading: &crate::collection::PageReading| PageCorrections {
            page: page.id.to_string(),
            engine: reading.engine.clone(),
            words: Vec::new(),
        };
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

/// The corrected pages as files: each in the format that it came in, or all in `target`.
///
/// # Errors
/// `Invalid` when a correction names a page that the collection does not have; else what writing the format gives.
pub fn files(
    collection: &Collection,
    corrections: &[PageCorrections],
    target: Option<Format>,
    written_at: Timestamp,
) -> Result<Vec<CorrectedFile>> {
    let mut files = Vec::new();
    for of_page in corrections {
        let page = collection.pages.iter().find(|page| page.id.to_string() == of_page.page);
        let reading = page.and_then(|page| page.readings.iter().find(|reading| reading.engine == of_page.engine));
        let (Some(page), Some(reading)) = (page, reading) else {
            return Err(Error::invalid("a correction of a page that is not in the collection").with("page", &of_page.page));
        };
        let source = source_bytes(collection, &page.id, reading)?;
        let original = export::Original { name: &reading.source_name, bytes: &source };
        let target = match target {
            Some(target) => target,
            None => formats::detect(original.name, original.bytes)?,
        };
        let several = page.readings.len() > 1;
        let stem = if several { format!("{}.{}", page.title, file_part(&reading.engine)) } else { page.title.clone() };
        let bytes = export::corrected(original, &reading.page, &of_page.words, target, written_at)?;
        files.push(CorrectedFile { name: format!("{stem}.{}", target.ending()), bytes });
    }
    Ok(files)
}

/// An engine's name as a part of a file's name.
fn file_part(engine: &str) -> String {
    engine.chars().map(|letter| if letter.is_alphanumeric() || letter == '-' { letter } else { '_' }).collect()
}
