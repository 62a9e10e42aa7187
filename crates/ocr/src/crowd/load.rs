//! The crowd's knowledge of what is printed, from files of true text and a running server.
//!
//! files of true text + the server's pages → paired by name → aligned to the engine's boxes → task → printed text
//!
//! Only the crowd reads these files; the server never does. `crowdread crowd --truth` calls this before `run`.

use std::{collections::HashMap, fs, path::Path};

use record::{Error, Result};
use serde::Deserialize;

use super::{
    connection::{Connection, server_address},
    printed::{PrintedWords, choose_collection},
};
use crate::{align::align, convention::Convention, formats, page::Page};

/// The largest file of true text that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The most files of true text in a folder.
const FILES_MAX: usize = 100_000;

/// What was found out.
#[derive(Clone, Debug)]
pub struct LoadedTruth {
    /// What is printed in each box of the pages that have a true text.
    pub printed: PrintedWords,
    /// The collection's name.
    pub collection: String,
    /// Pages that have a true text.
    pub pages: usize,
    /// Titles of the server's pages that have none: their words will not be answered.
    pub pages_without_truth: Vec<String>,
    /// Files that could not be used, and why.
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
struct PageList {
    pages: Vec<ListedPage>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ListedPage {
    pub id: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub image_name: Option<String>,
    #[serde(default)]
    pub width: u32,
    #[serde(default)]
    pub height: u32,
}

#[derive(Deserialize)]
struct ServedPage {
    page: Page,
    tasks: Vec<Option<String>>,
}

/// One page within a file of true text.
#[derive(Clone, Debug)]
pub(crate) struct TruePage {
    pub file: String,
    pub bytes: bytes::Bytes,
    pub index: usize,
    pub image_name: Option<String>,
}

/// Reads the true text of a collection's pages from a folder or one file, and aligns it to the words that the server serves.
///
/// # Errors
/// `Invalid` when the folder or collection cannot be used, or no page has a true text; `Unavailable` when the server does not answer.
pub async fn load(url: &str, collection: Option<&str>, folder: &Path, convention: &Convention) -> Result<LoadedTruth> {
    let connection = Connection::new(&server_address(url)?)?;
    let collection = choose_collection(&connection, collection).await?;
    let mut problems = Vec::new();
    let truths = read_folder(folder, &mut problems)?;
    let base = ["v1", "collections", &collection, "pages"];
    let listed: PageList = connection.get(connection.address(&base, &[]), None).await?.json("GET /v1/collections/{name}/pages")?;
    let pairs = pair(&listed.pages, &truths);
    let (mut of_task, mut pages, mut pages_without_truth) = (HashMap::new(), 0, Vec::new());
    for (page, truth) in listed.pages.iter().zip(pairs) {
        let title = if page.title.is_empty() { &page.id } else { &page.title };
        let Some(truth) = truth.map(|index| &truths[index]) else {
            pages_without_truth.push(title.clone());
            continue;
        };
        let address = connection.address(&[base.as_slice(), &[page.id.as_str()]].concat(), &[]);
        let served: ServedPage = connection.get(address, None).await?.json("GET /v1/collections/{name}/pages/{id}")?;
        match printed_of(&served, truth, (page.width, page.height), convention) {
            Ok(printed) => {
                of_task.extend(printed);
                pages += 1;
            }
            Err(error) => {
                problems.push(error.to_string());
                pages_without_truth.push(title.clone());
            }
        }
    }
    if pages == 0 {
        return Err(Error::invalid("no file of true text belongs to a page of this collection: name files as the pages' images")
            .with("collection", &collection)
            .with("truth", folder.display())
            .with("pages", pages_without_truth.iter().take(5).cloned().collect::<Vec<_>>().join(", "))
            .with("problems", problems.iter().take(5).cloned().collect::<Vec<_>>().join("; ")));
    }
    Ok(LoadedTruth { printed: PrintedWords::new(convention.clone(), of_task), collection, pages, pages_without_truth, problems })
}

/// The pages of all files of true text, in the files' alphabetic order.
pub(crate) fn read_folder(folder: &Path, problems: &mut Vec<String>) -> Result<Vec<TruePage>> {
    let cannot = |error: std::io::Error| Error::invalid("cannot read this file or folder").with("path", folder.display()).because(error);
    let is_one_file = fs::metadata(folder).map_err(cannot)?.is_file();
    let mut files = if is_one_file { vec![folder.to_owned()] } else { Vec::new() };
    if !is_one_file {
        for entry in fs::read_dir(folder).map_err(cannot)?.take(FILES_MAX) {
            let path = entry.map_err(cannot)?.path();
            let is_text = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
            if path.is_file() && (is_text || formats::is_ocr_name(&path)) {
                files.push(path);
            }
        }
        files.sort();
    }
    let mut pages = Vec::new();
    for path in files {
        match read_file(&path) {
            Ok(read) => pages.extend(read),
            Err(error) => problems.push(error.to_string()),
        }
    }
    Ok(pages)
}

fn read_file(path: &Path) -> Result<Vec<TruePage>> {
    let cannot = |error: std::io::Error| Error::invalid("cannot read a file of true text").with("file", path.display()).because(error);
    let size = fs::metadata(path).map_err(cannot)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Error::invalid("a file of true text is too large").with("file", path.display()).with("bytes", size));
    }
    let bytes = bytes::Bytes::from(fs::read(path).map_err(cannot)?);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = formats::image_names(&file, &bytes)?;
    let page = |(index, image_name)| TruePage { file: file.clone(), bytes: bytes.clone(), index, image_name };
    Ok(names.into_iter().enumerate().map(page).collect())
}

