//! `crowdread report`

use std::path::PathBuf;

use anyhow::Result;
use ocr::{
    live::Thoroughness,
    report::{self, Report},
};
use record::Error;

use super::{Place, Source, runtime};
use crate::{owner, server};

/// Tell how accurate the engine is, what was mended, and who read how well
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Where the tables are [default: DIR/lake]
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// Write the report as an HTML page too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let report: Report = match args.place.open()? {
        Source::Folder(folder) => {
            let live = runtime()?.block_on(server::load_live(&folder, args.lake.as_deref()))?;
            let name = args.place.collection_of(&live.names())?;
            let live = live.get(&name)?;
            let mut live = ocr::live::lock(&live);
            live.refit();
            live.update_accuracy(Thoroughness::Full);
            Report::of(&live)?
        }
        Source::Server(server) => runtime()?.block_on(async {
            let name = args.place.collection_of(&owner::collections(&server).await?)?;
            owner::ask(&server, &format!("/v1/collections/{name}/report")).await
        })?,
    };
    if let Some(path) = &args.html {
        std::fs::write(path, report::to_html(&report))
            .map_err(|error| Error::unavailable("cannot write the report").with("file", path.display()).because(error))?;
        eprintln!("the report is in {}", path.display());
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report::to_text(&report));
    }
    Ok(())
}
