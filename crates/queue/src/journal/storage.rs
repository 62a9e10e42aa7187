//! The journal's way to files: one trait, so that the same writer, reader and recovery run on a real folder and on a
//! fake disk that loses power. Called by every other file of the journal; the fake disk is `faulty`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file that is locked so that two processes never write one journal.
pub(crate) const LOCK_NAME: &str = "journal.lock";

/// How many bytes of zeros are written at a time.
const ZEROS_BYTES: usize = 1 << 20;

/// An open file of a journal. Positions and lengths are in bytes.
pub trait StorageFile: Send + Sync {
    /// Writes all bytes at a position, growing the file when needed. Not durable until [`sync_data`](Self::sync_data) returns.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills the buffer from a position.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter; else what the disk says.
    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Returns when all that was written before is on stable storage, with the length that it needs (fdatasync).
    fn sync_data(&self) -> io::Result<()>;

    /// The length.
    fn bytes(&self) -> io::Result<u64>;

    /// Writes zeros over a range, which also allocates it: a later write there changes no metadata, so that
    /// fdatasync has no file system journal to wait for. `fallocate` alone does not help: it leaves extents unwritten.
    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; ZEROS_BYTES.min(usize::try_from(to.saturating_sub(from)).unwrap_or(ZEROS_BYTES))];
        let mut at = from;
        while at < to {
            let part = zeros.len().min(usize::try_from(to - at).unwrap_or(zeros.len()));
            self.write_at(at, &zeros[..part])?;
            at += part as u64;
        }
        Ok(())
    }
}

/// Keeps other processes off the folder until it is dropped.
pub trait StorageLock: Send + Sync {}

/// A folder of files. Names are plain file names.
pub trait Storage: Send + Sync {
    /// Makes a new empty file.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// The names in the folder, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, over a file of that name. Durable after [`sync_dir`](Self::sync_dir).
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a name away. Open files stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when names made, changed and taken away before are on stable storage.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that can still be written on this disk.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Locks the folder.
    ///
    /// # Errors
    /// `WouldBlock` when another holds the lock.
    fn lock(&self) -> io::Result<Box<dyn StorageLock>>;

    /// Ten random bytes, for the queue's id.
    fn random(&self) -> io::Result<[u8; 10]>;

    /// Where this is, for messages.
    fn place(&self) -> String;
}

/// A real folder that is looked at and never changed: whatever would change it, or lock it, is refused.
#[derive(Debug)]
pub(crate) struct ReadOnlyStorage(pub PathBuf);

impl Storage for ReadOnlyStorage {
    fn create(&self, _: &str) -> io::Result<Arc<dyn StorageFile>> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(File::open(self.0.join(name))?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.0)
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn lock(&self) -> io::Result<Box<dyn StorageLock>> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn random(&self) -> io::Result<[u8; 10]> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn place(&self) -> String {
        self.0.display().to_string()
    }
}

fn list(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A real folder.
#[derive(Debug)]
pub struct FileStorage {
    dir: PathBuf,
    handle: File,
}

impl FileStorage {
    /// Opens a folder, making it when it is not there, with its name and those of the folders made above it on stable storage.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let missing = dir.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()).count();
        fs::create_dir_all(dir)?;
        // Also one that was there: whoever made it may have died before its name was durable (promise Q1).
        for made in dir.canonicalize()?.ancestors().take(missing.max(1)) {
            sync_name(made)?;
        }
        Ok(Self { dir: dir.to_owned(), handle: File::open(dir)? })
    }
}

/// Makes the name of a folder durable. A parent that we may not read is somebody else's, and so is the care for it.
fn sync_name(folder: &Path) -> io::Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    match File::open(parent) {
        Ok(parent) => parent.sync_all(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

impl StorageFile for File {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl StorageLock for File {}

impl Storage for FileStorage {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(self.dir.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(self.dir.join(name))?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.handle)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn lock(&self) -> io::Result<Box<dyn StorageLock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.dir.join(LOCK_NAME))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn random(&self) -> io::Result<[u8; 10]> {
        let mut bytes = [0; 10];
        // The one place where this crate asks for randomness.
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn place(&self) -> String {
        self.dir.display().to_string()
    }
}
