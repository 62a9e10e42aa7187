//! All rooms plugged together: doors → journal → loader → table, and beside it the live state with the pages.

pub mod books;
mod catch_up;
mod doors;
mod routes;
#[cfg(test)]
mod tests;
mod threads;
mod topics;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use collector::{
    admin::Admin,
    http,
    ingest::{self, Ingest},
    letters, rates,
    receipts::{self, Desk},
    server,
    tokens::Tokens,
};
use lake::Lake;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ocr::{
    answer::AnswerValidator,
    identity::Identity,
    live::{self, Live},
    report::Books,
    selection,
    web::{Places, Web},
};
use queue::{
    Queue,
    journal::{self, Journal},
};
use record::{Clock, Error, Partition, SystemClock, TopicSchema};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use catch_up::{is_there, lake_url, load_live};
use doors::Doors;
use threads::Thread;

use crate::{
    address,
    folder::{Folder, Owner},
    settings::Settings,
};

/// The file of the write tokens in the data folder.
pub const TOKENS_FILE: &str = "tokens.json";

/// How often the metrics are tidied up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long a flush waits for the lake; what is not landed by then stays in the journal for the next start.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    url: String,
    join_url: String,
    live: Arc<Live>,
    loader: loader::Handle,
    queue: Arc<Journal>,
    /// Ends the doors; then the rest is ended in order.
    doors_shutdown: CancellationToken,
    rest_shutdown: CancellationToken,
    doors: JoinHandle<record::Result<()>>,
    further_doors: Vec<(&'static str, String)>,
    loading: JoinHandle<record::Result<()>>,
    threads: Vec<Thread>,
    /// The error that ended the counting of answers.
    miscounted: oneshot::Receiver<Error>,
    lake_url: String,
    is_on_loopback: bool,
    /// The declared topics, and whether anybody may write to them.
    topics: Vec<(String, bool)>,
    _folder: Folder,
}

/// Opens a listening socket.
///
/// # Errors
/// `Unavailable` when the address is taken, `Invalid` when it is none.
pub async fn listen(address: &str, mend: &'static str) -> Result<TcpListener> {
    let parsed: SocketAddr =
        address.parse().map_err(|error| Error::invalid("not an address such as 127.0.0.1:8080").with("found", address).because(error))?;
    Ok(TcpListener::bind(parsed)
        .await
        .map_err(|error| Error::unavailable("cannot listen on this address").with("address", address).with("mend", mend).because(error))?)
}

