//! The server with a shim between it and the C library (`shim.c`): power cuts, and the faults that machines rarely have.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    asked,
    clients::Mix,
    kills::POINTS,
    life::Life,
    replay::{Disk, Lost, Told, told},
    seed,
};
use crate::programs::{crowdread, python, request, succeed, wait_until};

/// Power cuts of one data folder; then it is judged, and a new one begins.
const CUTS_A_FOLDER: u64 = 6;

const EIO: &str = "5";
const EMFILE: &str = "24";
const ENOSPC: &str = "28";

/// The shim, compiled, for the servers of one data folder.
pub struct Shim {
    library: PathBuf,
    root: PathBuf,
    notes: PathBuf,
}

impl Shim {
    pub fn compile(life: &Life) -> Self {
        let (source, library) = (life.beside("shim.c"), life.beside("shim.so"));
        fs::write(&source, include_str!("shim.c")).expect("file");
        succeed(Command::new("cc").args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl"));
        let root = life.disk().canonicalize().expect("a folder");
        Self { library, root, notes: life.beside("notes") }
    }

    /// The server's program, with the shim and what it is asked for.
    pub fn command(&self, asked: &[(&str, &str)]) -> Command {
        // Those of an earlier process, if this one is killed before it begins its own.
        let _ = fs::remove_file(&self.notes);
        let mut command = crowdread();
        command.env("LD_PRELOAD", &self.library).env("SHIM_ROOT", &self.root).env("SHIM_NOTES", &self.notes);
        command.envs(asked.iter().copied());
        command
    }

    /// Plays the notes up to now, and lets the power go: the folder is then what is left of it.
    fn cut(&self, life: &Life, mut disk: Disk, random: &mut SmallRng) -> Lost {
        disk.play(&self.notes, random);
        let left = life.beside("left");
        let lost = disk.cut(&left, random).expect("written");
        fs::remove_dir_all(&self.root).and_then(|()| fs::rename(&left, &self.root)).expect("put in its place");
        lost
    }

    pub fn told(&self) -> Told {
        let told = told(&self.notes);
        assert!(told.unseen.is_empty(), "calls that the shim takes no notes of: {:?}", told.unseen);
        told
    }
}

/// Q1, Q3, C3, L1, L2: the power goes, and of what was not synced anything may be missing. How often: `CROWDREAD_POWER_CUTS`, by default 12.
/// That it can fail is shown by `a_disk_that_lies_is_found_out`.
#[test]
fn every_acknowledged_record_is_in_the_table_once_after_power_cuts() {
    let Some(python) = python() else { return };
    let (cuts, seed) = (asked("CROWDREAD_POWER_CUTS", 12), seed());
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut issued, mut acknowledged, mut sectors, mut names) = (0, 0, 0, 0);
    for first in (0..cuts).step_by(CUTS_A_FOLDER as usize) {
        let mut life = Life::begin("power cuts", Mix { large_every: 30, ..Mix::default() }, seed + first, None);
        let shim = Shim::compile(&life);
        for _ in first..cuts.min(first + CUTS_A_FOLDER) {
            let disk = Disk::of(&shim.root).expect("read");
            cut_short(&life, &shim, &mut random);
            shim.told();
            let lost = shim.cut(&life, disk, &mut random);
            (sectors, names) = (sectors + lost.sectors, names + lost.names);
        }
        let counts = life.judge(&python);
        (issued, acknowledged) = (issued + counts.issued, acknowledged + counts.acknowledged);
    }
    assert!(sectors > 0 && names > 0, "the cuts took {sectors} sectors and {names} changes of names");
    println!(
        "power cuts of the binary: seed {seed}, {cuts} cuts took {sectors} sectors and {names} changes of names; {issued} records issued, \
         {acknowledged} acknowledged"
    );
}

/// A server that ends in the middle of something: in three of four lives where something is half done, else at a random moment.
fn cut_short(life: &Life, shim: &Shim, random: &mut SmallRng) {
    // Those of a full segment take long to come by, and a folder may have no journal yet whose tail could be mended.
    let points: Vec<_> =
        POINTS.iter().filter(|(point, _)| !["spare", "segment", "header", "mended"].iter().any(|of| point.contains(of))).collect();
    if random.random_range(0..4) > 0 {
        let (point, highest) = points[random.random_range(0..points.len())];
        let at = format!("{point}={}", random.random_range(0..=*highest));
        let status = life.start_as(shim.command(&[("FAULT_KILL", &at)]), &[]).ended();
        assert_eq!(status.signal(), Some(9), "at {at}: {status}\n{}", life.log());
        return;
    }
    let mut server = life.serve_as(shim.command(&[]), &[]);
    life.wait_for_answers();
    thread::sleep(Duration::from_millis(random.random_range(0..400))); // the random moment itself, not a wait
    server.kill();
}

