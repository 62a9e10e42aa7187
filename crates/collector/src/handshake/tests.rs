//! Whose pages may connect, and what a list of subprotocols says.

use axum::http::{HeaderMap, HeaderName};

use super::{Offer, same_origin};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
}

#[test]
fn only_pages_of_the_same_origin_connect() {
    let refused = |host: &str, origin: &str| same_origin(&headers(&[("host", host), ("origin", origin)])).is_err();
    for (host, origin) in [
        ("crowd.example", "http://crowd.example"),
        ("Crowd.example", "https://crowd.example"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ] {
        assert!(!refused(host, origin), "{host} {origin}");
    }
    for (host, origin) in [
        ("crowd.example", "http://evil.example"),
        ("crowd.example", "http://crowd.example.evil.example"),
        ("crowd.example", "http://crowd.example:81"),
        ("crowd.example", "null"),
        ("crowd.example", ""),
        ("", "null"),
        ("", "http://"),
    ] {
        assert!(refused(host, origin), "{host} {origin}");
    }
    assert!(same_origin(&headers(&[("host", "crowd.example")])).is_ok(), "a sender that is no browser");
    assert!(same_origin(&headers(&[("origin", "http://crowd.example")])).is_err());
}

#[test]
fn a_credential_comes_in_one_of_two_ways() {
    let offer = |fields: &[(&'static str, &str)]| Offer::of(&headers(fields)).map(|offer| (offer.ours, offer.credential)).ok();
    let protocols = "sec-websocket-protocol";
    assert_eq!(offer(&[]), Some((false, None)));
    assert_eq!(offer(&[(protocols, "crowdread.v1")]), Some((true, None)));
    assert_eq!(offer(&[(protocols, "crowdread.v1, bearer.a-b")]), Some((true, Some("a-b".into()))));
    assert_eq!(offer(&[(protocols, "other,bearer.a,crowdread.v1")]), Some((true, Some("a".into()))));
    assert_eq!(offer(&[("authorization", "Bearer a")]), Some((false, Some("a".into()))));
    assert_eq!(offer(&[("authorization", "Bearer a"), (protocols, "crowdread.v1")]), Some((true, Some("a".into()))));
    assert_eq!(offer(&[("authorization", "Bearer a"), (protocols, "crowdread.v1, bearer.a")]), None, "which one counts?");
    assert_eq!(offer(&[(protocols, "crowdread.v1, bearer.")]), None);
    assert_eq!(offer(&[(protocols, "bearer.a")]), None, "a browser would close the connection");
    assert_eq!(offer(&[("authorization", "Basic a")]), None);
}
