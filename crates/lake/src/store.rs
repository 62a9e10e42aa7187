//! A folder of tables: opened once by `cli`, shared by the loader and by everything that reads.
//!
//! Everything that depends on where the folder is stands here and in `durable`.

use std::{fmt, path::PathBuf, sync::Arc};

use deltalake::{DeltaTableBuilder, ObjectStore};
use futures::TryStreamExt;
use record::{Clock, Column, Error, ErrorKind, Result, TopicSchema};
use url::Url;

use crate::{
    dead_letters,
    durable::{self, Fsync},
    schema::{arrow_schema, topic_columns},
    staged::Staged,
    table::{Purpose, Table},
};

/// The most tables that are listed in one lake.
const TABLES_MAX: usize = 10_000;

/// Where a fault test may strike, in the order in which a commit passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// Before a data file is written.
    WriteFile,
    /// The file is written and not yet durable.
    SyncFile,
    /// The files are durable and no commit names them.
    Commit,
    /// The commit is visible and its entry not yet durable.
    SyncCommit,
    /// The commit is durable and nobody was told: a lost reply.
    Reply,
    /// The loader's commit is done, the index of repeats does not know.
    Index,
    /// The index knows, the queue is not trimmed.
    Trim,
}

impl FaultPoint {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::WriteFile, Self::SyncFile, Self::Commit, Self::SyncCommit, Self::Reply, Self::Index, Self::Trim];
}

/// Called at each fault point; an error ends the operation there, as a crash would. `Closed` is never retried.
pub type FaultHook = Arc<dyn Fn(FaultPoint) -> Result<()> + Send + Sync>;

/// Settings of a lake.
#[derive(Clone)]
pub struct Config {
    /// A checkpoint of the log after so many commits (Delta's `delta.checkpointInterval`).
    pub checkpoint_commits: u32,
    /// How often a commit is tried when others commit at the same moment.
    pub commit_attempts_max: u32,
    /// Files that no commit names are swept when they are older than this, in microseconds.
    pub orphan_age_us: i64,
    /// Rows of one record batch of a scan.
    pub scan_rows_max: usize,
    /// Strikes in fault tests; `None` otherwise.
    pub fault: Option<FaultHook>,
    /// Makes a file or folder on local disk durable: [`durable::fsync`], but in tests.
    pub fsync: Fsync,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            checkpoint_commits: 100,
            commit_attempts_max: 30,
            orphan_age_us: 3_600_000_000,
            scan_rows_max: 8_192,
            fault: None,
            fsync: Arc::new(durable::fsync),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config")
            .field("checkpoint_commits", &self.checkpoint_commits)
            .field("commit_attempts_max", &self.commit_attempts_max)
            .field("orphan_age_us", &self.orphan_age_us)
            .field("scan_rows_max", &self.scan_rows_max)
            .finish_non_exhaustive()
    }
}

