//! Drives the writer and the housekeeper: two threads in a server, one call at a time in a test or the simulation.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    crowd::{Crowd, Wait},
    inbox::Outlet,
    shared::Shared,
    storage::StorageLock,
    telemetry,
    writer::Writer,
};

/// How often the disk is asked how much is free, at least.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// Moves a journal on that was opened without threads. Dropping it without [`finish`](Self::finish) is a crash: what waits is not told.
pub struct Stepper {
    shared: Arc<Shared>,
    writer: Writer,
    outlet: Outlet,
    lock: Box<dyn StorageLock>,
}

impl Stepper {
    pub(crate) fn new(shared: Arc<Shared>, writer: Writer, outlet: Outlet, lock: Box<dyn StorageLock>) -> Self {
        Self { shared, writer, outlet, lock }
    }

    /// Takes the appends that wait, unless a full batch is there already, and does the writer's next step. Returns whether there was one.
    pub fn step(&mut self) -> bool {
        self.gather();
        self.writer.step()
    }

    /// Prepares the next segment when the last one is half full, and asks the disk how much is free.
    pub fn keep_house(&mut self) {
        keep_house(&self.shared);
    }

    /// Does what is left, writes the last words and gives the files free: what closing does.
    pub fn finish(mut self) {
        while self.step() {}
        self.close();
    }

    fn close(self) {
        let Self { shared, mut writer, lock, .. } = self;
        writer.close_files();
        // Whoever is told that the journal is closed may open it again at once.
        drop(lock);
        shared.tip.close();
    }

    fn gather(&mut self) {
        if !self.writer.is_full() {
            self.outlet.take().into_iter().for_each(|group| self.writer.offer(group));
        }
    }

    /// Starts the two threads; the one that is returned ends last.
    pub(crate) fn spawn(self) -> io::Result<JoinHandle<()>> {
        let (wake, woken) = sync_channel(1);
        let shared = Arc::clone(&self.shared);
        let housekeeper = thread::Builder::new().name("journal-house".into()).spawn(move || housekeeper(&shared, &woken))?;
        thread::Builder::new().name("journal-writer".into()).spawn(move || {
            // Outlives `run`, so that the lock is free when somebody is told of the end.
            let _end = Ending(Arc::clone(&self.shared));
            self.run(wake, housekeeper);
        })
    }

    fn run(mut self, wake: SyncSender<()>, housekeeper: JoinHandle<()>) {
        let mut crowd = Crowd::default();
        while self.outlet.wait() {
            loop {
                match crowd.wait() {
                    Wait::Not => {}
                    Wait::Until { groups, time } => self.outlet.wait_until(groups, time),
                    Wait::WhileComing { groups, more, time } => self.outlet.wait_while_coming(groups, more, time),
                }
                self.gather();
                if self.writer.is_idle() {
                    crowd = Crowd::default();
                    break;
                }
                crowd.came(self.writer.waiting());
                self.writer.step();
                if wants_spare(&self.shared) {
                    // Full: it is awake already.
                    let _ = wake.try_send(());
                }
            }
        }
        drop(wake);
        // A panic there has been printed; the writer needs nothing from it.
        let _ = housekeeper.join();
        self.close();
    }
}

/// Tells those who wait that nothing more will come, also when the writer panics: what waited is then neither stored nor refused.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.poison("a bug: the journal's writer has panicked".to_owned());
        }
    }
}

fn wants_spare(shared: &Shared) -> bool {
    shared.room_bytes.load(std::sync::atomic::Ordering::Relaxed) < shared.config.segment_bytes / 2
}

fn keep_house(shared: &Shared) {
    let kept = if wants_spare(shared) { shared.spares.prepare() } else { Ok(()) };
    if let Err(error) = kept.and_then(|()| shared.spares.refresh_free()) {
        telemetry::housekeeping_failed(&shared.storage.place(), &error);
    }
}

fn housekeeper(shared: &Shared, woken: &Receiver<()>) {
    loop {
        match woken.recv_timeout(HOUSEKEEPING_INTERVAL) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => keep_house(shared),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