/// Which true page belongs to each of the server's pages: by the image's name inside the file, failing that by the file's own
/// name; a single page and a single true page belong together whatever their names. A true page goes to one page.
pub(crate) fn pair(pages: &[ListedPage], truths: &[TruePage]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; pages.len()];
    let mut taken = vec![false; truths.len()];
    let by_image = |page: &ListedPage, truth: &TruePage| truth.image_name.as_deref().is_some_and(|name| is_name_of(page, name));
    let by_file = |page: &ListedPage, truth: &TruePage| is_name_of(page, &truth.file);
    for belongs in [&by_image as &dyn Fn(&ListedPage, &TruePage) -> bool, &by_file] {
        for (page, pair) in pages.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            *pair = (0..truths.len()).find(|&index| !taken[index] && belongs(page, &truths[index]));
            if let Some(index) = *pair {
                taken[index] = true;
            }
        }
    }
    // One of each: nothing else can be meant, whatever the names.
    if pages.len() == 1 && truths.len() == 1 { vec![Some(0)] } else { pairs }
}

/// Whether a file's name, folders and ending aside, is that of a page's image, or its id or title.
fn is_name_of(page: &ListedPage, name: &str) -> bool {
    let wanted = stem(name);
    let names = [page.image_name.as_deref(), Some(&page.id), Some(&page.title)];
    !wanted.is_empty() && names.into_iter().flatten().any(|known| stem(known) == wanted || known == wanted)
}

/// The name without folders and without its ending; `page.gt.txt` is `page`.
fn stem(name: &str) -> &str {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = match name.rsplit_once('.') {
        // A dot within a title is no ending.
        Some((stem, ending)) if (1..=5).contains(&ending.len()) && ending.chars().all(|letter| letter.is_ascii_alphanumeric()) => stem,
        _ => name,
    };
    stem.strip_suffix(".gt").unwrap_or(stem)
}

/// What is printed in each task's box of a page.
fn printed_of(
    served: &ServedPage,
    truth: &TruePage,
    size_px: (u32, u32),
    convention: &Convention,
) -> Result<Vec<(String, Option<String>)>> {
    let mut pages = formats::read_for_image(&truth.file, &truth.bytes, size_px)?;
    if truth.index >= pages.len() {
        return Err(Error::internal("a file of true text has changed its number of pages").with("file", &truth.file));
    }
    let truth = pages.swap_remove(truth.index).page;
    let aligned = align(&served.page, &truth, convention).truth_of;
    if aligned.len() != served.tasks.len() {
        return Err(Error::internal("the server's page has another number of tasks than words")
            .with("words", aligned.len())
            .with("tasks", served.tasks.len()));
    }
    Ok(served.tasks.iter().zip(aligned).filter_map(|(task, printed)| task.clone().map(|task| (task, printed))).collect())
}
