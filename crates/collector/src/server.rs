//! Serves routes over HTTP/1.1, and over HTTP/2 for who begins with it or agrees upon it (ALPN), on a door's sockets: time-outs, a bound on connections, graceful shutdown. `cli` calls
//! [`run`] with the doors' routes and the product's merged.
//!
//! What hyper guards: the head of a request (its size, number of fields, and time, which is also how long a connection may
//! idle). What `http2` guards: the same for HTTP/2. What the routes guard: their bodies. What this guards: how many connections there are, and how they end.

use std::{
    convert::Infallible,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::UPGRADE},
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt,
    future::{BoxFuture, Either},
};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use record::{Error, Result};
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    handles,
    http::Records,
    http2::{Activity, PREFACE, Watched},
    listener,
    places::{self, Places},
    problem::{self, Problem},
    telemetry,
    tls::{self, Arrived, Sockets, Stream},
    write_timeout::WriteTimeout,
};

/// Settings of the connections.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The most connections at a time; more wait in the kernel's backlog. Fewer, with a warning, where the system does not let the
    /// process have so many files open. `None`: as many as the system allows, 16,384 at most.
    pub connections_max: Option<usize>,
    /// How many listeners share the limit of open files, this one among them: each takes its part of what connections may have.
    pub listeners: usize,
    /// The time for the head of a request, hence also how long a connection may idle, in milliseconds.
    pub header_timeout_ms: u64,
    /// The largest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// The most fields in a head.
    pub headers_max: usize,
    /// How much of a body hyper reads ahead on one connection, in bytes. At least 8192.
    pub read_buffer_bytes_max: usize,
    /// The most requests under way on one connection of HTTP/2.
    pub streams_max: u32,
    /// How long a peer may take none of an answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long requests under way may take once shutdown has begun, in milliseconds.
    pub shutdown_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: None,
            listeners: 1,
            header_timeout_ms: 30_000,
            header_bytes_max: 16 * 1024,
            headers_max: 100,
            read_buffer_bytes_max: 64 * 1024,
            streams_max: 128,
            write_timeout_ms: 30_000,
            shutdown_timeout_ms: 10_000,
        }
    }
}

/// Serves `app` until `shutdown`; then takes no more connections, lets the requests under way finish, and returns.
///
/// # Errors
/// `Invalid` for a read buffer that is too small, or no connection at all.
pub async fn run(sockets: impl Into<Sockets>, app: impl Into<App>, config: Config, shutdown: CancellationToken) -> Result<()> {
    let App { records, routes } = app.into();
    if config.read_buffer_bytes_max < 8192 || config.connections_max == Some(0) || config.listeners == 0 {
        return Err(Error::invalid("read_buffer_bytes_max must be at least 8192, connections_max and listeners at least 1"));
    }
    let server = Arc::new(Server {
        // Innermost first: a panic becomes a refusal, and no refusal leaves without its form.
        records,
        routes: routes.layer(CatchPanicLayer::new()).layer(axum::middleware::map_response(problem::formed)),
        http1: http1(&config),
        http2: http2(&config),
        config,
        open: AtomicUsize::new(0),
        cut_off: AtomicUsize::new(0),
        shutdown,
    });
    let connections_max = handles::connections_max("http", config.connections_max, config.listeners);
    let places = Places::new(connections_max);
    let connections = TaskTracker::new();
    let mut ticking = std::pin::pin!(tick());
    let listener = sockets.into().speaking(&["h2", "http/1.1"]);
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.shutdown.cancelled() => break,
            accepted = listener::accept("http", &listener, &places) => accepted,
            never = &mut ticking => match never {},
        };
        let Some((arrived, address, place)) = accepted else { continue };
        let place = Place::new(Arc::clone(&server), place, address, connections.token());
        let server = Arc::clone(&server);
        connections.spawn(async move { server.serve(arrived, Arc::new(place)).await });
    }
    // Whoever connects from now on is refused instead of waiting in the backlog.
    drop(listener);
    connections.close();
    // Ends: each connection gives up by itself when its time is over.
    connections.wait().await;
    telemetry::shut_down("http", server.cut_off.load(Ordering::Relaxed));
    Ok(())
}

