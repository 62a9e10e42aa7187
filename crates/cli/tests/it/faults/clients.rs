//! Clients as they are in the field: each sends its records one request after the other over one kept connection, single records and
//! batches, good and bad ones, some of them again; and sends again whatever it has no answer to, until it has one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use reqwest::{StatusCode, header};
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinHandle};

use super::ledger::{Ledger, Name, Told};

/// A request without an answer after this is a lost one. Nothing is concluded from it but that it is sent again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);
/// However long a server asks to wait, the test asks again sooner: that does no harm.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What the clients send.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub clients: u32,
    /// One request in so many is a large batch that fills a quarter of a small segment; none for 0.
    pub large_every: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { clients: 6, large_every: 12 }
    }
}

/// Clients at work.
pub struct Load {
    runtime: Option<Runtime>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    ledger: Arc<Ledger>,
    rounds: Vec<Arc<AtomicU64>>,
    turned_away: Vec<Arc<AtomicU64>>,
}

impl Load {
    /// Starts clients that send to a port, which may be served or not.
    pub fn start(port: u16, ledger: &Arc<Ledger>, mix: Mix, seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let stop = Arc::new(AtomicBool::new(false));
        let rounds: Vec<Arc<AtomicU64>> = (0..mix.clients).map(|_| Arc::default()).collect();
        let turned_away: Vec<Arc<AtomicU64>> = (0..mix.clients).map(|_| Arc::default()).collect();
        let tasks = (0..mix.clients).zip(rounds.iter().zip(&turned_away)).map(|(number, (round, turned_away))| {
            let client = Client {
                http: reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build().expect("a client"),
                url: format!("http://127.0.0.1:{port}/v1/records/events"),
                number,
                next: 1,
                random: SmallRng::seed_from_u64(seed.wrapping_mul(1_000) + u64::from(number)),
                kept: Vec::new(),
                ledger: Arc::clone(ledger),
                stop: Arc::clone(&stop),
                round: Arc::clone(round),
                turned_away: Arc::clone(turned_away),
                large_every: mix.large_every,
            };
            runtime.spawn(client.run())
        });
        let tasks = tasks.collect();
        Self { runtime: Some(runtime), stop, tasks, ledger: Arc::clone(ledger), rounds, turned_away }
    }

