//! Files that wait to become segments: zeroed ahead of time so that the writer does not wait, or left over from trimmed
//! segments. Also knows how much the disk can still take. The writer takes spares, the housekeeper prepares them, trim gives them.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;

use super::{
    config::Config,
    segment::Segment,
    storage::{Storage, StorageFile},
};

/// Trimmed segments beyond so many spares are removed instead of kept.
const SPARES_MAX: usize = 2;
const SUFFIX: &str = ".spare";

/// The spare files of a journal.
pub(crate) struct Spares {
    storage: Arc<dyn Storage>,
    segment_bytes: u64,
    headroom_bytes_min: u64,
    /// What the disk said last. Asking it for every request would be a system call each.
    free_bytes: AtomicU64,
    ready_count: AtomicU64,
    /// Held while a file is zeroed, so that two never do it at once.
    files: Mutex<Files>,
}

struct Files {
    /// Open already: the writer must not need a file handle when other parts of the process hold all there are.
    ready: Vec<Spare>,
    number: u64,
}

/// A file that is about to become a segment.
pub(crate) struct Spare {
    pub name: String,
    pub file: Arc<dyn StorageFile>,
}

/// Whether an error says that something has run out, which passes, rather than that the disk is broken: room on the disk,
/// or the handles for open files of this process or of the machine.
pub(crate) fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

impl Spares {
    /// Takes over the spare files that lie in the folder; those of another size are removed.
    pub fn adopt(storage: Arc<dyn Storage>, config: &Config, names: &[String]) -> io::Result<Self> {
        let mut files = Files { ready: Vec::new(), number: 0 };
        for name in names.iter().filter(|name| name.ends_with(SUFFIX)) {
            let number = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse::<u64>().ok());
            files.number = files.number.max(number.map_or(0, |number| number.saturating_add(1)));
            let file = storage.open(name)?;
            if files.ready.len() < SPARES_MAX && file.bytes()? == config.segment_bytes {
                files.ready.push(Spare { name: name.clone(), file });
            } else {
                storage.remove(name)?;
            }
        }
        let spares = Self {
            segment_bytes: config.segment_bytes,
            headroom_bytes_min: config.headroom_bytes_min,
            free_bytes: AtomicU64::new(0),
            ready_count: AtomicU64::new(files.ready.len() as u64),
            files: Mutex::new(files),
            storage,
        };
        spares.refresh_free()?;
        Ok(spares)
    }

    /// Asks the disk how much is free.
    pub fn refresh_free(&self) -> io::Result<()> {
        self.free_bytes.store(self.storage.free_bytes()?, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that more segments can take: spare ones, and those for which the disk has room.
    pub fn writable_bytes(&self) -> u64 {
        let free = self.free_bytes.load(Ordering::Relaxed).saturating_sub(self.headroom_bytes_min);
        let segments = self.ready_count.load(Ordering::Relaxed) + free / self.segment_bytes;
        segments.saturating_mul(self.segment_bytes)
    }

    /// Sees to it that one spare is ready.
    ///
    /// # Errors
    /// `StorageFull` when the disk cannot take it.
    pub fn prepare(&self) -> io::Result<()> {
        let mut files = self.files();
        if files.ready.is_empty() { self.make(&mut files) } else { Ok(()) }
    }

    /// A file of zeros, or of what an earlier segment left, of the size of a segment. Opens no file while one is ready.
    ///
    /// # Errors
    /// Whatever making one meets; no segment is touched then. [`passes`] tells what goes by.
    pub fn take(&self) -> io::Result<Spare> {
        let mut files = self.files();
        if files.ready.is_empty() {
            self.make(&mut files)?;
        }
        let spare = files.ready.pop().expect("a spare was made");
        self.ready_count.store(files.ready.len() as u64, Ordering::Relaxed);
        Ok(spare)
    }

    /// Makes a spare of a trimmed segment, or removes it.
    pub fn recycle(&self, segment: Arc<Segment>) -> io::Result<()> {
        let name = segment.name.clone();
        // A reader that still has the segment must never see the file's next life.
        let unread = Arc::into_inner(segment).filter(|segment| segment.bytes == self.segment_bytes);
        let mut files = self.files();
        let Some(unread) = unread.filter(|_| files.ready.len() < SPARES_MAX) else {
            self.storage.remove(&name)?;
            return self.storage.sync_dir();
        };
        let (spare, file) = (files.next_name(), unread.file);
        self.storage.rename(&name, &spare)?;
        #[cfg(feature = "faults")]
        fail::fail_point!("journal::spare_recycled");
        // Before the header is written over: otherwise a power cut brings the old name back with new contents.
        self.storage.sync_dir()?;
        self.add(&mut files, Spare { name: spare, file });
        Ok(())
    }

    fn make(&self, files: &mut Files) -> io::Result<()> {
        self.refresh_free()?;
        if self.free_bytes.load(Ordering::Relaxed) < self.headroom_bytes_min.saturating_add(self.segment_bytes) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has no room for another segment above headroom_bytes_min"));
        }
        let name = files.next_name();
        let made = self.storage.create(&name).and_then(|file| {
            #[cfg(feature = "faults")]
            fail::fail_point!("journal::spare_created");
            file.zero(0, self.segment_bytes)?;
            file.sync_data()?;
            Ok(file)
        });
        match made {
            Ok(file) => self.add(files, Spare { name, file }),
            Err(error) => {
                // Best effort: what stays is removed at the next opening, by its size.
                let _ = self.storage.remove(&name);
                return Err(error);
            }
        }
        self.refresh_free()
    }

    fn add(&self, files: &mut Files, spare: Spare) {
        files.ready.push(spare);
        self.ready_count.store(files.ready.len() as u64, Ordering::Relaxed);
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn next_name(&mut self) -> String {
        self.number += 1;
        format!("{:020}{SUFFIX}", self.number - 1)
    }
}
