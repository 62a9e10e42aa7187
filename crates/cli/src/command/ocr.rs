//! `crowdread ocr IMAGE… --lang spa --out DIR`

use std::path::PathBuf;

use anyhow::Result;
use ocr::engine;
use record::ErrorKind;

use crate::{
    console::{progress_bar, say},
    failure,
};

/// Read images with the tesseract program; its files stand beside a link to each image
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images: PNG, JPEG or TIFF
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The language data, such as spa, eng, deu, frk or script/Fraktur; several with +
    #[arg(long, value_name = "LANG")]
    lang: String,
    /// The folder to write to; made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let bar = progress_bar(args.images.len() as u64, "reading");
    let config = engine::Config::new(args.lang, &args.out);
    let report = engine::run(&config, &args.images, &|done, _, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    for (image, error) in &report.failed {
        say(format_args!("  {}: {error}", image.display()));
    }
    let (read, all, out) = (report.written.len(), args.images.len(), args.out.display());
    say(format_args!("{read} of {all} images read by {} into {out}", report.engine));
    if !report.failed.is_empty() {
        let kinds: Vec<ErrorKind> = report.failed.iter().map(|(_, error)| error.kind()).collect();
        return Err(failure::some_failed("some images were not read", &kinds).into());
    }
    say(format_args!("next: crowdread import {out} --collection NAME --engine tesseract"));
    Ok(())
}
