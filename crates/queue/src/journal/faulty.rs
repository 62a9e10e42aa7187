//! A disk in memory that fails as disks do: it loses what was not synced when the power goes, in any order and torn at
//! sectors; it fails writes and syncs; it is full. For the journal's tests and the simulation; the same seed gives the same faults.
//!
//! A failed sync behaves as on Linux: the pages count as clean afterwards, reads still show them, a second sync succeeds,
//! and a power cut reveals that they never reached the disk.
//!
//! What a power cut may do here is what the file systems together may do. ext4 and XFS put all changes of names through one log, in order
//! (the kernel's `filesystems/ext4/journal.rst` and `filesystems/xfs/xfs-delayed-logging-design.rst`), so that a first part of them
//! survives; Btrfs and ext2 keep any of them (Pillai et al., *All File Systems Are Not Created Equal*, OSDI 2014, table 1). On all of them a
//! name may survive without the data that it leads to, and a length without the bytes, which are zeros then. Renames are atomic on
//! all. Not done: stale bytes of other files where data did not come (ext4 with `data=writeback`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::storage::{Storage, StorageFile, StorageLock};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Faults that are still to come; each number counts calls down to its fault, 0 being the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// After so many calls of any kind the power, or the process, is gone: every call fails until [`FaultyStorage::power_cut`]
    /// or [`FaultyStorage::kill`].
    pub power_off_after: Option<u64>,
    /// Which sync of a file's data fails.
    pub sync_fails_after: Option<u64>,
    /// Which write fails.
    pub write_fails_after: Option<u64>,
    /// The disk's size in bytes.
    pub capacity_bytes: Option<u64>,
    /// Whether the process has no handles left: no file is made or opened.
    pub handles_are_gone: bool,
}

/// A fake disk. Clones are the same disk.
#[derive(Clone)]
pub struct FaultyStorage(Arc<Mutex<Disk>>);

struct Disk {
    random: u64,
    faults: Faults,
    fired: u64,
    calls: u64,
    is_off: bool,
    is_locked: bool,
    /// Set anew with each power cut or kill, so that handles from before it are dead.
    life: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names that are not synced, in order.
    renames: Vec<NameChange>,
    next_inode: u64,
}

#[derive(Default)]
struct Inode {
    /// What reads show.
    seen: Vec<u8>,
    /// What is on the medium.
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Add(String, u64),
    Move(String, String),
    Remove(String),
}

struct FakeFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
    life: u64,
}

struct FakeLock(Arc<Mutex<Disk>>, u64);

