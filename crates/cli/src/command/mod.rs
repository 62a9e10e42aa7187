//! The commands: each reads its flags, calls the room that does the work, and prints how it ended.

pub mod crowd;
pub mod demo;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod infer;
pub mod ocr;
pub mod report;
pub mod serve;

use std::path::PathBuf;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use record::Error;

use crate::folder::{Claim, Folder, Owner};

/// The folder and collection that a command works on.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "crowdread-data")]
    pub data: PathBuf,
    /// The collection; needed where the folder has more than one
    #[arg(long, value_name = "NAME")]
    pub collection: Option<String>,
}

/// Who answers a command: the folder itself, or the server that owns it.
pub enum Source {
    /// The folder is ours while this lives.
    Folder(Folder),
    /// A server to ask.
    Server(Owner),
}

impl Place {
    /// Takes the folder, or finds its owner.
    ///
    /// # Errors
    /// `Invalid` when there is no such folder.
    pub fn open(&self) -> Result<Source> {
        if !self.data.is_dir() {
            return Err(Error::invalid("there is no such data folder: `crowdread import` makes it")
                .with("folder", self.data.display())
                .into());
        }
        Ok(match Folder::claim(&self.data)? {
            Claim::Ours(folder) => Source::Folder(folder),
            Claim::Owned(owner) => Source::Server(owner),
        })
    }

    /// The collection that is meant, out of those that there are.
    ///
    /// # Errors
    /// `Invalid` when none is named and there is not exactly one.
    pub fn collection_of(&self, known: &[String]) -> Result<String> {
        match (&self.collection, known) {
            (Some(name), known) if known.contains(name) => Ok(name.clone()),
            (None, [only]) => Ok(only.clone()),
            (_, []) => Err(Error::invalid("the data folder has no collections yet: `crowdread import` makes one").into()),
            (named, known) => Err(Error::invalid("name one of the folder's collections with --collection")
                .with("found", named.as_deref().unwrap_or("none"))
                .with("known", known.join(", "))
                .into()),
        }
    }
}

/// A progress bar on standard error; it draws nothing where that is no terminal.
pub fn progress_bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// The runtime of a command that waits for servers or files.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
