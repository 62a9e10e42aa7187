//! `crowdread report`

use std::path::PathBuf;

use anyhow::Result;
use ocr::{
    live::Thoroughness,
    report::{self, Report},
};

use super::{Place, Source, open, runtime, write_file};
use crate::{
    console::{print, print_text, say, spinner},
    owner, server,
};

/// Tell how accurate the engine is, what was mended, and who read how well
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Write the report as an HTML page too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let settings = args.place.settings()?;
    let work = spinner("counting the answers");
    let report: Report = match open(&settings.data)? {
        Source::Folder(folder) => {
            let live = runtime()?.block_on(server::load_live(&folder, &settings))?;
            let name = args.place.collection_of(&live.names())?;
            let live = live.get(&name)?;
            let mut live = ocr::live::lock(&live);
            live.refit();
            live.update_accuracy(Thoroughness::Full);
            Report::of(&live)
        }
        Source::Server(server) => runtime()?.block_on(async {
            let name = args.place.collection_of(&owner::collections(&server).await?)?;
            owner::ask(&server, &format!("/v1/collections/{name}/report")).await
        })?,
    };
    work.finish_and_clear();
    if let Some(path) = &args.html {
        write_file(path, "the report", report::to_html(&report))?;
        say(format_args!("the report is in {}", path.display()));
    }
    if args.json {
        print(serde_json::to_string(&report)?)?;
    } else {
        print_text(report::to_text(&report))?;
    }
    Ok(())
}
