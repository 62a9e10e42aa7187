//! The caps of a request, and reading a body under them. The HTTP door calls it; other doors take the [`Caps`].
//!
//! Memory is bounded twice: each body by its cap, and all bodies together by [`Budget`]. Room is taken as bytes arrive, not
//! as they are announced, so that ten thousand senders who announce a megabyte and send nothing hold nothing. A packed body
//! is unpacked as it is read (`unpack`): its cap and its room are those of the unpacked bytes, and what a decoder needs for
//! its work counts as well.

use std::{sync::Arc, task::Poll, time::Duration};

use axum::body::BodyDataStream;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::unpack::{self, Coding};

/// What one request may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The largest body, in bytes: as it was sent, and unpacked.
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
    /// It is not packed in the way that it says, or its end is missing.
    NotUnpacked,
}

impl Budget {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes_max / PIECE_BYTES).clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Reads a body of at most `bytes_max` bytes, and unpacks it. What is left of a body that is not taken can be drained.
    ///
    /// # Errors
    /// Why it was not read; nothing of it is kept.
    pub async fn read(&self, body: &mut BodyDataStream, coding: Coding, bytes_max: usize, timeout: Duration) -> Result<Held, BodyError> {
        let frames = body.map(|frame| frame.map_err(|_| BodyError::Broken));
        let reading = async {
            match coding {
                Coding::Plain => self.collect(frames, coding, bytes_max, None).await,
                Coding::Gzip | Coding::Zstd => self.unpack(frames, coding, bytes_max).await,
            }
        };
        let mut reading = std::pin::pin!(reading);
        // Most bodies came with their heads: a timer for each would cost more than reading it.
        if let Poll::Ready(read) = futures::poll!(reading.as_mut()) {
            return read;
        }
        tokio::time::timeout(timeout, reading).await.unwrap_or(Err(BodyError::TimedOut))
    }

    async fn unpack<S>(&self, mut frames: S, coding: Coding, bytes_max: usize) -> Result<Held, BodyError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        // A decoder is made for whoever sends something: its memory is large beside a connection's.
        let first = loop {
            match frames.next().await.transpose()? {
                None => return Ok(Held { bytes: Bytes::new(), _room: None }),
                // HTTP/2 may end a body with an empty frame, also one that is empty.
                Some(frame) if frame.is_empty() => {}
                Some(frame) => break frame,
            }
        };
        let mut room = None;
        self.take(&mut room, coding.working_bytes(0))?;
        let frames = stream::iter([Ok(first)]).chain(frames);
        self.collect(unpack::pieces(frames, coding, bytes_max), coding, bytes_max, room).await
    }

    async fn collect<S>(
        &self,
        mut frames: S,
        coding: Coding,
        bytes_max: usize,
        mut room: Option<OwnedSemaphorePermit>,
    ) -> Result<Held, BodyError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Unpin,
    {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut length = 0_usize;
        while let Some(frame) = frames.next().await {
            let frame = frame?;
            length += frame.len();
            if length > bytes_max {
                return Err(BodyError::TooLarge);
            }
            self.take(&mut room, length + coding.working_bytes(length))?;
            // Most bodies are one frame: it is kept as it is, without a copy. What was unpacked lies in a larger buffer, which would
            // be kept with it.
            if coding == Coding::Plain && first.is_empty() && whole.is_empty() {
                first = frame;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&frame);
        }
        // The decoder goes here, and its room with it.
        drop(frames);
        if let Some(room) = &mut room {
            drop(room.split(room.num_permits() - length.div_ceil(PIECE_BYTES).min(room.num_permits())));
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(Held { bytes, _room: room })
    }

    /// Makes the room as large as `length` bytes need: takes what is missing, as [`take`](Self::take) does, and gives back the rest.
    pub(crate) fn fit(&self, room: &mut Option<OwnedSemaphorePermit>, length: usize) -> Result<(), BodyError> {
        self.take(room, length)?;
        if let Some(room) = room {
            drop(room.split(room.num_permits().saturating_sub(length.div_ceil(PIECE_BYTES))));
        }
        Ok(())
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
/// closing a socket with unread bytes resets it, and the answer is lost. Stops at `bytes_max` bytes, counted as they are sent, or at
/// the time-out.
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
