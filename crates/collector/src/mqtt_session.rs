//! Sessions of MQTT clients: who has which client id, and which PUBLISHes of QoS 2 were stored and not released yet. `mqtt` claims one for
//! each connection.
//!
//! A client id has one connection: who claims it ends the one that has it (MQTT-3.1.4-3), and waits until that one has given it back, so that
//! what it has stored by then is known. Sessions outlive their connections in memory alone, for a bounded time, in bounded number and
//! bytes; a client whose session is gone is told so by *session present* = 0.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::telemetry;

#[cfg(test)]
mod tests;

/// What a session takes beside its client id, and for each packet id, in bytes; estimated from above.
const SESSION_BYTES: usize = 512;
const PACKET_ID_BYTES: usize = 16;

/// What outlives a connection.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Packet ids of QoS 2 that are stored, and whose PUBREL has not come.
    pub(crate) stored: BTreeSet<u16>,
    exists: bool,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    shelf: Mutex<Shelf>,
    sessions_max: usize,
    bytes_max: usize,
}

/// A name for a kept session that orders it by its end.
type Place = (Instant, u64);

#[derive(Debug, Default)]
struct Shelf {
    entries: HashMap<Arc<str>, Entry>,
    /// Those without a connection, by the time of their end.
    kept: BTreeMap<Place, (Arc<str>, usize)>,
    kept_bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    state: Arc<Turn<State>>,
    /// Tells the latest who claimed it that somebody else has.
    taken_over: CancellationToken,
    /// How many have it or wait for it.
    claims: usize,
    kept: Option<Place>,
}

impl Sessions {
    pub(crate) fn new(sessions_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { shelf: Mutex::default(), sessions_max, bytes_max })
    }

    /// Claims a client id; nothing when another claim came meanwhile. Dropping the future gives the claim back.
    pub(crate) async fn claim(self: &Arc<Self>, client_id: Arc<str>, clean_start: bool) -> Option<Session> {
        let (state, claim) = {
            let mut shelf = self.shelf();
            shelf.forget_ended(Instant::now());
            let new = || Entry { state: Arc::default(), taken_over: CancellationToken::new(), claims: 0, kept: None };
            let entry = shelf.entries.entry(Arc::clone(&client_id)).or_insert_with(new);
            entry.claims += 1;
            entry.taken_over.cancel();
            entry.taken_over = CancellationToken::new();
            let (state, taken_over, kept) = (Arc::clone(&entry.state), entry.taken_over.clone(), entry.kept.take());
            shelf.take_off(kept);
            (state, Claim { sessions: Arc::clone(self), client_id, taken_over, outlives: None })
        };
        // A claim that ends here leaves what there is to who has it.
        let mut state = tokio::select! {
            state = state.lock_owned() => state,
            () = claim.taken_over.cancelled() => return None,
        };
        if clean_start {
            *state = State::default();
        }
        let is_present = std::mem::replace(&mut state.exists, true);
        Some(Session { is_present, claim, state })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Nothing is left half done by who panics while holding it: the steps are inserts and removals.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn take_off(&mut self, place: Option<Place>) {
        if let Some((_, bytes)) = place.and_then(|place| self.kept.remove(&place)) {
            self.kept_bytes -= bytes;
            telemetry::mqtt_sessions(self.kept.len());
        }
    }

    fn forget_ended(&mut self, now: Instant) {
        while self.kept.first_key_value().is_some_and(|((end, _), _)| *end <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, (client_id, bytes))) = self.kept.pop_first() {
            self.kept_bytes -= bytes;
            self.entries.remove(&client_id);
            telemetry::mqtt_sessions(self.kept.len());
        }
    }

    fn keep(&mut self, client_id: &Arc<str>, end: Instant, bytes: usize) {
        let place = (end, self.next);
        self.next += 1;
        if let Some(entry) = self.entries.get_mut(client_id) {
            entry.kept = Some(place);
            self.kept.insert(place, (Arc::clone(client_id), bytes));
            self.kept_bytes += bytes;
            telemetry::mqtt_sessions(self.kept.len());
        }
    }
}

/// A share in an entry, given back when it is dropped.
#[derive(Debug)]
struct Claim {
    sessions: Arc<Sessions>,
    client_id: Arc<str>,
    taken_over: CancellationToken,
    /// How long the session outlives this claim, and its bytes; nothing where it is not this claim's to say.
    outlives: Option<(Duration, usize)>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut shelf = self.sessions.shelf();
        let Some(entry) = shelf.entries.get_mut(&self.client_id) else { return };
        entry.claims -= 1;
        if entry.claims > 0 {
            return;
        }
        match self.outlives {
            Some((time, bytes)) if !time.is_zero() => {
                shelf.keep(&self.client_id, Instant::now() + time, bytes);
                while shelf.kept.len() > self.sessions.sessions_max || shelf.kept_bytes > self.sessions.bytes_max {
                    shelf.forget_first();
                }
            }
            _ => drop(shelf.entries.remove(&self.client_id)),
        }
    }
}

/// A connection's session: nobody else has it meanwhile.
#[derive(Debug)]
pub(crate) struct Session {
    is_present: bool,
    claim: Claim,
    pub(crate) state: OwnedMutexGuard<State>,
}

impl Session {
    /// Whether there was one before.
    pub(crate) fn is_present(&self) -> bool {
        self.is_present
    }

    /// Cancelled when somebody else claims the client id.
    pub(crate) fn taken_over(&self) -> &CancellationToken {
        &self.claim.taken_over
    }

    /// Gives it back; it is kept for so long.
    pub(crate) fn give_back(mut self, outlives: Duration) {
        if outlives.is_zero() {
            *self.state = State::default();
        }
        let bytes = SESSION_BYTES + self.claim.client_id.len() + PACKET_ID_BYTES * self.state.stored.len();
        self.claim.outlives = Some((outlives, bytes));
    }
}
