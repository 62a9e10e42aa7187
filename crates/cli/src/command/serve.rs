//! `crowdread serve` and `crowdread config`

use std::io::{IsTerminal, stderr};

use anyhow::Result;

use super::runtime;
use crate::{
    address,
    console::{print, say},
    folder::Folder,
    interrupt,
    server::{self, Server},
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
        let end = interrupt::catch()?;
        let listener = server::listen(&settings.listen, "choose another with --listen").await?;
        let server = Server::start(settings, folder, listener).await?;
        greet(&server)?;
        let ended = server.run_until(end.cancelled()).await;
        say("ended; every stored record is in the table or in the journal");
        ended
    })
}

fn greet(server: &Server) -> Result<()> {
    let read = server.join_url();
    let board = format!("{}/board", read.trim_end_matches('/'));
    if stderr().is_terminal() && !read.starts_with("http://127.") && !read.starts_with("http://[::1]") {
        say(address::qr_code(read)?);
    }
    say(format_args!("crowdread serves on {}", server.url()));
    for line in server.overview() {
        say(format_args!("  {line}"));
    }
    say(format_args!("  read    {read}"));
    say(format_args!("  board   {board}"));
    for (door, address) in server.further_doors() {
        say(format_args!("  {door:<7} {address}"));
    }
    if read.starts_with("http://") && server.further_doors().iter().any(|(door, _)| *door == "https") {
        say("  the QR code and the board lead past TLS: set join_url to https://, the certificate's name and the port");
    }
    say(format_args!("  table   {}", server.table()));
    let topics = server.topics().iter().map(|(name, is_open)| if *is_open { name.clone() } else { format!("{name} (with a token)") });
    say(format_args!("  topics  {}", topics.collect::<Vec<_>>().join(", ")));
    let open = server.topics().iter().filter(|(_, is_open)| *is_open).map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    if !server.is_on_loopback() && !open.is_empty() {
        say(format_args!(
            "  anybody who reaches these addresses may write to {}: topics.NAME.open = false asks for tokens",
            open.join(", ")
        ));
    }
    say("  Ctrl-C ends");
    Ok(())
}

/// Prints the settings.
pub fn print_config(args: Args) -> Result<()> {
    Ok(print(settings::explain(&args.flags)?)?)
}
