//! `crowdread import DIR|FILE… --collection NAME`

use std::path::PathBuf;

use anyhow::Result;
use ocr::collection::{
    Collection,
    import::{self, Found, ImportReport, Imported},
};
use record::Error;

use super::{progress_bar, runtime};
use crate::{
    folder::{Claim, Folder, Owner},
    owner,
};

/// Take OCR files (PAGE XML, ALTO, hOCR, Tesseract TSV) and their images into a collection
#[derive(Debug, clap::Args)]
pub struct Args {
    /// OCR files, or folders with them and their images
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "crowdread-data")]
    data: PathBuf,
    /// The collection: 1 to 64 of a-z, 0-9, _ and -; made when it is new
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The engine's name, where the files do not say it
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The title that readers see (of a new or changed collection)
    #[arg(long)]
    title: Option<String>,
    /// When two texts count as equal: default or diplomatic (of a new collection)
    #[arg(long)]
    convention: Option<String>,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    ocr::collection::check_name(&args.collection)?;
    let report = match Folder::claim(&args.data)? {
        Claim::Ours(folder) => import_here(&args, &folder)?,
        Claim::Owned(owner) => runtime()?.block_on(import_there(&args, &owner))?,
    };
    for imported in report.imported.iter().filter(|imported| !imported.problems.is_empty()) {
        eprintln!("  {}: {} left out, the first: {}", imported.file, imported.problems.len(), imported.problems[0]);
    }
    for left_out in &report.left_out {
        eprintln!("  left out: {left_out}");
    }
    for failed in &report.failed {
        eprintln!("  {failed}");
    }
    let words: usize = report.imported.iter().map(|imported| imported.words).sum();
    eprintln!("{} pages with {words} words are in the collection {}", report.imported.len(), args.collection);
    if !report.failed.is_empty() {
        return Err(Error::invalid("some files were not imported").with("failed", report.failed.len()).into());
    }
    eprintln!("next: crowdread serve --data {}", args.data.display());
    Ok(())
}

fn import_here(args: &Args, folder: &Folder) -> Result<ImportReport> {
    let convention = args.convention.as_deref().map(ocr::convention::Convention::named).transpose()?;
    let collections = folder.join("collections");
    let is_new = !Collection::exists(&collections, &args.collection);
    let mut collection = Collection::open_or_create(&collections, &args.collection)?;
    collection.change(args.title.as_deref(), convention)?;
    let bar = progress_bar(0, "importing");
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let report = import::import_paths(&mut collection, &args.paths, args.engine.as_deref(), &progress);
    bar.finish_and_clear();
    if is_new && report.as_ref().map_or(true, |report| report.imported.is_empty()) {
        collection.remove()?; // nothing is left behind that readers could choose
    }
    Ok(report?)
}

async fn import_there(args: &Args, owner: &Owner) -> Result<ImportReport> {
    let found = Found::below(&args.paths)?;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/collections/{}/pages", owner.url, args.collection);
    let bar = progress_bar(found.ocr.len() as u64, "uploading");
    let mut report = ImportReport { left_out: found.left_out.clone(), ..ImportReport::default() };
    for ocr in &found.ocr {
        let upload = async {
            let files = import::read_files(&found, ocr)?;
            let part = |bytes: Vec<u8>, name: String| reqwest::multipart::Part::bytes(bytes).file_name(name);
            let mut form = reqwest::multipart::Form::new()
                .part("ocr", part(files.ocr, files.ocr_name))
                .part("image", part(files.image, files.image_name));
            for (name, value) in [("engine", &args.engine), ("title", &args.title), ("convention", &args.convention)] {
                if let Some(value) = value {
                    form = form.text(name, value.clone());
                }
            }
            let sent = client.post(&url).bearer_auth(&owner.token).multipart(form).send().await;
            owner::read::<Imported>(
                sent.map_err(|error| Error::unavailable("the server does not answer").with("url", &url).because(error))?,
            )
            .await
        };
        match upload.await {
            Ok(imported) => report.imported.push(imported),
            Err(error) => report.failed.push(format!("{}: {error:#}", ocr.display())),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}