impl Server {
    /// Starts all rooms on a folder and a listening socket.
    ///
    /// # Errors
    /// What opening the folder's parts gives.
    pub async fn start(settings: Settings, mut folder: Folder, listener: TcpListener) -> Result<Self> {
        let (declared, tls) = (topics::declared(&settings)?, doors::certificate(&settings.doors)?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let listening = listener.local_addr()?;
        let url = format!("http://{}", address::here(listening));
        let identity = Identity::new(folder.key()?);
        let live = catch_up::open_collections(&folder, &settings, &clock)?;
        let lake_url = lake_url(&settings, &folder);
        let owner = owner_of(&url, &lake_url)?;
        let lake = Lake::open(&lake_url, lake_config(), clock.clone()).await?;
        let queue = Arc::new(Journal::open(&folder.join("journal"), journal_config(&settings), clock.clone())?);
        let (partition, next) = catch_up::catch_up(&live, &lake, &queue).await?;
        live.refresh();

        let (doors_shutdown, rest_shutdown) = (CancellationToken::new(), CancellationToken::new());
        let overview = declared.iter().map(|topic| (topic.schema.topic.to_string(), topic.is_open)).collect();
        let topics = [TopicSchema::answers()].into_iter().chain(declared.iter().map(|topic| topic.schema.clone())).collect();
        let parts = loader::Parts { queue: queue.clone(), lake, topics, clock: clock.clone() };
        let (opened, loader) = loader::Loader::open(parts, loader_config(&settings, &folder, &live)).await?;
        let loading = tokio::spawn(opened.run(rest_shutdown.clone()));
        let (following, miscounted) = threads::follow(live.clone(), queue.clone(), partition, next, rest_shutdown.clone())?;
        let threads = vec![following, threads::refresh(live.clone(), clock.clone(), rest_shutdown.clone())?];
        let described = topics::described(&declared);
        let entrances = topics::entrances(Arc::new(AnswerValidator::new(identity.clone(), live.clone())), declared);
        let ingest = Ingest::new(queue.clone(), entrances, clock.clone(), ingest_config(&settings))?;
        let tokens = Arc::new(Tokens::open(&folder.join(TOKENS_FILE))?);
        let ingest = Arc::new(ingest.with_tokens(tokens.clone()));
        let join_url = settings.join_url.clone().unwrap_or_else(|| format!("http://{}/", address::in_the_room(listening)));
        let document = routes::document(&described, &ingest_config(&settings).caps, &join_url);
        let places = Places {
            collections: folder.join("collections"),
            selection: selection_of(&settings),
            join_url: join_url.clone(),
            owner_token: owner.token.clone(),
        };
        let web = Arc::new(Web::new(live.clone(), identity, places).ending_with(doors_shutdown.clone()));
        let records = http::Records::new(ingest.clone(), http::Config::default());
        let desk = Desk::new(ingest.clone(), queue.clone(), Arc::new(loader.clone()), receipts::Config::default())?;
        tokio::spawn(desk.clone().follow(rest_shutdown.clone()));
        let questions = books::questions(&loader);
        let admin = Admin { ingest: ingest.clone(), tokens, owner_token: owner.token.clone(), clock: clock.clone(), questions };
        let metrics = record_metrics(rest_shutdown.clone());
        let parts = routes::Parts { ingest: ingest.clone(), records: records.clone(), desk, metrics, admin, web, clock };
        let routes = routes::routes(parts, &settings.doors.cors_origins, &document)?;
        let doors = Doors::open(listener, tls, &ingest, &settings.doors).await?;
        let (further_doors, is_on_loopback) = (doors.addresses(), doors.are_on_loopback());
        // Before anybody can get an answer: who does, and then looks for the owner, finds it.
        folder.announce(&owner)?;
        let doors = tokio::spawn(doors.run(server::App::new(records, routes), ingest, doors_shutdown.clone()));
        Ok(Self {
            url,
            join_url,
            live,
            loader,
            queue,
            doors_shutdown,
            rest_shutdown,
            doors,
            further_doors,
            loading,
            threads,
            miscounted,
            lake_url,
            is_on_loopback,
            topics: overview,
            _folder: folder,
        })
    }

    /// Its address for programs on this machine, such as `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The names of the doors beside HTTP's, and their addresses for programs on this machine.
    pub fn further_doors(&self) -> &[(&'static str, String)] {
        &self.further_doors
    }

    /// The address that people open, such as `http://192.168.1.7:8080/`.
    pub fn join_url(&self) -> &str {
        &self.join_url
    }

    /// The state of its collections.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Where the table of the answers is.
    pub fn table(&self) -> String {
        format!("{}/answers", self.lake_url.trim_end_matches('/'))
    }

    /// A line for each collection.
    pub fn overview(&self) -> Vec<String> {
        let line = |name: &String| {
            let live = self.live.get(name).ok()?;
            let live = live::lock(&live);
            let (pages, words, decided) = (live.pages().len(), live.words().len(), live.words_decided());
            Some(format!("{name}: {pages} pages, {words} words, {decided} decided, {} answers", live.answers()))
        };
        let lines: Vec<String> = self.live.names().iter().filter_map(line).collect();
        if lines.is_empty() { vec!["no collections yet: `crowdread import` adds one, also while this runs".to_owned()] } else { lines }
    }

    /// Whether only this machine reaches it.
    pub fn is_on_loopback(&self) -> bool {
        self.is_on_loopback
    }

    /// The topics that programs write to, and whether anybody may.
    pub fn topics(&self) -> &[(String, bool)] {
        &self.topics
    }

    /// Lands everything that is stored now, as far as the lake takes it in time, and gives the books.
    ///
    /// # Errors
    /// What the loader gives.
    pub async fn flush(&self) -> Result<Books> {
        match tokio::time::timeout(FLUSH_TIMEOUT, self.loader.flush()).await {
            Ok(flushed) => flushed?,
            Err(_) => tracing::warn!("the table does not take what is stored; it stays in the journal"),
        }
        let books = self.loader.progress()?;
        Ok(Books {
            stored: books.stored,
            landed: books.landed(),
            repeated: books.repeated(),
            dead_letters: books.dead_lettered() + books.refused,
            quarantined: books.quarantined,
            in_flight: books.in_flight(),
        })
    }

    /// Serves until `end` resolves, then ends the rooms in order: doors, loader, journal.
    ///
    /// # Errors
    /// The first failure of a room; a door that fails ends the server too.
    pub async fn run_until(mut self, end: impl Future<Output = ()>) -> Result<()> {
        let early = tokio::select! {
            () = end => None,
            ended = &mut self.doors => Some(ended),
            ended = &mut self.loading => Some(ended),
            Ok(error) = &mut self.miscounted => Some(Ok(Err(error))),
        };
        self.doors_shutdown.cancel();
        let doors = if self.doors.is_finished() { Ok(Ok(())) } else { (&mut self.doors).await };
        if early.is_none() {
            // What is not landed in time stays in the journal for the next start.
            let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.loader.flush()).await;
        }
        self.rest_shutdown.cancel();
        let loading = if self.loading.is_finished() { Ok(Ok(())) } else { (&mut self.loading).await };
        for thread in self.threads {
            let _ = thread.join();
        }
        self.queue.close().await?;
        for ended in early.into_iter().chain([doors, loading]) {
            ended??;
        }
        Ok(())
    }
}

fn selection_of(settings: &Settings) -> selection::Config {
    let asked = &settings.selection;
    selection::Config {
        answers_max: asked.answers_max,
        answers_min: asked.answers_min,
        census_answers: asked.census_answers,
        lease_micros: i64::from(asked.lease_seconds) * 1_000_000,
        ..selection::Config::default()
    }
}

/// What a command is told of this server. Whoever reads it may be in another folder.
fn owner_of(url: &str, lake_url: &str) -> record::Result<Owner> {
    let lake = books::lake_folder(lake_url).map_or_else(|_| lake_url.to_owned(), |folder| folder.display().to_string());
    Ok(Owner { url: url.to_owned(), pid: std::process::id(), token: Folder::new_token()?, lake })
}

fn journal_config(settings: &Settings) -> journal::Config {
    let asked = &settings.journal;
    journal::Config { segment_bytes: asked.segment_bytes, headroom_bytes_min: asked.headroom_bytes_min, ..journal::Config::default() }
}

fn lake_config() -> lake::Config {
    #[cfg(feature = "faults")]
    let config = lake::Config { fault: Some(crate::faults::hook()), ..lake::Config::default() };
    #[cfg(not(feature = "faults"))]
    let config = lake::Config::default();
    config
}

fn ingest_config(settings: &Settings) -> ingest::Config {
    let mut config = ingest::Config::default();
    config.caps.body_bytes_max = settings.doors.body_bytes_max;
    let asked = &settings.dead_letters;
    config.letters = letters::Config {
        bytes_per_day_max: asked.bytes_per_day_max,
        burst_bytes_max: asked.burst_bytes_max,
        ..letters::Config::default()
    };
    config.rates = rates::Config {
        address_records_per_second_max: settings.doors.address_records_per_second_max,
        token_records_per_second_max: settings.doors.token_records_per_second_max,
    };
    config
}

/// The queue keeps what the live state has not counted.
fn loader_config(settings: &Settings, folder: &Folder, live: &Arc<Live>) -> loader::Config {
    let hold = live.clone();
    loader::Config {
        roll: loader::Limits { age_us_max: settings.loader.roll_age_ms.saturating_mul(1_000), ..loader::Limits::default() },
        keep_below: Some(Arc::new(move |_: &Partition| hold.counted_below())),
        ..loader::Config::new(&folder.join("index"))
    }
}

fn record_metrics(shutdown: CancellationToken) -> PrometheusHandle {
    let prometheus = PrometheusBuilder::new().build_recorder();
    let handle = prometheus.handle();
    upkeep(handle.clone(), shutdown);
    // A second server in the same process (in tests) keeps the first one's recorder.
    let _ = metrics::set_global_recorder(prometheus);
    handle
}

/// Drains the samples of histograms into their summaries every few seconds: otherwise they grow for as long as nobody asks for metrics.
fn upkeep(metrics: PrometheusHandle, shutdown: CancellationToken) {
    tokio::spawn(shutdown.run_until_cancelled_owned(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            metrics.run_upkeep();
        }
    }));
}
