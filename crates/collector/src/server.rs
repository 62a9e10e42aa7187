//! Serves routes over HTTP/1.1 on a listening socket: time-outs, a bound on connections, graceful shutdown. `cli` calls
//! [`run`] with the doors' routes and the product's merged.
//!
//! What hyper guards: the head of a request (its size, number of fields, and time, which is also how long a connection may
//! idle). What the routes guard: their bodies. What this guards: how many connections there are, and how they end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{Request, header::UPGRADE},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use record::{Error, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{handles, problem, telemetry, write_timeout::WriteTimeout};

/// Settings of the connections.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The most connections at a time; more wait in the kernel's backlog. Fewer, with a warning, where the system does not let the
    /// process have so many files open. `None`: as many as the system allows, 16,384 at most.
    pub connections_max: Option<usize>,
    /// The time for the head of a request, hence also how long a connection may idle, in milliseconds.
    pub header_timeout_ms: u64,
    /// The largest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// The most fields in a head.
    pub headers_max: usize,
    /// How much of a body hyper reads ahead on one connection, in bytes. At least 8192.
    pub read_buffer_bytes_max: usize,
    /// How long a peer may take none of an answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long requests under way may take once shutdown has begun, in milliseconds.
    pub shutdown_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: None,
            header_timeout_ms: 30_000,
            header_bytes_max: 16 * 1024,
            headers_max: 100,
            read_buffer_bytes_max: 64 * 1024,
            write_timeout_ms: 30_000,
            shutdown_timeout_ms: 10_000,
        }
    }
}

/// Serves `app` until `shutdown`; then takes no more connections, lets the requests under way finish, and returns.
///
/// # Errors
/// `Invalid` for a read buffer that is too small, or no connection at all.
pub async fn run(listener: TcpListener, app: Router, config: Config, shutdown: CancellationToken) -> Result<()> {
    if config.read_buffer_bytes_max < 8192 || config.connections_max == Some(0) {
        return Err(Error::invalid("read_buffer_bytes_max must be at least 8192, connections_max at least 1"));
    }
    let server = Arc::new(Server {
        // Innermost first: a panic becomes a refusal, and no refusal leaves without its form.
        app: app.layer(CatchPanicLayer::new()).layer(axum::middleware::map_response(problem::formed)),
        protocol: protocol(&config),
        config,
        open: AtomicUsize::new(0),
        cut_off: AtomicUsize::new(0),
        shutdown,
    });
    let places = Arc::new(Semaphore::new(handles::connections_max(config.connections_max).min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                telemetry::accept_failed(&error);
                // Too many open files goes by when a connection ends; until then accept would fail at once, in a loop.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let place = Place::new(Arc::clone(&server), place, connections.token());
        let server = Arc::clone(&server);
        connections.spawn(async move { server.serve(stream, Arc::new(place)).await });
    }
    // Whoever connects from now on is refused instead of waiting in the backlog.
    drop(listener);
    connections.close();
    // Ends: each connection gives up by itself when its time is over.
    connections.wait().await;
    telemetry::shut_down(server.cut_off.load(Ordering::Relaxed));
    Ok(())
}

/// A connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn protocol(config: &Config) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .max_header_size(config.header_bytes_max)
        .max_headers(config.headers_max)
        .max_buf_size(config.read_buffer_bytes_max)
        // A sender that closes its half has said all, and may still want its answer.
        .half_close(true);
    protocol
}

/// A connection's place among those that the server takes. Given back when the last who needs it is done.
struct Place {
    server: Arc<Server>,
    _permit: OwnedSemaphorePermit,
    /// Shutdown waits for it.
    _tracked: TaskTrackerToken,
}

impl Place {
    fn new(server: Arc<Server>, permit: OwnedSemaphorePermit, tracked: TaskTrackerToken) -> Self {
        telemetry::connections(server.open.fetch_add(1, Ordering::Relaxed) + 1);
        Self { server, _permit: permit, _tracked: tracked }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        telemetry::connections(self.server.open.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}

/// What a door that upgrades a connection takes over with it: the server counts it, and waits for it at shutdown, until this is dropped.
/// It stands in the extensions of a request that has the field `Upgrade`.
#[derive(Clone)]
pub(crate) struct Connection {
    place: Arc<Place>,
    shutdown: CancellationToken,
}

impl Connection {
    fn new(place: &Arc<Place>) -> Self {
        // A child has a lock of its own, which thousands of connections would share otherwise.
        Self { place: Arc::clone(place), shutdown: place.server.shutdown.child_token() }
    }

    /// Cancelled when shutdown begins.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Resolves when shutdown waits no longer; whoever is still at work then calls [`cut_off`](Self::cut_off) and ends.
    pub(crate) async fn overdue(&self) {
        self.shutdown.cancelled().await;
        tokio::time::sleep(Duration::from_millis(self.place.server.config.shutdown_timeout_ms)).await;
    }

    /// Counts the connection as one that did not end in its time.
    pub(crate) fn cut_off(&self) {
        self.place.server.cut_off.fetch_add(1, Ordering::Relaxed);
    }
}

struct Server {
    app: Router,
    protocol: http1::Builder,
    config: Config,
    open: AtomicUsize,
    /// Connections that shutdown did not wait for any longer.
    cut_off: AtomicUsize,
    shutdown: CancellationToken,
}

impl Server {
    async fn serve(&self, stream: TcpStream, place: Arc<Place>) {
        // Answers are small and wait for nothing: Nagle's algorithm would hold them back. Without it they are only slower.
        let _set = stream.set_nodelay(true);
        let write_timeout = Duration::from_millis(self.config.write_timeout_ms);
        let app = TowerToHyperService::new(self.app.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            if request.headers().contains_key(UPGRADE) {
                request.extensions_mut().insert(Connection::new(&place));
            }
            app.call(request)
        });
        let connection = self.protocol.serve_connection(TokioIo::new(WriteTimeout::new(stream, write_timeout)), service).with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                let in_time = Duration::from_millis(self.config.shutdown_timeout_ms);
                tokio::time::timeout(in_time, connection).await.unwrap_or_else(|_| {
                    self.cut_off.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
            }
        };
        if let Err(error) = ended {
            // Senders go away all the time: of interest only to whoever looks for it.
            tracing::debug!(%error, "connection ended");
        }
    }
}
