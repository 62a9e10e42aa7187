//! Making the files of a local lake durable (promise L1): object_store 0.13 does not fsync. Other stores do it themselves.
//!
//! `writer`, `commit` and `table` call this: files first, then the folders that name them.
//!
//! A failed fsync is never simply asked again. After it the kernel takes the file's pages for clean though they did not reach the disk, and the
//! next fsync of the same file says that all is well (Rebello et al., *Can Applications Recover from fsync Failures?*, USENIX
//! ATC 2020, section 3). So a file whose durability is in doubt is written anew under another name, synced, and renamed over the
//! first: the same bytes in pages that the kernel has not given up on, and no reader ever sees half of them.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use record::{Error, Result};
use url::Url;

use crate::store::{Lake, blocking};

/// Makes one file or folder durable. Tests put a disk that fails, or one that takes notes, in its place.
pub type Fsync = Arc<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// The end of the name of a file that is being written anew.
const AGAIN: &str = ".again";

/// Opens a file or folder and syncs its data, its length and its names: what [`Fsync`] is outside tests.
///
/// # Errors
/// What the disk says; whether the file is durable is then unknown, and calling this again does not tell.
pub fn fsync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a folder and those above it that are missing, and their names durable. Returns its canonical path.
pub(crate) fn make_folder(folder: &Path, fsync: &Fsync) -> Result<PathBuf> {
    let failed =
        |error: io::Error| Error::unavailable("cannot make the folder of the tables").with("folder", folder.display()).because(error);
    let missing = folder.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir()).count();
    fs::create_dir_all(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    // Also one that was there: whoever made it may have died before its name was durable.
    for parent in folder.ancestors().skip(1).take(missing.max(1)) {
        match fsync(parent) {
            // A folder that we may not read is somebody else's, and so is the care for it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            synced => synced.map_err(failed)?,
        }
    }
    Ok(folder)
}

impl Lake {
    /// Makes files durable, then the folders up to the table's own that name them. For files that were written a moment ago: whose
    /// fsync may have failed before is [`renewed`](Self::renew).
    pub(crate) async fn sync(&self, table: &Url, files: Vec<String>) -> Result<()> {
        self.for_each(table, files, |path, fsync| fsync(path)).await
    }

    /// Writes files anew and makes them durable, with the folders that name them.
    ///
    /// # Errors
    /// `Corrupt` when an entry of the log is not whole any more.
    pub(crate) async fn renew(&self, table: &Url, files: Vec<String>) -> Result<()> {
        self.for_each(table, files, renew).await
    }

    /// The path on local disk of a file of a table; `None` where the store itself makes files durable.
    pub(crate) fn local_path(&self, table: &Url, file: &str) -> Option<PathBuf> {
        table.to_file_path().ok().map(|folder| folder.join(file))
    }

    async fn for_each(&self, table: &Url, files: Vec<String>, keep: fn(&Path, &Fsync) -> io::Result<()>) -> Result<()> {
        let (Ok(top), false) = (table.to_file_path(), files.is_empty()) else { return Ok(()) };
        let fsync = Arc::clone(&self.shared.config.fsync);
        blocking(move || {
            let mut folders = BTreeSet::new();
            for path in files.iter().map(|file| top.join(file)) {
                keep(&path, &fsync).map_err(|error| failed(&path, error))?;
                folders.extend(path.ancestors().skip(1).take_while(|folder| folder.starts_with(&top)).map(Path::to_path_buf));
            }
            folders.extend(top.parent().map(Path::to_path_buf));
            folders.iter().rev().try_for_each(|folder| fsync(folder).map_err(|error| failed(folder, error)))
        })
        .await
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    let told = match error.kind() {
        ErrorKind::InvalidData => Error::corrupt("a file of the table's log is damaged"),
        _ => Error::unavailable("cannot make a file durable"),
    };
    told.with("file", path.display()).because(error)
}

fn renew(path: &Path, fsync: &Fsync) -> io::Result<()> {
    let bytes = fs::read(path)?;
    if path.extension() == Some(OsStr::new("json")) && !is_log_entry(&bytes) {
        // The pages were dropped, and what the disk has instead is shown.
        return Err(io::Error::new(ErrorKind::InvalidData, "not every line of this entry is JSON"));
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let again = path.with_file_name(format!(".{name}.{:016x}{AGAIN}", u64::from_le_bytes(random)));
    let renewed = fs::write(&again, bytes).and_then(|()| fsync(&again)).and_then(|()| fs::rename(&again, path));
    if renewed.is_err() {
        // What stays is swept.
        let _ = fs::remove_file(&again);
    }
    renewed
}

/// Whether bytes are lines of JSON, as the Delta protocol has it (section *Delta Log Entries*).
fn is_log_entry(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).peekable();
    lines.peek().is_some() && lines.all(|line| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok())
}

/// Files that were being written when their writer died, modified before some time: object_store's `x#1`, the log's
/// `_commit_….json.tmp` and ours. No store lists the first ones.
pub(crate) fn leftovers(table: &Path, before_us: i64) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![table.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let data = match entry.metadata() {
                Ok(data) => data,
                Err(error) if error.kind() == ErrorKind::NotFound => continue, // gone meanwhile
                Err(error) => return Err(error),
            };
            if data.is_dir() {
                folders.push(entry.path());
            } else if is_leftover(&entry.file_name().to_string_lossy()) && modified_us(&data)? < before_us {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn is_leftover(name: &str) -> bool {
    let staged = name.rsplit_once('#').is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    staged || (name.starts_with('.') && name.ends_with(AGAIN)) || (name.starts_with("_commit_") && name.ends_with(".json.tmp"))
}

fn modified_us(data: &fs::Metadata) -> io::Result<i64> {
    let since = data.modified()?.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
