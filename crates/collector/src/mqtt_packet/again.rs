//! The other way round, for `fuzz`: packets as the codec writes them, and answers as a client reads them.

use mqtt_proto::{v3, v5};

use super::{Head, Version, whole};

/// The same packet as the codec writes it; nothing where it cannot.
pub(crate) fn written_again(version: Version, head: Head, packet: &[u8]) -> Option<Vec<u8>> {
    let (remaining, total) = head.lengths();
    let bytes = match version {
        Version::V3 => whole(v3::Header::new_with(head.first, remaining, total).ok()?, head.body(packet)).ok()?.encode().ok()?,
        Version::V5 => whole(v5::Header::new_with(head.first, remaining, total).ok()?, head.body(packet)).ok()?.encode().ok()?,
    };
    Some(bytes.as_ref().to_vec())
}

/// Whether a client's codec reads bytes as one packet.
pub(crate) fn is_answer(version: Version, bytes: &[u8]) -> bool {
    match version {
        // The codec does not know the code of a refused filter.
        Version::V3 if bytes.first() == Some(&0x90) => true,
        Version::V3 => matches!(v3::Packet::decode(bytes), Ok(Some(_))),
        Version::V5 => matches!(v5::Packet::decode(bytes), Ok(Some(_))),
    }
}
