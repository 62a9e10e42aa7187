//! A listener of a door's own: takes connections while there are `places` for them, until shutdown, and then waits for those that it has.
//! `mqtt` and `nng` run theirs through it; `server` shares how one is accepted.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    handles,
    places::{Place, Places},
    telemetry,
};

/// A listening socket.
pub(crate) trait Listener {
    /// A connection.
    type Stream: Send + 'static;

    /// The next connection, and where its peer is, if that is told.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, address) = Self::accept(self).await?;
        // Answers are small and wait for nothing: Nagle's algorithm would hold them back. Without it they are only slower.
        let _set = stream.set_nodelay(true);
        Ok((stream, Some(address.ip())))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        Ok((Self::accept(self).await?.0, None))
    }
}

/// What bounds the connections of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The door's name.
    pub(crate) door: &'static str,
    /// As [`server::Config::connections_max`](crate::server::Config::connections_max).
    pub(crate) connections_max: Option<usize>,
    /// As [`server::Config::listeners`](crate::server::Config::listeners).
    pub(crate) listeners: usize,
    /// How long connections may take to end once shutdown has begun, in milliseconds.
    pub(crate) shutdown_timeout_ms: u64,
}

/// Converses with each connection until `shutdown`; then takes no more of them, and returns when all have ended or their time is over.
pub(crate) async fn run<L, F>(
    listener: L,
    bounds: Bounds,
    shutdown: CancellationToken,
    converse: impl Fn(L::Stream, Option<IpAddr>, CancellationToken) -> F,
) where
    L: Listener,
    F: Future<Output = ()> + Send + 'static,
{
    let Bounds { door, connections_max, listeners, shutdown_timeout_ms } = bounds;
    let places = Places::new(handles::connections_max(door, connections_max, listeners));
    let (connections, cut_off) = (TaskTracker::new(), Arc::new(AtomicUsize::new(0)));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(door, &listener, &places) => accepted,
        };
        let Some((stream, address, place)) = accepted else { continue };
        // A child has a lock of its own, which thousands of connections would share otherwise.
        let (shutdown, cut_off) = (shutdown.child_token(), Arc::clone(&cut_off));
        let conversing = converse(stream, address, shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            let overdue = async {
                shutdown.cancelled().await;
                sleep(Duration::from_millis(shutdown_timeout_ms)).await;
            };
            tokio::select! {
                () = conversing => {}
                () = overdue => drop(cut_off.fetch_add(1, Ordering::Relaxed)),
            }
        });
    }
    // Whoever connects from now on is refused instead of waiting in the backlog.
    drop(listener);
    connections.close();
    // Ends: each connection gives up by itself when its time is over.
    connections.wait().await;
    telemetry::shut_down(door, cut_off.load(Ordering::Relaxed));
}

/// A connection, once there is a place for it; nothing when the system gave none, or its address has enough.
pub(crate) async fn accept<L: Listener>(door: &'static str, listener: &L, places: &Places) -> Option<(L::Stream, Option<IpAddr>, Place)> {
    let free = places.free().await;
    match listener.accept().await {
        Ok((stream, address)) => {
            let place = places.take(free, address);
            if place.is_none() {
                telemetry::connection_refused(door);
            }
            Some((stream, address, place?))
        }
        Err(error) => {
            telemetry::accept_failed(door, &error);
            // Too many open files goes by when a connection ends; until then accept would fail at once, in a loop.
            sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
