//! Starting the binary and other programs so that nothing outlives the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often at most: about two minutes.
const POLLS_MAX: usize = 6_000;

/// A process that is killed when the test is done with it, however it ends.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Kills it at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn end(&mut self) {
        let ended = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill");
        assert!(ended.success());
        let status = self.0.wait().expect("wait");
        assert!(status.success(), "ended with {status}");
    }
}

/// The binary under test.
pub fn crowdread() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crowdread"));
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end; it must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..POLLS_MAX {
        if holds() {
            return;
        }
        thread::sleep(POLL);
    }
    panic!("waited in vain for {what}");
}

/// A port that was free just now.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Starts `crowdread serve` on a folder and waits until it answers.
pub fn serve(data: &Path, port: u16, log: &Path) -> Process {
    let stderr = fs::OpenOptions::new().create(true).append(true).open(log).expect("log");
    let mut command = crowdread();
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data).stdout(Stdio::null()).stderr(stderr);
    let mut server = Process(command.spawn().expect("starts"));
    wait_until("the server", || {
        if let Some(status) = server.0.try_wait().expect("status") {
            panic!("the server ended with {status}: {}", fs::read_to_string(log).unwrap_or_default());
        }
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    server
}

/// The sample's folder in the checkout.
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ocr/sample")
}

/// The Python with readers of the table that are not ours, unless the run is a quick one.
pub fn python() -> Option<PathBuf> {
    if std::env::var_os("CROWDREAD_QUICK").is_some() {
        println!("skipped: --quick leaves out what needs more than a Rust toolchain");
        return None;
    }
    Some(std::env::var_os("CROWDREAD_PYTHON").map(PathBuf::from).expect("CROWDREAD_PYTHON: run the tests with `cargo xtask test`"))
}
