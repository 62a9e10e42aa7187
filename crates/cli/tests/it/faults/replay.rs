//! The notes of the shim, played on a disk in memory that keeps apart what was written and what was synced; and what a power cut leaves.
//!
//! The rules are those of the journal's model disk (`queue::journal::FaultyStorage`, which names the sources): of what was not synced,
//! each sector is there or not, a length may outlive its bytes, and of the changes of names there are the first few, or any; a
//! failed fsync leaves pages that no later fsync brings to the disk.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
};

use rand::{Rng, rngs::SmallRng};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File(usize),
}

/// Something that was done and is not synced, with its place in the order of all.
struct Pending<T> {
    at: u64,
    what: T,
}

enum Write {
    Bytes(usize, Vec<u8>),
    Zeros(usize, usize),
    Length(usize),
}

enum NameChange {
    Add(String, Entry),
    Move(String, String),
    Remove(String),
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    seen_length: usize,
    pending: Vec<Pending<Write>>,
}

/// A sync that has begun: of a file or a folder, and of what came before.
struct Sync {
    folder: Option<String>,
    file: Option<usize>,
    before: u64,
}

/// The disk.
#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    /// By the number that the kernel gave.
    numbers: HashMap<u64, usize>,
    names: BTreeMap<String, Entry>,
    durable_names: BTreeMap<String, Entry>,
    changes: Vec<Pending<NameChange>>,
    syncs: HashMap<u64, Sync>,
    clock: u64,
}

/// What the notes say of themselves.
#[derive(Default, Debug)]
pub struct Told {
    /// Faults that fired, by name.
    pub fired: BTreeMap<String, u64>,
    /// Calls that pass the notes by.
    pub unseen: Vec<String>,
    /// Notes of each kind.
    pub calls: BTreeMap<char, u64>,
}

/// What a power cut took.
#[derive(Default, Debug, Clone, Copy)]
pub struct Lost {
    /// Sectors that were written and are not there.
    pub sectors: u64,
    /// Changes of names that are not there.
    pub names: u64,
}

/// One note.
struct Note<'a> {
    what: char,
    numbers: [u64; 3],
    first: &'a str,
    second: &'a str,
    bytes: &'a [u8],
}

/// The notes of a file, up to where it is whole: the process may have been killed in the middle of one.
fn notes(mut bytes: &[u8]) -> impl Iterator<Item = Note<'_>> {
    std::iter::from_fn(move || {
        let head = bytes.get(..33)?;
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let length = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
        let (first, second) = (length(25), length(29));
        let texts = bytes.get(33..33 + first + second)?;
        bytes = &bytes[33 + first + second..];
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        Some(Note {
            what: char::from(head[0]),
            numbers: [number(1), number(9), number(17)],
            first: text(&texts[..first]),
            second: text(&texts[first..]),
            bytes: &texts[..first],
        })
    })
}

