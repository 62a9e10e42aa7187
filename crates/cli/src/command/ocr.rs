//! `crowdread ocr IMAGE… --lang spa --out DIR`

use std::path::PathBuf;

use anyhow::Result;
use ocr::engine;

use super::progress_bar;

/// Read images with the tesseract program; its files stand beside a link to each image
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images: PNG, JPEG or TIFF
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The language data, such as spa, eng, deu, frk or script/Fraktur; several with +
    #[arg(long, value_name = "LANG")]
    lang: String,
    /// The folder to write to
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
        eprintln!("  {}: {error}", image.display());
    }
    eprintln!("{} of {} images read by {} into {}", report.written.len(), args.images.len(), report.engine, args.out.display());
    if !report.failed.is_empty() {
        return Err(record::Error::invalid("some images were not read").with("failed", report.failed.len()).into());
    }
    eprintln!("next: crowdread import {} --collection NAME --engine tesseract", args.out.display());
    Ok(())
}
