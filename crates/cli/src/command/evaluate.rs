//! `crowdread evaluate OCR TRUTH`

use std::path::PathBuf;

use anyhow::Result;
use ocr::{convention::Convention, evaluate_files::evaluate_files};
use record::Error;

use crate::console::{print, print_text, say, spinner};

/// Compare OCR files with true text: words right over boxes, printed words without a box, CER and WER
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The OCR file, or a folder of them
    ocr: PathBuf,
    /// The true text (PAGE XML, ALTO, text, TSV), or a folder of them; paired by name
    truth: PathBuf,
    /// When two texts count as equal: default or diplomatic
    #[arg(long, default_value = "default")]
    convention: String,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let convention = Convention::named(&args.convention)?;
    let work = spinner("comparing");
    let compared = evaluate_files(&args.ocr, &args.truth, &convention)?;
    work.finish_and_clear();
    for problem in &compared.problems {
        say(format_args!("  {problem}"));
    }
    if args.json {
        print(serde_json::to_string(&compared.evaluation)?)?;
    } else {
        print_text(&compared.evaluation)?;
    }
    if !compared.problems.is_empty() {
        return Err(Error::invalid("some files were not compared; the figures are of the others")
            .with("problems", compared.problems.len())
            .into());
    }
    Ok(())
}