    /// Requests that were answered in full, of the client that has fewest.
    pub fn rounds(&self) -> u64 {
        self.rounds.iter().map(|round| round.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// How often the client that was turned away least was.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    pub fn acknowledged(&self) -> u64 {
        self.ledger.counts().acknowledged
    }

    /// Lets each client finish the request under way, if there is somebody to answer it, and ends them.
    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let runtime = self.runtime.take().expect("not ended yet");
        runtime.block_on(async {
            for task in self.tasks.drain(..) {
                task.await.expect("a client does not panic");
            }
        });
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Client {
    http: reqwest::Client,
    url: String,
    number: u32,
    next: u64,
    random: SmallRng,
    /// Some records that were told *stored*, to be sent again.
    kept: Vec<Line>,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    round: Arc<AtomicU64>,
    turned_away: Arc<AtomicU64>,
    large_every: u32,
}

/// A record of a request.
#[derive(Clone)]
struct Line {
    name: Name,
    payload: String,
}

/// What came of one try.
enum Answer {
    Outcomes(Vec<Told>),
    Later(Duration),
    Lost,
}

impl Client {
    async fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let lines = self.draw();
            if self.deliver(lines).await {
                self.round.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn draw(&mut self) -> Vec<Line> {
        let is_large = self.large_every > 0 && self.random.random_range(0..self.large_every) == 0;
        let (count, fill_max) = match self.random.random_range(0..3) {
            _ if is_large => (16, 60_000),
            0 => (1, 200),
            1 => (self.random.random_range(2..6), 200),
            _ => (self.random.random_range(6..40), 60),
        };
        (0..count).map(|_| self.line(fill_max, is_large)).collect()
    }

    fn line(&mut self, fill_max: usize, is_large: bool) -> Line {
        match self.random.random_range(0..40) {
            0 if !self.kept.is_empty() => return self.kept[self.random.random_range(0..self.kept.len())].clone(),
            1 if !self.kept.is_empty() => {
                let name = self.kept[self.random.random_range(0..self.kept.len())].name;
                let payload = format!("{{\"record_id\":\"{}\",\"impostor\":{}}}", name.id(), self.random.random::<u32>());
                self.ledger.issue_impostor(name, &payload);
                return Line { name, payload };
            }
            _ => {}
        }
        let name = Name { client: self.number, number: self.next };
        self.next += 1;
        let fill = "x".repeat(if is_large { fill_max } else { self.random.random_range(0..=fill_max) });
        let payload = match self.random.random_range(0..50) {
            0 => format!("{{\"record_id\":\"no id\",\"client\":{},\"number\":{}}}", name.client, name.number),
            1 => format!("[{},{}]", name.client, name.number),
            2 => format!("{{\"record_id\":\"{}\",\"unfinished\":", name.id()),
            _ => format!("{{\"record_id\":\"{}\",\"number\":{},\"fill\":\"{fill}\"}}", name.id(), name.number),
        };
        self.ledger.issue(name, &payload);
        Line { name, payload }
    }

    /// Sends until every record has a final outcome; whether that came to be before the end.
    async fn deliver(&mut self, mut lines: Vec<Line>) -> bool {
        while !lines.is_empty() {
            let pause = match self.send(&lines).await {
                Answer::Outcomes(told) => {
                    let mut later = Vec::new();
                    for (line, told) in lines.into_iter().zip(told) {
                        match told {
                            Told::Nothing => later.push(line),
                            told => self.hear(line, told),
                        }
                    }
                    lines = later;
                    if lines.is_empty() { Duration::ZERO } else { PAUSE }
                }
                Answer::Later(pause) => pause,
                Answer::Lost => PAUSE,
            };
            if pause > Duration::ZERO {
                if self.stop.load(Ordering::Relaxed) {
                    return false;
                }
                tokio::time::sleep(pause).await;
            }
        }
        true
    }

    fn hear(&mut self, line: Line, told: Told) {
        self.ledger.tell(line.name, &line.payload, told);
        let is_plain = line.payload.contains("\"fill\"") && line.payload.len() < 1_000;
        if told == Told::Stored && is_plain && (self.kept.len() < 50 || self.random.random_range(0..10) == 0) {
            self.kept.truncate(49);
            self.kept.insert(0, line);
        }
    }

    async fn send(&self, lines: &[Line]) -> Answer {
        let is_single = lines.len() == 1 && lines[0].payload.starts_with('{');
        let kind = if is_single { "application/json" } else { "application/x-ndjson" };
        let body = lines.iter().map(|line| format!("{}\n", line.payload)).collect::<String>();
        let sent = self.http.post(&self.url).header(header::CONTENT_TYPE, kind).body(body).send().await;
        let reply = match sent {
            Ok(reply) => reply,
            // Nobody is there: nothing was sent.
            Err(error) if error.is_connect() => return Answer::Lost,
            Err(_) => return self.lost(),
        };
        let status = reply.status();
        let wait = reply.headers().get(header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse::<u64>().ok());
        let Ok(text) = reply.text().await else { return self.lost() };
        match status {
            StatusCode::OK => match outcomes(&text, lines.len()) {
                Some(told) => {
                    if told.contains(&Told::Nothing) {
                        self.ledger.count(|counts| counts.put_off += 1);
                    }
                    Answer::Outcomes(told)
                }
                None => {
                    self.ledger.wrong(format!("C1: not one outcome for each of {} records: {text:.300}", lines.len()));
                    Answer::Later(PAUSE_MAX)
                }
            },
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS if wait.is_some() => {
                self.ledger.count(|counts| counts.put_off += 1);
                Answer::Later(PAUSE_MAX.min(Duration::from_secs(wait.unwrap_or(0))).max(PAUSE))
            }
            // The queue is closed for good, or the server ends.
            StatusCode::SERVICE_UNAVAILABLE => {
                self.ledger.count(|counts| counts.turned_away += 1);
                self.turned_away.fetch_add(1, Ordering::Relaxed);
                Answer::Later(PAUSE_MAX)
            }
            // A body of which a part was lost on the way.
            StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT if text.contains("body_") => self.lost(),
            // One bad record alone: nothing was found.
            StatusCode::BAD_REQUEST if lines.len() == 1 => Answer::Outcomes(vec![Told::Refused]),
            _ => {
                self.ledger.wrong(format!("C1: answered {status} to {} records: {text:.300}", lines.len()));
                Answer::Later(PAUSE_MAX)
            }
        }
    }

    fn lost(&self) -> Answer {
        self.ledger.count(|counts| counts.lost += 1);
        Answer::Lost
    }
}

/// What was told of each index; `None` when an index has no outcome or two (promise C1).
fn outcomes(text: &str, count: usize) -> Option<Vec<Told>> {
    let reply: Value = serde_json::from_str(text).ok()?;
    let mut told = Vec::new();
    for run in reply["outcomes"].as_array()? {
        let (from, to) = (usize::try_from(run["from"].as_u64()?).ok()?, usize::try_from(run["to"].as_u64()?).ok()?);
        if from != told.len() || to < from {
            return None;
        }
        let one = match run["outcome"].as_str()? {
            "stored" => Told::Stored,
            "rejected" => Told::Refused,
            "retry" => Told::Nothing,
            _ => return None,
        };
        told.resize(to + 1, one);
    }
    (told.len() == count).then_some(told)
}
