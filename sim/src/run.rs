//! One seed, from an empty disk to the verdict. Called by the tests; `cargo xtask faults` and `cargo xtask sim` call those.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use lake::Lake;
use queue::{Headroom, journal::Faults};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use record::{Clock, Error, ErrorKind, Result, Tail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    client::{self, Address, Client},
    clock::{Turn, VirtualClock},
    disks::Disks,
    judge::{Landed, judge},
    oracle::Oracle,
    plan::{self, End, Fault, Life},
    process::{Process, World},
    trace::{Class, Trace},
};

const DAY_US: i64 = 86_400_000_000;
/// How often the driver looks, and how often while a fault lasts for hours; milliseconds, whole rounds.
const LOOK_MS: u64 = 40;
const LOOK_SELDOM_MS: u64 = 4_000;
/// How long a loader that ended is not started again, in milliseconds.
const RESTART_MS: u64 = 1_000;
/// How long the clients may take to be served once all faults are over, in virtual time.
const RECOVERY: Duration = Duration::from_secs(3_600);

/// A run that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Equal for two runs of a seed.
    pub trace: String,
    /// What has happened, and how often.
    pub tally: BTreeMap<Class, u64>,
    /// Rows in the tables.
    pub rows: usize,
    /// Dead letters.
    pub letters: usize,
    /// Virtual time.
    pub millis: u64,
}

/// What was wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What must be so, and is not.
    pub wrong: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "seed {}: {} things are wrong (see it again: cargo xtask sim {})", self.seed, self.wrong.len(), self.seed)?;
        self.wrong.iter().take(10).try_for_each(|wrong| write!(out, "\n  {wrong}"))
    }
}

/// Runs a seed; `shows` prints what happens.
///
/// # Errors
/// What is wrong.
///
/// # Panics
/// When a room does: an assertion of its own.
pub fn run(seed: u64, shows: bool) -> Result<Ran, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let ran = runtime.block_on(async { Run::new(seed, shows)?.all().await });
    match ran {
        Ok(Ok(ran)) => Ok(ran),
        Ok(Err(wrong)) => Err(Failure { seed, wrong }),
        Err(error) => Err(Failure { seed, wrong: vec![format!("the run broke off: {error}")] }),
    }
}

struct Run {
    seed: u64,
    random: SmallRng,
    world: World,
    disks: Disks,
    address: Address,
    stop: CancellationToken,
    clients: Vec<JoinHandle<()>>,
    /// Faults of the journal's disk before the one that lasts.
    struck: u64,
    /// Whether there was a second loader in this life: without one nobody is fenced.
    had_rival: bool,
}

/// Faults that last, until when, and what they are to be noted as once they are seen to strike.
type Lifts = Vec<(u64, Fault, Option<Class>)>;

impl Run {
    fn new(seed: u64, shows: bool) -> Result<Self> {
        let clock = Arc::new(VirtualClock::new());
        let trace = Trace::new(Arc::clone(&clock), shows);
        let disks = Disks::new(seed, &clock, &trace).map_err(no_disk)?;
        let world = World { clock, trace, oracle: Oracle::default() };
        let (address, stop) = (Address::default(), CancellationToken::new());
        Ok(Self {
            seed,
            random: SmallRng::seed_from_u64(seed),
            world,
            disks,
            address,
            stop,
            clients: Vec::new(),
            struck: 0,
            had_rival: false,
        })
    }

    async fn all(mut self) -> Result<Result<Ran, Vec<String>>> {
        let lives = plan::draw(self.seed, &mut self.random);
        for number in 0..self.random.random_range(2..5_usize) {
            let client = self.client(number);
            self.clients.push(tokio::spawn(client.run()));
        }
        for life in &lives {
            self.live(life).await?;
        }
        self.recover(&lives[0]).await
    }

    fn client(&mut self, number: usize) -> Client {
        let parts = client::Parts {
            address: self.address.clone(),
            oracle: self.world.oracle.clone(),
            clock: Arc::clone(&self.world.clock),
            trace: self.world.trace.clone(),
            stop: self.stop.clone(),
        };
        Client::new(parts, number, SmallRng::seed_from_u64(self.random.random()))
    }

