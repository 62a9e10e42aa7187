//! One Delta table: opened or made through [`crate::Lake`], read through its [`Snapshot`].

use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use deltalake::{
    DeltaTable, DeltaTableBuilder, ObjectStore, TableProperty, operations::create::CreateBuilder, table::state::DeltaTableState,
};
use record::{Error, Result};
use tokio::sync::Mutex;
use url::Url;

use crate::{
    schema::{RECEIVED_DATE, added_fields, arrow_from_delta, date_field, delta_field},
    store::{Lake, failed},
    writer::DataFile,
};

/// The number of a commit: 0 made the table.
pub type Version = u64;

/// A table. Cheap to clone; clones share what they know of the log.
#[derive(Clone)]
pub struct Table {
    pub(crate) lake: Lake,
    pub(crate) name: Arc<str>,
    pub(crate) url: Url,
    pub(crate) schema: SchemaRef,
    pub(crate) dated: bool,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) log: Arc<Mutex<Log>>,
    id: Arc<str>,
}

/// What is known of a table's log.
pub(crate) struct Log {
    pub delta: DeltaTable,
    /// Every entry up to this one is durable.
    pub durable: Version,
    /// Whether an fsync of a later entry may have failed: it is written again then instead of synced (see `durable`).
    pub is_doubtful: bool,
}

/// What a table is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing is committed, and no queue trimmed, by what is read.
    Read,
    /// Cursors are read, and the queue is trimmed by them.
    Load,
}

/// How many of the newest entries of the log are written again when a table is opened for loading. An earlier process may have
/// died after the fsync of one had failed: it goes no further than that entry. Not only one, since several loaders may commit to a table.
const RENEWED_AT_OPEN: u64 = 4;

/// What one commit left: a reader that holds one sees one state of the table, whatever is committed meanwhile.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The commit.
    pub version: Version,
    /// The active files, newest commit first.
    pub files: Vec<DataFile>,
}

impl Table {
    pub(crate) async fn open(lake: &Lake, name: &str, purpose: Purpose) -> Result<Option<Self>> {
        let url = lake.table_address(name)?;
        let cannot = |error| failed("cannot read a table", error).with("table", name);
        let mut delta = lake.builder(&url).and_then(DeltaTableBuilder::build).map_err(cannot)?;
        if !delta.verify_deltatable_existence().await.map_err(cannot)? {
            return Ok(None);
        }
        delta.load().await.map_err(cannot)?;
        let (schema, dated, id) = {
            let state = delta.snapshot().map_err(cannot)?;
            let delta_schema = state.schema();
            let dated = state.metadata().partition_columns().iter().any(|column| column == RECEIVED_DATE);
            (arrow_from_delta(delta_schema.fields(), name)?, dated, state.metadata().id().into())
        };
        let store = delta.object_store();
        let durable = delta.version().unwrap_or(0);
        let log = Arc::new(Mutex::new(Log { delta, durable, is_doubtful: false }));
        let table = Self { lake: lake.clone(), name: name.into(), url, schema, dated, store, log, id };
        table.sync_log(durable, purpose).await?;
        Ok(Some(table))
    }

    pub(crate) async fn open_or_create(lake: &Lake, name: &str, wanted: &SchemaRef, dated: bool) -> Result<Self> {
        let table = match Self::open(lake, name, Purpose::Load).await? {
            Some(table) => table,
            None => {
                let made = Self::create(lake, name, wanted, dated).await;
                match (Self::open(lake, name, Purpose::Load).await?, made) {
                    (Some(table), _) => table, // made here, or by another at the same moment
                    (None, Err(error)) => return Err(error),
                    (None, Ok(())) => return Err(Error::unavailable("a table is not there after it was made").with("table", name)),
                }
            }
        };
        if table.dated != dated {
            return Err(Error::invalid("the table is partitioned in another way; use a new name").with("table", name));
        }
        let added = added_fields(&table.schema, wanted, name)?;
        if added.is_empty() {
            return Ok(table);
        }
        let fields = added.iter().map(delta_field).collect::<Result<Vec<_>>>()?;
        let delta = table.log.lock().await.delta.clone();
        delta.add_columns().with_fields(fields).await.map_err(|error| failed("cannot add a column", error).with("table", name))?;
        Self::open(lake, name, Purpose::Load).await?.ok_or_else(|| Error::unavailable("the table is gone").with("table", name))
    }

