//! `crowdread infer LABELS.csv`

use std::{fs::File, path::PathBuf};

use analysis::infer::{self, Method};
use anyhow::Result;
use record::Error;

use crate::console::{print, spinner};

/// Infer true labels from a CSV file with columns item (or task), worker, label
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The labels: a CSV file with a first line that names the columns item (or task), worker and label
    #[arg(value_name = "LABELS.csv")]
    labels: PathBuf,
    /// True labels to compare with: columns item and truth (or label)
    #[arg(long, value_name = "TRUTH.csv")]
    truth: Option<PathBuf>,
    /// majority or dawid-skene
    #[arg(long, default_value = "dawid-skene")]
    method: String,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let open = |path: &PathBuf| {
        File::open(path).map_err(|error| Error::invalid("cannot open the file").with("file", path.display()).because(error))
    };
    let method: Method = args.method.parse()?;
    let labels = open(&args.labels)?;
    let truth = args.truth.as_ref().map(open).transpose()?;
    let work = spinner("inferring");
    let report = infer::infer(labels, truth, method)?;
    work.finish_and_clear();
    if args.json {
        print(serde_json::to_string(&report)?)?;
    } else {
        print(report.to_text())?;
    }
    Ok(())
}