    /// One life of the server, from its start to its end.
    async fn live(&mut self, life: &Life) -> Result<()> {
        self.world.clock.until(Turn::World).await;
        self.world.trace.note(format_args!("a life of {} ms with {:?}, then {:?}", life.millis, life.faults, life.end));
        self.had_rival = false;
        let mut process = self.open().await?;
        let started = self.world.clock.millis();
        let (mut coming, mut lifts, mut loader_at) = (life.faults.iter().peekable(), Lifts::new(), started);
        loop {
            let now = self.world.clock.millis();
            if now >= loader_at && process.loader.is_none() {
                loader_at = now + RESTART_MS;
                self.start_loader(&mut process, life, Turn::Loader).await?;
            }
            while let Some((_, fault)) = coming.next_if(|(at, _)| started + at <= now) {
                self.strike(&mut process, life, *fault, &mut lifts).await?;
            }
            for (_, fault, _) in lifts.extract_if(.., |(until, ..)| *until <= now).collect::<Lifts>() {
                self.lift(&process, fault).await;
            }
            self.look(&process, &mut lifts);
            if self.has_trouble(&mut process).await? || now >= started + life.millis {
                break;
            }
            let lasts_long = lifts.iter().any(|(until, ..)| until.saturating_sub(now) > 60_000);
            tokio::time::sleep(Duration::from_millis(if lasts_long { LOOK_SELDOM_MS } else { LOOK_MS })).await;
            self.world.clock.until(Turn::World).await;
        }
        self.end(process, life).await
    }

    /// Opens the journal, which may lose its power while it recovers.
    async fn open(&mut self) -> Result<Process> {
        loop {
            let power_off_after = (self.random.random_range(0..4_u8) == 0).then(|| self.random.random_range(0..40));
            self.disks.set_journal_faults(Faults { power_off_after, ..Faults::default() });
            match Process::open(&self.world, &self.disks, SmallRng::seed_from_u64(self.random.random())) {
                Ok(process) => {
                    self.disks.set_journal_faults(Faults::default());
                    self.address.set(Some(Arc::clone(&process.ingest)));
                    return Ok(process);
                }
                Err(error) if power_off_after.is_none() => return Err(error),
                Err(_) => {
                    self.world.trace.fired(Class::PowerLostInTheJournal);
                    self.disks.power_cut(&mut self.random).map_err(no_disk)?;
                }
            }
        }
    }

