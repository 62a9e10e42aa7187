//! Writing to a stream that keeps bytes back, as TLS does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, BufStream};

use super::Buffered;
use crate::limits::Budget;

/// Seen to fail when `flush` does not flush the stream.
#[tokio::test]
async fn what_is_written_does_not_stay_in_the_stream() {
    let (ours, mut peer) = tokio::io::duplex(64);
    let mut buffered = Buffered::new(BufStream::new(ours), Budget::new(1024));
    buffered.out.extend_from_slice(b"stored");
    buffered.flush(Duration::from_secs(30)).await.expect("written");
    let mut said = [0; 6];
    tokio::time::timeout(Duration::from_secs(30), peer.read_exact(&mut said)).await.expect("in time").expect("there");
    assert_eq!(&said, b"stored");
}
