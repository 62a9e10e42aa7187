//! How many connections a listener has, and how many of them one address. `listener` takes a place for each, and gives it back when the
//! connection ends.
//!
//! A crowd in one room has one address, so an address may have half of all places: enough for the room, and not all for one program.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rates::Who;

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Taken>,
}

/// How many places each address has; as many entries as connections at most.
#[derive(Debug)]
struct Taken {
    by_address: Mutex<HashMap<Who, usize>>,
    address_max: usize,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Not of this machine's own addresses, and of no local socket.
    taken: Option<(Arc<Taken>, Who)>,
}

impl Places {
    pub(crate) fn new(connections_max: usize) -> Self {
        let free = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { free, taken: Arc::new(Taken { by_address: Mutex::default(), address_max: (connections_max / 2).max(1) }) }
    }

    /// Waits until a place is free.
    pub(crate) async fn free(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// The place for a connection from an address; nothing when the address has its half.
    pub(crate) fn take(&self, permit: OwnedSemaphorePermit, address: Option<IpAddr>) -> Option<Place> {
        let Some(who) = address.and_then(Who::of_address) else { return Some(Place { _permit: permit, taken: None }) };
        let mut by_address = self.taken.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(who).or_default();
        if *count >= self.taken.address_max {
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, taken: Some((Arc::clone(&self.taken), who)) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((taken, who)) = &self.taken else { return };
        let mut by_address = taken.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.get_mut(who).expect("counted when it was taken");
        *count -= 1;
        if *count == 0 {
            by_address.remove(who);
        }
    }
}

#[cfg(test)]
mod tests;
