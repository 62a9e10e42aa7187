//! `crowdread export --format F --out DIR`

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use ocr::{
    collection::Collection,
    corrections::{self, PageCorrections},
    formats::Format,
};
use record::{Clock, Error, SystemClock};

use super::{Place, Source, open, runtime};
use crate::{console::say, owner, server};

/// Write the corrected pages: each in the format that it came in, or all in another
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// alto, page, hocr, tsv or text [default: as imported]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The folder to write to; made when it is not there, files of the same names are written over
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let target = args.format.as_deref().map(str::parse::<Format>).transpose()?;
    let settings = args.place.settings()?;
    let (name, corrections) = match open(&settings.data)? {
        Source::Folder(folder) => {
            let live = runtime()?.block_on(server::load_live(&folder, &settings))?;
            let name = args.place.collection_of(&live.names())?;
            let live = live.get(&name)?;
            let corrections = corrections::of(&ocr::live::lock(&live));
            (name, corrections)
        }
        Source::Server(server) => runtime()?.block_on(async {
            let name = args.place.collection_of(&owner::collections(&server).await?)?;
            let corrections: Vec<PageCorrections> = owner::ask(&server, &format!("/v1/collections/{name}/corrections")).await?;
            Ok::<_, anyhow::Error>((name, corrections))
        })?,
    };
    // Also beside a server, which is on this machine: it writes each file of a page whole, and a page's reading last, before it tells
    // anybody of the page.
    let collection = Collection::open(&settings.data.join("collections").join(&name))?;
    let files = write_files(&collection, &corrections, target, &args.out)?;
    let mended: usize = corrections.iter().map(|page| page.words.len()).sum();
    say(format_args!("{files} pages with {mended} words mended are in {}", args.out.display()));
    Ok(())
}

/// Writes the corrected pages into a folder; gives how many. Fails after it if any could not be written.
pub fn write_files(collection: &Collection, corrections: &[PageCorrections], target: Option<Format>, out: &Path) -> Result<usize> {
    let failed =
        |error: std::io::Error| Error::unavailable("cannot write the corrected pages").with("folder", out.display()).because(error);
    fs::create_dir_all(out).map_err(failed)?;
    let corrected = corrections::files(collection, corrections, target, SystemClock::new().now());
    for file in &corrected.files {
        fs::write(out.join(&file.name), &file.bytes).map_err(failed)?;
    }
    for error in &corrected.failed {
        say(format_args!("  {error}"));
    }
    if let Some(first) = corrected.failed.first() {
        let error = Error::new(first.kind(), "some pages were not written; the rest are there");
        return Err(error
            .with("failed", corrected.failed.len())
            .with("written", corrected.files.len())
            .with("folder", out.display())
            .into());
    }
    Ok(corrected.files.len())
}
