//! One life of the server: the rooms wired as `cli` wires them, with the journal's writer and the loader as tasks of a runtime on virtual time.
//! `run` opens it, strikes it, and ends it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use collector::{Ingest, ingest};
use lake::Lake;
use loader::{Handle, Limits, Loader};
use queue::{
    Journal, Queue,
    journal::{self, Stepper},
};
use rand::{Rng, rngs::SmallRng};
use record::{AcceptAnyObject, Clock, Column, ColumnKind, Error, Result, Topic, TopicSchema};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{TURNS, Turn, VirtualClock},
    disks::{Disks, INDEX, RIVALS_INDEX},
    oracle::Oracle,
    plan::Life,
    tap::Tap,
    trace::{Class, Trace},
};

/// The largest record of `events`.
pub const EVENTS_BYTES_MAX: usize = 8 << 10;

/// How often the journal's house is kept at least while records come, and at most while none do, in milliseconds.
const HOUSE_MS: std::ops::RangeInclusive<u64> = 1_000..=64_000;

/// A topic with a typed column.
pub fn points() -> TopicSchema {
    let columns = vec![Column { name: "n".into(), kind: ColumnKind::Integer, required: true }];
    TopicSchema { topic: Topic::parse("points").expect("a topic"), columns, payload_bytes_max: 1 << 10 }
}

/// The topics of every run.
pub fn topics() -> Vec<TopicSchema> {
    vec![TopicSchema { payload_bytes_max: EVENTS_BYTES_MAX, ..TopicSchema::events() }, points()]
}

/// Small, so that a run sees segments roll, fill the disk and be trimmed.
pub fn journal_config() -> journal::Config {
    journal::Config {
        segment_bytes: 64 << 10,
        batch_bytes_max: 32 << 10,
        payload_bytes_max: 32 << 10,
        in_flight_bytes_max: 256 << 10,
        headroom_bytes_min: 64 << 10,
        ..journal::Config::default()
    }
}

/// What the lives of a run share.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<VirtualClock>,
    /// The notes.
    pub trace: Trace,
    /// The books.
    pub oracle: Oracle,
}

/// A server.
pub struct Process {
    /// Its journal.
    pub journal: Arc<Journal>,
    /// Its doors' conductor.
    pub ingest: Arc<Ingest>,
    /// Its loader, while it runs.
    pub loader: Option<Running>,
    /// Somebody else's loader on the same queue and tables.
    pub rival: Option<Running>,
    writer: JoinHandle<()>,
    ends_writer: CancellationToken,
    slow_until_ms: Arc<AtomicU64>,
    work: Arc<Notify>,
    world: World,
}

/// A loader that runs.
pub struct Running {
    /// Asks it.
    pub handle: Handle,
    /// Holds it up.
    pub gate: Gate,
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
}

/// Whether a task goes on: a closed gate holds it up wherever it is, as a machine does that is busy with something else.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    /// Holds up, or lets go on.
    pub fn set_closed(&self, is_closed: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = is_closed;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    async fn hold<T>(self, task: impl Future<Output = T>) -> T {
        let mut task = Box::pin(task);
        poll_fn(move |context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 {
                state.1 = Some(context.waker().clone());
                return Poll::Pending;
            }
            drop(state);
            Pin::new(&mut task).poll(context)
        })
        .await
    }
}

impl Process {
    /// Opens journal and doors; the loader comes with [`start_loader`](Self::start_loader).
    ///
    /// # Errors
    /// What opening the journal gives: its disk may fail, or lose its power, while it recovers.
    pub fn open(world: &World, disks: &Disks, random: SmallRng) -> Result<Self> {
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let (journal, stepper) = Journal::open_stepped(Arc::new(disks.journal.clone()), journal_config(), Arc::clone(&clock))?;
        let (journal, work) = (Arc::new(journal), Arc::new(Notify::new()));
        let status = journal.status();
        world.trace.note(format_args!("the journal opens with {}..{} in {} segments", status.first, status.end, status.segments));
        let entrances = topics().into_iter().map(|schema| ingest::Entrance::open(schema, Arc::new(AcceptAnyObject))).collect();
        let (slow_until_ms, ends_writer) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let writer = Writer {
            stepper,
            random,
            journal: Arc::clone(&journal),
            work: Arc::clone(&work),
            ends: ends_writer.clone(),
            slow_until_ms: Arc::clone(&slow_until_ms),
            world: world.clone(),
        };
        let queue = tap(world, &journal, &work, Turn::World);
        let ingest = Ingest::new(queue, entrances, clock, ingest::Config::default())?;
        let writer = tokio::spawn(writer.run());
        Ok(Self {
            journal,
            ingest: Arc::new(ingest),
            loader: None,
            rival: None,
            writer,
            ends_writer,
            slow_until_ms,
            work,
            world: world.clone(),
        })
    }

