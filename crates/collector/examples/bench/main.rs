//! What `cargo xtask bench doors` starts beside the server under test: peers that do less, clients that load both, and a look at the
//! disk. Each mode prints one JSON object.
//!
//! ```text
//! bench noop ADDRESS                      axum that reads the body and answers 200
//! bench door ADDRESS DIR                  our doors over a journal and nothing else, for profiles
//! bench parse ADDRESS                     axum that parses lines into a struct and stores nothing
//! bench disk DIR SECONDS                  fdatasync after 4 KiB, again and again
//! bench open ADDRESS PATH RATE CONNECTIONS SECONDS     POSTs at a rate, latency from the time that each was due
//! bench websocket ADDRESS TOPIC CONNECTIONS DEPTH SECONDS
//! bench mqtt ADDRESS TOPIC CONNECTIONS DEPTH SECONDS
//! bench phones ADDRESS TOPIC CONNECTIONS EVERY_MS SECONDS PID     WebSockets that each send now and then
//! bench idle ADDRESS TOPIC CONNECTIONS PID    WebSockets that say nothing: resident memory of the process before and after
//! bench recovery DIR GIB                  opens a journal of that size again, its files out of the page cache; and reads the files
//! ```

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod disk;
mod load;
mod peers;
mod recovery;
mod wire;

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

/// One record of a device.
const RECORD: &str = r#"{"device":"attic-7","celsius":21.5,"at":"2026-11-24T11:15:24Z"}"#;

/// What it keeps to.
const SCHEMA: &str = r#"{"type":"object","required":["device","celsius"],"properties":{
    "device":{"type":"string"},"celsius":{"type":"number"},"at":{"type":"string","format":"date-time"}}}"#;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let result: Value = match words.as_slice() {
        ["noop", address] => runtime.block_on(peers::noop(parse(address))),
        ["door", address, folder] => runtime.block_on(peers::door(parse(address), folder.as_ref())),
        ["parse", address] => runtime.block_on(peers::parse(parse(address))),
        ["disk", folder, seconds] => disk::measure(folder.as_ref(), seconds_of(seconds)),
        ["open", address, path, rate, connections, seconds] => {
            let plan = load::Plan { address: parse(address), connections: parse(connections), time: seconds_of(seconds) };
            runtime.block_on(load::open(plan, path, parse(rate)))
        }
        ["websocket", address, topic, connections, depth, seconds] => {
            let plan = load::Plan { address: parse(address), connections: parse(connections), time: seconds_of(seconds) };
            runtime.block_on(load::closed(plan, wire::Protocol::websocket(topic), parse(depth)))
        }
        ["mqtt", address, topic, connections, depth, seconds] => {
            let plan = load::Plan { address: parse(address), connections: parse(connections), time: seconds_of(seconds) };
            runtime.block_on(load::closed(plan, wire::Protocol::mqtt(topic), parse(depth)))
        }
        ["phones", address, topic, connections, every_ms, seconds, pid] => {
            let plan = load::Plan { address: parse(address), connections: parse(connections), time: seconds_of(seconds) };
            let every = Duration::from_millis(parse(every_ms));
            runtime.block_on(load::phones(plan, wire::Protocol::websocket(topic), every, parse(pid)))
        }
        ["idle", address, topic, connections, pid] => {
            runtime.block_on(load::idle(parse(address), wire::Protocol::websocket(topic), parse(connections), parse(pid)))
        }
        ["recovery", folder, gib] => runtime.block_on(recovery::measure(folder.as_ref(), parse(gib))),
        _ => panic!("no such mode: see the head of this file"),
    };
    println!("{result}");
}

fn parse<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("cannot use {text:?}"))
}

fn seconds_of(text: &str) -> Duration {
    Duration::from_secs(parse(text))
}

type Address = SocketAddr;
