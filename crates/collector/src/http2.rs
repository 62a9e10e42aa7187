//! What HTTP/2 needs that hyper does not guard: telling it from HTTP/1 by a connection's first bytes, and ending a
//! connection on which nothing moves. `server` calls it.
//!
//! Without TLS, hence without ALPN, a client begins with HTTP/2 because it knows (RFC 9113 section 3.3). hyper times the
//! head of an HTTP/1 request; of HTTP/2 it times nothing. A peer that sends half a head, answers pings and is otherwise
//! silent, or never lets an answer flow (a window of 0), would hold a connection for ever.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How HTTP/2 begins, as far as no HTTP/1 request does (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI ";

/// Reads as much of a connection as tells HTTP/2 from HTTP/1, and no more; nothing when it was closed before.
///
/// # Errors
/// The connection broke.
pub(crate) async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut first = Vec::with_capacity(PREFACE.len());
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        let mut rest = (&mut *stream).take((PREFACE.len() - first.len()) as u64);
        if rest.read_buf(&mut first).await? == 0 {
            break;
        }
    }
    Ok(first.into())
}

/// What moves on one connection. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests that began and pieces of answers that were asked for.
    moves: AtomicU64,
    /// Requests and answers that wait for this server and not for the peer.
    ours: AtomicUsize,
}

/// Something that waits for this server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ours(Activity);

impl Activity {
    /// A request, or the next piece of an answer, is waited for.
    pub(crate) fn ours(&self) -> Ours {
        self.moved();
        self.0.ours.fetch_add(1, Ordering::Relaxed);
        Ours(self.clone())
    }

    fn moved(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Resolves when nothing has moved for the whole time (noticed after twice the time at most) and the next move is the peer's.
    pub(crate) async fn idle(&self, time: Duration) {
        let mut seen = self.0.moves.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(time).await;
            let moves = self.0.moves.load(Ordering::Relaxed);
            if moves == seen && self.0.ours.load(Ordering::Relaxed) == 0 {
                return;
            }
            seen = moves;
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.0.moved();
        self.0.0.ours.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body that says whose move it is: asked for its next piece, and not having it, it is ours; with a piece given
/// away, or not asked because the peer takes none, it is the peer's.
#[derive(Debug)]
pub(crate) struct Watched {
    body: Body,
    activity: Activity,
    waits: Option<Ours>,
}

impl Watched {
    pub(crate) fn new(body: Body, activity: Activity) -> Self {
        Self { body, activity, waits: None }
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.activity.moved();
        if frame.is_ready() {
            self.waits = None;
        } else if self.waits.is_none() {
            self.waits = Some(self.activity.ours());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
