//! A data folder as a backup, and a backup as a data folder. `crowdread backup` and `crowdread restore` call it.
//!
//! The order of copying makes it consistent while a server goes on (promise L1). The journal is held, so that nothing is trimmed; then
//!
//! 1. each topic's table at its newest version, 2. `dead_letters`, 3. the journal up to where it ends *now*, 4. everything else.
//!
//! So the journal has what the tables lack, no cursor is beyond its end, and, since a roll commits dead letters first, every letter is
//! there of which a topic's cursor says that it need not be judged again. It is a state that a crash between two commits leaves as well.
//! The index of repeats is left out: the tables make it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
};

use lake::{Lake, Version};
use queue::journal;
use record::{Error, Offset, Result, Timestamp, Topic};
use serde::{Deserialize, Serialize};

/// The version of the manifest that this code writes and reads.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// What is copied beside journal and tables, where it is there.
const OTHERS: [&str; 3] = ["collections", "server.key", "tokens.json"];
/// The largest manifest that is read, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
const BUFFER_BYTES: usize = 1 << 20;

/// What a backup consists of; written last, so that a backup without one is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this file.
    pub format: u32,
    /// When the backup was begun, RFC 3339.
    pub made_at: String,
    /// The version of crowdread that made it.
    pub made_by: String,
    /// One past the last record of the journal; none where there was no journal.
    pub journal_end: Option<Offset>,
    /// The tables, and at which version.
    pub tables: BTreeMap<String, Version>,
    /// Every other file.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its path within the backup, and within the data folder that is made of it.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash, 64 hexadecimal digits.
    pub blake3: String,
}

impl Manifest {
    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A backup that is being made.
#[derive(Debug)]
pub struct Backup {
    to: PathBuf,
    manifest: Manifest,
    folders: BTreeSet<PathBuf>,
}

fn failed(what: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(what).with("path", path.display()).because(error)
}

impl Backup {
    /// Begins one in a folder that is not there, or is empty.
    ///
    /// # Errors
    /// `Invalid` when something is in the folder; `Unavailable` when it cannot be made.
    pub fn begin(to: &Path, made_by: &str, now: Timestamp) -> Result<Self> {
        check_empty(to)?;
        make_private(to)?;
        let manifest = Manifest {
            format: FORMAT,
            made_at: now.to_string(),
            made_by: made_by.to_owned(),
            journal_end: None,
            tables: BTreeMap::new(),
            files: Vec::new(),
        };
        Ok(Self { to: to.to_owned(), manifest, folders: BTreeSet::from([to.to_owned()]) })
    }

    /// First: all tables of the lake in a folder, each at its newest version. The journal must be held, or not be open.
    ///
    /// # Errors
    /// What reading the tables and copying gives.
    pub async fn tables(&mut self, lake: &Lake, folder: &Path) -> Result<()> {
        let mut names = lake.existing_tables().await?;
        // Its commits come before those of the topics, so it is looked at after them.
        names.sort_by_key(|name| name == Topic::dead_letters().as_str());
        let mut found = Vec::new();
        for name in names {
            if let Some(table) = lake.existing_table(&name).await? {
                let at_rest = table.at_rest().await?;
                self.manifest.tables.insert(name.clone(), at_rest.version);
                found.extend(at_rest.files.into_iter().map(|file| format!("{name}/{file}")));
            }
        }
        for file in found {
            self.copy(&folder.join(&file), &format!("lake/{file}"))?;
        }
        Ok(())
    }

    /// Second: the journal up to an end, which was asked for after the tables were copied.
    ///
    /// # Errors
    /// As [`journal::copy`].
    pub fn journal(&mut self, folder: &Path, end: Offset) -> Result<()> {
        let to = self.to.join("journal");
        make_private(&to)?;
        for name in journal::copy(folder, &to, end)? {
            self.note(&format!("journal/{name}"))?;
        }
        self.manifest.journal_end = Some(end);
        Ok(())
    }

