//! Where exactly-once is decided: one Delta commit carries the files and the cursor together (promise L1).
//!
//! A commit is tried only as the successor of the version in which the cursor was seen, so that of two loaders on one
//! cursor one is fenced by the log itself: it finds the version taken, reads again, and sees the cursor moved.

use deltalake::kernel::{
    Action, Add, Transaction,
    transaction::{CommitBuilder, CommitProperties},
};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use record::{Error, Offset, Result};

use crate::{
    schema::RECEIVED_DATE,
    store::FaultPoint,
    table::{Log, Table, Version},
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
    /// whether it was committed, or was not: try the same commit again, with files written anew when they are [`outdated`](Self::outdated).
    pub async fn commit(&self, files: &[DataFile], cursor: &CursorMove) -> Result<Version> {
        assert!(cursor.next > cursor.expected, "L1: a commit moves its cursor forward: {cursor:?}");
        let mut log = self.log.lock().await;
        let mut last = None;
        for _ in 0..self.lake.shared.config.commit_attempts_max {
            let state = self.refreshed(&mut log.delta).await?.clone();
            let kept = self.kept(&log.delta, &state, &cursor.app_id).await?;
            if let Seen::Done(version) = self.judge(kept, &state, files, cursor)? {
                // Visible, and perhaps not durable: an earlier try may have ended at its fsync, and not only in this process.
                log.is_doubtful = true;
                self.make_durable(&mut log, version).await?;
                return Ok(version);
            }
            if self.are_old(files) {
                return Err(
                    Error::unavailable("the files have waited too long for their commit: write them again").with("table", &self.name)
                );
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
            let outcome = CommitBuilder::from(properties).with_actions(actions).build(Some(&state), log.delta.log_store(), operation).await;
            match outcome {
                Ok(done) => {
                    let version = done.version();
                    self.lake.fault(FaultPoint::SyncCommit)?;
                    self.make_durable(&mut log, version).await?;
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

    /// Whether files have waited so long for this commit, which failed, that a sweep of another process may soon take them, and
    /// no commit has them. They are to be written again then.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn outdated(&self, files: &[DataFile], cursor: &CursorMove) -> Result<bool> {
        if !self.are_old(files) {
            return Ok(false);
        }
        let mut log = self.log.lock().await;
        let state = self.refreshed(&mut log.delta).await?.clone();
        let kept = self.kept(&log.delta, &state, &cursor.app_id).await?;
        Ok(matches!(self.judge(kept, &state, files, cursor)?, Seen::Ready))
    }

    /// Half of the age at which orphans are swept: the rest is for the commit itself, and for clocks that differ.
    fn are_old(&self, files: &[DataFile]) -> bool {
        let (now, config) = (self.lake.shared.clock.monotonic_micros(), &self.lake.shared.config);
        let age_us_max = u64::try_from(config.orphan_age_us).unwrap_or(0) / 2;
        files.iter().filter_map(|file| file.written_at_us).any(|written_at| now.saturating_sub(written_at) > age_us_max)
    }

    fn judge(&self, kept: Option<u64>, state: &DeltaTableState, files: &[DataFile], cursor: &CursorMove) -> Result<Seen> {
        let active = |path: &str| state.log_data().iter().any(|file| file.path() == path);
        let found = kept.unwrap_or(0);
        if found == cursor.expected {
            return Ok(Seen::Ready);
        }
        // File names are unique, so the first one tells whose commit it was.
        if found >= cursor.next && files.first().map_or(found == cursor.next, |file| active(&file.path)) {
            return Ok(Seen::Done(state.version()));
        }
        Err(Error::conflict("another moved the cursor; read it again")
            .with("table", &self.name)
            .with("cursor", &cursor.app_id)
            .with("expected", cursor.expected)
            .with("found", found))
    }

    /// Makes the log durable up to a version (promise L1): not its newest entry alone, since without one in between, which another loader
    /// may have written and not synced yet, the later ones do not count.
    async fn make_durable(&self, log: &mut Log, version: Version) -> Result<()> {
        // Only the newest is this process's own, written a moment ago. What became of an fsync of another's is not known here.
        let renewed_to = if log.is_doubtful { version + 1 } else { version };
        log.is_doubtful = true; // until it is known better, also when this future is dropped
        self.lake.renew(&self.url, self.log_files(log.durable + 1..renewed_to)).await?;
        self.lake.sync(&self.url, self.log_files(renewed_to..version + 1)).await?;
        log.durable = log.durable.max(version);
        log.is_doubtful = false;
        Ok(())
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
