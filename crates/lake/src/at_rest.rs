//! Which files a table on local disk consists of at one version, so that a backup can copy them while others go on committing: a file is
//! never written over and none is taken away, so that what is named here stays as it is.

use record::{Error, Result};

use crate::{
    store::blocking,
    table::{Table, Version},
};

/// A table at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtRest {
    /// The commit that was the newest.
    pub version: Version,
    /// Data files, then the log up to the version; paths within the table's folder. The hint `_last_checkpoint` is left out, as it may
    /// name a later one: readers list the log without it.
    pub files: Vec<String>,
}

impl Table {
    /// Its files as the newest commit left them.
    ///
    /// # Errors
    /// `Invalid` for a table that is not on local disk; `Unavailable` when the log cannot be read.
    pub async fn at_rest(&self) -> Result<AtRest> {
        let folder = self.lake.local_path(&self.url, "_delta_log").ok_or_else(|| {
            Error::invalid("only a table on local disk is copied as files: a store has means of its own").with("table", &self.name)
        })?;
        let snapshot = self.snapshot().await?;
        let (version, name) = (snapshot.version, self.name.clone());
        let mut files: Vec<String> = snapshot.files.into_iter().map(|file| file.path).collect();
        let log = blocking(move || {
            let failed = |error: std::io::Error| Error::unavailable("cannot list a table's log").with("table", &name).because(error);
            let mut log = Vec::new();
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let file = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
                // Twenty digits, and an entry or a checkpoint; whatever else is there, nobody goes by.
                let of_version = file.split_once('.').filter(|(digits, kind)| digits.len() == 20 && is_of_the_log(kind));
                let of_version = of_version.and_then(|(digits, _)| digits.parse().ok());
                if of_version.is_some_and(|of_version: Version| of_version <= version) {
                    log.push(format!("_delta_log/{file}"));
                }
            }
            log.sort();
            Ok(log)
        });
        files.extend(log.await?);
        Ok(AtRest { version, files })
    }
}

fn is_of_the_log(kind: &str) -> bool {
    kind == "json" || kind.starts_with("checkpoint.") && kind.ends_with(".parquet")
}