/// Each request sets a timer for its connection. Setting one that is due before all others wakes a thread that sleeps, to tell it: a call of
/// the kernel for each request of a server that has no other timers. So there is always one that is due before.
async fn tick() -> Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn http1(config: &Config) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .max_header_size(config.header_bytes_max)
        .max_buf_size(config.read_buffer_bytes_max)
        // A sender that closes its half has said all, and may still want its answer.
        .half_close(true);
    // Where it is told a number hyper fills a list for each request; its own is the same.
    if config.headers_max != Config::default().headers_max {
        protocol.max_headers(config.headers_max);
    }
    protocol
}

fn http2(config: &Config) -> http2::Builder<TokioExecutor> {
    let window = u32::try_from(config.read_buffer_bytes_max).unwrap_or(u32::MAX >> 1).min(u32::MAX >> 1);
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_max)
        .max_header_list_size(u32::try_from(config.header_bytes_max).unwrap_or(u32::MAX))
        // What a peer may send before anybody reads it: in one request, and in all of a connection together.
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .max_send_buf_size(config.read_buffer_bytes_max)
        // Requests that are begun and taken back at once (CVE-2023-44487), and those that break the protocol (CVE-2025-8671).
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        // A peer that is gone is found out also while an answer waits for news.
        .keep_alive_interval(Duration::from_millis(config.header_timeout_ms))
        .keep_alive_timeout(Duration::from_millis(config.header_timeout_ms));
    protocol
}

type Answer = Either<
    BoxFuture<'static, std::result::Result<Response, Infallible>>,
    <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future,
>;

/// A panic becomes a refusal.
fn or_failed(answer: std::thread::Result<Response>) -> std::result::Result<Response, Infallible> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed; the server's log says why");
    Ok(answer.unwrap_or_else(|panic| failed(panic).into_response()))
}

/// The most requests of a connection of HTTP/2 that were reset and are still remembered.
const RESETS_MAX: usize = 20;

/// A connection's place among those that the server takes. Given back when the last who needs it is done.
struct Place {
    server: Arc<Server>,
    _place: places::Place,
    /// Where its peer is.
    address: Option<IpAddr>,
    /// Shutdown waits for it.
    _tracked: TaskTrackerToken,
}

