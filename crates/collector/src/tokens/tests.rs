//! What write tokens promise.

use std::{fs, os::unix::fs::PermissionsExt};

use record::{ErrorKind, Timestamp, Topic};

use super::{Refusal, Tokens};

const NOW: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a topic")
}

#[test]
fn a_token_lets_write_to_its_topics_until_it_is_revoked_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.json");
    let tokens = Tokens::open(&path).expect("none yet");
    let made = tokens.create("attic", &[topic("sensors"), topic("doors")], NOW, None).expect("kept");
    for tokens in [&tokens, &Tokens::open(&path).expect("reads")] {
        assert_eq!(tokens.check(made.secret.as_bytes(), &topic("sensors"), NOW), Ok(()));
        assert_eq!(tokens.check(made.secret.as_bytes(), &topic("doors"), NOW), Ok(()));
        assert_eq!(tokens.check(made.secret.as_bytes(), &topic("events"), NOW), Err(Refusal::OtherTopic));
        assert_eq!(tokens.check(b"crowdread_guess", &topic("sensors"), NOW), Err(Refusal::UnknownToken));
        assert_eq!(tokens.list(), std::slice::from_ref(&made.token));
    }
    let kept = fs::read_to_string(&path).expect("text");
    assert!(!kept.contains(&made.secret), "the secret itself is not kept");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(tokens.revoke(&made.token.id).expect("known"), made.token);
    for tokens in [&tokens, &Tokens::open(&path).expect("reads")] {
        assert_eq!(tokens.check(made.secret.as_bytes(), &topic("sensors"), NOW), Err(Refusal::UnknownToken));
    }
    assert_eq!(tokens.revoke(&made.token.id).expect_err("gone").kind(), ErrorKind::Invalid);
}

#[test]
fn a_token_expires() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = Tokens::open(&folder.path().join("tokens.json")).expect("none yet");
    let end = NOW.plus_micros(1_000_000);
    let made = tokens.create("", &[topic("sensors")], NOW, Some(end)).expect("kept");
    assert_eq!(tokens.check(made.secret.as_bytes(), &topic("sensors"), end.plus_micros(-1)), Ok(()));
    assert_eq!(tokens.check(made.secret.as_bytes(), &topic("sensors"), end), Err(Refusal::UnknownToken));
    assert!(tokens.create("", &[topic("sensors")], NOW, Some(NOW)).is_err());
}

/// Seen to fail when what is known is changed before the file is written.
#[test]
fn a_change_that_cannot_be_kept_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("made");
    let tokens = Tokens::open(&inner.join("tokens.json")).expect("none yet");
    let made = tokens.create("", &[topic("sensors")], NOW, None).expect("kept");
    fs::remove_dir_all(&inner).expect("removed");
    assert_eq!(tokens.create("", &[topic("sensors")], NOW, None).expect_err("no folder").kind(), ErrorKind::Unavailable);
    assert_eq!(tokens.revoke(&made.token.id).expect_err("no folder").kind(), ErrorKind::Unavailable);
    assert_eq!(tokens.list(), [made.token]);
}

#[test]
fn a_file_that_is_something_else_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.json");
    let hashless = r#"[{"hash":"x","id":"a","name":"","topics":["sensors"],"created_at":"2026-11-24T11:15:24Z"}]"#;
    let timeless = r#"[{"hash":"00000000000000000000000000000000","id":"a","name":"","topics":[],"created_at":"","expires_at":"soon"}]"#;
    for text in ["", "{}", hashless, timeless] {
        fs::write(&path, text).expect("written");
        assert_eq!(Tokens::open(&path).expect_err(text).kind(), ErrorKind::Corrupt);
    }
}
