//! The crowd as a service: settings, the state that all phones share, and `run`, which starts the phones and ends them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use record::{Clock, Error, Result, SystemClock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    ack_log::AckLog,
    connection::{Connection, server_address},
    delivery::Patience,
    draw, events,
    mix::Mix,
    phone,
    printed::{PrintedWords, choose_collection},
    report::{CrowdReport, EndReason, Progress, Tally, WorkerReport},
    worker::{Rates, Worker},
};

/// The most phones in one process: each has a socket, and a system gives a process only so many.
pub const PHONES_MAX: usize = 20_000;

/// When a crowd ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the server says that every word is decided, all answers looked at, or no phone is offered anything any more.
    Done,
    /// After this many microseconds.
    Micros(u64),
}

/// What the phones send.
#[derive(Debug)]
pub enum Work {
    /// Answers to the words of a collection, by people and bots who see what is printed.
    Answers(PrintedWords),
    /// Plain events, so many each second from all phones together.
    Events {
        /// Events each second, above 0.
        per_second: f64,
    },
}

/// Settings of a crowd.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The collection; where it is not given, the server must have exactly one.
    pub collection: Option<String>,
    /// How many phones, each with its own worker and connection; 1 to [`PHONES_MAX`].
    pub phones: usize,
    /// Decides each worker's nature and answers.
    pub seed: u64,
    /// The kinds of workers.
    pub mix: Mix,
    /// Error rates of words and people.
    pub rates: Rates,
    /// How long workers look at words: 1 as people do (2.5 s in the median), 0 not at all.
    pub pace: f64,
    /// How many words a phone asks for at a time, 1 to 100.
    pub tasks_per_request: usize,
    /// When to end.
    pub until: Until,
    /// The most answers or events, if there is a limit.
    pub records_max: Option<u64>,
    /// The share of requests that are sent twice, 0 to 1, as phones do that lose an acknowledgement.
    pub resend_share: f64,
    /// The share of words whose picture is fetched, 0 to 1.
    pub pictures_share: f64,
    /// Where each acknowledgement is written, added to what is there.
    pub log: Option<PathBuf>,
    /// The door's token, for events.
    pub token: Option<String>,
    /// How long a phone goes on without any success before it gives up, in milliseconds.
    pub patience_ms: u64,
    /// How long a phone goes on asking while it is offered nothing, in milliseconds, with [`Until::Done`]. Longer than the
    /// server's wait before it offers a word that someone else holds, 20 s by default.
    pub idle_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".to_owned(),
            collection: None,
            phones: 200,
            seed: 1,
            mix: Mix::default(),
            rates: Rates::default(),
            pace: 0.0,
            tasks_per_request: 20,
            until: Until::Done,
            records_max: None,
            resend_share: 0.015,
            pictures_share: 0.02,
            log: None,
            token: None,
            patience_ms: 120_000,
            idle_ms: 30_000,
        }
    }
}

impl Config {
    fn check(&self) -> Result<()> {
        let wrong = |message: &'static str, found: String| Err(Error::invalid(message).with("found", found));
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let Rates { word, careful, careless } = &self.rates;
        let rates = [word.illegible, word.overlooked, word.misread, self.resend_share, self.pictures_share];
        let people = [careful, careless].into_iter().flat_map(|people| [people.false_alarm, people.overlook, people.slip]);
        if !(1..=PHONES_MAX).contains(&self.phones) {
            return wrong("the number of phones must be from 1 to 20000", self.phones.to_string());
        }
        if !(1..=100).contains(&self.tasks_per_request) {
            return wrong("a phone asks for 1 to 100 words at a time", self.tasks_per_request.to_string());
        }
        if !(0.0..=1000.0).contains(&self.pace) {
            return wrong("the pace must be from 0 to 1000", self.pace.to_string());
        }
        match rates.into_iter().chain(people).find(|share| !is_share(*share)) {
            Some(share) => wrong("shares and error rates must be from 0 to 1", share.to_string()),
            None => Ok(()),
        }
    }
}

/// What all phones share.
#[derive(Debug)]
pub(super) struct Crowd {
    pub config: Config,
    pub server: Url,
    /// The collection's name; empty with events.
    pub collection: String,
    pub clock: SystemClock,
    pub progress: Arc<Progress>,
    pub log: Option<AckLog>,
    /// No new words any more; what is on its way is still delivered.
    pub stop: CancellationToken,
    /// Nothing any more.
    pub shutdown: CancellationToken,
    claimed: AtomicU64,
    ended: OnceLock<EndReason>,
    failure: Mutex<Option<String>>,
}

impl Crowd {
    /// Takes one of the records that may be sent; the one after the last ends the crowd.
    pub fn claim_record(&self) -> bool {
        let Some(records_max) = self.config.records_max else { return true };
        let claimed = self.claimed.fetch_update(Relaxed, Relaxed, |claimed| (claimed < records_max).then_some(claimed + 1)).is_ok();
        if !claimed || self.claimed.load(Relaxed) >= records_max {
            self.end(EndReason::RecordsMax);
        }
        claimed
    }

    /// The server has said that every word is decided.
    pub fn all_decided(&self) {
        self.end(EndReason::WordsDecided);
    }