/// The oracle itself: where fsync says that it is done and is not, a power cut takes what was acknowledged, and that is seen.
#[test]
fn a_disk_that_lies_is_found_out() {
    let Some(python) = python() else { return };
    let (mut random, mut found) = (SmallRng::seed_from_u64(seed()), None);
    for attempt in 0..10 {
        let mut life = Life::begin("a disk that lies", Mix::default(), seed() + attempt, None);
        let shim = Shim::compile(&life);
        let disk = Disk::of(&shim.root).expect("read");
        let mut server = life.serve_as(shim.command(&[("SHIM_LIES", ".journal")]), &[("CROWDREAD_LOADER__ROLL_AGE_MS", "60000")]);
        life.wait_for_answers();
        life.wait_for_answers();
        server.kill();
        assert!(shim.told().fired.contains_key("fsync"));
        shim.cut(&life, disk, &mut random);
        let judged = panic::catch_unwind(AssertUnwindSafe(|| life.judge(&python)));
        let told = judged.err().and_then(|told| told.downcast_ref::<String>().cloned());
        found = told.filter(|told| told.contains("was acknowledged and is not in the table"));
        if found.is_some() {
            break; // or by chance every sector was there, or all that was lost was sent again
        }
    }
    assert!(found.is_some(), "a cut takes something that was acknowledged");
}

/// A fault, what it is to the shim, the name under which it is told, and whether the server has to be started again after it.
struct Case {
    name: &'static str,
    asked: (&'static str, String),
    fires: &'static str,
    is_fatal: bool,
}

fn fault(name: &'static str, call: &str, error: &str, (skip, times): (u64, u64), part: &str, is_fatal: bool) -> Case {
    let fires = match (call, error) {
        ("fsync", _) => "fsync 5",
        ("write", EIO) => "write 5",
        ("write", _) => "write 28",
        ("open", _) => "open 24",
        _ => "accept 24",
    };
    Case { name, asked: ("SHIM_FAULT", format!("{call},{error},{skip},{times},{part}")), fires, is_fatal }
}

fn cases(random: &mut SmallRng) -> Vec<Case> {
    let other = |name, variable, value: &str, fires| Case { name, asked: (variable, value.to_owned()), fires, is_fatal: false };
    let mut some = |skip: u64, times| (random.random_range(0..skip), times);
    vec![
        fault("a batch's fsync fails", "fsync", EIO, some(20, 1), ".journal", true),
        fault("a batch's write fails", "write", EIO, some(20, 1), ".journal", true),
        fault("no room for a batch, on a thin volume", "write", ENOSPC, some(20, 1), ".journal", true),
        fault("an fsync of the tables fails", "fsync", EIO, some(12, 1), "lake/", false),
        fault("no room for the tables", "write", ENOSPC, some(4, 5), "lake/", false),
        fault("an fsync of the index fails", "fsync", EIO, some(4, 1), "index/", false),
        fault("no room for the index", "write", ENOSPC, some(20, 3), "index/", false),
        fault("no room for a segment", "write", ENOSPC, some(4, 6), ".spare", false),
        fault("no handles for files", "open", EMFILE, some(4, 8), "", false),
        fault("no handles for connections", "accept", EMFILE, some(3, 3), "", false),
        other("short writes", "SHIM_SHORT", "3", "write"),
        other("interrupted calls", "SHIM_EINTR", "3", "fsync"),
        other("slow fsync", "SHIM_SLOW", "50,500", "fsync"),
    ]
}

/// Q1, Q2, C1, C2, L1, L2, once each or `CROWDREAD_FAULT_ROUNDS` times: each fault fires; what was acknowledged before, under and after it is
/// there once, also after the power cut that follows. After a fault that ends acknowledgements (Q2) there are none until the next start.
#[test]
fn every_acknowledged_record_is_in_the_table_once_after_faults_of_the_machine() {
    let Some(python) = python() else { return };
    let (rounds, seed) = (asked("CROWDREAD_FAULT_ROUNDS", 1), seed());
    let mut random = SmallRng::seed_from_u64(seed);
    for round in 0..rounds {
        for case in cases(&mut random) {
            let mut life = Life::begin(case.name, Mix { large_every: 20, ..Mix::default() }, seed + round, None);
            let shim = Shim::compile(&life);
            let disk = Disk::of(&shim.root).expect("read");
            let (variable, value) = &case.asked;
            let armed = life.beside("armed").display().to_string();
            let mut server = life.serve_as(shim.command(&[(variable, value), ("SHIM_ARMED", &armed)]), &[]);
            life.wait_for_answers();
            fs::write(&armed, "").expect("file");
            wait_until(case.name, || {
                // A connection that is not kept, for those that are refused.
                request(life.port, "GET", "/healthz", "");
                shim.told().fired.contains_key(case.fires)
            });
            if case.is_fatal {
                wait_until("the server to say so", || request(life.port, "GET", "/readyz", "").status == 503);
                // A client that was turned away has heard all that it was told before.
                life.wait_for_refusals(1);
                let before = life.ledger.counts();
                life.wait_for_refusals(4);
                assert_eq!(life.ledger.counts().acknowledged, before.acknowledged, "Q2: {}", case.name);
            } else {
                life.wait_for_answers();
                life.wait_for_commit();
            }
            server.kill();
            // What the kernel took for clean after a failed fsync is not on the disk.
            shim.cut(&life, disk, &mut random);
            let fired = shim.told().fired[case.fires];
            let counts = life.judge(&python);
            println!(
                "fault: {}: fired {fired}, {} acknowledged, {} put off, {} turned away, {} lost",
                case.name, counts.acknowledged, counts.put_off, counts.turned_away, counts.lost
            );
        }
    }
}