/// A folder of tables. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    root: Url,
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Lake {
    /// Opens a lake at a local folder or a `file://` address; the folder is made when it is not there.
    ///
    /// # Errors
    /// `Invalid` for another kind of address; `Unavailable` when the folder cannot be made.
    pub async fn open(address: &str, config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let folder = match Url::parse(address) {
            Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
            Ok(url) if address.contains("://") => {
                return Err(Error::invalid("this build keeps tables in a local folder only")
                    .with("found", url.scheme())
                    .with("expected", "a path or file://"));
            }
            _ => Some(PathBuf::from(address)),
        };
        let unusable = || Error::invalid("not the path of a folder").with("found", address);
        let folder = folder.ok_or_else(unusable)?;
        blocking(move || {
            let folder = durable::make_folder(&folder, &config.fsync)?;
            let root = Url::from_directory_path(&folder)
                .map_err(|()| Error::invalid("not the path of a folder").with("found", folder.display()))?;
            Ok(Self { shared: Arc::new(Shared { root, config, clock }) })
        })
        .await
    }

    /// The table of a topic; made when it is not there. A new optional column is added to it.
    ///
    /// # Errors
    /// `Invalid` when the table that is there has another schema; `Unavailable` when it cannot be read or made.
    pub async fn table(&self, schema: &TopicSchema) -> Result<Table> {
        Table::open_or_create(self, schema.topic.as_str(), &arrow_schema(&topic_columns(schema)), true).await
    }

    /// A table that does not come from a queue, such as pages and readings: its rows are appended whole with [`Table::append`].
    ///
    /// # Errors
    /// As [`table`](Self::table).
    pub async fn product_table(&self, name: &str, columns: &[Column]) -> Result<Table> {
        Table::open_or_create(self, check_name(name)?, &arrow_schema(columns), false).await
    }

    /// The table of the dead letters.
    ///
    /// # Errors
    /// As [`table`](Self::table).
    pub async fn dead_letters(&self) -> Result<Table> {
        self.product_table("dead_letters", &dead_letters::columns()).await
    }

    /// A table that is there already, with whatever columns it has.
    ///
    /// # Errors
    /// `Invalid` when it has a column of a type that is not read here; `Unavailable` when it cannot be read, `Corrupt` when its
    /// log is damaged.
    pub async fn existing_table(&self, name: &str) -> Result<Option<Table>> {
        Table::open(self, check_name(name)?, Purpose::Read).await
    }

    /// The names of the tables that are there, sorted.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be listed.
    pub async fn existing_tables(&self) -> Result<Vec<String>> {
        let failed = |error| Error::unavailable("cannot list the tables").with("lake", &self.shared.root).because(error);
        let store = self.store(&self.shared.root)?;
        let mut names = Vec::new();
        for folder in store.list_with_delimiter(None).await.map_err(failed)?.common_prefixes.into_iter().take(TABLES_MAX) {
            let log = folder.clone().join("_delta_log");
            if let (Some(name), Some(_)) = (folder.filename(), store.list(Some(&log)).try_next().await.map_err(failed)?) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The address of a table, for other programs.
    pub fn table_address(&self, name: &str) -> Result<Url> {
        let wrong = |error| Error::invalid("not the name of a table").with("found", name).because(error);
        self.shared.root.join(&format!("{}/", check_name(name)?)).map_err(wrong)
    }

    /// Strikes when a fault test asks for it; the loader calls it at its own points.
    ///
    /// # Errors
    /// Whatever the hook says.
    pub fn fault(&self, point: FaultPoint) -> Result<()> {
        self.shared.config.fault.as_ref().map_or(Ok(()), |hook| hook(point))
    }

    /// Builds a table on the store of this lake.
    pub(crate) fn builder(&self, url: &Url) -> Result<DeltaTableBuilder, deltalake::DeltaTableError> {
        let files = Arc::new(Staged::new(Arc::clone(&self.shared.config.fsync)));
        Ok(DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(files, url.clone()))
    }

    pub(crate) fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let storage = self.builder(url).and_then(|builder| builder.build_storage());
        Ok(storage.map_err(|error| failed("cannot reach the tables", error))?.object_store(None))
    }
}

fn check_name(name: &str) -> Result<&str> {
    record::Topic::parse(name).map(|_| name)
}

/// An error of the Delta log, by what to do about it: what reaching the store gave can be tried again, and what the log says
/// cannot: it says the same next time.
pub(crate) fn failed(message: &'static str, error: deltalake::DeltaTableError) -> Error {
    use deltalake::DeltaTableError as Delta;
    let lasts = match &error {
        Delta::InvalidJsonLog { .. }
        | Delta::InvalidStatsJson { .. }
        | Delta::SchemaMismatch { .. }
        | Delta::InvalidData { .. }
        | Delta::NotATable(_)
        | Delta::NoSchema
        | Delta::PartitionError { .. }
        | Delta::InvalidVersion(_)
        | Delta::MetadataError(_)
        | Delta::Arrow { .. }
        | Delta::Kernel { .. } => true,
        Delta::Parquet { source } => !matches!(source, parquet::errors::ParquetError::External(_)),
        Delta::KernelError(kernel) => !came_from_the_store(&format!("{kernel:?}")),
        _ => false,
    };
    Error::new(if lasts { ErrorKind::Corrupt } else { ErrorKind::Unavailable }, message).because(error)
}

/// Whether an error of the log's reader, as `Debug` shows it (its type has no public name), is one of reaching files. A file that
/// is not there, `FileNotFound`, is none: the log speaks of it.
fn came_from_the_store(shown: &str) -> bool {
    ["ObjectStore(", "IOError(", "Reqwest(", "JoinFailure(", "Cancelled"].iter().any(|variant| shown.contains(variant))
}

/// Runs what blocks on a thread that may be blocked.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::closed("the runtime is shutting down").because(error))?
}
