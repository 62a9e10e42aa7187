//! `crowdread serve` and `crowdread config`

use anyhow::Result;

use super::runtime;
use crate::{
    folder::Folder,
    server::{Server, shutdown_signal},
    settings::{self, Flags},
};

/// Serve the pages to readers, take their answers, and land them in the table
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until interrupted.
pub fn run(args: Args) -> Result<()> {
    let settings = settings::load(&args.flags)?;
    let folder = Folder::claim_for_server(&settings.data)?;
    runtime()?.block_on(async {
        let end = shutdown_signal()?;
        let listener = crate::server::listen(&settings.listen).await?;
        let server = Server::start(settings, folder, listener).await?;
        eprintln!("crowdread serves on {}", server.url());
        for line in server.overview() {
            eprintln!("  {line}");
        }
        eprintln!("  pages {0}/  board {0}/board  end with Ctrl-C", server.url());
        let ended = server.run_until(end).await;
        eprintln!("ended; every stored record is in the table or in the journal");
        ended
    })
}

/// Prints the settings.
pub fn print_config(args: Args) -> Result<()> {
    println!("{}", settings::explain(&args.flags)?);
    Ok(())
}
