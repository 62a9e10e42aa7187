//! Pages of other origins.

use collector::{cors, http, server};
use reqwest::{Method, header::HeaderMap};

use crate::{
    client::Server,
    rigged::{Rigged, ingest},
};

async fn start(origins: &[&str]) -> Server {
    let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
    let routes = http::router(ingest(&Rigged::new()).0, http::Config::default());
    Server::start(cors::open_to(routes, &origins).expect("origins"), server::Config::default()).await
}

/// What the server says to a page of this origin that asks first, and to one that sends.
async fn ask_and_send(server: &Server, origin: &str) -> [(u16, HeaderMap); 2] {
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/records/events", server.address);
    let ask = client.request(Method::OPTIONS, &url).header("origin", origin).header("access-control-request-method", "POST");
    let ask = ask.header("access-control-request-headers", "authorization,ce-id,content-type");
    let send = client.post(&url).header("origin", origin).body("{}");
    let mut said = Vec::new();
    for request in [ask, send] {
        let response = request.send().await.expect("an answer");
        said.push((response.status().as_u16(), response.headers().clone()));
    }
    said.try_into().expect("two")
}

fn field<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    fields.get(name).map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_send_and_read() {
    let server = start(&["https://pages.example", "http://localhost:8000"]).await;
    for origin in ["https://pages.example", "http://localhost:8000"] {
        let [(asked, preflight), (sent, answer)] = ask_and_send(&server, origin).await;
        assert_eq!((asked, sent), (200, 200));
        for fields in [&preflight, &answer] {
            assert_eq!(field(fields, "access-control-allow-origin"), Some(origin));
            assert!(field(fields, "vary").expect("vary").contains("origin"), "a cache must not give one origin's answer to another");
            assert_eq!(field(fields, "access-control-allow-credentials"), None);
        }
        assert_eq!(field(&preflight, "access-control-allow-methods"), Some("POST"));
        assert_eq!(field(&preflight, "access-control-allow-headers"), Some("authorization,ce-id,content-type"));
        assert!(field(&answer, "access-control-expose-headers").expect("exposed").contains("retry-after"));
    }
}

#[tokio::test]
async fn a_refusal_can_be_read_too() {
    let server = start(&["https://pages.example"]).await;
    let request = reqwest::Client::new().post(format!("http://{}/v1/records/nowhere", server.address));
    let response = request.header("origin", "https://pages.example").body("{}").send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 404);
    assert_eq!(field(response.headers(), "access-control-allow-origin"), Some("https://pages.example"));
}

#[tokio::test]
async fn other_origins_are_told_nothing() {
    for (origins, stranger) in [(&[][..], "https://pages.example"), (&["https://pages.example"], "https://pages.example.evil")] {
        let server = start(origins).await;
        for (_, fields) in ask_and_send(&server, stranger).await {
            assert_eq!(field(&fields, "access-control-allow-origin"), None, "{origins:?}");
        }
    }
    let server = start(&["*"]).await;
    for (_, fields) in ask_and_send(&server, "https://anywhere.example").await {
        assert_eq!(field(&fields, "access-control-allow-origin"), Some("*"));
    }
}

#[test]
fn an_origin_is_what_a_browser_sends() {
    for origin in ["*", "https://pages.example", "http://localhost:8000", "http://127.0.0.1", "https://[::1]:8443"] {
        assert!(cors::is_origin(origin), "{origin}");
    }
    let wrong = [
        "",
        "null",
        "pages.example",
        "https://",
        "https://pages.example/",
        "https://pages.example/a",
        "https://pages.example:443",
        "http://a:80",
        "https://a:",
        "https://Pages.example",
        "https://me@pages.example",
        "https://a?b",
        "ftp://a",
        "https://*.example",
        "https://a b",
    ];
    for text in wrong {
        assert!(!cors::is_origin(text), "{text}");
        assert!(cors::open_to(axum::Router::new(), &[text.to_owned()]).is_err());
    }
}
