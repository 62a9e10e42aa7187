//! One record as bytes in a segment, and back. The appender's thread calls [`encode`], the writer [`seal`], recovery and
//! the reader [`parse`], [`find`] and [`decode`].
//!
//! An entry is a header of 32 bytes, a body, and zeros up to a multiple of 8. Numbers are little-endian:
//!
//! | byte | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `FF 63 72 FE`. `FF` and `FE` occur in no UTF-8 text, so no payload can hold what looks like an entry |
//! | 4 | 4 | bytes of the body |
//! | 8 | 8 | offset |
//! | 16 | 4 | how far the offset is from the first one of its batch. What lies before the batch was durable when it was written |
//! | 20 | 4 | CRC-32 of the body |
//! | 24 | 4 | flags: 0 a record, 1 a marker (no body and no offset of its own: *all below is durable*) |
//! | 28 | 4 | CRC-32 of bytes 0 to 27, begun with the segment's seed, so that what an earlier life of a reused file left never fits |
//!
//! The body: `received_at` (8), id (16), bytes of topic (1), bytes of door (1), topic, door, payload.

use bytes::Bytes;
use crc32fast::Hasher;
use record::{Door, Error, Offset, Record, RecordId, Result, Timestamp, Topic};

/// Bytes of an entry's header, and of a whole marker.
pub(crate) const HEADER_BYTES: usize = 32;

/// Entries begin at multiples of this.
const ALIGN: usize = 8;

const MAGIC: [u8; 4] = [0xFF, b'c', b'r', 0xFE];
const BODY_FIXED_BYTES: usize = 26;
const FLAG_MARKER: u32 = 1;

/// A header whose CRC holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub offset: Offset,
    /// The first offset of the batch: everything below it was durable before this entry was written.
    pub batch_first: Offset,
    pub body_bytes: usize,
    pub is_marker: bool,
    body_crc: u32,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A whole entry.
    Whole(Header),
    /// The header holds, the body does not.
    Damaged(Header),
    /// It may be an entry, but so many bytes are needed from here to tell.
    Short(usize),
    /// No entry of this segment.
    Nothing,
}

impl Header {
    /// Bytes of the whole entry with its padding.
    pub fn entry_bytes(&self) -> usize {
        entry_bytes(self.body_bytes)
    }

    /// The offset that follows.
    pub fn next(&self) -> Offset {
        if self.is_marker { self.offset } else { self.offset + 1 }
    }
}

fn entry_bytes(body_bytes: usize) -> usize {
    (HEADER_BYTES + body_bytes).next_multiple_of(ALIGN)
}

/// Bytes that a record takes in the journal.
pub(crate) fn record_bytes(record: &Record) -> usize {
    entry_bytes(BODY_FIXED_BYTES + record.topic.as_str().len() + record.door.len() + record.payload.len())
}

/// Appends a record to a buffer that holds whole entries only; offset and header CRC are still to come ([`seal`]).
///
/// # Errors
/// `Invalid` when the door's name is longer than 255 bytes.
pub(crate) fn encode(record: &Record, buffer: &mut Vec<u8>) -> Result<()> {
    let topic = record.topic.as_str().as_bytes();
    let door = record.door.as_bytes();
    let (Ok(topic_bytes), Ok(door_bytes)) = (u8::try_from(topic.len()), u8::try_from(door.len())) else {
        return Err(Error::invalid("the names of topic and door have at most 255 bytes").with("door_bytes", door.len()));
    };
    let at = buffer.len();
    buffer.extend_from_slice(&[0; HEADER_BYTES]);
    buffer.extend_from_slice(&record.received_at.as_micros().to_le_bytes());
    buffer.extend_from_slice(record.id.as_bytes());
    buffer.extend_from_slice(&[topic_bytes, door_bytes]);
    buffer.extend_from_slice(topic);
    buffer.extend_from_slice(door);
    buffer.extend_from_slice(&record.payload);
    let body = &buffer[at + HEADER_BYTES..];
    let body_bytes = u32::try_from(body.len()).expect("the payload was checked against its limit");
    let body_crc = crc32fast::hash(body);
    let header = &mut buffer[at..at + HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    header[20..24].copy_from_slice(&body_crc.to_le_bytes());
    buffer.resize(at + record_bytes(record), 0);
    Ok(())
}

/// Gives the entries of a buffer their offsets and header CRCs; returns the offset that follows.
pub(crate) fn seal(buffer: &mut [u8], seed: u32, first: Offset, batch_first: Offset) -> Offset {
    let mut offset = first;
    let mut rest = buffer;
    while !rest.is_empty() {
        let bytes = entry_bytes(u32_at(rest, 4) as usize);
        let (entry, after) = rest.split_at_mut(bytes);
        seal_one(entry, seed, offset, batch_first);
        offset += 1;
        rest = after;
    }
    offset
}

/// A marker: all below `offset` is durable.
pub(crate) fn marker(seed: u32, offset: Offset) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[20..24].copy_from_slice(&crc32fast::hash(&[]).to_le_bytes());
    header[24..28].copy_from_slice(&FLAG_MARKER.to_le_bytes());
    seal_one(&mut header, seed, offset, offset);
    header
}

