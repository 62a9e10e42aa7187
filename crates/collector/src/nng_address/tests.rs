//! Addresses as NNG's clients write them, and what becomes of a socket's file.

use std::fs;

use record::ErrorKind;

use super::{Address, Listening};

#[test]
fn addresses_are_those_of_nng() {
    for text in ["tcp://127.0.0.1:5555", "tcp://[::1]:5555", "tcp://0.0.0.0:0", "ipc:///run/crowdread/nng"] {
        assert_eq!(text.parse::<Address>().map(|address| address.to_string()).ok().as_deref(), Some(text));
    }
    for text in ["127.0.0.1:5555", "tcp://5555", "tcp://localhost", "ipc://nng", "ipc://", "ws://127.0.0.1:80", "inproc://a"] {
        assert_eq!(text.parse::<Address>().map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{text}");
    }
}

/// Seen to fail when the file that is left is not removed, and when any file is.
#[tokio::test]
async fn a_socket_that_is_left_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nng");
    let address = Address::Ipc(path.clone());
    // The standard library leaves the file where it is, as a server that is killed does.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists());
    let first = Listening::at(&address).await.expect("the old one is replaced");
    assert_eq!(Listening::at(&address).await.expect_err("taken").kind(), ErrorKind::Unavailable);
    drop(first);
    assert!(!path.exists(), "the file goes with the listener");
    fs::write(&path, "a person's own").expect("written");
    assert_eq!(Listening::at(&address).await.expect_err("taken").kind(), ErrorKind::Unavailable);
    assert_eq!(fs::read_to_string(&path).expect("there"), "a person's own");
}
