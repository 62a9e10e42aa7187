//! The appends that wait for the writer: `Journal::send` puts them in, `drive` takes them out, all that are there at once.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::writer::Group;

/// The appenders' end. The last one to go closes it.
pub(crate) struct Inbox(Arc<Shared>);

/// The writer's end. Once it is gone, nothing is taken.
pub(crate) struct Outlet(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    groups_max: usize,
}

#[derive(Default)]
struct State {
    groups: Vec<Group>,
    /// The writer sleeps until there are so many; 0: it is awake.
    wake_at: usize,
    /// No more come.
    is_closed: bool,
    /// Nobody takes them out.
    is_gone: bool,
}

/// Why an append is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many wait.
    Full,
    /// There is no writer any more.
    Gone,
}

/// Both ends, for at most so many appends that wait.
pub(crate) fn channel(groups_max: usize) -> (Inbox, Outlet) {
    let shared = Arc::new(Shared { state: Mutex::default(), arrived: Condvar::new(), groups_max });
    (Inbox(Arc::clone(&shared)), Outlet(shared))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Puts one in.
    ///
    /// # Errors
    /// Why not; the group is dropped, so that its appender is told as well.
    pub fn put(&self, group: Group) -> Result<(), Refusal> {
        let mut state = self.0.state();
        let refusal = match () {
            () if state.is_gone => Some(Refusal::Gone),
            () if state.groups.len() >= self.0.groups_max => Some(Refusal::Full),
            () => None,
        };
        if let Some(refusal) = refusal {
            // Its end wakes somebody, who may want the lock.
            drop(state);
            drop(group);
            return Err(refusal);
        }
        state.groups.push(group);
        let wakes = state.wake_at > 0 && state.groups.len() >= state.wake_at;
        if wakes {
            state.wake_at = 0;
        }
        drop(state);
        if wakes {
            self.0.arrived.notify_one();
        }
        Ok(())
    }

    /// Whether the writer sleeps.
    #[cfg(test)]
    pub fn is_waited_at(&self) -> bool {
        self.0.state().wake_at > 0
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.arrived.notify_one();
    }
}

impl Outlet {
    /// All that are there now.
    pub fn take(&self) -> Vec<Group> {
        std::mem::take(&mut self.0.state().groups)
    }

    /// Waits until one is there. Returns whether there is: not when it is closed and empty.
    pub fn wait(&self) -> bool {
        let mut state = self.0.state();
        while state.groups.is_empty() && !state.is_closed {
            state.wake_at = 1;
            state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wake_at = 0;
        !state.groups.is_empty()
    }

    /// Waits until so many are there, for so long at most.
    pub fn wait_until(&self, groups: usize, time: Duration) {
        drop(self.sleep(self.0.state(), groups, time));
    }

    /// Waits until so many are there, as long as at least `more` come in each such time.
    pub fn wait_while_coming(&self, groups: usize, more: usize, time: Duration) {
        let mut state = self.0.state();
        loop {
            let before = state.groups.len();
            state = self.sleep(state, groups, time);
            if state.groups.len() < before + more || state.groups.len() >= groups {
                return;
            }
        }
    }

    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State>, groups: usize, time: Duration) -> MutexGuard<'a, State> {
        state.wake_at = groups;
        let is_wanted = |state: &mut State| state.groups.len() < groups && !state.is_closed;
        let (mut state, _) = self.0.arrived.wait_timeout_while(state, time, is_wanted).unwrap_or_else(PoisonError::into_inner);
        state.wake_at = 0;
        state
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let groups = {
            let mut state = self.0.state();
            state.is_gone = true;
            std::mem::take(&mut state.groups)
        };
        // Each tells its appender that nobody knows.
        drop(groups);
    }
}