    /// Third: keys, tokens and collections of a data folder.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails.
    pub fn others(&mut self, data: &Path) -> Result<()> {
        // What names other files comes first: what it names was there before it, and is there still.
        for is_naming in [true, false] {
            for file in OTHERS.iter().map(|name| walk(data, name, true)).collect::<Result<Vec<_>>>()?.concat() {
                if file.ends_with(".json") == is_naming && !file.ends_with(".partial") {
                    self.copy(&data.join(&file), &file)?;
                }
            }
        }
        Ok(())
    }

    /// Makes everything durable, and then whole by its manifest.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails.
    pub fn finish(mut self) -> Result<Manifest> {
        self.manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        sync_folders(&self.folders)?;
        let text = serde_json::to_vec_pretty(&self.manifest).map_err(|error| Error::internal("a manifest is no JSON").because(error))?;
        let (partial, whole) = (self.to.join("manifest.partial"), self.to.join(MANIFEST));
        let written = File::create(&partial).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&partial, &whole)).map_err(|error| failed("cannot write the manifest", &whole, error))?;
        sync_folders(&BTreeSet::from([self.to.clone()]))?;
        sync_parent(&self.to)?;
        Ok(self.manifest)
    }

    /// Copies a file; where the file system shares blocks between copies, so does this.
    fn copy(&mut self, from: &Path, path: &str) -> Result<()> {
        let to = self.to.join(path);
        if let Some(parent) = to.parent() {
            make_private(parent)?;
        }
        fs::copy(from, &to).map_err(|error| failed("cannot copy a file", from, error))?;
        self.note(path)
    }

    /// Takes a file that is there into the manifest, and makes it durable.
    fn note(&mut self, path: &str) -> Result<()> {
        let file = self.to.join(path);
        let (bytes, blake3) = hash_of(&file)?;
        File::open(&file).and_then(|file| file.sync_all()).map_err(|error| failed("cannot make a file durable", &file, error))?;
        self.folders.extend(file.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.to)).map(Path::to_path_buf));
        self.manifest.files.push(BackupFile { path: path.to_owned(), bytes, blake3 });
        Ok(())
    }
}

