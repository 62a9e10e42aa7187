//! Networks as they are: a proxy on the way loses replies, tears bodies, half-closes and dawdles; and thousands send slowly at one time.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
};

use super::{
    asked,
    clients::Mix,
    ledger::{Ledger, Name, Told},
    life::Life,
    seed,
};
use crate::programs::{python, wait_until};

/// What becomes of a connection, after so many bytes of its requests.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Nothing: it ends behind a reply.
    Passes,
    /// The request goes through, its reply does not come back.
    ReplyLost,
    /// Both sides get a reset in the middle of a body.
    Reset,
    /// The sender's side is closed; the other one may still answer.
    HalfClosed,
    /// Each piece takes a while; then it ends behind a reply.
    Slow,
}

const FATES: [Fate; 5] = [Fate::Passes, Fate::ReplyLost, Fate::Reset, Fate::HalfClosed, Fate::Slow];

/// A proxy that does to connections what networks do.
struct Proxy {
    port: u16,
    fired: Arc<[AtomicU64; 5]>,
    _runtime: Runtime,
}

impl Proxy {
    fn start(to: u16, seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let fired: Arc<[AtomicU64; 5]> = Arc::default();
        let counts = Arc::clone(&fired);
        runtime.spawn(async move {
            let mut random = SmallRng::seed_from_u64(seed);
            while let Ok((client, _)) = listener.accept().await {
                let (fate, bytes) = (random.random_range(0..FATES.len()), random.random_range(1..8_000));
                let counts = Arc::clone(&counts);
                tokio::spawn(async move {
                    // Either side may go at any time.
                    if let Ok(true) = carry(client, to, FATES[fate], bytes).await {
                        counts[fate].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { port, fired, _runtime: runtime }
    }

    fn fired(&self) -> [u64; 5] {
        std::array::from_fn(|fate| self.fired[fate].load(Ordering::Relaxed))
    }
}

/// Carries one connection to its fate; whether that came.
async fn carry(mut client: TcpStream, to: u16, fate: Fate, bytes: usize) -> std::io::Result<bool> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    let (mut sent, mut is_due) = (0, false);
    let (mut up, mut down) = (vec![0; 1_500], vec![0; 16_384]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let read = read?;
                if read == 0 {
                    return Ok(false);
                }
                sent += read;
                is_due |= sent > bytes;
                match fate {
                    Fate::Reset if is_due => {
                        server.write_all(&up[..read / 2]).await?;
                        // A socket that is closed with linger 0 resets.
                        for side in [&server, &client] {
                            side.set_zero_linger()?;
                        }
                        return Ok(true);
                    }
                    Fate::Slow => {
                        for piece in up[..read].chunks(200) {
                            server.write_all(piece).await?;
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                    _ => server.write_all(&up[..read]).await?,
                }
                if matches!(fate, Fate::HalfClosed) && is_due {
                    server.shutdown().await?;
                    // What comes still goes back.
                    tokio::io::copy(&mut server, &mut client).await?;
                    return Ok(true);
                }
            }
            read = server.read(&mut down) => {
                let read = read?;
                if read == 0 {
                    return Ok(false);
                }
                if matches!(fate, Fate::ReplyLost) && is_due {
                    return Ok(true);
                }
                client.write_all(&down[..read]).await?;
                // No connection is for ever, or in the end all are of the kind that nothing happens to.
                if is_due && matches!(fate, Fate::Passes | Fate::Slow) {
                    return Ok(true);
                }
            }
        }
    }
}

/// Q1, C1, C3, L1, L2: on a network that breaks every way it can, nothing is lost, and what is sent again counts once. How many connections have
/// a bad end: `CROWDREAD_NETWORK_FAULTS`, by default 60.
#[test]
fn every_acknowledged_record_is_in_the_table_once_over_a_bad_network() {
    let Some(python) = python() else { return };
    let (faults, seed) = (asked("CROWDREAD_NETWORK_FAULTS", 60), seed());
    let port = crate::programs::free_port();
    let proxy = Proxy::start(port, seed);
    let mut life = Life::begin_at(port, "a bad network", Mix { large_every: 40, ..Mix::default() }, seed, Some(proxy.port));
    let mut server = life.serve(&[]);
    wait_until_more(|| proxy.fired()[1..].iter().sum::<u64>() + u64::from(proxy.fired()[1..].contains(&0)), faults);
    server.end();
    let counts = life.judge(&python);
    let fired = proxy.fired();
    assert!(fired[1..].iter().all(|count| *count > 0), "{fired:?}");
    let told: Vec<String> = FATES.iter().zip(fired).map(|(fate, count)| format!("{fate:?} {count}")).collect();
    println!(
        "bad network: seed {seed}, connections: {}; {} records acknowledged, {} repeats, {} requests without an answer",
        told.join(", "),
        counts.acknowledged,
        counts.repeats,
        counts.lost
    );
}

/// Waits until a count is reached, for as long as it grows.
fn wait_until_more(count: impl Fn() -> u64, wanted: u64) {
    while count() < wanted {
        let before = count();
        wait_until("another fault", || count() > before);
    }
}

/// C1, C2: thousands of senders, each with half of its request sent, hold nobody up, and each gets its outcome in the end. How many:
/// `CROWDREAD_SLOW_SENDERS`, by default 2,000, and never more than a third of the files that this process may open.
#[test]
fn thousands_of_slow_senders_hold_nobody_up() {
    let Some(python) = python() else { return };
    let files_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let senders = u32::try_from(asked("CROWDREAD_SLOW_SENDERS", 2_000).min(files_max / 3)).expect("a number of senders");
    let mut life = Life::begin("slow senders", Mix { clients: 2, ..Mix::default() }, seed(), None);
    let mut server = life.serve(&[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (begun, answered, go) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), tokio::sync::watch::Sender::new(false));
    for number in 0..senders {
        let parts = (Arc::clone(&life.ledger), Arc::clone(&begun), Arc::clone(&answered), go.subscribe());
        let port = life.port;
        runtime.spawn(async move {
            let (ledger, begun, answered, mut go) = parts;
            let name = Name { client: 100 + number, number: 1 };
            let payload = format!("{{\"record_id\":\"{}\",\"slow\":true}}", name.id());
            ledger.issue(name, &payload);
            let mut is_first = true;
            loop {
                let told = send_slowly(port, &payload, is_first, &begun, &mut go).await;
                is_first = false;
                match told {
                    Some(true) => break ledger.tell(name, &payload, Told::Stored),
                    // Refused for want of room, or cut off: as told, later again.
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
            answered.fetch_add(1, Ordering::Relaxed);
        });
    }
    wait_until_more(|| begun.load(Ordering::Relaxed), u64::from(senders));
    for _ in 0..5 {
        life.wait_for_answers();
    }
    let memory = super::resident_bytes(server.0.id());
    go.send_replace(true);
    wait_until_more(|| answered.load(Ordering::Relaxed), u64::from(senders));
    life.end_clients();
    server.end();
    let counts = life.judge_as_it_is(&python);
    println!("slow senders: {senders} at one time, {} MB resident then, {} records acknowledged", memory >> 20, counts.acknowledged);
    drop(runtime);
}

/// Sends a request, the first one in two halves; whether its record is stored, if that was told.
async fn send_slowly(
    port: u16,
    payload: &str,
    is_slow: bool,
    begun: &AtomicU64,
    go: &mut tokio::sync::watch::Receiver<bool>,
) -> Option<bool> {
    let request = format!(
        "POST /v1/records/events HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{payload}",
        payload.len()
    );
    let connected = TcpSocket::new_v4().ok()?.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let mut half = request.len();
    if is_slow {
        half -= payload.len() / 2;
        begun.fetch_add(1, Ordering::Relaxed);
    }
    let mut stream = connected.ok()?;
    stream.write_all(&request.as_bytes()[..half]).await.ok()?;
    if is_slow {
        go.wait_for(|go| *go).await.ok()?;
        stream.write_all(&request.as_bytes()[half..]).await.ok()?;
    }
    let mut reply = String::new();
    stream.take(1 << 16).read_to_string(&mut reply).await.ok()?;
    Some(reply.starts_with("HTTP/1.1 200") && reply.contains("\"outcome\":\"stored\""))
}

// The ledger is shared by tasks of several runtimes.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Ledger>();
};
