//! `crowdread backup` and `crowdread restore`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use lake::Lake;
use loader::backup::{self, Backup, Manifest};
use queue::journal::inspect;
use record::{Clock, Error, SystemClock};
use reqwest::Method;
use tokio_util::task::AbortOnDropHandle;

use super::{LakePlace, Source, open, runtime};
use crate::{
    console::{print, say, spinner},
    folder::Owner,
    owner,
    server::books::{self, HOLD_PATH, Hold},
    settings::Settings,
};

/// How long a server keeps its journal when it hears nothing more of a backup, in seconds.
const HOLD_SECONDS: u64 = 120;
/// How often it hears of it.
const RENEW_INTERVAL: Duration = Duration::from_secs(20);

/// Copy a data folder whole: journal, tables, collections, key and tokens; also beside a running server, which goes on
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The folder of the backup: a new one, or an empty one
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    place: LakePlace,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// Make a data folder of a backup, after every file of it was checked
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The folder of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The data folder to make: a new one, or an empty one
    #[arg(long, value_name = "NEW")]
    data: PathBuf,
}

/// Makes a backup.
pub fn back_up(args: BackupArgs) -> Result<()> {
    let settings = args.place.settings()?;
    let work = spinner("copying");
    let manifest = match open(&settings.data)? {
        Source::Folder(folder) => runtime()?.block_on(async {
            let (journal, url) = (folder.join("journal"), settings.lake.clone());
            let lake = match url {
                Some(url) => books::lake_folder(&url)?,
                None => folder.join("lake"),
            };
            let mut backup = begin(&args.to)?;
            copy_tables(&mut backup, &lake).await?;
            if journal.is_dir() {
                backup.journal(&journal, inspect(&journal)?.end)?;
            }
            backup.others(&settings.data)?;
            Ok::<_, anyhow::Error>(backup.finish()?)
        })?,
        Source::Server(server) => runtime()?.block_on(beside(&server, &settings, &args.to))?,
    };
    work.finish_and_clear();
    if args.json {
        let (files, bytes) = (manifest.files.len(), manifest.bytes());
        let told = serde_json::json!({
            "files": files, "bytes": bytes, "journal_end": manifest.journal_end, "tables": manifest.tables, "made_at": manifest.made_at,
        });
        return Ok(print(told)?);
    }
    say(format_args!("{}: {}", args.to.display(), sum(&manifest)));
    Ok(())
}

fn begin(to: &Path) -> record::Result<Backup> {
    Backup::begin(to, env!("CARGO_PKG_VERSION"), SystemClock::new().now())
}

fn sum(manifest: &Manifest) -> String {
    let records = manifest.journal_end.map_or_else(String::new, |end| format!(", records up to offset {end}"));
    format!(
        "{} files, {} bytes, {} tables{records}, as of {}",
        manifest.files.len(),
        manifest.bytes(),
        manifest.tables.len(),
        manifest.made_at
    )
}

async fn copy_tables(backup: &mut Backup, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        let lake = Lake::open(&folder.display().to_string(), lake::Config::default(), Arc::new(SystemClock::new())).await?;
        backup.tables(&lake, folder).await?;
    }
    Ok(())
}

/// Beside a server: it keeps its journal untrimmed while this copies.
async fn beside(server: &Owner, settings: &Settings, to: &Path) -> Result<Manifest> {
    let mut backup = begin(to)?;
    let held = hold(server, None, HOLD_SECONDS).await?;
    let number = held.hold;
    // A task of its own: the tables are copied without a pause, however long that takes.
    let keeper = server.clone();
    let mut renewing = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            if let Err(error) = hold(&keeper, Some(number), HOLD_SECONDS).await {
                return error;
            }
        }
    }));
    let copying = async {
        copy_tables(&mut backup, &books::lake_folder(&server.lake)?).await?;
        // Asked for now: no cursor of the copies is beyond it.
        let ends = hold(server, Some(number), HOLD_SECONDS).await?.ends;
        let end = ends.into_values().next().ok_or_else(|| Error::internal("the server's journal has no partition"))?;
        let (journal, data) = (settings.data.join("journal"), settings.data.clone());
        let backup = tokio::task::spawn_blocking(move || {
            backup.journal(&journal, end)?;
            backup.others(&data)?;
            Ok::<_, Error>(backup)
        });
        Ok::<_, anyhow::Error>(backup.await??)
    };
    let copied = tokio::select! {
        copied = copying => copied,
        error = &mut renewing => Err(error?),
    };
    drop(renewing);
    // Also ends it; says whether it has lasted until now.
    let lasted = hold(server, Some(number), 0).await;
    let backup = copied?;
    lasted?;
    Ok(backup.finish()?)
}

async fn hold(server: &Owner, hold: Option<u64>, seconds: u64) -> Result<loader::Held> {
    owner::send(server, Method::POST, HOLD_PATH, Some(&Hold { hold, seconds })).await
}

/// Makes a data folder of a backup.
pub fn restore(args: RestoreArgs) -> Result<()> {
    let work = spinner("checking and copying");
    let manifest = backup::restore(&args.from, &args.data)?;
    work.finish_and_clear();
    let data = args.data.display();
    say(format_args!("{data}: {}", sum(&manifest)));
    say(format_args!("  now     crowdread serve --data {data}, with the settings that the old folder had; its tables are in {data}/lake"));
    say(format_args!("  check   crowdread audit --data {data}, with these settings"));
    say("  never   let the old folder go on beside it: both would write the same journal's records into their tables");
    Ok(())
}
