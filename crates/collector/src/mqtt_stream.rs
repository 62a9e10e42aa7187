//! A connection's bytes → its packets, under the caps. `mqtt` reads the first one, `mqtt_conversation` the others.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    buffered::Buffered,
    mqtt_packet::{Fault, Head, PUBLISH},
};

/// The longest packet that is no PUBLISH, in bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// A stream of packets.
pub(crate) type Packets<S> = Buffered<S>;

/// A packet of the buffer that cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    TooLarge,
    Fault(Fault),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    /// The next whole packet of the buffer, which is then taken from it by [`taken`](Self::taken).
    pub(crate) fn next(&self, publish_bytes_max: usize) -> Result<Option<(Head, &[u8])>, Untaken> {
        let Some(head) = Head::read(self.bytes()).map_err(Untaken::Fault)? else { return Ok(None) };
        let bytes_max = if head.kind() == PUBLISH { publish_bytes_max } else { CONTROL_BYTES_MAX.min(publish_bytes_max) };
        if head.bytes() > bytes_max {
            return Err(Untaken::TooLarge);
        }
        Ok(self.bytes().get(..head.bytes()).map(|packet| (head, packet)))
    }

    /// The kind of the packet that has begun.
    pub(crate) fn kind(&self) -> Option<u8> {
        self.bytes().first().map(|first| first >> 4)
    }
}
