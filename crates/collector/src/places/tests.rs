//! Who gets a place.

use std::{io, net::IpAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::Places;
use crate::listener::{Listener, accept};

/// A listener whose peers all come from one address.
struct From(TcpListener, IpAddr);

impl Listener for From {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        Ok((self.0.accept().await?.0, Some(self.1)))
    }
}

/// To see it fail: in `Places::take`, do not look at the count; in `Drop`, do not count down.
#[tokio::test]
async fn one_address_gets_half_of_the_places_and_the_others_the_rest() {
    let places = Places::new(6);
    let listener = From(TcpListener::bind("127.0.0.1:0").await.expect("bound"), "192.0.2.7".parse().expect("an address"));
    let address = listener.0.local_addr().expect("bound");
    let connect = async || {
        let client = TcpStream::connect(address).await.expect("listens");
        (client, accept("http", &listener, &places).await)
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        let (client, accepted) = connect().await;
        held.push((client, accepted.expect("a place")));
    }
    let (client, refused) = connect().await;
    assert!(refused.is_none());
    let closed = tokio::time::timeout(Duration::from_secs(30), client.readable()).await;
    closed.expect("closed at once").expect("readable");
    assert_eq!(client.try_read(&mut [0]).expect("its end"), 0);
    let from = |address: &str| Some(address.parse().expect("an address"));
    let (one, two) = (places.free().await, places.free().await);
    let other = places.take(one, from("192.0.2.8")).expect("another address");
    let here = places.take(two, from("127.0.0.1")).expect("this machine");
    held.pop();
    let (_client, again) = connect().await;
    assert!(again.is_some(), "who goes makes room");
    drop((other, here, again));
    held.clear();
    assert!(places.taken.by_address.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn this_machine_and_local_sockets_may_have_all() {
    let places = Places::new(4);
    let mut held = Vec::new();
    for address in [None, None, Some("127.0.0.1"), Some("::1")] {
        held.push(places.take(places.free().await, address.map(|address| address.parse().expect("an address"))).expect("a place"));
    }
}
