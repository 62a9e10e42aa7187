//! What the pages promise to the browser: right types, one version at a time, small, and every text in every language.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use futures::StreamExt;
use tower::ServiceExt;

use super::*;

/// The first word's budget over the wire, in bytes; half of it is left to the word's own pictures.
const CODE_BYTES_MAX: usize = 30_000;

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn ask(path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let chunks: Vec<_> = body.into_data_stream().map(Result::unwrap).collect().await;
    Got { status: parts.status, headers: parts.headers, body: chunks.concat() }
}

/// The addresses that a page or module names.
fn addresses(page: &str) -> Vec<String> {
    page.split('"').filter(|part| part.starts_with(STATIC)).map(str::to_owned).collect()
}

fn locale(language: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_slice(&SITE.assets[&format!("locales/{language}.json")].plain).unwrap()
}

#[tokio::test]
async fn a_page_is_asked_for_anew_and_what_it_loads_is_kept_for_ever() {
    for path in ["/", "/board"] {
        let page = ask(path, &[]).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.headers["cache-control"], "no-cache");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        let loads = addresses(std::str::from_utf8(&page.body).unwrap());
        assert!(loads.len() > 5, "{path} names {loads:?}");
        for address in loads {
            let file = ask(&address, &[]).await;
            assert_eq!(file.status, StatusCode::OK, "{path} names {address}");
            assert_eq!(file.headers["cache-control"], "public, max-age=31536000, immutable");
            assert_ne!(file.headers["content-type"], "application/octet-stream", "{address}");
        }
    }
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let first = ask("/", &[]).await;
    let etag = first.headers["etag"].to_str().unwrap();
    let again = ask("/", &[("if-none-match", &format!("\"other\", {etag}"))]).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(ask("/", &[("if-none-match", "\"other\"")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_build_and_an_unknown_file_are_not_kept() {
    let old = ask("/static/0000000000000000/read/read.js", &[]).await;
    assert_eq!((old.status, &old.headers["cache-control"]), (StatusCode::OK, &HeaderValue::from_static("no-cache")));
    let none = ask(&format!("/static/{}/read/none.js", SITE.build), &[]).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(none.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_compressed_file_unpacks_to_the_plain_one_and_a_refused_coding_is_not_used() {
    let address = format!("/static/{}/read/read.js", SITE.build);
    let plain = ask(&address, &[("accept-encoding", "gzip;q=0, br")]).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let packed = ask(&address, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked.as_bytes(), plain.body);
}

#[tokio::test]
async fn nothing_inline_and_nothing_from_elsewhere() {
    for path in ["/", "/board"] {
        let page = ask(path, &[]).await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = String::from_utf8(page.body).unwrap();
        for refused in ["<style", "style=", "onclick=", "http://", "https://"] {
            assert!(!text.contains(refused), "{path} has {refused}");
        }
    }
}

/// The budget of the first word: page, sheets, modules and one locale, compressed.
#[tokio::test]
async fn the_readers_page_is_small_over_the_wire() {
    let gzip = [("accept-encoding", "gzip")];
    let page = ask("/", &[]).await;
    let mut bytes = ask("/", &gzip).await.body.len();
    for address in addresses(std::str::from_utf8(&page.body).unwrap()) {
        bytes += ask(&address, &gzip).await.body.len();
    }
    bytes += ask(&format!("/static/{}/locales/es.json", SITE.build), &gzip).await.body.len();
    println!("reader's page over the wire: {bytes} bytes");
    assert!(bytes <= CODE_BYTES_MAX, "{bytes} bytes, at most {CODE_BYTES_MAX}");
}

#[test]
fn every_language_has_every_text() {
    let keys = |language| locale(language).keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys("en"), keys("es"));
    for (key, english) in locale("en") {
        let forms = |value: &serde_json::Value| value.as_object().is_some_and(|map| map.contains_key("other"));
        let spanish = &locale("es")[&key];
        assert!(english.is_string() || forms(&english), "{key} in en");
        assert!(spanish.is_string() || forms(spanish), "{key} in es");
    }
}

/// Every `text("key")`, `data-text` and `data-label` names a key that exists.
#[test]
fn every_text_that_is_asked_for_exists() {
    let known = locale("en");
    let mut asked = 0;
    for (path, asset) in SITE.assets.iter().filter(|(path, _)| path.ends_with(".js") || path.ends_with(".html")) {
        let source = std::str::from_utf8(&asset.plain).unwrap();
        for opening in ["text(\"", "data-text=\"", "data-label=\""] {
            for (at, _) in source.match_indices(opening) {
                if source[..at].ends_with(char::is_alphabetic) {
                    continue; // `getContext("2d")`
                }
                let key = source[at + opening.len()..].split('"').next().unwrap();
                asked += 1;
                assert!(known.contains_key(key), "{path} asks for {key}");
            }
        }
    }
    assert!(asked > 40, "only {asked} keys were found: has the way of asking changed?");
}
