//! All rooms plugged together: doors → journal → loader → table, and beside it the live state with the pages.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use collector::{
    http,
    ingest::{self, Ingest},
    status,
};
use lake::Lake;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ocr::{
    answer::{Answer, AnswerValidator},
    collection::Collection,
    identity::Identity,
    live::{self, Live},
    report::Books,
    selection,
    task::Label,
    web::{self, Places, Web},
};
use queue::{
    Queue,
    journal::{self, Journal},
};
use record::{AcceptAnyObject, Clock, Error, Partition, SystemClock, Tail, TopicSchema, Validator};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    folder::{Folder, Owner},
    settings::Settings,
};

/// How often verdicts and the accuracy are worked out anew while answers come, in milliseconds; longer where one pass takes longer.
const REFRESH_MS: u64 = 1_000;
/// A pass may take at most this share of the time.
const REFRESH_SHARE: u32 = 4;

/// How often the threads look whether they are to end.
const SHUTDOWN_POLL: Duration = Duration::from_millis(20);
/// How often the metrics are tidied up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long the end of the server waits for the last commit.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);

type Thread = std::thread::JoinHandle<()>;

/// A running server.
pub struct Server {
    url: String,
    live: Arc<Live>,
    loader: loader::Handle,
    queue: Arc<Journal>,
    /// Ends the doors; then the rest is ended in order.
    doors_shutdown: CancellationToken,
    rest_shutdown: CancellationToken,
    doors: JoinHandle<record::Result<()>>,
    loading: JoinHandle<record::Result<()>>,
    threads: Vec<Thread>,
    lake_url: String,
    _folder: Folder,
}

/// Opens a listening socket.
///
/// # Errors
/// `Unavailable` when the address is taken, `Invalid` when it is none.
pub async fn listen(address: &str) -> Result<TcpListener> {
    let parsed: SocketAddr =
        address.parse().map_err(|error| Error::invalid("not an address such as 127.0.0.1:8080").with("found", address).because(error))?;
    Ok(TcpListener::bind(parsed).await.map_err(|error| {
        Error::unavailable("cannot listen on this address")
            .with("address", address)
            .with("mend", "choose another with --listen")
            .because(error)
    })?)
}

/// Resolves at Ctrl-C or SIGTERM. Both are caught from the call on, not only once somebody waits.
///
/// # Errors
/// When the system lets no signal be caught.
pub fn shutdown_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    })
}

/// The table's address: as set, else a folder in the data folder.
fn lake_url(lake: Option<&str>, folder: &Folder) -> String {
    lake.map_or_else(|| folder.join("lake").display().to_string(), str::to_owned)
}

/// The state of all collections as the table and the journal's tail tell it, without serving anybody.
///
/// # Errors
/// What opening the folder's parts gives.
pub async fn load_live(folder: &Folder, lake: Option<&str>) -> Result<Arc<Live>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let live = Arc::new(Live::new(clock.clone()));
    for collection in Collection::open_all(&folder.join("collections"))? {
        live.add(&collection, selection::Config::default());
    }
    let lake = Lake::open(&lake_url(lake, folder), lake::Config::default(), clock.clone()).await?;
    let journal = Journal::open(&folder.join("journal"), journal::Config::default(), clock)?;
    catch_up(&live, &lake, &journal).await?;
    live.refresh();
    journal.close().await?;
    Ok(live)
}

/// Counts every answer in the table, then those that are stored and not landed; gives where the queue's tail goes on.
async fn catch_up(live: &Live, lake: &Lake, journal: &Journal) -> Result<(Partition, u64)> {
    let partition = only_partition(journal)?;
    let (table, cursor) = analysis::answers::table_and_cursor(lake, &partition).await?;
    let mut odd = 0_u64;
    analysis::answers::each_answer(&table, &mut |row| match label(&row.label) {
        Some(label) => live.count(row.record_id, &answer(&row, label), row.received_at),
        None => odd += 1,
    })
    .await?;
    if odd > 0 {
        tracing::error!(rows = odd, "rows of the table answers have a label that is none");
    }
    let next = live.follow(journal, &partition, cursor)?;
    Ok((partition, next))
}

fn only_partition(journal: &Journal) -> Result<Partition> {
    journal.partitions().into_iter().next().ok_or_else(|| Error::internal("the journal has no partition").into())
}

fn label(name: &str) -> Option<Label> {
    [Label::Right, Label::Wrong, Label::Unreadable, Label::NotOneWord].into_iter().find(|label| label.as_str() == name)
}

fn answer(row: &analysis::answers::AnswerRow, label: Label) -> Answer {
    Answer {
        collection: row.collection.clone(),
        task_id: row.task_id.clone(),
        reading_id: row.reading_id.clone(),
        worker_id: row.worker_id.clone(),
        lease_id: row.lease_id.clone(),
        label,
        text: row.text.clone(),
        shown_at: row.shown_at.map(record::Timestamp::as_micros),
        answered_at: row.answered_at.as_micros(),
        late: row.late,
    }
}

