//! The server's own threads: one counts what the journal stores, one works verdicts and accuracy out anew.

use std::{sync::Arc, thread, time::Duration};

use anyhow::Result;
use ocr::live::{self, Live};
use record::{Clock, Error, ErrorKind, Partition, Tail};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How often verdicts and the accuracy are worked out anew while answers come, in milliseconds; longer where one pass takes longer.
const REFRESH_MS: u64 = 1_000;
/// A pass may take at most this share of the time.
const REFRESH_SHARE: u32 = 4;
/// How often the threads look whether they are to end.
const SHUTDOWN_POLL: Duration = Duration::from_millis(20);
/// How long to wait before a journal that could not be read is read again.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

/// A thread of the server.
pub type Thread = thread::JoinHandle<()>;

/// Counts what the journal stores as it comes. The receiver gets the error that ended this before the shutdown: the journal is never
/// trimmed past what was counted, so a server that does not count any more must end.
///
/// # Errors
/// When the system gives no thread.
pub fn follow(
    live: Arc<Live>,
    tail: Arc<dyn Tail>,
    partition: Partition,
    next: u64,
    shutdown: CancellationToken,
) -> Result<(Thread, oneshot::Receiver<Error>)> {
    let (sender, ended) = oneshot::channel();
    let run = move || {
        if let Err(error) = follow_until(&live, &*tail, &partition, next, FOLLOW_PAUSE, &shutdown) {
            let _ = sender.send(error); // nobody listens any more once the server ends
        }
    };
    Ok((thread::Builder::new().name("follow".to_owned()).spawn(run)?, ended))
}

/// Follows until the shutdown; waits out what passes.
///
/// # Errors
/// As [`Tail::read`], `Unavailable` excepted.
pub fn follow_until(
    live: &Live,
    tail: &dyn Tail,
    partition: &Partition,
    next: u64,
    pause: Duration,
    shutdown: &CancellationToken,
) -> record::Result<()> {
    let mut next = next;
    let mut failures = 0_u64;
    loop {
        match live::run(live, tail, partition, next, shutdown) {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(%error, failures, "the journal cannot be read for now; tried again");
                }
                next = next.max(live.counted_below());
                sleep(live.clock().as_ref(), pause, shutdown);
            }
            ended => return ended,
        }
    }
}

/// Works verdicts and accuracy out anew while answers come.
///
/// # Errors
/// When the system gives no thread.
pub fn refresh(live: Arc<Live>, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Result<Thread> {
    let run = move || {
        while !shutdown.is_cancelled() {
            let began = clock.monotonic_micros();
            live.refresh();
            let took = Duration::from_micros(clock.monotonic_micros().saturating_sub(began));
            sleep(clock.as_ref(), Duration::from_millis(REFRESH_MS).max(took * REFRESH_SHARE), &shutdown);
        }
    };
    Ok(thread::Builder::new().name("refresh".to_owned()).spawn(run)?)
}

fn sleep(clock: &dyn Clock, pause: Duration, shutdown: &CancellationToken) {
    let until = clock.monotonic_micros().saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
    while !shutdown.is_cancelled() && clock.monotonic_micros() < until {
        thread::sleep(SHUTDOWN_POLL.min(pause));
    }
}