fn seal_one(entry: &mut [u8], seed: u32, offset: Offset, batch_first: Offset) {
    let since = u32::try_from(offset - batch_first).expect("a batch has fewer than 2^32 records");
    entry[8..16].copy_from_slice(&offset.to_le_bytes());
    entry[16..20].copy_from_slice(&since.to_le_bytes());
    let crc = header_crc(entry, seed);
    entry[28..32].copy_from_slice(&crc.to_le_bytes());
}

fn header_crc(entry: &[u8], seed: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(&entry[..28]);
    hasher.finalize()
}

/// What stands at the start of some bytes.
pub(crate) fn parse(bytes: &[u8], seed: u32) -> Parsed {
    if bytes.len() < HEADER_BYTES {
        return Parsed::Short(HEADER_BYTES);
    }
    if bytes[..4] != MAGIC || u32_at(bytes, 28) != header_crc(bytes, seed) {
        return Parsed::Nothing;
    }
    let offset = u64_at(bytes, 8);
    let (body_bytes, flags) = (u32_at(bytes, 4) as usize, u32_at(bytes, 24));
    let Some(batch_first) = offset.checked_sub(u64::from(u32_at(bytes, 16))) else {
        return Parsed::Nothing;
    };
    let is_marker = flags == FLAG_MARKER && body_bytes == 0;
    if !is_marker && (flags != 0 || body_bytes < BODY_FIXED_BYTES) {
        return Parsed::Nothing;
    }
    let header = Header { offset, batch_first, body_bytes, is_marker, body_crc: u32_at(bytes, 20) };
    if bytes.len() < header.entry_bytes() {
        return Parsed::Short(header.entry_bytes());
    }
    match crc32fast::hash(&bytes[HEADER_BYTES..HEADER_BYTES + body_bytes]) == header.body_crc {
        true => Parsed::Whole(header),
        false => Parsed::Damaged(header),
    }
}

/// When the record of a whole entry was received.
pub(crate) fn received_at(entry: &[u8]) -> Timestamp {
    Timestamp::from_micros(u64_at(entry, HEADER_BYTES).cast_signed())
}

/// The next place, from `at` on, where the magic of an entry stands. Searches places where an entry may begin.
pub(crate) fn find(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at.next_multiple_of(ALIGN);
    while at + HEADER_BYTES <= bytes.len() {
        if bytes[at..at + 4] == MAGIC {
            return Some(at);
        }
        at += ALIGN;
    }
    None
}

/// A record from the body of a whole entry; the payload shares the body's memory.
///
/// # Errors
/// `Corrupt` when the bytes, although their CRC holds, are no record: another program wrote them.
pub(crate) fn decode(body: &Bytes, topics: &mut Vec<Topic>) -> Result<Record> {
    let wrong = |what: &'static str| Error::corrupt("an entry's checksum holds, but it is no record").with("field", what);
    if body.len() < BODY_FIXED_BYTES {
        return Err(wrong("length"));
    }
    let mut id = [0; 16];
    id.copy_from_slice(&body[8..24]);
    let topic_end = BODY_FIXED_BYTES + usize::from(body[24]);
    let door_end = topic_end + usize::from(body[25]);
    if door_end > body.len() {
        return Err(wrong("length"));
    }
    let topic_name = std::str::from_utf8(&body[BODY_FIXED_BYTES..topic_end]).map_err(|_| wrong("topic"))?;
    let door_name = std::str::from_utf8(&body[topic_end..door_end]).map_err(|_| wrong("door"))?;
    let topic = match topics.iter().find(|topic| topic.as_str() == topic_name) {
        Some(topic) => topic.clone(),
        None => {
            let topic = Topic::parse(topic_name).map_err(|error| wrong("topic").because(error))?;
            topics.push(topic.clone());
            topic
        }
    };
    Ok(Record {
        topic,
        id: RecordId::from_bytes(id),
        received_at: Timestamp::from_micros(u64_at(body, 0).cast_signed()),
        door: door(door_name),
        payload: body.slice(door_end..),
    })
}

/// The usual doors without an allocation.
fn door(name: &str) -> Door {
    const USUAL: [&str; 5] = ["http", "websocket", "mqtt", "nng", "beacon"];
    match USUAL.iter().find(|usual| **usual == name) {
        Some(usual) => Door::Borrowed(usual),
        None => Door::Owned(name.to_owned()),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
