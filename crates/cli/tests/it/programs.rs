//! Starting the binary and other programs so that nothing outlives the test.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

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

    /// Sends it a signal, such as `TERM` or `INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Waits until it has ended; gives its exit code.
    pub fn exit_code(&mut self) -> i32 {
        self.ended().code().expect("it ended by itself")
    }

    /// Waits until it has ended, however; how.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of a process", || {
            status = self.0.try_wait().expect("status");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Waits until a server answers; how it ended, if it ended before.
    pub fn answers_or_ends(&mut self, port: u16) -> Option<ExitStatus> {
        let mut ended = None;
        wait_until("the server", || {
            ended = self.0.try_wait().expect("status");
            // A connection alone says little: the kernel takes it before the server does.
            ended.is_some() || try_request(port, "GET", "/healthz", None, "").is_ok_and(|reply| reply.status == 200)
        });
        ended
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn end(&mut self) {
        self.signal("TERM");
        assert_eq!(self.exit_code(), 0);
    }
}

/// The binary under test, with nothing but what the test says: no settings from the environment of whoever runs it.
pub fn crowdread() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crowdread"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CROWDREAD_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end; it must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs a command to its end; it must fail with this exit code. Gives what it told people.
pub fn fail(code: i32, command: &mut Command) -> String {
    let output = command.output().expect("runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{told}");
    told
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

/// Starts `crowdread serve` on a folder, with settings from the environment, and waits until it answers.
pub fn serve(data: &Path, port: u16, log: &Path, settings: &[(&str, &str)]) -> Process {
    serve_as(crowdread(), data, port, log, settings)
}

/// As [`serve`], with a program that runs the binary with the arguments that it is given.
pub fn serve_as(command: Command, data: &Path, port: u16, log: &Path, settings: &[(&str, &str)]) -> Process {
    let mut server = start(command, data, port, log, settings);
    if let Some(status) = server.answers_or_ends(port) {
        panic!("the server ended with {status}: {}", fs::read_to_string(log).unwrap_or_default());
    }
    server
}

/// As [`serve_as`], and waits for nothing.
pub fn start(mut command: Command, data: &Path, port: u16, log: &Path, settings: &[(&str, &str)]) -> Process {
    let stderr = fs::OpenOptions::new().create(true).append(true).open(log).expect("log");
    command.arg("serve").arg("--data").arg(data).env("CROWDREAD_LISTEN", format!("127.0.0.1:{port}"));
    command.envs(settings.iter().copied()).stdout(Stdio::null()).stderr(stderr);
    Process(command.spawn().expect("starts"))
}

/// Imports the sample's pages as the collection `sample`.
pub fn import_sample(data: &Path) {
    succeed(crowdread().arg("import").arg(sample().join("pages")).arg("--data").arg(data).args(["--collection", "sample"]));
}

/// The sample's folder in the checkout.
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ocr/sample")
}

/// A running `crowdread crowd --json`.
pub struct Crowd(Process);

impl Crowd {
    /// Starts it on a server of this machine.
    pub fn start(port: u16, truth: &Path, args: &[&str]) -> Self {
        let mut command = crowdread();
        command.args(["crowd", "--json", "--url", &format!("http://127.0.0.1:{port}"), "--truth"]).arg(truth).args(args);
        Self(Process(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts")))
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.0.0.try_wait().expect("status").is_none()
    }

    /// Ends it, if it has not ended by itself, and gives its report.
    pub fn end(&mut self) -> Value {
        if self.is_running() {
            self.0.signal("TERM");
        }
        self.report()
    }

    /// Waits for its end and gives its report.
    pub fn report(&mut self) -> Value {
        let mut out = String::new();
        let pipe = self.0.0.stdout.take().expect("a pipe");
        pipe.take(64 << 20).read_to_string(&mut out).expect("UTF-8");
        assert_eq!(self.0.exit_code(), 0);
        serde_json::from_str(&out).expect("JSON")
    }
}

/// One HTTP request to a server of this machine: its status, its head, and its body.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The status line and the fields, in small letters.
    pub head: String,
    /// What follows them.
    pub body: String,
}

/// Sends a request and reads the whole answer.
pub fn request(port: u16, method: &str, path: &str, body: &str) -> Reply {
    try_request(port, method, path, None, body).expect("an answer")
}

/// As [`request`], with a bearer token.
pub fn request_as(token: &str, port: u16, method: &str, path: &str, body: &str) -> Reply {
    try_request(port, method, path, Some(token), body).expect("an answer")
}

/// As [`request`], for a server that may be away.
pub fn try_request(port: u16, method: &str, path: &str, token: Option<&str>, body: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let length = body.len();
    let bearer = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{bearer}content-length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.take(64 << 20).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok(Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// Whether programs that are no part of a Rust toolchain are left out.
pub fn is_quick() -> bool {
    let quick = std::env::var_os("CROWDREAD_QUICK").is_some();
    if quick {
        println!("skipped: --quick leaves out what needs more than a Rust toolchain");
    }
    quick
}

/// The Python with readers of the table that are not ours, unless the run is a quick one.
pub fn python() -> Option<PathBuf> {
    if is_quick() {
        return None;
    }
    Some(std::env::var_os("CROWDREAD_PYTHON").map(PathBuf::from).expect("CROWDREAD_PYTHON: run the tests with `cargo xtask test`"))
}