impl Place {
    fn new(server: Arc<Server>, place: places::Place, address: Option<IpAddr>, tracked: TaskTrackerToken) -> Self {
        telemetry::connections(server.open.fetch_add(1, Ordering::Relaxed) + 1);
        Self { server, _place: place, address, _tracked: tracked }
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

    /// Where its peer is.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.place.address
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

/// The address that a request to the routes came from. In its extensions; for limits alone, never kept (promise S1).
#[derive(Clone, Copy)]
pub(crate) struct SentFrom(pub(crate) IpAddr);

/// What is served: the door for records, which is asked first, and routes for everything else.
pub struct App {
    records: Option<Records>,
    routes: Router,
}

impl App {
    /// Both; the routes have to have the door's, too.
    pub fn new(records: Records, routes: Router) -> Self {
        Self { records: Some(records), routes }
    }
}

impl From<Router> for App {
    fn from(routes: Router) -> Self {
        Self { records: None, routes }
    }
}

struct Server {
    records: Option<Records>,
    routes: Router,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    config: Config,
    open: AtomicUsize,
    /// Connections that shutdown did not wait for any longer.
    cut_off: AtomicUsize,
    shutdown: CancellationToken,
}

impl Server {
    async fn serve(&self, arrived: Arrived, place: Arc<Place>) {
        let in_time = Duration::from_millis(self.config.header_timeout_ms);
        let stream = tokio::select! {
            stream = arrived.secured("http", in_time) => stream,
            () = self.shutdown.cancelled() => return,
        };
        let Some(mut stream) = stream else { return };
        let first = tokio::select! {
            first = timeout(in_time, crate::http2::first_bytes(&mut stream)) => first.ok(),
            () = self.shutdown.cancelled() => None,
        };
        let Some(first) = first else {
            // Of TLS the peer is told that nothing was cut off (close_notify).
            let _told = timeout(Duration::from_millis(self.config.shutdown_timeout_ms), stream.shutdown()).await;
            return;
        };
        let Ok(first) = first else { return };
        // What was agreed upon holds; without TLS, or a client that offers nothing, its first bytes say.
        let is_http2 = tls::protocol(&stream).map_or(first == PREFACE, |protocol| protocol == b"h2");
        let stream = TokioIo::new(WriteTimeout::new(stream, first, Duration::from_millis(self.config.write_timeout_ms)));
        let ended = if is_http2 { self.serve_http2(stream, place.address).await } else { self.serve_http1(stream, &place).await };
        if let Err(error) = ended {
            // Senders go away all the time: of interest only to whoever looks for it.
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn serve_http1(&self, stream: TokioIo<WriteTimeout<Stream>>, place: &Arc<Place>) -> hyper::Result<()> {
        let (service, place) = (self.service(place.address), Arc::clone(place));
        let service = service_fn(move |mut request: Request<Incoming>| {
            if request.headers().contains_key(UPGRADE) {
                request.extensions_mut().insert(Connection::new(&place));
            }
            service(request)
        });
        let connection = self.http1.serve_connection(stream, service).with_upgrades();
        tokio::pin!(connection);
        self.until_end(connection, |connection| connection.graceful_shutdown(), std::future::pending()).await
    }

    async fn serve_http2(&self, stream: TokioIo<WriteTimeout<Stream>>, address: Option<IpAddr>) -> hyper::Result<()> {
        let activity = Activity::default();
        let (service, watched) = (self.service(address), activity.clone());
        let service = service_fn(move |request| {
            let (ours, activity, answer) = (watched.ours(), watched.clone(), service(request));
            async move {
                let answer = answer.await.map(|response: Response| response.map(|body| Watched::new(body, activity)));
                drop(ours);
                answer
            }
        });
        let connection = self.http2.serve_connection(stream, service);
        tokio::pin!(connection);
        let idle = activity.idle(Duration::from_millis(self.config.header_timeout_ms));
        self.until_end(connection, |connection| connection.graceful_shutdown(), idle).await
    }

    /// The way of each request: the door for records, or the routes.
    fn service(&self, address: Option<IpAddr>) -> impl Fn(Request<Incoming>) -> Answer + use<> {
        let (records, routes) = (self.records.clone(), TowerToHyperService::new(self.routes.clone()));
        move |mut request| match (&records, Records::topic_of(&request)) {
            (Some(records), Some(topic)) => {
                let answer = records.clone().answer(topic.to_owned(), request.map(Body::new), address);
                Either::Left(AssertUnwindSafe(answer).catch_unwind().map(or_failed).boxed())
            }
            _ => {
                address.map(|address| request.extensions_mut().insert(SentFrom(address)));
                Either::Right(routes.call(request))
            }
        }
    }

    /// Until the connection ends, shutdown begins or it idles; in the latter two cases requests under way have some more time.
    async fn until_end<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut C>,
        graceful_shutdown: impl FnOnce(Pin<&mut C>),
        idle: impl Future<Output = ()>,
    ) -> hyper::Result<()> {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.shutdown.cancelled() => {}
            () = idle => {}
        }
        graceful_shutdown(connection.as_mut());
        let in_time = Duration::from_millis(self.config.shutdown_timeout_ms);
        timeout(in_time, connection).await.unwrap_or_else(|_| {
            if self.shutdown.is_cancelled() {
                self.cut_off.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    }
}
