//! Files that wait to become segments: zeroed ahead of time so that the writer does not wait, or left over from trimmed
//! segments. Also knows how much the disk can still take. The writer takes spares, the housekeeper prepares them, trim gives them.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

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
    ready: Vec<String>,
    number: u64,
}

/// A file that is about to become a segment.
pub(crate) struct Spare {
    pub name: String,
    pub file: Arc<dyn StorageFile>,
}

/// Whether an error says that the disk is full, which passes, rather than broken.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Spares {
    /// Takes over the spare files that lie in the folder; those of another size are removed.
    pub fn adopt(storage: Arc<dyn Storage>, config: &Config, names: &[String]) -> io::Result<Self> {
        let mut files = Files { ready: Vec::new(), number: 0 };
        for name in names.iter().filter(|name| name.ends_with(SUFFIX)) {
            let number = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse::<u64>().ok());
            files.number = files.number.max(number.map_or(0, |number| number.saturating_add(1)));
            if files.ready.len() < SPARES_MAX && storage.open(name)?.bytes()? == config.segment_bytes {
                files.ready.push(name.clone());
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

    /// A file of zeros, or of what an earlier segment left, of the size of a segment.
    ///
    /// # Errors
    /// `StorageFull` when the disk cannot take it; nothing is changed then.
    pub fn take(&self) -> io::Result<Spare> {
        let mut files = self.files();
        if files.ready.is_empty() {
            self.make(&mut files)?;
        }
        let name = files.ready.pop().expect("a spare was made");
        self.ready_count.store(files.ready.len() as u64, Ordering::Relaxed);
        let file = self.storage.open(&name)?;
        Ok(Spare { name, file })
    }

    /// Makes a spare of a trimmed segment, or removes it.
    pub fn recycle(&self, segment: Arc<Segment>) -> io::Result<()> {
        let name = segment.name.clone();
        // A reader that still has the segment must never see the file's next life.
        let unread = Arc::into_inner(segment).filter(|segment| segment.bytes == self.segment_bytes);
        let mut files = self.files();
        if unread.is_none() || files.ready.len() >= SPARES_MAX {
            self.storage.remove(&name)?;
            return self.storage.sync_dir();
        }
        let spare = files.next_name();
        self.storage.rename(&name, &spare)?;
        // Before the header is written over: otherwise a power cut brings the old name back with new contents.
        self.storage.sync_dir()?;
        self.add(&mut files, spare);
        Ok(())
    }

    fn make(&self, files: &mut Files) -> io::Result<()> {
        self.refresh_free()?;
        if self.free_bytes.load(Ordering::Relaxed) < self.headroom_bytes_min.saturating_add(self.segment_bytes) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has no room for another segment above headroom_bytes_min"));
        }
        let name = files.next_name();
        let made = self.storage.create(&name).and_then(|file| {
            file.zero(0, self.segment_bytes)?;
            file.sync_data()
        });
        if let Err(error) = made {
            // Best effort: what stays is removed at the next opening, by its size.
            let _ = self.storage.remove(&name);
            return Err(error);
        }
        self.add(files, name);
        self.refresh_free()
    }

    fn add(&self, files: &mut Files, name: String) {
        files.ready.push(name);
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
