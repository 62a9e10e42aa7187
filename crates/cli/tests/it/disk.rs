//! Disks that do not take what they are given.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    programs::{Crowd, crowdread, free_port, import_sample, python, request, sample, serve, serve_as, succeed, wait_until},
    table::{Table, acknowledged},
};

/// A small file system of its own, for as long as this lives.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, told loudly, where the system lets nobody mount one.
    pub fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).expect("folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "crowdread-test"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        println!("SKIPPED: no small disk can be mounted here (this needs root), so a full disk was not tried");
        None
    }

    /// Makes it larger.
    pub fn grow(&self, size: &str) {
        succeed(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.0));
    }

    /// Takes all that is free.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut ballast = fs::File::create(&path).expect("file");
        while ballast.write_all(&[1; 65_536]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

const SETTINGS: [(&str, &str); 6] = [
    ("CROWDREAD_JOURNAL__SEGMENT_BYTES", "4194304"),
    ("CROWDREAD_JOURNAL__HEADROOM_BYTES_MIN", "8388608"),
    ("CROWDREAD_LOADER__ROLL_AGE_MS", "50"),
    ("CROWDREAD_SELECTION__ANSWERS_MIN", "1000"),
    ("CROWDREAD_SELECTION__ANSWERS_MAX", "1000"),
    ("CROWDREAD_SELECTION__CENSUS_ANSWERS", "1000"),
];

/// C2, L1: answers are refused for the time being, what was acknowledged stays, and the server goes on by itself once there is room.
#[test]
fn a_full_disk_refuses_loses_nothing_and_goes_on() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), "80m") else { return };
    let (data, told, log, port) = (disk.0.join("data"), folder.path().join("told"), folder.path().join("log"), free_port());
    import_sample(&data);
    let mut server = serve(&data, port, &log, &SETTINGS);
    let mut crowd =
        Crowd::start(port, &sample().join("truth"), &["--phones", "20", "--pace", "0.03", "--log", &told.display().to_string()]);
    let stored = || fs::read_to_string(&told).unwrap_or_default().lines().count();
    wait_until("answers", || stored() > 50);
    let ballast = disk.fill();
    let send = || request(port, "POST", "/v1/records/events", r#"{"event":"tried"}"#);
    let mut refused = None;
    wait_until("a refusal", || {
        refused = Some(send()).filter(|reply| reply.status != 200);
        refused.is_some()
    });
    let refused = refused.expect("refused");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.head.contains("retry-after"), "{}", refused.head);
    assert_eq!(request(port, "GET", "/readyz", "").status, 503);
    assert_eq!(request(port, "GET", "/", "").status, 200, "the rest goes on");
    let before = stored();
    fs::remove_file(ballast).expect("removed");
    wait_until("answers after the disk has room again", || stored() > before + 50);
    assert_eq!(send().status, 200);
    crowd.end();
    server.end();
    let counted = Table::read(&python, &data, "answers").assert_holds_once(&acknowledged(&told));
    println!("{counted} acknowledged answers, {before} of them before there was room again");
}

/// Q2 and exit code 5: a journal whose write failed takes nothing more, the server says so, and the next start has all that was stored.
/// The write fails by a limit on the size of files (`prlimit --fsize`), whose signal is ignored.
#[test]
fn a_journal_that_cannot_write_stops_and_ends_with_5() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    let send = || request(port, "POST", "/v1/records/events", r#"{"event":"tried"}"#);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(crowdread().get_program());
    let mut server = serve_as(shell, &data, port, &log, &[]);
    let limit =
        |bytes: &str| succeed(Command::new("prlimit").args(["--pid", &server.0.id().to_string(), &format!("--fsize={bytes}:unlimited")]));
    assert_eq!(send().status, 200);
    limit("1");
    assert_eq!(send().status, 503, "whether it is stored is not known");
    limit("unlimited");
    let reply = send();
    assert_eq!((reply.status, reply.body.contains("closed")), (503, true), "{}", reply.body);
    server.signal("TERM");
    assert_eq!(server.exit_code(), 5);
    let mut server = serve(&data, port, &log, &[]);
    assert_eq!(send().status, 200);
    server.end();
}