    /// Starts a loader: the server's own, or a second one beside it.
    ///
    /// # Errors
    /// What opening it gives.
    pub async fn start_loader(&mut self, disks: &Disks, life: &Life, turn: Turn) -> Result<()> {
        self.world.clock.until(turn).await;
        let index = disks.index(if turn == Turn::Rival { RIVALS_INDEX } else { INDEX });
        let clock = Arc::clone(&self.world.clock) as Arc<dyn Clock>;
        let lake_config =
            lake::Config { fault: Some(disks.lake_faults.hook()), fsync: disks.fsync(), checkpoint_commits: 10, ..lake::Config::default() };
        let lake = Lake::open(&disks.lake().display().to_string(), lake_config, Arc::clone(&clock)).await?;
        let parts = loader::Parts { queue: tap(&self.world, &self.journal, &self.work, turn), lake, topics: topics(), clock };
        let mut config = loader::Config::new(&index);
        config.read_records_max = life.read_max;
        config.tick_ms = 1_000;
        config.roll = Limits { rows_max: life.rows_max, age_us_max: 4_000_000, idle_us_max: 2_000_000, ..Limits::default() };
        let (loader, handle) = Loader::open(parts, config).await?;
        let (gate, shutdown) = (Gate::default(), CancellationToken::new());
        let task = tokio::spawn(gate.clone().hold(loader.run(shutdown.clone())));
        let running = Some(Running { handle, gate, shutdown, task });
        if turn == Turn::Rival {
            self.rival = running
        } else {
            self.loader = running
        }
        Ok(())
    }

    /// From now to then each fdatasync of the journal takes long.
    pub fn slow_down_until(&self, millis: u64) {
        self.slow_until_ms.store(millis, Ordering::SeqCst);
    }

    /// How the loader, or the rival, has ended, if it has.
    ///
    /// # Panics
    /// When it has panicked.
    pub async fn ended(&mut self, turn: Turn) -> Option<Result<()>> {
        let slot = if turn == Turn::Rival { &mut self.rival } else { &mut self.loader };
        let running = slot.take_if(|running| running.task.is_finished())?;
        Some(running.task.await.expect("a loader does not panic"))
    }

    /// Whether the writer has ended, which it does at the end alone.
    pub fn has_lost_its_writer(&self) -> bool {
        self.writer.is_finished()
    }

    /// All that runs is gone, at once.
    pub async fn crash(self) {
        for running in [self.loader, self.rival].into_iter().flatten() {
            running.abort().await;
        }
        self.writer.abort();
        // Aborted, or ended before: both are the end.
        let _ = self.writer.await;
    }

    /// Ends well, in the records' order: doors, loader, journal.
    ///
    /// # Errors
    /// What the loader ends with.
    pub async fn end(mut self) -> Result<()> {
        self.world.trace.fired(Class::CleanEnd);
        if let Some(rival) = self.rival.take() {
            rival.abort().await;
        }
        let mut ended = Ok(());
        if let Some(loader) = self.loader.take() {
            self.world.clock.until(Turn::Loader).await;
            loader.gate.set_closed(false);
            loader.shutdown.cancel();
            ended = loader.task.await.expect("a loader does not panic");
            self.world.clock.until(Turn::World).await;
        }
        self.ends_writer.cancel();
        self.writer.await.map_err(|error| Error::internal("the writer has panicked").because(error))?;
        ended
    }
}

impl Running {
    async fn abort(self) {
        self.task.abort();
        // A panic before this is one of the loader.
        if let Err(error) = self.task.await {
            assert!(error.is_cancelled(), "a loader does not panic");
        }
    }
}

fn tap(world: &World, journal: &Arc<Journal>, work: &Arc<Notify>, turn: Turn) -> Arc<dyn Queue> {
    Arc::new(Tap {
        journal: Arc::clone(journal),
        work: Arc::clone(work),
        oracle: world.oracle.clone(),
        clock: Arc::clone(&world.clock),
        trace: world.trace.clone(),
        turn,
    })
}

/// What moves the journal on: its two threads, as one task.
struct Writer {
    stepper: Stepper,
    random: SmallRng,
    journal: Arc<Journal>,
    work: Arc<Notify>,
    ends: CancellationToken,
    slow_until_ms: Arc<AtomicU64>,
    world: World,
}

impl Writer {
    async fn run(mut self) {
        let mut house_ms = *HOUSE_MS.start();
        loop {
            tokio::select! {
                biased;
                () = self.ends.cancelled() => break,
                () = self.work.notified() => house_ms = *HOUSE_MS.start(),
                () = tokio::time::sleep(Duration::from_millis(house_ms)) => house_ms = (house_ms * 2).min(*HOUSE_MS.end()),
            }
            self.world.clock.until(Turn::Writer).await;
            if self.slow_until_ms.load(Ordering::SeqCst) > self.world.clock.millis() {
                self.world.trace.fired(Class::SlowSync);
                tokio::time::sleep(Duration::from_millis(self.random.random_range(50 / TURNS..=500 / TURNS) * TURNS)).await;
            }
            let before = self.journal.status().end;
            while self.stepper.step() {
                self.check();
            }
            self.stepper.keep_house();
            let end = self.journal.status().end;
            if end > before {
                self.world.trace.note(format_args!("the journal has {before}..{end}"));
            }
        }
        self.world.clock.until(Turn::Writer).await;
        self.stepper.finish();
    }

    /// C2: what waits for the disk stays within its bound.
    fn check(&self) {
        let status = self.journal.status();
        if status.in_flight_bytes > journal_config().in_flight_bytes_max {
            self.world.oracle.wrong(format!("C2: {} bytes wait for the disk", status.in_flight_bytes));
        }
    }
}
