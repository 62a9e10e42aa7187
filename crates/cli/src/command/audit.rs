//! `crowdread audit`

use anyhow::Result;
use loader::Audit;

use super::{LakePlace, Source, open, runtime};
use crate::{
    console::{print, print_text, spinner},
    owner,
    server::books,
};

/// Count again: whether every stored record is in its table once, a repeat, a dead letter, or on its way, by topic and minute. Ends
/// with 0 when the books balance and with 4 when they do not
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: LakePlace,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let settings = args.place.settings()?;
    let work = spinner("counting stored records and rows");
    let audit: Audit = match open(&settings.data)? {
        Source::Folder(folder) => runtime()?.block_on(books::audit_folder(&folder, &settings))?,
        Source::Server(server) => runtime()?.block_on(owner::ask(&server, books::AUDIT_PATH))?,
    };
    work.finish_and_clear();
    if args.json {
        print(serde_json::to_string(&audit)?)?;
    } else {
        print_text(audit.to_text())?;
    }
    Ok(audit.check()?)
}
