//! Phones against a server that speaks the contract over real sockets, and does what servers do.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use record::{ErrorKind, Result};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::server::{ANSWERS_PER_WORD, Fault, Server, Shared, locked, memory};
use crate::convention::Convention;
use crate::crowd::{Config, CrowdReport, EndReason, PrintedWords, Progress, Until, Work, run};

const FREE_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn words(count: usize) -> Vec<(String, String)> {
    let shown = ["camino", "casa.", "corazon", "suprema"];
    (0..count).map(|index| (format!("task-{index}"), shown[index % shown.len()].to_owned())).collect()
}

/// Of four words one is wrong.
fn printed(count: usize) -> Work {
    let truth = words(count).into_iter().map(|(task, shown)| (task, Some(shown.replace("corazon", "corazón"))));
    Work::Answers(PrintedWords::new(Convention::default(), truth))
}

fn config(url: String) -> Config {
    Config { url, phones: 12, seed: 5, resend_share: 0.0, pictures_share: 0.0, idle_ms: 2_000, patience_ms: 30_000, ..Config::default() }
}

async fn run_crowd(config: Config, work: Work) -> Result<CrowdReport> {
    let running = run(config, work, Arc::default(), CancellationToken::new());
    timeout(Duration::from_secs(60), running).await.expect("the crowd does not end")
}

/// Every answer is with the server exactly as often as the phones were told.
fn assert_books_agree(report: &CrowdReport, shared: &Shared) {
    let memory = locked(shared);
    assert_eq!(report.total.unsettled, 0);
    assert_eq!(report.total.stored, memory.stored.len() as u64, "told stored, and stored");
    let ids: u64 = report.workers.iter().map(|worker| worker.tally.stored).sum();
    assert_eq!(ids, report.total.stored);
    assert!(memory.repeats <= report.total.resent, "{} repeats of {} sent again", memory.repeats, report.total.resent);
}

#[tokio::test]
async fn a_crowd_answers_until_every_word_is_decided() {
    let shared = memory(words(60));
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(Config { pictures_share: 0.5, ..config(server.url()) }, printed(60)).await.unwrap();
    assert_eq!((report.ended, report.words, report.words_decided), (EndReason::WordsDecided, 60, 60));
    assert!(report.total.stored >= 60 * ANSWERS_PER_WORD as u64);
    assert_books_agree(&report, &shared);
    let labels = report.total.labels;
    assert_eq!(labels.right + labels.wrong + labels.unreadable + labels.not_one_word, report.total.stored);
    assert!(labels.right > labels.wrong && labels.wrong > 0, "{labels:?}");
    assert_eq!(report.workers.len(), 12);
    let ids: BTreeSet<&String> = report.workers.iter().flat_map(|worker| &worker.worker_ids).collect();
    assert_eq!(ids.len(), 12, "each phone is a worker of its own");
    assert!(report.total.pictures > 0 && locked(&shared).pictures >= report.total.pictures);
    assert_eq!(report.total.pictures_failed, 0);
}

/// Seen to fail when phones leave as soon as all words are decided.
#[tokio::test]
async fn a_crowd_stays_until_all_answers_were_looked_at_together() {
    let shared = memory(words(60));
    locked(&shared).unsettled = 20;
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(config(server.url()), printed(60)).await.unwrap();
    assert_eq!((locked(&shared).reopened, report.ended), (1, EndReason::WordsDecided));
    let first = locked(&shared).answers.iter().filter(|(_, answer)| answer["task_id"] == "task-0").count();
    assert!(first > ANSWERS_PER_WORD, "the word that was opened again got no answer");
}

