//! The document and the routes are the same addresses, and what is refused at them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
    routing::get,
};
use collector::{
    admin::{Admin, Asked, Question},
    http,
    ingest::{self, Ingest},
    limits::Caps,
    receipts::{self, Desk},
    tokens::Tokens,
};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use ocr::{
    answer::AnswerValidator,
    identity::Identity,
    live::Live,
    selection,
    web::{Places, Web},
};
use queue::MemoryQueue;
use record::{Clock, Key, Receipt, Receipts, RecordId, SystemClock, Topic};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Parts, document, routes};
use crate::{
    server::{books, topics},
    settings::Settings,
};

const OWNER: &str = "the owner's token";
/// Pages for people, and what they load: no API.
const PAGES: [&str; 4] = ["/", "/api", "/board", "/static/{build}/{*path}"];

/// Tables without a row.
struct Nothing;

impl Receipts for Nothing {
    fn receipt(&self, _: &Topic, _: &RecordId) -> record::Result<Option<Receipt>> {
        Ok(None)
    }
}

struct Server {
    routes: Router,
    document: Value,
    _folder: tempfile::TempDir,
}

/// The routes of a server with the built-in topics and no collection.
fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (live, identity) = (Arc::new(Live::new(clock.clone())), Identity::new(Key::from_bytes([7; 32])));
    let declared = topics::declared(&Settings::default()).unwrap();
    let document = document(&topics::described(&declared), &Caps::default(), "http://192.0.2.7:8080/");
    let entrances = topics::entrances(Arc::new(AnswerValidator::new(identity.clone(), live.clone())), declared);
    let queue = Arc::new(MemoryQueue::new("routes", 1_000));
    let tokens = Arc::new(Tokens::open(&folder.path().join("tokens.json")).unwrap());
    let ingest = Ingest::new(queue.clone(), entrances, clock.clone(), ingest::Config::default()).unwrap();
    let ingest = Arc::new(ingest.with_tokens(tokens.clone()));
    let places = Places {
        collections: folder.path().to_owned(),
        selection: selection::Config::default(),
        join_url: "http://192.0.2.7:8080/".to_owned(),
        owner_token: OWNER.to_owned(),
    };
    let answer: Question = Arc::new(|asked| async move { Ok(asked) }.boxed());
    let questions = vec![(books::AUDIT_PATH, Asked::Get, answer.clone()), (books::HOLD_PATH, Asked::Post, answer)];
    let parts = Parts {
        records: http::Records::new(ingest.clone(), http::Config::default()),
        desk: Desk::new(ingest.clone(), queue, Arc::new(Nothing), receipts::Config::default()).unwrap(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        admin: Admin { ingest: ingest.clone(), tokens, owner_token: OWNER.to_owned(), clock: clock.clone(), questions },
        web: Arc::new(Web::new(live, identity, places)),
        clock,
        ingest,
    };
    Server { routes: routes(parts, &[], &document).unwrap(), document, _folder: folder }
}

async fn send(routes: &Router, method: &str, path: &str, body: &str) -> Response<Body> {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {OWNER}")).header(header::CONTENT_TYPE, "application/json");
    routes.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

/// The methods that a path takes, as the router itself tells who comes with another one.
async fn allowed(routes: &Router, path: &str) -> BTreeSet<String> {
    let response = send(routes, "PROPFIND", path, "").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "nothing is at {path}");
    let allow = response.headers()[header::ALLOW].to_str().unwrap().to_owned();
    // Of each page without its body, which OpenAPI does not list.
    allow.split(',').map(|method| method.trim().to_lowercase()).filter(|method| method != "head").collect()
}

/// The paths of the router: axum has no list of them but in what it shows to programmers.
fn paths(routes: &Router) -> BTreeSet<String> {
    let shown = format!("{routes:?}");
    let shown = shown.split_once("node: Node { paths: {").expect("axum shows its paths").1;
    let shown = &shown[..shown.find("} }").expect("the end of the paths")];
    let paths: BTreeSet<String> = shown.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(paths.len() > 20 && paths.iter().all(|path| path.starts_with('/')), "{paths:?}");
    paths
}

/// Whether a path of the document is one of a route: a part of the route in braces stands for any.
fn is_of(route: &str, path: &str) -> bool {
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len() && route.iter().zip(&path).all(|(route, path)| route == path || route.starts_with('{'))
}

/// What is in one of the two and not in the other.
async fn differences(routes: &Router, document: &Value) -> Vec<String> {
    let described: BTreeMap<&String, BTreeSet<String>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| (path, item.as_object().unwrap().keys().cloned().collect()))
        .collect();
    let mut found = Vec::new();
    for route in paths(routes).iter().filter(|route| !PAGES.contains(&route.as_str())) {
        if !described.keys().any(|path| is_of(route, path)) {
            found.push(format!("{route} is not described"));
        }
    }
    for (path, methods) in described {
        let response = send(routes, "PROPFIND", path, "").await;
        if response.status() != StatusCode::METHOD_NOT_ALLOWED {
            found.push(format!("{path} is described and not there"));
        } else if allowed(routes, path).await != methods {
            found.push(format!("{path} is described for other methods than it takes"));
        }
    }
    found
}

#[tokio::test]
async fn every_route_is_described_and_all_that_is_described_is_there() {
    let server = server();
    assert_eq!(differences(&server.routes, &server.document).await, Vec::<String>::new());
    // What the test is for.
    let more = server.routes.clone().route("/v1/more", get(async || ()));
    assert_eq!(differences(&more, &server.document).await, ["/v1/more is not described"]);
    let more = server.routes.clone().route("/v1/workers", get(async || ()));
    assert_eq!(differences(&more, &server.document).await, ["/v1/workers is described for other methods than it takes"]);
    let mut document = server.document.clone();
    document["paths"]["/v1/nothing"] = json!({ "get": {} });
    assert_eq!(differences(&server.routes, &document).await, ["/v1/nothing is described and not there"]);
}

#[tokio::test]
async fn topics_stand_in_the_document_by_name() {
    let paths = server().document["paths"].clone();
    assert!(paths["/v1/records/answers"].is_object() && paths["/v1/records/events"].is_object(), "{paths}");
}

/// Seen to fail when each question is answered at both methods.
#[tokio::test]
async fn a_question_is_asked_in_one_way() {
    let Server { routes, .. } = server();
    assert_eq!(allowed(&routes, books::AUDIT_PATH).await, BTreeSet::from(["get".to_owned()]));
    assert_eq!(allowed(&routes, books::HOLD_PATH).await, BTreeSet::from(["post".to_owned()]));
    assert_eq!(send(&routes, "POST", books::HOLD_PATH, "{").await.status(), StatusCode::BAD_REQUEST);
}

/// Seen to fail with 400.
#[tokio::test]
async fn a_token_that_is_not_there_is_not_found() {
    let Server { routes, _folder, .. } = server();
    assert_eq!(send(&routes, "DELETE", "/v1/tokens/0123abcd", "").await.status(), StatusCode::NOT_FOUND);
    let made = send(&routes, "POST", "/v1/tokens", "{\"name\":\"attic\",\"topics\":[\"events\"]}").await;
    assert_eq!(made.status(), StatusCode::CREATED);
}
