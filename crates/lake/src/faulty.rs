//! A disk under a local lake that takes notes of what was synced, fails syncs as Linux does, and shows what a power cut
//! would leave. For the tests of the lake and of the loader; nothing else has [`Config::fsync`](crate::Config::fsync) from here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::Fsync;

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// By number of the file: what is on the medium. The handle keeps the number from being given to another file.
    files: HashMap<u64, (File, Medium)>,
    /// By folder: the names on the medium, and what they lead to.
    names: BTreeMap<PathBuf, BTreeMap<String, Entry>>,
    failing: Option<String>,
    fired: u64,
}

enum Medium {
    Bytes(Vec<u8>),
    /// A sync failed: the kernel takes the pages for clean, later syncs succeed, and nothing of them is there.
    GivenUp,
}

#[derive(Clone, Copy)]
enum Entry {
    Folder,
    File(u64),
}

impl FaultyDisk {
    /// A disk that fails nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What goes into [`Config::fsync`](crate::Config::fsync).
    pub fn fsync(&self) -> Fsync {
        let disk = self.clone();
        Arc::new(move |path| disk.notes().sync(path))
    }

    /// The next sync of a file whose path holds `part` fails.
    pub fn fail_next(&self, part: &str) {
        self.notes().failing = Some(part.to_owned());
    }

    /// How many syncs have failed.
    pub fn fired(&self) -> u64 {
        self.notes().fired
    }

    /// Writes what would be left of the folder `root`, if the power went now, to the folder `to`: of names and contents what was synced, and
    /// a file that was never synced is empty.
    ///
    /// # Errors
    /// When `to` cannot be written.
    pub fn after_power_cut(&self, root: &Path, to: &Path) -> io::Result<()> {
        self.notes().restore(&root.canonicalize()?, to)
    }

    /// As [`after_power_cut`](Self::after_power_cut), on a disk that writes what it likes before it is asked to: of the names that were not synced
    /// each is there or not, with what was synced of the file, or, where nothing was, with all, half or none of its bytes. `draw` gives a
    /// number below the one that it is given.
    ///
    /// # Errors
    /// When `root` cannot be read or `to` not be written.
    pub fn after_nasty_power_cut(&self, root: &Path, to: &Path, draw: &mut dyn FnMut(u64) -> u64) -> io::Result<()> {
        let (notes, root) = (self.notes(), root.canonicalize()?);
        notes.restore(&root, to)?;
        notes.keep_some(&root, to, draw)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let data = file.metadata()?;
        if data.is_dir() {
            let entries = fs::read_dir(path)?.map(|entry| {
                let entry = entry?;
                let data = entry.metadata()?;
                let to = if data.is_dir() { Entry::Folder } else { Entry::File(data.ino()) };
                Ok((entry.file_name().to_string_lossy().into_owned(), to))
            });
            self.names.insert(path.to_path_buf(), entries.collect::<io::Result<_>>()?);
            return Ok(());
        }
        let number = data.ino();
        if self.failing.as_ref().is_some_and(|part| path.to_string_lossy().contains(part.as_str())) {
            self.failing = None;
            self.fired += 1;
            self.files.insert(number, (file, Medium::GivenUp));
            return Err(io::Error::other("the disk failed a sync"));
        }
        if !matches!(self.files.get(&number), Some((_, Medium::GivenUp))) {
            self.files.insert(number, (file, Medium::Bytes(fs::read(path)?)));
        }
        Ok(())
    }

    fn restore(&self, folder: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for (name, entry) in self.names.get(folder).into_iter().flatten() {
            match entry {
                Entry::Folder => self.restore(&folder.join(name), &to.join(name))?,
                Entry::File(number) => match self.files.get(number) {
                    Some((_, Medium::Bytes(bytes))) => fs::write(to.join(name), bytes)?,
                    Some((_, Medium::GivenUp)) | None => fs::write(to.join(name), [])?,
                },
            }
        }
        Ok(())
    }

    /// Adds names that were not synced.
    fn keep_some(&self, folder: &Path, to: &Path, draw: &mut dyn FnMut(u64) -> u64) -> io::Result<()> {
        // Sorted: a folder is listed in any order.
        let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<BTreeSet<_>>>()?;
        for path in entries {
            let (Some(name), data) = (path.file_name(), fs::metadata(&path)?) else { continue };
            let kept = to.join(name);
            if data.is_dir() {
                if kept.exists() || draw(2) == 0 {
                    fs::create_dir_all(&kept)?;
                    self.keep_some(&path, &kept, draw)?;
                }
            } else if !kept.exists() && draw(2) == 0 {
                let mut bytes = fs::read(&path)?;
                match self.files.get(&data.ino()) {
                    Some((_, Medium::Bytes(synced))) => bytes.clone_from(synced),
                    Some((_, Medium::GivenUp)) => bytes.clear(),
                    None => bytes.truncate(bytes.len() * usize::try_from(draw(3)).unwrap_or(0) / 2),
                }
                fs::write(kept, bytes)?;
            }
        }
        Ok(())
    }
}
