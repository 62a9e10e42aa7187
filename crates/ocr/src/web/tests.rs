//! The API as a stranger and as the owner meet it, over the real live state.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use futures::StreamExt;
use record::{Digest, Key, RecordId, SystemClock};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::{
    answer::Answer,
    collection::{Collection, import},
    sample,
    task::Label,
};

const TOKEN: &str = "the owner's token";

struct Server {
    app: Router,
    live: Arc<Live>,
    folder: tempfile::TempDir,
}

fn web(folder: tempfile::TempDir) -> Server {
    let live = Arc::new(Live::new(Arc::new(SystemClock::new())));
    for collection in Collection::open_all(folder.path()).unwrap() {
        live.add(&collection, selection::Config::default());
    }
    let places = Places {
        collections: folder.path().to_owned(),
        selection: selection::Config::default(),
        join_url: "http://192.0.2.7:8080/".to_owned(),
        owner_token: TOKEN.to_owned(),
    };
    let web = Web::new(live.clone(), Identity::new(Key::from_bytes([7; 32])), places);
    Server { app: router(Arc::new(web)), live, folder }
}

/// One page of the sample in the collection `sample`.
fn with_sample() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut collection = Collection::open_or_create(folder.path(), "sample").unwrap();
    import::import_page(&mut collection, &sample::pages().unwrap()[0].files, Some("tesseract")).unwrap();
    web(folder)
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Server {
    async fn send(&self, request: Request<Body>) -> Got {
        let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let pieces: Vec<_> = body.into_data_stream().map(Result::unwrap).collect().await;
        let bytes = pieces.concat();
        Got { status: parts.status, headers: parts.headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn get(&self, path: &str, authorization: Option<&str>) -> Got {
        let mut request = Request::get(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn join(&self) -> String {
        let worker = self.send(Request::post("/v1/workers").body(Body::empty()).unwrap()).await;
        assert_eq!(worker.status, StatusCode::CREATED);
        format!("Bearer {}", worker.body["secret"].as_str().unwrap())
    }

    /// Uploads the sample's page with more fields.
    async fn upload(&self, collection: &str, image: &[u8], fields: &[(&str, &str)]) -> Got {
        let page = &sample::pages().unwrap()[1].files;
        let mut body = Vec::new();
        let mut part = |head: String, bytes: &[u8]| {
            body.extend_from_slice(format!("--x\r\ncontent-disposition: form-data; {head}\r\n\r\n").as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        };
        part(format!("name=\"ocr\"; filename=\"{}\"", page.ocr_name), &page.ocr);
        part(format!("name=\"image\"; filename=\"{}\"", page.image_name), image);
        fields.iter().for_each(|(name, value)| part(format!("name=\"{name}\""), value.as_bytes()));
        body.extend_from_slice(b"--x--\r\n");
        let request = Request::post(format!("/v1/collections/{collection}/pages"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "multipart/form-data; boundary=x");
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

fn assert_problem(got: &Got, status: u16, code: &str) {
    assert_eq!(got.status.as_u16(), status, "{}", got.body);
    assert_eq!(got.headers["content-type"], "application/problem+json", "{}", got.body);
    assert_eq!((got.body["status"].as_u64(), got.body["code"].as_str()), (Some(u64::from(status)), Some(code)));
    assert!(got.body["title"].is_string() && !got.body["detail"].as_str().unwrap_or_default().is_empty(), "{}", got.body);
    assert_eq!(got.headers.contains_key("www-authenticate"), status == 401, "{}", got.body);
}

#[tokio::test]
async fn what_is_refused_is_refused_as_problem_details() {
    let server = with_sample();
    let worker = server.join().await;
    let worker = Some(worker.as_str());
    assert_problem(&server.get("/v1/tasks?collection=sample", None).await, 401, "unknown_worker");
    assert_problem(&server.get("/v1/tasks?collection=sample", Some("Bearer nobody")).await, 401, "unknown_worker");
    assert_problem(&server.get("/v1/tasks", worker).await, 400, "invalid");
    assert_problem(&server.get("/v1/tasks?collection=sample&n=many", worker).await, 400, "invalid");
    assert_problem(&server.get("/v1/tasks?collection=none", worker).await, 404, "not_found");
    assert_problem(&server.get("/v1/collections/none/status", None).await, 404, "not_found");
    assert_problem(&server.get("/v1/collections/none/live", None).await, 404, "not_found");
    assert_problem(&server.get("/v1/collections/sample/pages/x", None).await, 400, "invalid");
    assert_problem(&server.get(&format!("/v1/crops/{}", Digest::of(&[b"none"])), None).await, 404, "not_found");
    let form = Request::post("/v1/collections/sample/pages").header("authorization", format!("Bearer {TOKEN}"));
    assert_problem(&server.send(form.body(Body::from("no form")).unwrap()).await, 400, "invalid");
}

#[tokio::test]
async fn bearer_may_be_written_in_letters_of_either_case() {
    let server = with_sample();
    let worker = server.join().await.replace("Bearer", "bEARER");
    let offered = server.get("/v1/tasks?collection=sample&n=3", Some(&worker)).await;
    assert_eq!((offered.status, offered.body["tasks"].as_array().map(Vec::len)), (StatusCode::OK, Some(3)));
}

/// T1: nobody sees others' answers before giving their own.
#[tokio::test]
async fn corrections_and_report_are_the_owners() {
    let server = with_sample();
    let worker = server.join().await;
    for path in ["/v1/collections/sample/corrections", "/v1/collections/sample/report"] {
        assert_problem(&server.get(path, None).await, 401, "not_the_owner");
        assert_problem(&server.get(path, Some(&worker)).await, 403, "not_the_owner");
        assert_eq!(server.get(path, Some(&format!("Bearer {TOKEN}"))).await.status, StatusCode::OK, "{path}");
    }
}

/// The report's pass runs on a copy. Seen to fail when it runs on the live state: the verdict moves.
#[tokio::test]
async fn a_report_and_a_status_look_at_the_same_answers_and_change_none() {
    let server = with_sample();
    let live = server.live.get("sample").unwrap();
    let say = |word: usize, worker: u8| {
        let mut live = live::lock(&live);
        let entry = &live.words()[word];
        let answer = Answer {
            collection: "sample".to_owned(),
            task_id: entry.task.to_string(),
            reading_id: entry.reading.to_string(),
            worker_id: Digest::of(&[&[worker]]).to_string(),
            lease_id: String::new(),
            label: Label::Wrong,
            text: Some("anders".to_owned()),
            shown_at: None,
            answered_at: 1,
            late: false,
        };
        let mut id = [worker; 16];
        id[0] = word as u8;
        live.apply(RecordId::from_bytes(id), &answer, server.live.clock().now());
    };
    (0..20).for_each(|word| (0..4).for_each(|worker| say(word, worker)));
    let before = live::lock(&live).verdict(3).verdict;
    let report = server.get("/v1/collections/sample/report", Some(&format!("Bearer {TOKEN}"))).await;
    assert_eq!(report.body["answers"], 80);
    assert_eq!(report.body["accuracy"]["evidence"], "conditional_on_model");
    assert_eq!(live::lock(&live).verdict(3).verdict, before);
    server.live.refresh();
    assert_ne!(live::lock(&live).verdict(3).verdict, before, "a pass makes a difference");
    let status = server.get("/v1/collections/sample/status", None).await;
    assert_eq!((status.body["answers"].as_u64(), status.body["accuracy"]["evidence"].as_str()), (Some(80), Some("conditional_on_model")));
    assert_eq!(status.body["join_url"], "http://192.0.2.7:8080/");
}

#[tokio::test]
async fn an_upload_keeps_the_convention_changes_the_title_and_leaves_nothing_behind_when_it_fails() {
    let server = with_sample();
    let image = &sample::pages().unwrap()[1].files.image;
    assert_problem(&server.upload("sample", image, &[("convention", "diplomatic")]).await, 400, "invalid");
    assert_problem(&server.upload("sample", image, &[("convention", "none")]).await, 400, "invalid");
    let taken = server.upload("sample", image, &[("convention", "default"), ("title", "Otro título")]).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.body);
    let list = server.get("/v1/collections", None).await;
    assert_eq!(
        (list.body["collections"][0]["title"].as_str(), list.body["collections"][0]["pages"].as_u64()),
        (Some("Otro título"), Some(2))
    );

    assert_problem(&server.upload("fresh", b"no image", &[]).await, 400, "invalid");
    assert!(!server.folder.path().join("fresh").exists());
    let first = server.upload("fresh", image, &[("convention", "diplomatic")]).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    assert_eq!(server.get("/v1/collections", None).await.body["collections"][0]["convention"]["name"], "diplomatic");
}

/// Seen to fail when the count is as wide as the machine's words: what the document calls too many was taken.
#[tokio::test]
async fn a_count_that_no_batch_has_is_refused() {
    let server = with_sample();
    let worker = server.join().await;
    let status = async |n: &str| server.get(&format!("/v1/tasks?collection=sample&n={n}"), Some(&worker)).await.status;
    assert_eq!((status("4294967295").await, status("4294967296").await), (StatusCode::OK, StatusCode::BAD_REQUEST));
    assert_eq!(status("-1").await, StatusCode::BAD_REQUEST);
}
