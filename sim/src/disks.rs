//! What a simulated machine keeps: the journal's disk in memory, the folder of the tables, the index of repeats; and what is left of
//! them after a crash. `process` opens rooms on them, `run` crashes them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lake::faulty::FaultyDisk;
use queue::journal::{Faults, FaultyStorage};
use rand::{Rng, rngs::SmallRng};
use tempfile::TempDir;

use crate::{
    clock::VirtualClock,
    faults::LakeFaults,
    trace::{Class, Trace},
};

/// The journal's disk, in bytes: so small that a stuck loader fills it.
const JOURNAL_BYTES: u64 = 512 << 10;

/// The disks.
pub struct Disks {
    folder: TempDir,
    /// The journal's disk.
    pub journal: FaultyStorage,
    /// What fails in the lake.
    pub lake_faults: LakeFaults,
    lake_disk: FaultyDisk,
    lives: u64,
    trace: Trace,
}

impl Disks {
    /// Empty disks.
    ///
    /// # Errors
    /// When there is no folder for temporary files.
    pub fn new(seed: u64, clock: &Arc<VirtualClock>, trace: &Trace) -> io::Result<Self> {
        // In memory where there is such a folder: power cuts are played, so nothing needs a real disk.
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() { TempDir::new_in(shared)? } else { TempDir::new()? };
        let disks = Self {
            folder,
            journal: FaultyStorage::new(seed),
            lake_faults: LakeFaults::new(Arc::clone(clock), trace.clone()),
            lake_disk: FaultyDisk::new(),
            lives: 0,
            trace: trace.clone(),
        };
        fs::create_dir(disks.lake())?;
        Ok(disks)
    }

    /// The folder of the tables.
    pub fn lake(&self) -> PathBuf {
        self.folder.path().join(format!("lake-{}", self.lives))
    }

    /// The folder of an index of repeats.
    pub fn index(&self, of: &str) -> PathBuf {
        self.folder.path().join(of)
    }

    /// What makes the lake's files durable.
    pub fn fsync(&self) -> lake::Fsync {
        self.lake_faults.fsync(&self.lake_disk)
    }

    /// The journal's disk has its size, and these faults are to come.
    pub fn set_journal_faults(&self, faults: Faults) {
        let capacity_bytes = Some(faults.capacity_bytes.unwrap_or(JOURNAL_BYTES));
        self.journal.set_faults(Faults { capacity_bytes, ..faults });
    }

    /// The process dies: what it wrote stays.
    pub fn kill(&mut self) {
        self.trace.fired(Class::Kill);
        self.journal.kill();
        self.lake_faults.clear();
    }

    /// The power goes: of what was not synced, some stays.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn power_cut(&mut self, random: &mut SmallRng) -> io::Result<()> {
        self.trace.fired(Class::PowerCut);
        self.journal.power_cut();
        let before = self.lake().canonicalize()?;
        self.lives += 1;
        match random.random_range(0..3_u8) {
            0 => self.lake_disk.after_power_cut(&before, &self.lake())?,
            _ => self.lake_disk.after_nasty_power_cut(&before, &self.lake(), &mut |below| random.random_range(0..below))?,
        }
        self.lake_faults.clear();
        self.lake_disk = FaultyDisk::new();
        // What is there after a power cut is on the medium.
        sync_all(&self.lake().canonicalize()?, &*self.fsync())?;
        fs::remove_dir_all(before)
    }

    /// The index of repeats is gone.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn lose_index(&self) -> io::Result<()> {
        self.trace.fired(Class::IndexLost);
        for of in [INDEX, RIVALS_INDEX] {
            match fs::remove_dir_all(self.index(of)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The index of the server's loader, and of a second one.
pub const INDEX: &str = "index";
/// See [`INDEX`].
pub const RIVALS_INDEX: &str = "rivals-index";

fn sync_all(folder: &Path, fsync: &(dyn Fn(&Path) -> io::Result<()> + Send + Sync)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_all(&path, fsync)? } else { fsync(&path)? }
    }
    fsync(folder)
}
