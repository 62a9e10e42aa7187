//! `crowdread import DIR|FILE… --collection NAME`

use std::path::{Path, PathBuf};

use anyhow::Result;
use ocr::{
    collection::{
        Collection, Settings,
        import::{self, Batch, Found, Imported, PageFiles},
    },
    convention::Convention,
};
use record::Error;

use super::runtime;
use crate::{
    console::{progress_bar, say},
    failure,
    folder::{Claim, Folder, Owner},
    owner,
    settings::{self, Flags},
};

/// Take OCR files (PAGE XML, ALTO, hOCR, Tesseract TSV) and their images into a collection
#[derive(Debug, clap::Args)]
pub struct Args {
    /// OCR files, or folders with them and their images
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// The data folder; made when it is not there [default: as set, else ./crowdread-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The collection: a letter, then at most 63 more of a-z, 0-9, _ and -; made when it is new
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
    /// The settings file [default: ./crowdread.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where pages go.
enum Target<'a> {
    /// Into the folder, which is ours.
    Here { collection: Box<Collection>, batch: Batch, before: Option<Settings> },
    /// To the server that owns it.
    There { runtime: tokio::runtime::Runtime, client: reqwest::Client, owner: &'a Owner },
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    ocr::collection::check_name(&args.collection)?;
    args.convention.as_deref().map(Convention::named).transpose()?;
    let data = settings::load(&Flags { data: args.data.clone(), config: args.config.clone(), ..Flags::default() })?.data;
    // Before the folder is made: a mistyped path leaves nothing behind.
    let found = Found::below(&args.paths)?;
    if found.ocr.is_empty() {
        return Err(Error::invalid("no OCR files there: expected PAGE XML, ALTO, hOCR or Tesseract TSV beside their images")
            .with("images", found.images.len())
            .with("mend", "crowdread ocr IMAGE… --lang LANG --out DIR makes them")
            .into());
    }
    let claim = Folder::claim(&data)?;
    for left_out in &found.left_out {
        say(format_args!("  left out: {left_out}"));
    }
    let mut target = match &claim {
        Claim::Ours(folder) => open_here(&args, folder)?,
        Claim::Owned(owner) => Target::There { runtime: runtime()?, client: reqwest::Client::new(), owner },
    };
    let (mut pages, mut words, mut kinds) = (0_usize, 0, Vec::new());
    let bar = progress_bar(found.ocr.len() as u64, "importing");
    for ocr in &found.ocr {
        match import::read_files(&found, ocr).map_err(Into::into).and_then(|files| target.take(&args, ocr, files)) {
            Ok(imported) => {
                pages += 1;
                words += imported.words;
                if let Some(first) = imported.problems.first() {
                    bar.suspend(|| say(format_args!("  {}: {} left out, the first: {first}", imported.file, imported.problems.len())));
                }
            }
            Err(error) => {
                kinds.push(failure::kind(&error));
                bar.suspend(|| say(format_args!("  {}: {}", ocr.display(), failure::told(&error))));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if pages == 0 {
        target.undo()?;
        let error = failure::some_failed("nothing was imported: what is wrong with each file stands above", &kinds);
        return Err(error.with("collection", format_args!("{}, as before", args.collection)).into());
    }
    say(format_args!("{pages} of {} pages, with {words} words, are now in the collection {}", found.ocr.len(), args.collection));
    if !kinds.is_empty() {
        return Err(failure::some_failed("some files were not imported: what is wrong with each stands above", &kinds).into());
    }
    match &claim {
        Claim::Ours(_) => say(format_args!("next: crowdread serve --data {}", data.display())),
        Claim::Owned(owner) => say(format_args!("they are open to readers at {}", owner.url)),
    }
    Ok(())
}

fn open_here(args: &Args, folder: &Folder) -> Result<Target<'static>> {
    let convention = args.convention.as_deref().map(Convention::named).transpose()?;
    let collections = folder.join("collections");
    let is_new = !Collection::exists(&collections, &args.collection);
    let mut collection = Collection::open_or_create(&collections, &args.collection)?;
    let before = (!is_new).then(|| collection.settings.clone());
    collection.change(args.title.as_deref(), convention)?;
    Ok(Target::Here { collection: Box::new(collection), batch: Batch::default(), before })
}

impl Target<'_> {
    /// Takes one page.
    fn take(&mut self, args: &Args, ocr: &Path, files: PageFiles) -> Result<Imported> {
        match self {
            Self::Here { collection, batch, .. } => Ok(batch.import_page(collection, ocr, &files, args.engine.as_deref())?),
            Self::There { runtime, client, owner } => runtime.block_on(upload(args, client, owner, files)),
        }
    }

    /// Leaves the collection as it was before, and none where there was none. A server does that itself.
    fn undo(self) -> Result<()> {
        match self {
            Self::Here { collection, before, .. } => Ok(collection.restore(before)?),
            Self::There { .. } => Ok(()),
        }
    }
}

async fn upload(args: &Args, client: &reqwest::Client, owner: &Owner, files: PageFiles) -> Result<Imported> {
    let url = format!("{}/v1/collections/{}/pages", owner.url, args.collection);
    let part = |bytes: Vec<u8>, name: String| reqwest::multipart::Part::bytes(bytes).file_name(name);
    let mut form =
        reqwest::multipart::Form::new().part("ocr", part(files.ocr, files.ocr_name)).part("image", part(files.image, files.image_name));
    for (name, value) in [("engine", &args.engine), ("title", &args.title), ("convention", &args.convention)] {
        if let Some(value) = value {
            form = form.text(name, value.clone());
        }
    }
    let sent = client.post(&url).bearer_auth(&owner.token).multipart(form).send().await;
    owner::read(sent.map_err(|error| owner::away(&url, error))?).await
}