    async fn create(lake: &Lake, name: &str, schema: &Schema, dated: bool) -> Result<()> {
        let mut fields = schema.fields().iter().map(|field| delta_field(field)).collect::<Result<Vec<_>>>()?;
        if dated {
            fields.push(date_field());
        }
        // `delta.setTransactionRetentionDuration` stays unset: a cursor never expires.
        let cannot = |error| failed("cannot make a table", error).with("table", name);
        let url = lake.table_address(name)?;
        let store = lake.builder(&url).and_then(DeltaTableBuilder::build).map_err(cannot)?.log_store();
        CreateBuilder::new()
            .with_log_store(store)
            .with_table_name(name)
            .with_columns(fields)
            .with_partition_columns(dated.then_some(RECEIVED_DATE))
            .with_configuration_property(TableProperty::CheckpointInterval, Some(lake.shared.config.checkpoint_commits.to_string()))
            .await
            .map_err(cannot)?;
        Ok(())
    }

    /// Its name, which is the name of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id in its log: a table that is made anew under the same name has another.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its address, for other programs.
    pub fn address(&self) -> &Url {
        &self.url
    }

    /// Its data columns; `received_date`, the partition column of topic tables, is not among them.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The table as the newest commit left it.
    ///
    /// # Errors
    /// `Unavailable` when the log cannot be read.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let mut log = self.log.lock().await;
        let state = self.refreshed(&mut log.delta).await?;
        let files = state
            .log_data()
            .iter()
            .map(|file| DataFile {
                path: file.path().into_owned(),
                rows: file.num_records().map(|rows| rows as u64),
                bytes: u64::try_from(file.size()).unwrap_or(0),
                partition_values: file.partition_values_map(),
                stats: None,
                written_at_us: None,
            })
            .collect();
        Ok(Snapshot { version: state.version(), files })
    }

    /// The number of rows, from the statistics of the active files.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot); `Corrupt` when a file has no statistics.
    pub async fn rows(&self) -> Result<u64> {
        self.snapshot().await?.files.iter().try_fold(0, |sum, file| {
            let none = || Error::corrupt("a data file has no row count").with("table", &self.name).with("file", &file.path);
            Ok(sum + file.rows.ok_or_else(none)?)
        })
    }

    /// The next offset to read under a cursor's app id, or any other number kept with a commit; `None` before the first.
    ///
    /// # Errors
    /// `Unavailable` when the log cannot be read.
    pub async fn cursor(&self, app_id: &str) -> Result<Option<u64>> {
        let mut log = self.log.lock().await;
        let state = self.refreshed(&mut log.delta).await?.clone();
        self.kept(&log.delta, &state, app_id).await
    }

    pub(crate) async fn kept(&self, delta: &DeltaTable, state: &DeltaTableState, app_id: &str) -> Result<Option<u64>> {
        let log = delta.log_store();
        let version = state.snapshot().transaction_version(log.as_ref(), app_id).await.map_err(|error| self.unreadable(error))?;
        let negative = |_| Error::corrupt("a cursor is negative").with("table", &self.name).with("cursor", app_id);
        version.map(|version| u64::try_from(version).map_err(negative)).transpose()
    }

    pub(crate) async fn refreshed<'a>(&self, delta: &'a mut DeltaTable) -> Result<&'a DeltaTableState> {
        delta.update_state().await.map_err(|error| self.unreadable(error))?;
        delta.snapshot().map_err(|error| self.unreadable(error))
    }

    pub(crate) fn unreadable(&self, error: deltalake::DeltaTableError) -> Error {
        failed("cannot read a table", error).with("table", &self.name)
    }

    /// Makes what an earlier process committed durable: it may have died between the commit and its fsync,
    /// and the queue is trimmed by what is read here (promise L1).
    async fn sync_log(&self, version: Version, purpose: Purpose) -> Result<()> {
        let interval = u64::from(self.lake.shared.config.checkpoint_commits);
        let oldest = version.saturating_sub(interval.max(10));
        let renewed = match purpose {
            Purpose::Read => version + 1,
            Purpose::Load => (version + 1).saturating_sub(RENEWED_AT_OPEN).max(oldest),
        };
        self.lake.sync(&self.url, self.log_files(oldest..renewed)).await?;
        self.lake.renew(&self.url, self.log_files(renewed..version + 1)).await
    }

    /// The entries and checkpoints of some versions that are there, on local disk.
    pub(crate) fn log_files(&self, versions: Range<Version>) -> Vec<String> {
        let exists = |file: &String| self.lake.local_path(&self.url, file).is_some_and(|path| path.exists());
        let of_version = |version| [format!("_delta_log/{version:020}.json"), format!("_delta_log/{version:020}.checkpoint.parquet")];
        let mut files: Vec<String> = versions.flat_map(of_version).filter(exists).collect();
        if files.iter().any(|file| file.ends_with(".parquet")) {
            files.extend(Some("_delta_log/_last_checkpoint".to_owned()).filter(exists));
        }
        files
    }
}

pub(crate) type PartitionValues = HashMap<String, Option<String>>;

impl fmt::Debug for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Table").field("name", &self.name).finish_non_exhaustive()
    }
}
