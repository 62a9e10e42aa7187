//! A connection's bytes, for doors that have a listener and frames of their own: bounded reading and timed writing. `mqtt` and `nng` make
//! one for each connection.
//!
//! An idle connection holds no buffer: bytes are read into a piece of the thread's stack and copied to where they are kept. What a
//! connection holds beyond [`FREE_BYTES`] is room of a [`Budget`] that all share, taken before it is kept.

use std::{io, mem::MaybeUninit, pin::Pin, task::ready, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

use crate::limits::{BodyError, Budget};

/// What each connection may hold without taking room, in bytes.
const FREE_BYTES: usize = 4 * 1024;
/// How much is read at a time, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// A stream, what was read of it and is not taken yet, and what is to be written.
#[derive(Debug)]
pub(crate) struct Buffered<S> {
    stream: S,
    buffer: BytesMut,
    budget: Budget,
    room: Option<OwnedSemaphorePermit>,
    /// Held by others for this connection: what was taken and is not answered yet.
    pub(crate) in_flight_bytes: usize,
    /// What is to be written.
    pub(crate) out: Vec<u8>,
}

/// Why nothing can be read any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The peer is gone.
    Gone,
    /// There is no room for what it sends.
    NoRoom,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Buffered<S> {
    pub(crate) fn new(stream: S, budget: Budget) -> Self {
        Self { stream, buffer: BytesMut::new(), budget, room: None, in_flight_bytes: 0, out: Vec::new() }
    }

    /// Reads what is there, at most one piece. Nothing is lost when the future is dropped.
    pub(crate) async fn read(&mut self) -> Result<(), Unread> {
        let Self { stream, buffer, .. } = self;
        let reading = std::future::poll_fn(|context| {
            let mut piece = [MaybeUninit::uninit(); PIECE_BYTES];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut piece))?;
            buffer.extend_from_slice(piece.filled());
            io::Result::Ok(piece.filled().len()).into()
        });
        match reading.await {
            Ok(0) | Err(_) => Err(Unread::Gone),
            Ok(_) => self.take_room(),
        }
    }

    /// What was read and is not taken yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// So many bytes were taken.
    pub(crate) fn taken(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Whether there are bytes that were not taken.
    pub(crate) fn has_part(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Takes room for what is held beyond the free bytes, and gives back what is held no longer.
    pub(crate) fn take_room(&mut self) -> Result<(), Unread> {
        let held = self.buffer.len() + self.in_flight_bytes;
        if held <= FREE_BYTES {
            self.room = None;
            return Ok(());
        }
        self.budget.fit(&mut self.room, held).map_err(|_: BodyError| Unread::NoRoom)
    }

    /// Writes what is to be written.
    pub(crate) async fn flush(&mut self, in_time: Duration) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let writing = async {
            self.stream.write_all(&out).await?;
            // TLS keeps what the socket does not take at once.
            self.stream.flush().await
        };
        timeout(in_time, writing).await?
    }

    /// Ends the connection, and reads on for a while without looking: closing a socket with unread bytes resets it, and what was
    /// written last is lost.
    pub(crate) async fn close(&mut self, in_time: Duration, drain_bytes_max: u64) {
        self.buffer = BytesMut::new();
        let closing = async {
            self.stream.write_all(&std::mem::take(&mut self.out)).await.ok()?;
            self.stream.shutdown().await.ok()?;
            let mut rest = BufReader::with_capacity(1024, (&mut self.stream).take(drain_bytes_max));
            tokio::io::copy_buf(&mut rest, &mut tokio::io::sink()).await.ok()
        };
        // However it went, the connection is dropped now.
        let _closed = timeout(in_time, closing).await;
    }
}

#[cfg(test)]
mod tests;
