//! Clients: many connections, each with some messages in flight, or with a time at which each is due.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::{Address, RECORD, wire::Protocol};

/// How many connections are opened at a time.
const OPENED_AT_ONCE: usize = 200;

pub struct Plan {
    pub address: Address,
    pub connections: usize,
    pub time: Duration,
}

/// What one connection saw.
struct Seen {
    stored: u64,
    refused: u64,
    micros: Histogram<u64>,
}

impl Seen {
    fn new() -> Self {
        Self { stored: 0, refused: 0, micros: Histogram::new(3).expect("a histogram") }
    }

    fn note(&mut self, is_stored: bool, since: Instant) {
        if is_stored {
            self.stored += 1;
        } else {
            self.refused += 1;
        }
        self.micros.record(since.elapsed().as_micros() as u64).expect("it grows");
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement of the machine's own time; nothing decides by it")]
pub fn now() -> Instant {
    Instant::now()
}

async fn join(mut tasks: JoinSet<Seen>, time: Duration) -> Value {
    let mut all = Seen::new();
    let mut connections = 0;
    while let Some(seen) = tasks.join_next().await {
        let seen = seen.expect("no panic");
        connections += 1;
        all.stored += seen.stored;
        all.refused += seen.refused;
        all.micros.add(&seen.micros).expect("alike");
    }
    json!({
        "connections": connections, "stored": all.stored, "refused": all.refused,
        "per_second": all.stored as f64 / time.as_secs_f64(),
        "p50_us": all.micros.value_at_quantile(0.5), "p99_us": all.micros.value_at_quantile(0.99), "max_us": all.micros.max(),
    })
}

/// From an address of this machine has a port for each of so many connections to one place.
const CONNECTIONS_OF_AN_ADDRESS: usize = 20_000;

/// The n-th connection.
async fn connect_from(address: Address, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let last = 1 + u8::try_from(number / CONNECTIONS_OF_AN_ADDRESS).expect("fewer connections");
    if last > 1 {
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).expect("a free port");
    }
    let stream = socket.connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("set");
    stream
}

async fn connect(address: Address) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("set");
    stream
}

/// POSTs at a rate, one in flight on a connection; latency counts from when a request was due, also when its connection was busy.
pub async fn open(plan: Plan, path: &str, rate: f64) -> Value {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{RECORD}",
        RECORD.len()
    );
    let mut tasks = JoinSet::new();
    let start = now() + Duration::from_secs(1);
    for connection in 0..plan.connections {
        let (request, step) = (request.clone(), Duration::from_secs_f64(plan.connections as f64 / rate));
        let first = start + Duration::from_secs_f64(connection as f64 / rate);
        let end = start + plan.time;
        tasks.spawn(async move {
            let mut stream = connect(plan.address).await;
            let (mut seen, mut due, mut buffer) = (Seen::new(), first, Vec::with_capacity(1024));
            while due < end {
                tokio::time::sleep_until(due.into()).await;
                stream.write_all(request.as_bytes()).await.expect("sent");
                let is_stored = response(&mut stream, &mut buffer).await;
                seen.note(is_stored, due);
                due += step;
            }
            seen
        });
    }
    join(tasks, plan.time).await
}

/// Reads one response; whether it is a 200 that says *stored*.
async fn response(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    loop {
        assert!(stream.read_buf(buffer).await.expect("an answer") > 0, "the server closed the connection");
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length: usize = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok()).unwrap_or(0);
        if buffer.len() >= head + 4 + length {
            return text.starts_with("http/1.1 200") && buffer[head..].windows(8).any(|window| window == b"\"stored\"");
        }
    }
}

