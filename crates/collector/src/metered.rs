//! A stream that meters what a sender sends: `websocket` reads its messages through it.
//!
//! Who decodes messages collects them in memory, and says nothing before one is whole. So their bytes are counted where they come in: all
//! messages together stay within a [`Budget`], and how long one has been on its way is known.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::Instant,
};

use crate::limits::Budget;

/// The room in memory of a message. It is free again when the last clone is dropped.
pub(crate) type Room = Arc<OwnedSemaphorePermit>;

/// Counts what is read, by message.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    budget: Budget,
    /// What every stream may hold without taking room, in bytes: the size of its decoder's buffer.
    free_bytes: usize,
    /// Bytes that came since the last whole message.
    pending_bytes: usize,
    /// When the first of them came.
    began: Option<Instant>,
    heard: Instant,
    room: Option<OwnedSemaphorePermit>,
    /// The room of the largest message yet: the decoder may keep that message's buffer and use it again.
    kept: Option<Room>,
    overdrawn: bool,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, budget: Budget, free_bytes: usize) -> Self {
        Self { stream, budget, free_bytes, pending_bytes: 0, began: None, heard: Instant::now(), room: None, kept: None, overdrawn: false }
    }

    /// The stream itself, for reading what is not counted any more.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// When something came last.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Since when a message has been on its way.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Whether reading failed because there was no room.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.overdrawn
    }

    /// A message is whole; gives the room that it took, if it was a large one.
    pub(crate) fn message_ended(&mut self) -> Option<Room> {
        (self.pending_bytes, self.began) = (0, None);
        let room = Arc::new(self.room.take()?);
        if self.kept.as_ref().is_none_or(|kept| kept.num_permits() < room.num_permits()) {
            self.kept = Some(Arc::clone(&room));
        }
        Some(room)
    }

    /// A frame that carries no record has come, between messages or within one.
    pub(crate) fn control_ended(&mut self, frame_bytes: usize) {
        self.pending_bytes = self.pending_bytes.saturating_sub(frame_bytes);
        if self.pending_bytes == 0 {
            self.began = None;
        }
    }

    /// Nobody was reading until now: the sender is not to blame for the time that went by.
    pub(crate) fn excuse(&mut self) {
        self.heard = Instant::now();
        self.began = self.began.map(|_| self.heard);
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.heard = Instant::now();
        self.began.get_or_insert(self.heard);
        self.pending_bytes += bytes;
        if self.pending_bytes > self.free_bytes && self.budget.take(&mut self.room, self.pending_bytes).is_err() {
            self.overdrawn = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        match buffer.filled().len() - before {
            0 => Poll::Ready(Ok(())),
            bytes => Poll::Ready(self.count(bytes)),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
