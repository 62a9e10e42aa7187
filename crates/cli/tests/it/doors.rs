//! Pages that are not ours send records to the real server, from a real Chromium.

use std::path::Path;

use crate::{
    browser_driver::with_browser,
    programs::{Process, free_port, request, serve, wait_until},
};

/// What `/metrics` says of records of one door and outcome.
fn counted(port: u16, door: &str, outcome: &str) -> u64 {
    let name = format!("crowdread_collector_records_total{{topic=\"events\",door=\"{door}\",outcome=\"{outcome}\"}} ");
    let metrics = request(port, "GET", "/metrics", "").body;
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().expect("a number"))
}

fn open(folder: &Path, name: &str, port: u16, settings: &[(&str, &str)]) -> Process {
    serve(&folder.join(name), port, &folder.join(format!("{name}.log")), settings)
}

/// A page whose fetch has a preflight: the content type is not one that forms have.
fn fetch(port: u16) -> String {
    format!(
        "fetch('http://127.0.0.1:{port}/v1/records/events', {{method: 'POST', body: '{{}}', headers: {{'content-type': 'application/json'}}}})\
         .then((answer) => answer.json()).then((body) => body.outcomes[0].outcome, (refused) => refused.name)"
    )
}

/// `localhost` and `127.0.0.1` are two origins on one machine.
#[tokio::test]
async fn pages_of_named_origins_alone_may_send_and_read() {
    with_browser((800, 600), |browser| async move {
        let folder = tempfile::tempdir().expect("folder");
        let (port, closed) = (free_port(), free_port());
        let origins = format!("[\"http://localhost:{port}\"]");
        let _server = open(folder.path(), "open", port, &[("CROWDREAD_DOORS__CORS_ORIGINS", &origins)]);
        let _closed = open(folder.path(), "closed", closed, &[]);
        browser.open(&format!("http://localhost:{port}/healthz")).await;
        assert_eq!(browser.value(&fetch(port)).await, "stored");
        assert_eq!(browser.value(&fetch(closed)).await, "TypeError");
        // A page of another origin than the one that was named.
        browser.open(&format!("http://localhost:{closed}/healthz")).await;
        assert_eq!(browser.value(&fetch(port)).await, "TypeError");
        assert_eq!((counted(port, "http", "stored"), counted(closed, "http", "stored")), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_left_sends_its_beacon() {
    with_browser((800, 600), |browser| async move {
        let folder = tempfile::tempdir().expect("folder");
        let port = free_port();
        let _server = open(folder.path(), "data", port, &[]);
        browser.open(&format!("http://127.0.0.1:{port}/healthz")).await;
        let send = "void addEventListener('pagehide', () => navigator.sendBeacon('/v1/beacon/events', '{\"a\":1}\\n7\\n{\"a\":2}'))";
        browser.value(send).await;
        browser.open("about:blank").await;
        wait_until("the beacon", || counted(port, "beacon", "stored") == 2);
        assert_eq!(counted(port, "beacon", "not_an_object"), 1);
    })
    .await;
}
