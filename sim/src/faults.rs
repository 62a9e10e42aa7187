//! When the lake fails, and how: its fault points and its fsync come here. `plan` says what is to come, `process` plugs it in.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use lake::{FaultHook, FaultPoint, Fsync, faulty::FaultyDisk};
use record::{Clock, Error, Result};

use crate::{
    clock::VirtualClock,
    trace::{Class, Trace},
};

/// The faults of a lake that are to come. Clones are the same.
#[derive(Clone)]
pub struct LakeFaults {
    state: Arc<Mutex<State>>,
    clock: Arc<VirtualClock>,
    trace: Trace,
}

#[derive(Default)]
struct State {
    /// After so many fault points the loader dies.
    crash_after: Option<u64>,
    /// After so many calls of fsync the power is gone.
    power_off_after: Option<u64>,
    is_off: bool,
    is_away: bool,
    /// Which pass of a point fails, once.
    failing: BTreeMap<&'static str, u64>,
    /// What an fsync that is to fail has in its path.
    sync_failing: Option<&'static str>,
}

fn name(point: FaultPoint) -> &'static str {
    match point {
        FaultPoint::WriteFile => "write",
        FaultPoint::SyncFile => "sync",
        FaultPoint::Commit => "commit",
        FaultPoint::SyncCommit => "sync commit",
        FaultPoint::Reply => "reply",
        FaultPoint::Index => "index",
        FaultPoint::Trim => "trim",
    }
}

/// What a failure at a point is. The store refused before; it did what it was asked, wholly or by half, and failed after.
fn class(point: FaultPoint) -> Option<Class> {
    match point {
        FaultPoint::WriteFile | FaultPoint::Commit => Some(Class::LakeRefuses),
        FaultPoint::SyncFile => Some(Class::LakeFileHalfWritten),
        FaultPoint::SyncCommit => Some(Class::LakeCommitNotSynced),
        FaultPoint::Reply => Some(Class::LakeReplyLost),
        FaultPoint::Index => Some(Class::IndexFails),
        FaultPoint::Trim => None,
    }
}

impl LakeFaults {
    /// No faults.
    pub fn new(clock: Arc<VirtualClock>, trace: Trace) -> Self {
        Self { state: Arc::default(), clock, trace }
    }

    /// The loader dies at the fault point after so many.
    pub fn crash_after(&self, points: u64) {
        self.state().crash_after = Some(points);
    }

    /// The power goes at the fsync after so many.
    pub fn power_off_after(&self, calls: u64) {
        self.state().power_off_after = Some(calls);
    }

    /// The store is away, or back.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
    }

    /// A point fails once, after so many passes.
    pub fn fail(&self, point: FaultPoint, after: u64) {
        self.state().failing.insert(name(point), after);
    }

    /// The next fsync of a path with this in it fails, as Linux lets it fail.
    pub fn fail_sync(&self, part: &'static str) {
        self.state().sync_failing = Some(part);
    }

    /// Whether the loader or the lake's power is gone: the driver ends this life then.
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// All is well again.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// What goes into [`lake::Config::fault`].
    pub fn hook(&self) -> FaultHook {
        let faults = self.clone();
        Arc::new(move |point| faults.strike(point))
    }

    fn strike(&self, point: FaultPoint) -> Result<()> {
        self.trace.note(format_args!("lake: {}", name(point)));
        let mut state = self.state();
        if !state.is_off && is_due(&mut state.crash_after) {
            state.is_off = true;
            self.trace.fired(Class::LoaderCrash);
        }
        if state.is_off {
            return Err(Error::closed("the process is gone"));
        }
        let Some(class) = class(point) else { return Ok(()) };
        if state.is_away && class == Class::LakeRefuses {
            self.trace.fired(Class::LakeAway);
            return Err(Error::unavailable("the store is away"));
        }
        let mut after = state.failing.get(name(point)).copied();
        let fails = is_due(&mut after);
        match after {
            Some(left) => state.failing.insert(name(point), left),
            None => state.failing.remove(name(point)),
        };
        if fails {
            self.trace.fired(class);
            return Err(Error::unavailable("the store failed").with("at", name(point)));
        }
        Ok(())
    }

    /// What goes into [`lake::Config::fsync`]: a disk that takes notes, fails and loses its power. Files get the time of the simulated clock, since a sweep
    /// goes by it.
    pub fn fsync(&self, disk: &FaultyDisk) -> Fsync {
        let (faults, disk, inner) = (self.clone(), disk.clone(), disk.fsync());
        Arc::new(move |path| {
            faults.before_sync(path, &disk)?;
            if path.is_file() {
                File::options().write(true).open(path)?.set_modified(faults.file_time())?;
            }
            inner(path)
        })
    }

    fn before_sync(&self, path: &Path, disk: &FaultyDisk) -> io::Result<()> {
        let mut state = self.state();
        if !state.is_off && is_due(&mut state.power_off_after) {
            state.is_off = true;
            self.trace.fired(Class::PowerLostInTheLake);
        }
        if state.is_off {
            return Err(io::Error::other("the power is off"));
        }
        if let Some(part) = state.sync_failing.take_if(|part| path.is_file() && path.to_string_lossy().contains(*part)) {
            self.trace.fired(Class::LakeSyncFails);
            disk.fail_next(part);
        }
        Ok(())
    }

    fn file_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(self.clock.now().as_micros()).unwrap_or(0))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