    /// Something outside the server failed, such as the log: everything ends, and `run` tells the first failure.
    pub fn fail(&self, error: &Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        self.shutdown.cancel();
        self.stop.cancel();
    }

    fn end(&self, reason: EndReason) {
        let _ = self.ended.set(reason); // the first reason stands
        self.stop.cancel();
    }
}

/// Runs a crowd to its end. `progress` may be read meanwhile; `shutdown` ends it at once.
///
/// # Errors
/// `Invalid` for settings that cannot be, or a server that refuses; `Unavailable` when no phone got through, or the log of
/// acknowledgements cannot be written.
pub async fn run(config: Config, work: Work, progress: Arc<Progress>, shutdown: CancellationToken) -> Result<CrowdReport> {
    config.check()?;
    let crowd = Arc::new(open(config, &work, progress, shutdown).await?);
    let started = crowd.clock.monotonic_micros();
    let workers = run_phones(&crowd, work).await?;
    if let Some(failure) = crowd.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Error::unavailable(failure));
    }
    report(&crowd, workers, started)
}

async fn open(config: Config, work: &Work, progress: Arc<Progress>, shutdown: CancellationToken) -> Result<Crowd> {
    if let Work::Events { per_second } = work
        && !(*per_second > 0.0 && per_second.is_finite())
    {
        return Err(Error::invalid("the rate of events must be above 0").with("found", per_second));
    }
    let mut crowd = Crowd {
        server: server_address(&config.url)?,
        log: config.log.as_deref().map(AckLog::open).transpose()?,
        config,
        collection: String::new(),
        clock: SystemClock::new(),
        progress,
        stop: shutdown.child_token(),
        // A child: a failure of this crowd must not shut down its caller.
        shutdown: shutdown.child_token(),
        claimed: AtomicU64::new(0),
        ended: OnceLock::new(),
        failure: Mutex::new(None),
    };
    if matches!(work, Work::Answers(_)) {
        crowd.collection = find_collection(&crowd).await?;
    }
    Ok(crowd)
}

/// Asks for the collection, patiently: the server may just be starting.
async fn find_collection(crowd: &Crowd) -> Result<String> {
    let connection = Connection::new(&crowd.server)?;
    let mut rng = draw::rng(crowd.config.seed, "collection", &[]);
    let mut patience = Patience::new();
    loop {
        match choose_collection(&connection, crowd.config.collection.as_deref()).await {
            Ok(name) => return Ok(name),
            Err(failure) => patience.pause(crowd, None, &mut rng, failure).await?,
        }
    }
}

async fn run_phones(crowd: &Arc<Crowd>, work: Work) -> Result<Vec<WorkerReport>> {
    let config = &crowd.config;
    let kinds = config.mix.deal(config.phones, config.seed);
    let phones = config.phones as f64;
    let work = Arc::new(work);
    let mut running = JoinSet::new();
    for (number, kind) in (0_u64..).zip(kinds) {
        let worker = Worker::new(config.seed, number, kind, &config.rates);
        let (crowd, work) = (Arc::clone(crowd), Arc::clone(&work));
        running.spawn(async move {
            match &*work {
                Work::Answers(printed) => phone::run(&crowd, printed, &worker).await,
                Work::Events { per_second } => events::run(&crowd, &worker, per_second / phones).await,
            }
        });
    }
    let timer = match config.until {
        Until::Micros(micros) => Duration::from_micros(micros),
        Until::Done => Duration::MAX,
    };
    let mut time_over = std::pin::pin!(tokio::time::sleep(timer));
    let mut workers = Vec::with_capacity(config.phones);
    loop {
        tokio::select! {
            () = &mut time_over, if !crowd.stop.is_cancelled() => crowd.end(EndReason::TimeOver),
            joined = running.join_next() => match joined {
                Some(Ok(worker)) => workers.push(worker?),
                Some(Err(error)) => return Err(Error::internal("a simulated phone broke down").because(error)),
                None => break,
            }
        }
    }
    workers.sort_by_key(|worker| worker.number);
    Ok(workers)
}

fn report(crowd: &Crowd, workers: Vec<WorkerReport>, started_micros: u64) -> Result<CrowdReport> {
    let mut total = Tally::default();
    let mut kinds: BTreeMap<_, Tally> = BTreeMap::new();
    for worker in &workers {
        total.add(&worker.tally);
        kinds.entry(worker.kind).or_default().add(&worker.tally);
    }
    let shut_down = crowd.shutdown.is_cancelled();
    if !shut_down
        && total.stored == 0
        && let Some(gave_up) =
            workers.iter().find_map(|worker| worker.gave_up.as_ref()).filter(|_| workers.iter().all(|w| w.gave_up.is_some()))
    {
        return Err(Error::unavailable("no phone got through to the server").with("server", &crowd.server).with("one_of_them", gave_up));
    }
    let progress = crowd.progress.snapshot();
    let ended = if shut_down { EndReason::ShutDown } else { crowd.ended.get().copied().unwrap_or(EndReason::NothingOffered) };
    Ok(CrowdReport {
        total,
        kinds,
        workers,
        words: progress.words,
        words_decided: progress.words_decided,
        ended,
        elapsed_micros: crowd.clock.monotonic_micros().saturating_sub(started_micros),
    })
}