/// Opens the conversations, some at a time.
async fn meet(address: Address, protocol: &Protocol, connections: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(connections);
    while streams.len() < connections {
        let mut opening = JoinSet::new();
        for number in streams.len()..connections.min(streams.len() + OPENED_AT_ONCE) {
            let protocol = protocol.clone();
            opening.spawn(async move {
                let mut stream = connect_from(address, number).await;
                stream.write_all(&protocol.hello).await.expect("sent");
                let mut buffer = Vec::new();
                while (protocol.welcome)(&buffer).is_none() {
                    assert!(stream.read_buf(&mut buffer).await.expect("an answer") > 0, "the server closed the connection");
                }
                assert_eq!((protocol.welcome)(&buffer), Some(buffer.len()), "nothing is said before a message");
                stream
            });
        }
        while let Some(stream) = opening.join_next().await {
            streams.push(stream.expect("opened"));
        }
    }
    streams
}

/// As many messages in flight on each connection as asked for, until the time is over.
pub async fn closed(plan: Plan, protocol: Protocol, depth: usize) -> Value {
    let streams = meet(plan.address, &protocol, plan.connections).await;
    let end = now() + plan.time;
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        let protocol = protocol.clone();
        tasks.spawn(async move {
            let (mut seen, mut number, mut buffer) = (Seen::new(), 0_u16, Vec::with_capacity(4096));
            let mut flight = std::collections::VecDeque::with_capacity(depth);
            while now() < end || !flight.is_empty() {
                let mut bytes = Vec::new();
                while flight.len() < depth && now() < end {
                    bytes.extend((protocol.message)(&protocol, number));
                    number = number.wrapping_add(1);
                    flight.push_back(now());
                }
                stream.write_all(&bytes).await.expect("sent");
                if flight.is_empty() {
                    break;
                }
                assert!(stream.read_buf(&mut buffer).await.expect("an answer") > 0, "the server closed the connection");
                let mut used = 0;
                while let Some((length, is_stored)) = (protocol.answer)(&buffer[used..]) {
                    used += length;
                    seen.note(is_stored, flight.pop_front().expect("an answer to a message"));
                }
                buffer.drain(..used);
            }
            seen
        });
    }
    join(tasks, plan.time).await
}

/// Each connection sends one message every so often, at times of its own. The process's resident memory is looked at in the middle of it.
pub async fn phones(plan: Plan, protocol: Protocol, every: Duration, pid: u32) -> Value {
    let before = resident_bytes(pid);
    let streams = meet(plan.address, &protocol, plan.connections).await;
    let start = now();
    let mut tasks = JoinSet::new();
    for (index, mut stream) in streams.into_iter().enumerate() {
        let (protocol, end) = (protocol.clone(), start + plan.time);
        let mut due = start + every.mul_f64(index as f64 / plan.connections as f64);
        tasks.spawn(async move {
            let (mut seen, mut number, mut buffer) = (Seen::new(), 0_u16, Vec::with_capacity(512));
            while due < end {
                tokio::time::sleep_until(due.into()).await;
                stream.write_all(&(protocol.message)(&protocol, number)).await.expect("sent");
                number = number.wrapping_add(1);
                let (length, is_stored) = loop {
                    if let Some(answer) = (protocol.answer)(&buffer) {
                        break answer;
                    }
                    assert!(stream.read_buf(&mut buffer).await.expect("an answer") > 0, "the server closed the connection");
                };
                buffer.drain(..length);
                seen.note(is_stored, due);
                due += every;
            }
            seen
        });
    }
    tokio::time::sleep(plan.time / 2).await;
    let each = resident_bytes(pid).saturating_sub(before) / plan.connections as u64;
    let mut told = join(tasks, plan.time).await;
    told["bytes_each"] = each.into();
    told
}

/// Opens connections and says nothing; the process's resident memory before and after.
pub async fn idle(address: Address, protocol: Protocol, connections: usize, pid: u32) -> Value {
    let before = resident_bytes(pid);
    let streams = meet(address, &protocol, connections).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = resident_bytes(pid);
    let each = after.saturating_sub(before) / streams.len() as u64;
    json!({ "connections": streams.len(), "before_bytes": before, "after_bytes": after, "bytes_each": each })
}

/// `VmRSS`, see proc(5).
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
