//! Where exactly-once is decided: one Delta commit carries the files and the cursor together (promise L1).
//!
//! A commit is tried only as the successor of the version in which the cursor was seen, so that of two loaders on one
//! cursor one is fenced by the log itself: it finds the version taken, reads again, and sees the cursor moved.

use deltalake::kernel::{
    Action, Add, Transaction,
    transaction::{CommitBuilder, CommitProperties},
};
use deltalake::protocol::{DeltaOperation, SaveMode};
use record::{Error, Offset, Result};

use crate::{
    schema::RECEIVED_DATE,
    store::FaultPoint,
    table::{Table, Version, commit_entry},
    writer::DataFile,
};

/// How a commit moves a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorMove {
    /// The cursor: `<topic>@<partition>`.
    pub app_id: String,
    /// The next offset as the caller knows it; 0 before the first commit.
    pub expected: Offset,
    /// The next offset after this commit; above `expected`.
    pub next: Offset,
    /// Further numbers to keep with the same commit, by their app ids; they never go back.
    pub counters: Vec<(String, u64)>,
}

enum Seen {
    Ready,
    Done(Version),
}

impl Table {
    /// Commits files together with the move of a cursor; both count, or neither. When it returns, the commit is durable.
    /// A commit that is there already, because its reply was lost, is recognised as done.
    ///
    /// # Errors
    /// `Conflict` when another moved the cursor: reload it, nothing of this was committed. `Unavailable` when it is not known
    /// whether it was committed, or was not: try the same commit again.
    pub async fn commit(&self, files: &[DataFile], cursor: &CursorMove) -> Result<Version> {
        assert!(cursor.next > cursor.expected, "L1: a commit moves its cursor forward: {cursor:?}");
        let mut delta = self.delta.lock().await;
        let mut last = None;
        for _ in 0..self.lake.shared.config.commit_attempts_max {
            let state = self.refreshed(&mut delta).await?.clone();
            let kept = self.kept(&delta, &state, &cursor.app_id).await?;
            let active = |path: &str| state.log_data().iter().any(|file| file.path() == path);
            if let Seen::Done(version) = self.judge(kept, state.version(), files, cursor, active)? {
                // It may have become visible without becoming durable.
                self.sync_commit(version).await?;
                return Ok(version);
            }
            self.lake.fault(FaultPoint::Commit)?;
            let modified = self.lake.shared.clock.now().as_micros() / 1_000;
            let actions = files.iter().map(|file| Action::Add(add(file, modified))).collect();
            let properties = CommitProperties::default()
                .with_application_transactions(transactions(cursor)?)
                .with_max_retries(0) // only the successor of the version in which the cursor was seen
                .with_cleanup_expired_logs(Some(false));
            let partition_by = self.dated.then(|| vec![RECEIVED_DATE.to_owned()]);
            let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
            let outcome = CommitBuilder::from(properties).with_actions(actions).build(Some(&state), delta.log_store(), operation).await;
            match outcome {
                Ok(done) => {
                    let version = done.version();
                    self.lake.fault(FaultPoint::SyncCommit)?;
                    self.sync_commit(version).await?;
                    self.lake.fault(FaultPoint::Reply)?;
                    return Ok(version);
                }
                // Taken by another, or failed with an unknown outcome: the log knows.
                Err(error) => last = Some(error),
            }
        }
        let error = Error::unavailable("cannot commit").with("table", &self.name).with("cursor", &cursor.app_id);
        Err(match last {
            Some(last) => error.because(last),
            None => error,
        })
    }

    /// Appends rows that come from no queue, once for each `key`: the same key again does nothing.
    /// Returns whether they were appended now.
    ///
    /// # Errors
    /// As [`write`](Self::write) and [`commit`](Self::commit).
    pub async fn append(&self, batches: &[arrow::array::RecordBatch], key: &str) -> Result<bool> {
        if self.cursor(key).await?.is_some() {
            return Ok(false);
        }
        let files = self.write_as(batches, &self.name).await?;
        let moved = CursorMove { app_id: key.to_owned(), expected: 0, next: 1, counters: Vec::new() };
        match self.commit(&files, &moved).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == record::ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn judge(
        &self,
        kept: Option<u64>,
        version: Version,
        files: &[DataFile],
        cursor: &CursorMove,
        active: impl Fn(&str) -> bool,
    ) -> Result<Seen> {
        let found = kept.unwrap_or(0);
        if found == cursor.expected {
            return Ok(Seen::Ready);
        }
        // File names are unique, so the first one tells whose commit it was.
        if found >= cursor.next && files.first().map_or(found == cursor.next, |file| active(&file.path)) {
            return Ok(Seen::Done(version));
        }
        Err(Error::conflict("another moved the cursor; read it again")
            .with("table", &self.name)
            .with("cursor", &cursor.app_id)
            .with("expected", cursor.expected)
            .with("found", found))
    }

    async fn sync_commit(&self, version: Version) -> Result<()> {
        let mut entries = vec![commit_entry(version)];
        let exists = |entry: &String| self.lake.local_path(&self.url, entry).is_some_and(|path| path.exists());
        let checkpoint = format!("_delta_log/{version:020}.checkpoint.parquet");
        if exists(&checkpoint) {
            entries.extend([checkpoint, "_delta_log/_last_checkpoint".to_owned()]);
        }
        entries.retain(exists);
        self.lake.sync(&self.url, entries).await
    }
}

fn transactions(cursor: &CursorMove) -> Result<Vec<Transaction>> {
    let all = std::iter::once((&cursor.app_id, cursor.next)).chain(cursor.counters.iter().map(|(name, count)| (name, *count)));
    all.map(|(name, number)| {
        let large = |_| Error::internal("a cursor does not fit into 63 bits").with("cursor", name).with("found", number);
        Ok(Transaction::new(name, i64::try_from(number).map_err(large)?))
    })
    .collect()
}

fn add(file: &DataFile, modification_time: i64) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: file.partition_values.clone(),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time,
        data_change: true,
        stats: file.stats.clone(),
        ..Add::default()
    }
}
