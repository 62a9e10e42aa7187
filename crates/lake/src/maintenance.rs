//! Sweeping: files that a crashed writer left and no commit names. Called by the loader now and then.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use record::{Error, Result};

use crate::{durable, store::blocking, table::Table};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files deleted.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

impl Table {
    /// Deletes data files that are older than [`crate::Config::orphan_age_us`] and in no commit, and on local disk what was being
    /// written when its writer died. Files that were committed and removed since do not exist here: nothing removes files yet.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be listed or a file cannot be deleted.
    pub async fn sweep(&self) -> Result<Swept> {
        let failed = |error| Error::unavailable("cannot sweep a table").with("table", &self.name).because(error);
        let before = self.lake.shared.clock.now().plus_micros(-self.lake.shared.config.orphan_age_us).as_micros();
        // Listed first: a file that is committed after the listing is found in the snapshot.
        let mut old = Vec::new();
        let mut listing = self.store.list(None);
        while let Some(found) = listing.try_next().await.map_err(failed)? {
            let path = found.location.as_ref();
            if !path.starts_with("_delta_log") && path.contains(".parquet") && found.last_modified.timestamp_micros() < before {
                old.push(found);
            }
        }
        let active: HashSet<String> = self.snapshot().await?.files.into_iter().map(|file| file.path).collect();
        let mut swept = Swept::default();
        for orphan in old.into_iter().filter(|found| !active.contains(found.location.as_ref())) {
            self.store.delete(&orphan.location).await.map_err(failed)?;
            tracing::info!(table = %self.name, file = %orphan.location, "orphan file swept");
            swept.files += 1;
            swept.bytes += orphan.size;
        }
        if let Some(folder) = self.lake.local_path(&self.url, "") {
            self.sweep_leftovers(folder, before, &mut swept).await?;
        }
        Ok(swept)
    }

    async fn sweep_leftovers(&self, folder: PathBuf, before_us: i64, swept: &mut Swept) -> Result<()> {
        let name = Arc::clone(&self.name);
        let removed = blocking(move || {
            let failed = |error: std::io::Error| Error::unavailable("cannot sweep a table").with("table", &name).because(error);
            let mut removed = Vec::new();
            for path in durable::leftovers(&folder, before_us).map_err(failed)? {
                removed.push(std::fs::metadata(&path).map_or(0, |data| data.len()));
                std::fs::remove_file(&path).map_err(failed)?;
                tracing::info!(table = %name, file = %path.display(), "unfinished file swept");
            }
            Ok(removed)
        });
        let removed = removed.await?;
        swept.files += removed.len() as u64;
        swept.bytes += removed.iter().sum::<u64>();
        Ok(())
    }
}