impl FaultyStorage {
    /// An empty disk without faults.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            random: seed,
            faults: Faults::default(),
            fired: 0,
            calls: 0,
            is_off: false,
            is_locked: false,
            life: 0,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renames: Vec::new(),
            next_inode: 0,
        })))
    }

    /// Sets the faults to come.
    pub fn set_faults(&self, faults: Faults) {
        self.disk().faults = faults;
    }

    /// How many faults have fired.
    pub fn fired(&self) -> u64 {
        self.disk().fired
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.disk().is_off
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.disk().calls
    }

    /// The power goes and comes back. Of what was not synced, each sector is there or not, and the length may be there without them; of the
    /// changes of names there are the first few, or any. Faults are cleared, files and locks from before are dead.
    pub fn power_cut(&self) {
        let mut disk = self.disk();
        let changes = std::mem::take(&mut disk.renames);
        let (are_ordered, kept) = (disk.draw(2) == 0, disk.draw(changes.len() as u64 + 1) as usize);
        for (number, change) in changes.into_iter().enumerate() {
            if if are_ordered { number < kept } else { disk.draw(2) == 0 } {
                change.apply(&mut disk.durable_names);
            }
        }
        disk.names = disk.durable_names.clone();
        let mut inodes = std::mem::take(&mut disk.inodes);
        inodes.retain(|number, _| disk.names.values().any(|named| named == number));
        for inode in inodes.values_mut() {
            for sector in std::mem::take(&mut inode.dirty) {
                if disk.draw(2) == 0 {
                    inode.persist(sector);
                }
            }
            if inode.durable.len() < inode.seen.len() && disk.draw(4) == 0 {
                inode.durable.resize(inode.seen.len(), 0);
            }
            inode.seen.clone_from(&inode.durable);
        }
        disk.inodes = inodes;
        disk.restart();
    }

    /// The process dies and another one comes: nothing that was written is lost, nothing more is synced.
    /// Faults are cleared, files and locks from before are dead.
    pub fn kill(&self) {
        self.disk().restart();
    }

    /// Flips a bit of a file, on the medium and in what reads show: rot.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip_bit(&self, name: &str, at: u64, bit: u8) {
        let mut disk = self.disk();
        let number = disk.names[name];
        let inode = disk.inodes.get_mut(&number).expect("the file is there");
        for bytes in [&mut inode.seen, &mut inode.durable] {
            bytes[at as usize] ^= 1 << (bit % 8);
        }
        disk.fired += 1;
    }

    /// What reads of a file show.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let disk = self.disk();
        disk.inodes[&disk.names[name]].seen.clone()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }

    fn file(&self, disk: &Disk, inode: u64) -> Arc<dyn StorageFile> {
        Arc::new(FakeFile { disk: Arc::clone(&self.0), inode, life: disk.life })
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a fault down; whether it is its turn.
fn is_due(after: &mut Option<u64>) -> bool {
    match after {
        Some(0) => {
            *after = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Disk {
    /// SplitMix64 (Steele, Lea, Flood 2014): small, and all that is asked for here.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }

    fn restart(&mut self) {
        self.faults = Faults::default();
        self.is_off = false;
        self.is_locked = false;
        self.life += 1;
    }

    /// Every call comes through here first.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if !self.is_off && is_due(&mut self.faults.power_off_after) {
            self.is_off = true;
            self.fired += 1;
        }
        if self.is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Before a file is made or opened.
    fn take_handle(&mut self) -> io::Result<()> {
        if self.faults.handles_are_gone {
            self.fired += 1;
            return Err(rustix::io::Errno::MFILE.into());
        }
        Ok(())
    }

    fn inode_of(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.renames.push(change);
    }

    fn free_bytes(&self) -> u64 {
        let used: u64 = self.names.values().map(|inode| self.inodes[inode].seen.len() as u64).sum();
        self.faults.capacity_bytes.unwrap_or(1 << 40).saturating_sub(used)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Add(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Move(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Inode {
    fn persist(&mut self, sector: usize) {
        let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(self.seen.len());
        if self.durable.len() < range.end {
            self.durable.resize(range.end, 0);
        }
        self.durable[range.clone()].copy_from_slice(&self.seen[range]);
    }
}

impl FakeFile {
    fn with<T>(&self, run: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = lock(&self.disk);
        disk.call()?;
        if disk.life != self.life {
            return Err(io::Error::other("the file was opened in an earlier life"));
        }
        run(&mut disk)
    }
}

impl StorageFile for FakeFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            if is_due(&mut disk.faults.write_fails_after) {
                disk.fired += 1;
                return Err(io::Error::other("the disk failed a write"));
            }
            let free = disk.free_bytes();
            let inode = disk.inodes.get_mut(&self.inode).ok_or(ErrorKind::NotFound)?;
            let (from, to) = (at as usize, at as usize + bytes.len());
            let grows = to.saturating_sub(inode.seen.len());
            if grows as u64 > free {
                disk.fired += 1;
                return Err(ErrorKind::StorageFull.into());
            }
            inode.seen.resize(inode.seen.len() + grows, 0);
            inode.seen[from..to].copy_from_slice(bytes);
            inode.dirty.extend(from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES));
            Ok(())
        })
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|disk| {
            let inode = disk.inodes.get(&self.inode).ok_or(ErrorKind::NotFound)?;
            let from = at as usize;
            let bytes = inode.seen.get(from..from + buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            let fails = is_due(&mut disk.faults.sync_fails_after);
            let mut inode = disk.inodes.remove(&self.inode).ok_or(ErrorKind::NotFound)?;
            for sector in std::mem::take(&mut inode.dirty) {
                // A sync that fails has written some, and calls all of them clean.
                if !fails || disk.draw(2) == 0 {
                    inode.persist(sector);
                }
            }
            disk.inodes.insert(self.inode, inode);
            if fails {
                disk.fired += 1;
                return Err(io::Error::other("the disk failed a sync"));
            }
            Ok(())
        })
    }

    fn bytes(&self) -> io::Result<u64> {
        self.with(|disk| Ok(disk.inodes.get(&self.inode).ok_or(ErrorKind::NotFound)?.seen.len() as u64))
    }
}

impl StorageLock for FakeLock {}

impl Drop for FakeLock {
    fn drop(&mut self) {
        let mut disk = lock(&self.0);
        if disk.life == self.1 {
            disk.is_locked = false;
        }
    }
}

impl Storage for FaultyStorage {
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.disk();
        disk.call()?;
        disk.take_handle()?;
        if disk.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.inodes.insert(inode, Inode::default());
        disk.change_names(NameChange::Add(name.to_owned(), inode));
        Ok(self.file(&disk, inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.disk();
        disk.call()?;
        disk.take_handle()?;
        let inode = disk.inode_of(name)?;
        Ok(self.file(&disk, inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = self.disk();
        disk.call()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.call()?;
        disk.inode_of(from)?;
        disk.change_names(NameChange::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.call()?;
        disk.inode_of(name)?;
        disk.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.call()?;
        let Disk { renames, durable_names, .. } = &mut *disk;
        for change in renames.drain(..) {
            change.apply(durable_names);
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.call()?;
        Ok(disk.free_bytes())
    }

    fn lock(&self) -> io::Result<Box<dyn StorageLock>> {
        let mut disk = self.disk();
        disk.call()?;
        if disk.is_locked {
            return Err(ErrorKind::WouldBlock.into());
        }
        disk.is_locked = true;
        Ok(Box::new(FakeLock(Arc::clone(&self.0), disk.life)))
    }

    fn random(&self) -> io::Result<[u8; 10]> {
        let mut disk = self.disk();
        let mut bytes = [0; 10];
        for byte in &mut bytes {
            *byte = disk.draw(256) as u8;
        }
        Ok(bytes)
    }

    fn place(&self) -> String {
        "a disk in memory".to_owned()
    }
}