    async fn start_loader(&mut self, process: &mut Process, life: &Life, turn: Turn) -> Result<()> {
        let started = process.start_loader(&self.disks, life, turn).await;
        self.world.clock.until(Turn::World).await;
        match started {
            Ok(()) => self.world.trace.note(format_args!("{turn:?} starts")),
            // A fault struck while it opened: it comes again.
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Closed) => {
                self.world.trace.note(format_args!("{turn:?} does not start: {:?}", error.kind()));
            }
            // The rival committed, or trimmed, at this very moment.
            Err(error) if process.rival.is_some() && matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn strike(&mut self, process: &mut Process, life: &Life, fault: Fault, lifts: &mut Lifts) -> Result<()> {
        self.world.trace.note(format_args!("{fault:?} is to come"));
        let (now, faults) = (self.world.clock.millis(), &self.disks.lake_faults);
        match fault {
            Fault::JournalPower(after) => {
                self.disks.set_journal_faults(Faults { power_off_after: Some(after), ..Faults::default() });
            }
            Fault::JournalSync(after) => {
                self.disks.set_journal_faults(Faults { sync_fails_after: Some(after), ..Faults::default() });
            }
            Fault::JournalWrite(after) => {
                self.disks.set_journal_faults(Faults { write_fails_after: Some(after), ..Faults::default() });
            }
            Fault::SlowSync(lasts) => process.slow_down_until(now + lasts),
            Fault::DiskFull(lasts) => {
                self.disks.set_journal_faults(Faults { capacity_bytes: Some(0), ..Faults::default() });
                lifts.push((now + lasts, fault, Some(Class::DiskFull)));
            }
            Fault::NoHandles(lasts) => {
                self.disks.set_journal_faults(Faults { handles_are_gone: true, ..Faults::default() });
                self.struck = self.disks.journal.fired();
                lifts.push((now + lasts, fault, Some(Class::NoHandles)));
            }
            Fault::LoaderStuck(lasts) => {
                if let Some(loader) = &process.loader {
                    loader.gate.set_closed(true);
                    self.world.trace.fired(Class::LoaderStuck);
                    lifts.push((now + lasts, fault, Some(Class::FullWhileStuck)));
                }
            }
            Fault::LakeAway(lasts) => {
                faults.set_away(true);
                lifts.push((now + lasts, fault, None));
            }
            Fault::LakePoint(point, after) => faults.fail(point, after),
            Fault::LakeSync(part) => faults.fail_sync(part),
            Fault::LoaderCrash(after) => faults.crash_after(after),
            Fault::LakePower(after) => faults.power_off_after(after),
            Fault::Clock(days) => {
                self.world.clock.set_by_micros(days * DAY_US);
                self.world.trace.fired(if days > 0 { Class::ClockAhead } else { Class::ClockBack });
            }
            Fault::Rival(is_first_stuck) => self.bring_rival(process, life, is_first_stuck, lifts).await?,
        }
        Ok(())
    }

    /// A second loader on the same queue and tables. Where the first one is stuck, it goes on later as if nothing had been.
    async fn bring_rival(&mut self, process: &mut Process, life: &Life, is_first_stuck: bool, lifts: &mut Lifts) -> Result<()> {
        if process.rival.is_some() {
            return Ok(());
        }
        if let Some(loader) = process.loader.as_ref().filter(|_| is_first_stuck) {
            loader.gate.set_closed(true);
            // So long that the second one commits what the first one has read.
            let lasts = 5_000 + self.random.random_range(0..3_000);
            lifts.push((self.world.clock.millis() + lasts, Fault::LoaderStuck(lasts), None));
        }
        self.start_loader(process, life, Turn::Rival).await?;
        if process.rival.is_some() {
            self.had_rival = true;
            self.world.trace.fired(Class::TwoLoaders);
        }
        Ok(())
    }

    async fn lift(&mut self, process: &Process, fault: Fault) {
        self.world.trace.note(format_args!("{fault:?} is over"));
        match fault {
            Fault::LoaderStuck(_) => {
                if let Some(loader) = &process.loader {
                    self.world.clock.until(Turn::Loader).await;
                    loader.gate.set_closed(false);
                    self.world.clock.until(Turn::World).await;
                }
            }
            Fault::LakeAway(_) => self.disks.lake_faults.set_away(false),
            _ => self.disks.set_journal_faults(Faults::default()),
        }
    }

    /// Notes of faults of the journal's disk that they have struck.
    fn look(&self, process: &Process, lifts: &mut Lifts) {
        for (_, fault, class) in lifts {
            let strikes = match fault {
                Fault::DiskFull(_) | Fault::LoaderStuck(_) => matches!(process.ingest.headroom(), Ok(Headroom::Low { .. })),
                _ => self.disks.journal.fired() > self.struck,
            };
            if strikes && let Some(class) = class.take() {
                self.world.trace.fired(class);
            }
        }
    }

    /// Whether this life is over: a disk or the loader is gone. A loader that was fenced comes again.
    async fn has_trouble(&mut self, process: &mut Process) -> Result<bool> {
        assert!(!process.has_lost_its_writer(), "the journal's writer does not end by itself");
        for turn in [Turn::Loader, Turn::Rival] {
            match process.ended(turn).await {
                None => {}
                Some(Err(error)) if self.had_rival && error.kind() == ErrorKind::Conflict => self.world.trace.fired(Class::LoaderFenced),
                Some(Err(error)) if error.kind() == ErrorKind::Closed => {
                    self.world.trace.note(format_args!("{turn:?} ends"));
                }
                // The other one has trimmed what this one had still to read.
                Some(Err(error)) if self.had_rival && error.kind() == ErrorKind::Invalid => {
                    self.world.trace.note(format_args!("{turn:?} finds the queue trimmed"));
                }
                Some(Err(error)) => return Err(error),
                Some(Ok(())) => return Err(Error::internal("a loader ended by itself")),
            }
        }
        Ok(self.disks.lake_faults.is_off() || self.disks.journal.is_off() || process.journal.status().is_poisoned)
    }

    async fn end(&mut self, process: Process, life: &Life) -> Result<()> {
        self.address.set(None);
        let (lost_lake, lost_journal) = (self.disks.lake_faults.is_off(), self.disks.journal.is_off());
        let is_poisoned = process.journal.status().is_poisoned;
        if lost_journal {
            self.world.trace.fired(Class::PowerLostInTheJournal);
        } else if is_poisoned {
            let is_write = life.faults.iter().any(|(_, fault)| matches!(fault, Fault::JournalWrite(_)));
            self.world.trace.fired(if is_write { Class::JournalWriteFails } else { Class::JournalSyncFails });
        }
        let has_trouble = lost_lake || lost_journal || is_poisoned;
        match life.end {
            End::Clean if !has_trouble => {
                self.disks.lake_faults.clear();
                self.disks.set_journal_faults(Faults::default());
                match process.end().await {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::Closed => {}
                    Err(error) if self.had_rival && matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {}
                    Err(error) => return Err(error),
                }
            }
            End::Kill if !lost_journal => {
                process.crash().await;
                self.disks.kill();
            }
            _ => {
                process.crash().await;
                self.disks.power_cut(&mut self.random).map_err(no_disk)?;
            }
        }
        if life.loses_index {
            self.disks.lose_index().map_err(no_disk)?;
        }
        tokio::time::sleep(Duration::from_millis(self.random.random_range(25..500) * 4)).await;
        Ok(())
    }

    /// The last life, without faults: all is served, a fresh record flows, the books are even, and the tables are judged.
    async fn recover(mut self, life: &Life) -> Result<Result<Ran, Vec<String>>> {
        self.world.clock.until(Turn::World).await;
        self.world.trace.note(format_args!("the last life"));
        self.disks.lake_faults.clear();
        let mut process = self.open().await?;
        self.start_loader(&mut process, life, Turn::Loader).await?;
        let loader = process.loader.as_ref().ok_or_else(|| Error::internal("the loader does not start though nothing fails"))?;
        let handle = loader.handle.clone();
        self.stop.cancel();
        for client in std::mem::take(&mut self.clients) {
            let served = tokio::time::timeout(RECOVERY, client).await;
            served.map_err(|_| Error::internal("a client was not served though nothing fails"))?.expect("a client does not panic");
        }
        let mut fresh = self.client(99);
        let flows = tokio::time::timeout(RECOVERY, fresh.send_one()).await;
        flows.map_err(|_| Error::internal("a fresh record does not flow"))?;
        self.world.clock.until(Turn::Loader).await;
        handle.flush().await?;
        let progress = handle.progress()?;
        let audit = handle.audit().await?;
        let mut wrong = Vec::new();
        if !progress.balances() || progress.in_flight() > 0 || progress.quarantined > 0 {
            wrong.push(format!("L2: the books are not even: {progress:?}"));
        }
        if !audit.balances {
            wrong.push(format!("L2: the audit is not even:\n{}", audit.to_text()));
        }
        let ends =
            process.journal.partitions().into_iter().map(|partition| Ok((partition.clone(), process.journal.range(&partition)?.end)));
        let ends = ends.collect::<Result<BTreeMap<_, _>>>()?;
        let clock = Arc::clone(&self.world.clock) as Arc<dyn Clock>;
        let lake = Lake::open(&self.disks.lake().display().to_string(), lake::Config::default(), clock).await?;
        let landed = Landed::read(&lake).await?;
        wrong.extend(judge(&self.world.oracle.books(), &landed, &ends));
        self.world.trace.note(format_args!("{} rows, {} letters, {progress:?}", landed.rows(), landed.letters()));
        process.end().await?;
        if !wrong.is_empty() {
            return Ok(Err(wrong));
        }
        let (trace, millis) = (&self.world.trace, self.world.clock.millis());
        Ok(Ok(Ran { trace: trace.digest(), tally: trace.tally(), rows: landed.rows(), letters: landed.letters(), millis }))
    }
}

fn no_disk(error: std::io::Error) -> Error {
    Error::internal("the real disk under the simulated ones fails").because(error)
}
