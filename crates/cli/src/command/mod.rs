//! The commands: each reads its flags, calls the room that does the work, and prints how it ended.

pub mod audit;
pub mod backup;
pub mod crowd;
pub mod dead_letters;
pub mod demo;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod infer;
pub mod journal;
pub mod ocr;
pub mod report;
pub mod serve;
pub mod token;

use std::path::{Path, PathBuf};

use anyhow::Result;
use record::Error;

use crate::{
    folder::{Claim, Folder, Owner},
    settings::{self, Flags, Settings},
};

/// The folder that a command works on.
#[derive(Clone, Debug, clap::Args)]
pub struct DataPlace {
    /// The data folder [default: as set, else ./crowdread-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The settings file [default: ./crowdread.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The folder and tables that a command works on.
#[derive(Clone, Debug, clap::Args)]
pub struct LakePlace {
    #[command(flatten)]
    folder: DataPlace,
    /// Where the tables are, where no server owns the folder [default: as set, else DIR/lake]
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
}

/// The folder, tables and collection that a command works on.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    #[command(flatten)]
    tables: LakePlace,
    /// The collection; needed where the folder has more than one
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
}

/// Who answers a command: the folder itself, or the server that owns it.
pub enum Source {
    /// The folder is ours while this lives.
    Folder(Folder),
    /// A server to ask.
    Server(Owner),
}

impl DataPlace {
    /// The settings in force, these flags over all others.
    ///
    /// # Errors
    /// As [`settings::load`].
    pub fn settings(&self) -> Result<Settings> {
        self.settings_with(None)
    }

    fn settings_with(&self, lake: Option<String>) -> Result<Settings> {
        Ok(settings::load(&Flags { data: self.data.clone(), lake, config: self.config.clone(), ..Flags::default() })?)
    }
}

impl LakePlace {
    /// As [`DataPlace::settings`].
    ///
    /// # Errors
    /// As [`settings::load`].
    pub fn settings(&self) -> Result<Settings> {
        self.folder.settings_with(self.lake.clone())
    }
}

impl Place {
    /// As [`DataPlace::settings`].
    ///
    /// # Errors
    /// As [`settings::load`].
    pub fn settings(&self) -> Result<Settings> {
        self.tables.settings()
    }

    /// The collection that is meant, out of those that there are.
    ///
    /// # Errors
    /// `Invalid` when the one that is named is not there, or none is named and there is not exactly one.
    pub fn collection_of(&self, known: &[String]) -> Result<String> {
        match (&self.collection, known) {
            (Some(name), known) if known.contains(name) => Ok(name.clone()),
            (None, [only]) => Ok(only.clone()),
            (_, []) => Err(Error::invalid("the data folder has no collections yet: `crowdread import` makes one").into()),
            (Some(name), known) => {
                Err(Error::invalid(format!("there is no collection {name:?} in the data folder")).with("known", known.join(", ")).into())
            }
            (None, known) => Err(Error::invalid("the data folder has more than one collection: name one with --collection")
                .with("known", known.join(", "))
                .into()),
        }
    }
}

/// Takes a data folder, or finds its owner.
///
/// # Errors
/// `Invalid` when there is no such data folder; nothing is made there.
pub fn open(data: &Path) -> Result<Source> {
    if !data.join("collections").is_dir() && !data.join("lock").is_file() {
        return Err(Error::invalid("there is no data folder here: `crowdread import` makes it").with("folder", data.display()).into());
    }
    Ok(match Folder::claim(data)? {
        Claim::Ours(folder) => Source::Folder(folder),
        Claim::Owned(owner) => Source::Server(owner),
    })
}

/// Writes a file for people, such as a report.
///
/// # Errors
/// `Invalid` when its folder is not there, `Unavailable` when it cannot be written.
pub fn write_file(path: &Path, what: &'static str, bytes: impl AsRef<[u8]>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Error::invalid(format!("cannot write {what}: its folder is not there")).with("file", path.display()).into());
    }
    Ok(std::fs::write(path, bytes)
        .map_err(|error| Error::unavailable(format!("cannot write {what}")).with("file", path.display()).because(error))?)
}

/// The runtime of a command that waits for servers or files.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