/// Reads the notes for what they tell, without playing them.
pub fn told(path: &Path) -> Told {
    let bytes = fs::read(path).unwrap_or_default();
    let mut told = Told::default();
    for note in notes(&bytes) {
        *told.calls.entry(note.what).or_default() += 1;
        match note.what {
            '!' => *told.fired.entry(note.first.to_owned()).or_default() += 1,
            '?' => told.unseen.push(note.first.to_owned()),
            _ => {}
        }
    }
    told
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk {
    /// A disk on which a folder is, all of it synced.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut disk = Self::default();
        disk.take(folder, "")?;
        disk.durable_names.clone_from(&disk.names);
        Ok(disk)
    }

    fn take(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.names.insert(name.clone(), Entry::Folder);
                self.take(&entry.path(), &format!("{name}/"))?;
            } else {
                let durable = fs::read(entry.path())?;
                self.names.insert(name, Entry::File(self.files.len()));
                self.files.push(File { seen_length: durable.len(), durable, pending: Vec::new() });
            }
        }
        Ok(())
    }

    /// Plays the notes; `random` says what a failed sync has brought to the disk.
    pub fn play(&mut self, path: &Path, random: &mut SmallRng) {
        // No notes: it was killed before it began any.
        let bytes = fs::read(path).unwrap_or_default();
        for note in notes(&bytes) {
            self.clock += 1;
            let [number, at, count] = note.numbers;
            let (at, count) = (at as usize, count as usize);
            match note.what {
                'O' => {
                    let Some(Entry::File(file)) = self.names.get(note.first) else { panic!("{} was opened and is not there", note.first) };
                    self.numbers.insert(number, *file);
                }
                'C' => {
                    self.numbers.insert(number, self.files.len());
                    self.files.push(File::default());
                    self.change(NameChange::Add(note.first.to_owned(), Entry::File(self.files.len() - 1)));
                }
                'M' => self.change(NameChange::Add(note.first.to_owned(), Entry::Folder)),
                'R' => self.change(NameChange::Move(note.first.to_owned(), note.second.to_owned())),
                'L' => {
                    let entry = self.names[note.first];
                    self.change(NameChange::Add(note.second.to_owned(), entry));
                }
                'U' => self.change(NameChange::Remove(note.first.to_owned())),
                'W' => self.write(number, at + note.bytes.len(), Write::Bytes(at, note.bytes.to_vec())),
                'Z' => self.write(number, at + count, Write::Zeros(at, count)),
                'T' => {
                    self.write(number, 0, Write::Length(at));
                    let file = self.numbers[&number];
                    self.files[file].seen_length = at;
                }
                'B' => {
                    let folder = (count == 1).then(|| note.first.to_owned());
                    let file = self.numbers.get(&number).copied().filter(|_| folder.is_none());
                    self.syncs.insert(at as u64, Sync { folder, file, before: self.clock });
                }
                'E' | 'F' => self.sync(at as u64, note.what == 'E', random),
                _ => {}
            }
        }
    }

    fn change(&mut self, what: NameChange) {
        what.apply(&mut self.names);
        self.changes.push(Pending { at: self.clock, what });
    }

    fn write(&mut self, number: u64, end: usize, what: Write) {
        let file = &mut self.files[self.numbers[&number]];
        file.seen_length = file.seen_length.max(end);
        file.pending.push(Pending { at: self.clock, what });
    }

    fn sync(&mut self, token: u64, is_good: bool, random: &mut SmallRng) {
        let Some(sync) = self.syncs.remove(&token) else { return };
        if let Some(file) = sync.file.map(|file| &mut self.files[file]) {
            let (before, after) = std::mem::take(&mut file.pending).into_iter().partition(|pending| pending.at < sync.before);
            file.pending = after;
            let before: Vec<Pending<Write>> = before;
            for pending in before {
                pending.what.persist(&mut file.durable, &mut || is_good || random.random_bool(0.5));
            }
        }
        // A failed sync of a folder has done nothing.
        if let Some(folder) = sync.folder.filter(|_| is_good) {
            let durable = &mut self.durable_names;
            self.changes.retain(|pending| {
                let is_due = pending.at < sync.before && parent(pending.what.path()) == folder;
                if is_due {
                    pending.what.apply(durable);
                }
                !is_due
            });
        }
    }

    /// The power goes: writes what is left into a new folder.
    pub fn cut(mut self, to: &Path, random: &mut SmallRng) -> io::Result<Lost> {
        let mut lost = Lost::default();
        let (are_ordered, kept) = (random.random_bool(0.5), random.random_range(0..=self.changes.len()));
        for (number, pending) in self.changes.iter().enumerate() {
            if if are_ordered { number < kept } else { random.random_bool(0.5) } {
                pending.what.apply(&mut self.durable_names);
            } else {
                lost.names += 1;
            }
        }
        fs::create_dir_all(to)?;
        for (path, entry) in &self.durable_names {
            // Sorted, so that a folder comes before what is in it; what lost its folder is lost.
            let place = to.join(path);
            if !place.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match entry {
                Entry::Folder => fs::create_dir(place)?,
                Entry::File(file) => fs::write(place, self.files[*file].after_cut(random, &mut lost))?,
            }
        }
        Ok(lost)
    }
}

impl File {
    fn after_cut(&self, random: &mut SmallRng, lost: &mut Lost) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        // All or nothing is as possible as anything between.
        let share = [0.0, 0.5, 1.0][random.random_range(0..3)];
        for pending in &self.pending {
            pending.what.persist(&mut bytes, &mut || {
                let is_kept = random.random_bool(share);
                lost.sectors += u64::from(!is_kept);
                is_kept
            });
        }
        if bytes.len() < self.seen_length && random.random_bool(0.25) {
            bytes.resize(self.seen_length, 0);
        }
        bytes
    }
}

impl Write {
    /// Brings to the disk those of its sectors that `keeps` says.
    fn persist(&self, bytes: &mut Vec<u8>, keeps: &mut dyn FnMut() -> bool) {
        let (from, count) = match self {
            Self::Length(length) => {
                if keeps() {
                    bytes.resize(*length, 0);
                }
                return;
            }
            Self::Bytes(from, written) => (*from, written.len()),
            Self::Zeros(from, count) => (*from, *count),
        };
        let mut at = from;
        while at < from + count {
            let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(from + count);
            if keeps() {
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                match self {
                    Self::Bytes(_, written) => bytes[at..end].copy_from_slice(&written[at - from..end - from]),
                    _ => bytes[at..end].fill(0),
                }
            }
            at = end;
        }
    }
}

impl NameChange {
    /// The path whose folder has to be synced.
    fn path(&self) -> &str {
        match self {
            Self::Add(path, _) | Self::Move(_, path) | Self::Remove(path) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Move(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}