impl Server {
    /// Starts all rooms on a folder and a listening socket.
    ///
    /// # Errors
    /// What opening the folder's parts gives.
    pub async fn start(settings: Settings, mut folder: Folder, listener: TcpListener) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let address = listener.local_addr()?;
        let url = format!("http://{address}");
        let owner = Owner { url: url.clone(), pid: std::process::id(), token: Folder::new_token()? };
        let identity = Identity::new(folder.key()?);
        let live = Arc::new(Live::new(clock.clone()));
        let choice = selection_of(&settings);
        for collection in Collection::open_all(&folder.join("collections"))? {
            live.add(&collection, choice.clone());
        }
        let lake_url = lake_url(settings.lake.as_deref(), &folder);
        let lake = Lake::open(&lake_url, lake::Config::default(), clock.clone()).await?;
        let journal_config = journal::Config { segment_bytes: settings.journal.segment_bytes, ..journal::Config::default() };
        let queue = Arc::new(Journal::open(&folder.join("journal"), journal_config, clock.clone())?);
        let (partition, next) = catch_up(&live, &lake, &queue).await?;
        live.refresh();

        let (doors_shutdown, rest_shutdown) = (CancellationToken::new(), CancellationToken::new());
        let topics = vec![TopicSchema::answers(), TopicSchema::events()];
        let hold = live.clone();
        let loader_config = loader::Config {
            roll: loader::Limits { age_us_max: settings.loader.roll_age_ms.saturating_mul(1_000), ..loader::Limits::default() },
            keep_below: Some(Arc::new(move |_: &Partition| hold.counted_below())),
            ..loader::Config::new(&folder.join("index"))
        };
        let parts = loader::Parts { queue: queue.clone(), lake, topics, clock: clock.clone() };
        let (opened, loader) = loader::Loader::open(parts, loader_config).await?;
        let loading = tokio::spawn(opened.run(rest_shutdown.clone()));
        let threads = vec![
            follow_thread(live.clone(), queue.clone(), partition, next, rest_shutdown.clone())?,
            refresh_thread(live.clone(), clock.clone(), rest_shutdown.clone())?,
        ];
        let readings = live.clone();
        let validators: Vec<(TopicSchema, Arc<dyn Validator>)> = vec![
            (TopicSchema::answers(), Arc::new(AnswerValidator::new(identity.clone(), readings))),
            (TopicSchema::events(), Arc::new(AcceptAnyObject)),
        ];
        let ingest = Arc::new(Ingest::new(queue.clone(), validators, clock, ingest_config(&settings))?);
        let join_url = settings.join_url.clone().unwrap_or_else(|| format!("{url}/"));
        let places = Places { collections: folder.join("collections"), selection: choice, join_url, owner_token: owner.token.clone() };
        let web = Arc::new(Web::new(live.clone(), identity, places));
        let prometheus = PrometheusBuilder::new().build_recorder();
        let metrics_handle = prometheus.handle();
        upkeep(metrics_handle.clone(), rest_shutdown.clone());
        // A second server in the same process (in tests) keeps the first one's recorder.
        let _ = metrics::set_global_recorder(prometheus);
        let app =
            http::router(ingest.clone(), http::Config::default()).merge(status::router(ingest, metrics_handle)).merge(web::router(web));
        let doors = tokio::spawn(collector::server::run(listener, app, collector::server::Config::default(), doors_shutdown.clone()));
        folder.announce(&owner)?;
        Ok(Self { url, live, loader, queue, doors_shutdown, rest_shutdown, doors, loading, threads, lake_url, _folder: folder })
    }

    /// Its address, such as `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The state of its collections.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Where its tables are.
    pub fn lake_url(&self) -> &str {
        &self.lake_url
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

    /// Lands everything that is stored now, and gives the books.
    ///
    /// # Errors
    /// What the loader gives.
    pub async fn flush(&self) -> Result<Books> {
        self.loader.flush().await?;
        let books = self.loader.progress()?;
        Ok(Books {
            stored: books.stored,
            landed: books.landed(),
            repeated: books.repeated(),
            dead_letters: books.dead_lettered(),
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

fn ingest_config(settings: &Settings) -> ingest::Config {
    let mut config = ingest::Config::default();
    config.caps.body_bytes_max = settings.doors.body_bytes_max;
    config
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

/// Counts what the journal stores as it comes.
fn follow_thread(live: Arc<Live>, queue: Arc<Journal>, partition: Partition, next: u64, shutdown: CancellationToken) -> Result<Thread> {
    let follow = move || {
        if let Err(error) = live::run(&live, queue.as_ref(), &partition, next, &shutdown) {
            tracing::error!(%error, "task selection does not follow the journal any more: restart the server");
        }
    };
    Ok(std::thread::Builder::new().name("follow".to_owned()).spawn(follow)?)
}

/// Works verdicts and accuracy out anew while answers come.
fn refresh_thread(live: Arc<Live>, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Result<Thread> {
    let refresh = move || {
        while !shutdown.is_cancelled() {
            let began = clock.monotonic_micros();
            live.refresh();
            let took = Duration::from_micros(clock.monotonic_micros().saturating_sub(began));
            let pause = Duration::from_millis(REFRESH_MS).max(took * REFRESH_SHARE);
            let until = clock.monotonic_micros() + u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
            while !shutdown.is_cancelled() && clock.monotonic_micros() < until {
                std::thread::sleep(SHUTDOWN_POLL);
            }
        }
    };
    Ok(std::thread::Builder::new().name("refresh".to_owned()).spawn(refresh)?)
}