#[tokio::test]
async fn the_log_holds_each_acknowledged_answer_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("acknowledged.jsonl");
    let shared = memory(words(40));
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(Config { log: Some(log.clone()), resend_share: 0.5, ..config(server.url()) }, printed(40)).await.unwrap();
    let lines: Vec<Value> = fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let logged: HashSet<String> = lines.iter().map(|line| line["record_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(lines.len(), logged.len(), "a line twice");
    assert_eq!(logged, locked(&shared).stored.keys().cloned().collect());
    assert_eq!(lines.len() as u64, report.total.stored);
    assert!(lines.iter().all(|line| line["receipt"].as_str().unwrap().starts_with("q/0:") && line["at"].as_str().unwrap().ends_with('Z')));
}

#[tokio::test]
async fn a_batch_sent_twice_on_purpose_is_the_same_bytes_and_counted_once() {
    let shared = memory(words(40));
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(Config { resend_share: 1.0, ..config(server.url()) }, printed(40)).await.unwrap();
    assert_books_agree(&report, &shared);
    assert_eq!(report.total.resent_on_purpose, report.total.stored);
    assert_eq!(locked(&shared).repeats, report.total.stored);
}

/// Seen to fail when `settled` takes an untold record for stored, and when a lost reply is not sent again.
#[tokio::test]
async fn no_answer_is_lost_to_faults_of_the_server() {
    use Fault::{HalfLater, HalfUntold, LostReply, Unavailable};
    let shared = memory(words(80));
    locked(&shared).faults = vec![Unavailable, HalfLater, LostReply, HalfUntold, LostReply, Unavailable, HalfUntold, HalfLater];
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(config(server.url()), printed(80)).await.unwrap();
    assert_eq!(locked(&shared).done.len(), 8, "all faults happened");
    assert_books_agree(&report, &shared);
    assert!(report.total.network_errors >= 2, "{:?}", report.total);
    assert!(report.total.retried > 0 && locked(&shared).repeats > 0);
    assert_eq!(report.words_decided, 80);
}

#[tokio::test]
async fn phones_go_on_after_the_server_was_killed_and_restarted() {
    let shared = memory(words(300));
    let server = Server::start(&shared, FREE_PORT);
    let progress = Arc::new(Progress::default());
    let crowd = tokio::spawn(run(config(server.url()), printed(300), Arc::clone(&progress), CancellationToken::new()));
    until(|| locked(&shared).posts >= 10).await;
    let address = server.kill();
    // It stays down until phones have run into it; else the restart could come before any of them asks for something.
    until(|| progress.snapshot().network_errors >= 3).await;
    assert!(!crowd.is_finished(), "the kill came too late to mean anything");
    let before = locked(&shared).posts;
    let _restarted = start_again(&shared, address).await;
    let report = timeout(Duration::from_secs(60), crowd).await.expect("the crowd does not end").unwrap().unwrap();
    assert!(locked(&shared).posts > before);
    assert_eq!(report.words_decided, 300);
    assert_books_agree(&report, &shared);
}

#[tokio::test]
async fn a_worker_that_the_server_forgets_joins_again() {
    let shared = memory(words(60));
    locked(&shared).faults = vec![Fault::ForgottenWorker];
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(config(server.url()), printed(60)).await.unwrap();
    assert_eq!(locked(&shared).done, [Fault::ForgottenWorker]);
    let rejected = report.total.rejected["unknown_worker"];
    assert!(rejected > 0 && report.total.rejected_count() == rejected);
    assert_eq!(report.workers.iter().filter(|worker| worker.worker_ids.len() == 2).count(), 1);
    assert_eq!(report.words_decided, 60);
}

#[tokio::test]
async fn no_more_answers_are_sent_than_asked_for() {
    let shared = memory(words(200));
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(Config { records_max: Some(33), ..config(server.url()) }, printed(200)).await.unwrap();
    assert_eq!((report.total.stored, report.ended), (33, EndReason::RecordsMax));
    assert_books_agree(&report, &shared);
}

#[tokio::test]
async fn a_worker_gives_the_same_answer_to_a_word_in_every_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let shared = memory(words(30));
        let server = Server::start(&shared, FREE_PORT);
        let report = run_crowd(Config { phones: 3, ..config(server.url()) }, printed(30)).await.unwrap();
        let number_of = |secret: &str| {
            let id = secret.replace("secret", "worker");
            report.workers.iter().find(|worker| worker.worker_ids.contains(&id)).unwrap().number
        };
        let said = |(secret, answer): &(String, Value)| {
            ((number_of(secret), answer["task_id"].to_string()), (answer["label"].to_string(), answer["text"].to_string()))
        };
        runs.push(locked(&shared).answers.iter().map(said).collect::<std::collections::BTreeMap<_, _>>());
    }
    let shared = runs[0].keys().filter(|key| runs[1].contains_key(key)).count();
    assert!(shared > 20, "three workers and three answers a word: nearly all are in both runs, found {shared}");
    assert!(runs[0].iter().all(|(key, said)| runs[1].get(key).is_none_or(|again| again == said)));
}

