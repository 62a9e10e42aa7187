//! `crowdread journal inspect|verify DIR`

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use queue::journal::inspect;

use crate::console::{print, print_text, spinner};

/// Look at a journal: what is in it, and whether it is whole. Changes nothing, and may look beside a running server
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the segments: base offset, records, bytes used, first and last time, state
    Inspect {
        #[command(flatten)]
        place: Place,
    },
    /// Read every entry and check its checksums. Ends with 0 when all is whole, 4 when something is damaged, 2 when there is no journal
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// A journal's folder, or a data folder that has one
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let (place, verifies) = match args.command {
        Command::Inspect { place } => (place, false),
        Command::Verify { place } => (place, true),
    };
    let work = spinner("reading the journal");
    let found = inspect(&place.dir)?;
    work.finish_and_clear();
    if place.json {
        print(serde_json::to_string(&found)?)?;
    } else if verifies {
        print_text(found.verdict_text())?;
    } else {
        print_text(found.to_text())?;
    }
    if verifies {
        found.check_whole()?;
    }
    Ok(())
}