/// Checks that every file of a backup is there and is what was copied.
///
/// # Errors
/// `Invalid` when the folder is no whole backup, or one of another version; `Corrupt` for a file that is gone or differs.
pub fn check(from: &Path) -> Result<Manifest> {
    let path = from.join(MANIFEST);
    let text = read_capped(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Error::invalid("this is no backup, or one that was not finished: it has no manifest").with("folder", from.display())
        }
        _ => failed("cannot read the manifest", &path, error),
    })?;
    let damaged = |error| Error::corrupt("the manifest of the backup is damaged").with("file", path.display()).because(error);
    // The version first: another one may have other fields.
    let any: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
    if any["format"] != FORMAT {
        return Err(Error::invalid("another version of crowdread made this backup: restore it with that version, or a later one")
            .with("format_found", &any["format"])
            .with("format_supported", FORMAT));
    }
    let manifest: Manifest = serde_json::from_value(any).map_err(damaged)?;
    for file in &manifest.files {
        let differs = |what: &'static str| Error::corrupt(what).with("file", from.join(&file.path).display());
        if !is_within(&file.path) {
            return Err(differs("the manifest names a file outside of the backup"));
        }
        match hash_of(&from.join(&file.path)) {
            Ok((bytes, _)) if bytes != file.bytes => {
                return Err(differs("a file of the backup has another size").with("found", bytes).with("expected", file.bytes));
            }
            Ok((_, blake3)) if blake3 != file.blake3 => return Err(differs("a file of the backup is not what was copied")),
            Ok(_) => {}
            Err(error) if !from.join(&file.path).exists() => return Err(differs("a file of the backup is gone").because(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(manifest)
}

/// Makes a data folder of a backup. It is whole and durable when it gets its name: a restore that ended early leaves `NAME.restoring`.
///
/// # Errors
/// As [`check`], which comes first; `Invalid` when something is in the folder already.
pub fn restore(from: &Path, to: &Path) -> Result<Manifest> {
    check_empty(to)?;
    let mut name = to.file_name().map(ToOwned::to_owned).unwrap_or_default();
    name.push(".restoring");
    let partial = to.with_file_name(name);
    if partial.exists() {
        return Err(Error::invalid("an earlier restore ended early: delete what it left, and try again").with("folder", partial.display()));
    }
    let manifest = check(from)?;
    make_private(&partial)?;
    let mut folders = BTreeSet::from([partial.clone()]);
    for file in &manifest.files {
        let (source, target) = (from.join(&file.path), partial.join(&file.path));
        if let Some(parent) = target.parent() {
            make_private(parent)?;
        }
        fs::copy(&source, &target).map_err(|error| failed("cannot copy a file", &source, error))?;
        if hash_of(&target)?.1 != file.blake3 {
            return Err(Error::corrupt("a file was not written as it was read").with("file", target.display()));
        }
        File::open(&target).and_then(|file| file.sync_all()).map_err(|error| failed("cannot make a file durable", &target, error))?;
        folders.extend(target.ancestors().skip(1).take_while(|folder| folder.starts_with(&partial)).map(Path::to_path_buf));
    }
    // `serve` looks for it, also where no page was ever imported.
    let collections = partial.join("collections");
    make_private(&collections)?;
    folders.insert(collections);
    sync_folders(&folders)?;
    fs::rename(&partial, to).map_err(|error| failed("cannot give the folder its name", to, error))?;
    sync_parent(to)?;
    Ok(manifest)
}

#[expect(clippy::disallowed_methods, reason = "capped: a manifest of some million files is smaller")]
fn read_capped(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MANIFEST_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether a path leads nowhere else.
fn is_within(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn check_empty(folder: &Path) -> Result<()> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::invalid("the folder is not empty: name a new one").with("folder", folder.display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::invalid("this is no folder that can be looked into").with("folder", folder.display()).because(error)),
    }
}

/// Makes a folder for its owner alone: there are keys in it.
fn make_private(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| failed("cannot make a folder", folder, error))
}

fn sync_folders(folders: &BTreeSet<PathBuf>) -> Result<()> {
    // Those within first.
    folders.iter().rev().try_for_each(|folder| {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("cannot make a folder durable", folder, error))
    })
}

/// Makes the name of a folder durable. A parent that we may not read is somebody else's, and so is the care for it.
fn sync_parent(folder: &Path) -> Result<()> {
    let parent = folder.canonicalize().ok().and_then(|folder| folder.parent().map(Path::to_path_buf));
    let Some(parent) = parent else { return Ok(()) };
    match File::open(&parent).and_then(|parent| parent.sync_all()) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(failed("cannot make a folder durable", &parent, error)),
        _ => Ok(()),
    }
}

/// The files under a name of a folder, as paths within the folder; nothing where there is none. The name may be a link to what is elsewhere.
fn walk(top: &Path, name: &str, is_top: bool) -> Result<Vec<String>> {
    let path = top.join(name);
    let cannot = |error| failed("cannot look into a folder", &path, error);
    match if is_top { fs::metadata(&path) } else { fs::symlink_metadata(&path) } {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(cannot(error)),
        Ok(found) if found.is_file() => Ok(vec![name.to_owned()]),
        Ok(found) if !found.is_dir() => {
            Err(Error::invalid("neither a file nor a folder: it cannot be in a backup").with("path", path.display()))
        }
        Ok(_) => {
            let mut files = Vec::new();
            for entry in fs::read_dir(&path).map_err(cannot)? {
                let entry = entry.map_err(cannot)?.file_name();
                let entry = entry.to_str().ok_or_else(|| Error::invalid("a file's name is not UTF-8").with("folder", path.display()))?;
                files.extend(walk(top, &format!("{name}/{entry}"), false)?);
            }
            Ok(files)
        }
    }
}

/// Length and hash of a file.
fn hash_of(path: &Path) -> Result<(u64, String)> {
    let cannot = |error| failed("cannot read a file", path, error);
    let mut file = File::open(path).map_err(cannot)?;
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; BUFFER_BYTES], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hasher.finalize().to_hex().to_string())),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot(error)),
        }
    }
}