#[tokio::test]
async fn words_whose_truth_is_not_known_are_not_answered() {
    let shared = memory(words(20));
    let server = Server::start(&shared, FREE_PORT);
    let report = run_crowd(Config { idle_ms: 100, ..config(server.url()) }, printed(10)).await.unwrap();
    assert_eq!(report.ended, EndReason::NothingOffered);
    assert!(report.total.words_without_truth > 0);
    assert!(locked(&shared).answers.iter().all(|(_, answer)| answer["task_id"].as_str().unwrap().len() == "task-0".len()));
}

#[tokio::test]
async fn events_are_sent_until_as_many_as_asked_for_are_stored() {
    let shared = memory([]);
    let server = Server::start(&shared, FREE_PORT);
    let config = Config { records_max: Some(200), phones: 4, ..config(server.url()) };
    let report = run_crowd(config, Work::Events { per_second: 20_000.0 }).await.unwrap();
    assert_eq!((report.total.stored, report.ended), (200, EndReason::RecordsMax));
    assert_books_agree(&report, &shared);
}

#[tokio::test]
async fn a_crowd_ends_when_its_time_is_over_or_it_is_shut_down() {
    let shared = memory(words(10));
    let server = Server::start(&shared, FREE_PORT);
    let briefly = Config { until: Until::Micros(200_000), ..config(server.url()) };
    assert_eq!(run_crowd(briefly, printed(10)).await.unwrap().ended, EndReason::TimeOver);

    let (progress, shutdown) = (Arc::new(Progress::default()), CancellationToken::new());
    let endless = Config { until: Until::Micros(3_600_000_000), ..config(server.url()) };
    let crowd = tokio::spawn(run(endless, printed(10), Arc::clone(&progress), shutdown.clone()));
    until(|| progress.snapshot().words == 10).await;
    shutdown.cancel();
    assert_eq!(crowd.await.unwrap().unwrap().ended, EndReason::ShutDown);
}

#[tokio::test]
async fn what_cannot_be_is_said_at_once() {
    let shared = memory(words(1));
    let server = Server::start(&shared, FREE_PORT);
    let good = config(server.url());
    let bad = [
        Config { collection: Some("other".into()), ..good.clone() },
        Config { url: "https://localhost".into(), ..good.clone() },
        Config { url: "8080".into(), ..good.clone() },
        Config { phones: 0, ..good.clone() },
        Config { phones: 1_000_000, ..good.clone() },
        Config { pace: f64::NAN, ..good.clone() },
        Config { resend_share: 1.5, ..good.clone() },
        Config { tasks_per_request: 0, ..good.clone() },
        Config { log: Some("no/such/folder/log".into()), ..good.clone() },
    ];
    for config in bad {
        assert_eq!(run_crowd(config, printed(1)).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let none = Work::Events { per_second: 0.0 };
    assert_eq!(run_crowd(good.clone(), none).await.unwrap_err().kind(), ErrorKind::Invalid);
    let address = server.kill();
    let gone = Config { patience_ms: 100, url: format!("http://{address}"), ..good };
    assert_eq!(run_crowd(gone, printed(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// Waits for a condition; the caller's test has a limit of its own.
async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect("the condition never came");
}

/// Starts a server on an address that the killed one may still hold for a moment.
async fn start_again(shared: &Shared, address: SocketAddr) -> Server {
    until(|| std::net::TcpListener::bind(address).is_ok()).await;
    Server::start(shared, address)
}
