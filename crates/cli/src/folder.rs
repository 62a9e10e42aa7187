//! The data folder and who owns it: a lock file with the owner's address, so that a command beside a running server asks the server.
//!
//! ```text
//! DIR/lock          held by the server (flock); says its address and the token that only the folder's owner can read
//! DIR/server.key    signs workers' secrets and leases; lost with it: nobody can go on under an old secret
//! DIR/journal  DIR/collections  DIR/lake  DIR/index
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use record::{Digest, Error, Key, Result};
use serde::{Deserialize, Serialize};

/// Largest lock file that is read, in bytes.
const NOTE_BYTES_MAX: u64 = 4_096;

/// The server that owns a folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// Its address, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// What a command shows to be taken for the folder's owner.
    pub token: String,
    /// Where its tables are.
    pub lake: String,
}

/// A data folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
}

/// What a command finds.
#[derive(Debug)]
pub enum Claim {
    /// The folder is ours.
    Ours(Folder),
    /// A server owns it: ask that.
    Owned(Owner),
}

impl Folder {
    /// Takes the folder, and makes it when it is not there.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made or written, or another process is just starting on it.
    pub fn claim(path: &Path) -> Result<Claim> {
        let failed = |what: &'static str, error: std::io::Error| {
            Error::unavailable(format!("cannot {what} the data folder")).with("folder", path.display()).because(error)
        };
        make_folder(path).map_err(|error| failed("make", error))?;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"));
        let mut lock = open.map_err(|error| failed("lock", error))?;
        match lock.try_lock() {
            Ok(()) => {
                // What a server that was killed has left there is not true any more.
                lock.set_len(0).map_err(|error| failed("lock", error))?;
                Ok(Claim::Ours(Self { path: path.to_owned(), lock }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut note = String::new();
                (&mut lock).take(NOTE_BYTES_MAX).read_to_string(&mut note).map_err(|error| failed("read the lock of", error))?;
                let owner = serde_json::from_str(&note).map_err(|_| {
                    Error::unavailable("another process is using the data folder")
                        .with("folder", path.display())
                        .with("mend", "try again in a moment: a command is at work there, or a server is starting or ending")
                })?;
                Ok(Claim::Owned(owner))
            }
            Err(TryLockError::Error(error)) => Err(failed("lock", error)),
        }
    }

    /// Takes the folder for a server.
    ///
    /// # Errors
    /// `Conflict` when another server owns it; else as [`claim`](Self::claim).
    pub fn claim_for_server(path: &Path) -> Result<Self> {
        match Self::claim(path)? {
            Claim::Ours(folder) => Ok(folder),
            Claim::Owned(owner) => Err(Error::conflict("another server owns the data folder")
                .with("folder", path.display())
                .with("server", owner.url)
                .with("process", owner.pid)
                .with("mend", "end that server, or choose another folder with --data")),
        }
    }

    /// Says in the lock file where this process can be asked.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails.
    pub fn announce(&mut self, owner: &Owner) -> Result<()> {
        let note = serde_json::to_string(owner).map_err(|error| Error::internal("cannot write the lock").because(error))?;
        let write = |lock: &mut File| {
            lock.rewind()?;
            lock.set_len(0)?;
            lock.write_all(note.as_bytes())
        };
        write(&mut self.lock)
            .map_err(|error| Error::unavailable("cannot write the lock file").with("folder", self.path.display()).because(error))
    }

    /// The server's key; made at the first call.
    ///
    /// # Errors
    /// `Corrupt` when the file is not a key; `Unavailable` when the disk or the system's randomness fails.
    pub fn key(&self) -> Result<Key> {
        let path = self.path.join("server.key");
        let failed = |error: std::io::Error| Error::unavailable("cannot use the server's key").with("file", path.display()).because(error);
        if !path.exists() {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| Error::unavailable("no randomness from the system").because(error))?;
            let partial = path.with_extension("partial");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(failed)?;
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed)?;
            fs::rename(&partial, &path).map_err(failed)?;
            File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let key: [u8; 32] =
            bytes.try_into().map_err(|_| Error::corrupt("the server's key is not 32 bytes long").with("file", path.display()))?;
        Ok(Key::from_bytes(key))
    }

    /// A token that only who reads the lock file knows; new at each start.
    ///
    /// # Errors
    /// `Unavailable` when the system has no randomness to give.
    pub fn new_token() -> Result<String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| Error::unavailable("no randomness from the system").because(error))?;
        Ok(Digest::of(&[&random]).to_string())
    }

    /// A place in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Makes a folder and those above it that are missing, and their names durable: what is acknowledged in it is lost with its name (Q1).
fn make_folder(path: &Path) -> std::io::Result<()> {
    let missing = path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir()).count();
    fs::create_dir_all(path)?;
    // Also one that was there: whoever made it may have died before its name was durable.
    for parent in path.canonicalize()?.ancestors().skip(1).take(missing.max(1)) {
        match File::open(parent) {
            // A folder that we may not read is somebody else's, and so is the care for it.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            opened => opened?.sync_all()?,
        }
    }
    Ok(())
}
