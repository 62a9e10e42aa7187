//! `crowdread evaluate OCR TRUTH`

use std::path::PathBuf;

use anyhow::Result;
use ocr::{convention::Convention, evaluate_files::evaluate_files};

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
    let compared = evaluate_files(&args.ocr, &args.truth, &convention)?;
    for problem in &compared.problems {
        eprintln!("  {problem}");
    }
    if args.json {
        println!("{}", serde_json::to_string(&compared.evaluation)?);
    } else {
        print!("{}", compared.evaluation);
    }
    Ok(())
}
