//! The caps of a request, and reading a body under them. The HTTP door calls it; other doors take the [`Caps`].
//!
//! Memory is bounded twice: each body by its cap, and all bodies together by [`Budget`]. Room is taken as bytes arrive, not
//! as they are announced, so that ten thousand senders who announce a megabyte and send nothing hold nothing.

use std::{sync::Arc, time::Duration};

use axum::body::BodyDataStream;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one request may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// The most records in one request.
    pub records_per_request_max: usize,
    /// The deepest nesting of a record; the record itself is level 1. At most 120: the reader's own limit is 127.
    pub nesting_depth_max: usize,
    /// The largest payload of one record, in bytes. Its topic's cap takes the place of this one.
    pub payload_bytes_max: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { body_bytes_max: 1024 * 1024, records_per_request_max: 10_000, nesting_depth_max: 64, payload_bytes_max: 64 * 1024 }
    }
}

/// Room in memory for the bodies of all requests together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// Room is handed out in pieces of so many bytes.
const PIECE_BYTES: usize = 1024;

/// A body, and the room that it takes until it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The bytes.
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than the cap.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// There is no room for it now.
    NoRoom,
    /// The sender went away, or the transfer encoding is broken.
    Broken,
}

impl Budget {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes_max / PIECE_BYTES).clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Reads a body of at most `bytes_max` bytes. What is left of a body that is not taken can be drained.
    ///
    /// # Errors
    /// Why it was not read; nothing of it is kept.
    pub async fn read(&self, body: &mut BodyDataStream, bytes_max: usize, timeout: Duration) -> Result<Held, BodyError> {
        tokio::time::timeout(timeout, self.collect(body, bytes_max)).await.unwrap_or(Err(BodyError::TimedOut))
    }

    async fn collect(&self, body: &mut BodyDataStream, bytes_max: usize) -> Result<Held, BodyError> {
        let mut room: Option<OwnedSemaphorePermit> = None;
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut length = 0_usize;
        while let Some(frame) = body.next().await {
            let frame = frame.map_err(|_| BodyError::Broken)?;
            length += frame.len();
            if length > bytes_max {
                return Err(BodyError::TooLarge);
            }
            self.take(&mut room, length)?;
            // Most bodies are one frame: it is kept as it is, without a copy.
            if first.is_empty() && whole.is_empty() {
                first = frame;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&frame);
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(Held { bytes, _room: room })
    }

    /// Makes the room at least `length` bytes large, without waiting: whoever waits for room while holding some can wait for ever.
    pub(crate) fn take(&self, room: &mut Option<OwnedSemaphorePermit>, length: usize) -> Result<(), BodyError> {
        let have = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = length.div_ceil(PIECE_BYTES).saturating_sub(have);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| BodyError::TooLarge)?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(missing).map_err(|_| BodyError::NoRoom)?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}

/// Reads on and keeps nothing, so that a sender who is still writing can read the answer that refuses its body:
/// closing a socket with unread bytes resets it, and the answer is lost. Stops at `bytes_max` bytes or the time-out.
pub async fn drain(mut body: BodyDataStream, bytes_max: usize, timeout: Duration) {
    let reading = async {
        let mut length = 0;
        while let Some(Ok(frame)) = body.next().await {
            length += frame.len();
            if length > bytes_max {
                break;
            }
        }
    };
    // A time-out is as good as the end here: the answer goes out either way.
    let _ended = tokio::time::timeout(timeout, reading).await;
}
