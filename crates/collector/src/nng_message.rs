//! Bytes → messages of the scalability protocols, their tags, and what a request says; a reply → bytes. No network here: `nng` calls it.
//!
//! | what | from |
//! |---|---|
//! | greeting, length before each message | TCP mapping, `sp-tcp-mapping-01`, sections 2 and 3; over IPC a byte stands before the length (`sp-ipc-mapping-01`, section 3), which is 1 with nanomsg and NNG where the draft has 0 |
//! | tags before a request, repeated before its reply | request/reply, `sp-request-reply-01`, section 3 |
//! | fields before the records | ours: see [`Request`] |
//!
//! The drafts are in the folder `rfc` of nanomsg's repository; NNG speaks as they say.

use bytes::Bytes;

/// What each side says first: the mapping's version 0, and what it is (here a replier).
pub(crate) const GREETING: [u8; GREETING_BYTES] = *b"\0SP\0\x00\x31\0\0";
/// What the peer has to say: that it is a requester.
const PEER_GREETING: [u8; GREETING_BYTES] = *b"\0SP\0\x00\x30\0\0";
pub(crate) const GREETING_BYTES: usize = 8;

const TAG_BYTES: usize = 4;
/// Ids of devices on the way, and the request's own. NNG allows as many hops.
const TAGS_MAX: usize = 15;
/// The last tag has this bit, and no other one has it.
const LAST_TAG: u8 = 0x80;
const LENGTH_BYTES: usize = 8;

/// Whether what a peer has said so far may become a requester's greeting; whether it is whole.
pub(crate) fn greeted(bytes: &[u8]) -> Option<bool> {
    let said = &bytes[..bytes.len().min(GREETING_BYTES)];
    PEER_GREETING.starts_with(said).then_some(said.len() == GREETING_BYTES)
}

/// How messages follow one another on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Tcp,
    Ipc,
}

impl Framing {
    /// What stands before the length: over IPC the kind of the message, which is always 1.
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Tcp => &[],
            Self::Ipc => &[1],
        }
    }
}

/// How a request begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Everything before the payload, in bytes.
    pub(crate) head_bytes: usize,
    pub(crate) payload_bytes: u64,
    /// To be repeated before the reply; nothing when there are too many.
    pub(crate) tags: Option<Box<[u8]>>,
}

/// What is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRequest;

impl Head {
    /// Reads the beginning of a message; nothing when more of it has to come first.
    pub(crate) fn read(bytes: &[u8], framing: Framing) -> Result<Option<Self>, NoRequest> {
        let prefix = framing.prefix();
        if !bytes.starts_with(&prefix[..prefix.len().min(bytes.len())]) {
            return Err(NoRequest);
        }
        let Some((length, rest)) = bytes.get(prefix.len()..).and_then(|bytes| bytes.split_first_chunk::<LENGTH_BYTES>()) else {
            return Ok(None);
        };
        let length = u64::from_be_bytes(*length);
        let (mut tags_bytes, mut is_last) = (0, false);
        while !is_last && tags_bytes < TAGS_MAX * TAG_BYTES {
            if length < (tags_bytes + TAG_BYTES) as u64 {
                return Err(NoRequest);
            }
            let Some(tag) = rest.get(tags_bytes..tags_bytes + TAG_BYTES) else { return Ok(None) };
            is_last = tag[0] & LAST_TAG != 0;
            tags_bytes += TAG_BYTES;
        }
        let tags = is_last.then(|| rest[..tags_bytes].into());
        Ok(Some(Self { head_bytes: prefix.len() + LENGTH_BYTES + tags_bytes, payload_bytes: length - tags_bytes as u64, tags }))
    }

    /// The whole message, in bytes.
    pub(crate) fn message_bytes(&self) -> u64 {
        self.payload_bytes.saturating_add(self.head_bytes as u64)
    }
}

/// Writes a reply behind what is to be written.
pub(crate) fn reply(out: &mut Vec<u8>, framing: Framing, tags: &[u8], payload: &[u8]) {
    out.extend_from_slice(framing.prefix());
    out.extend_from_slice(&((tags.len() + payload.len()) as u64).to_be_bytes());
    out.extend_from_slice(tags);
    out.extend_from_slice(payload);
}

/// A request's payload: records, and before them, where that is wanted, a line for each field, as in HTTP.
///
/// ```text
/// topic: sensors
/// authorization: Bearer TOKEN
/// {"device": "attic-7", "celsius": 21.5}
/// ```
///
/// No JSON value begins with a word and a colon, so that there is no doubt where the records begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) topic: Option<String>,
    pub(crate) credential: Option<Bytes>,
    pub(crate) body: Bytes,
}

impl Request {
    /// Reads the fields.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(payload: &Bytes) -> Result<Self, &'static str> {
        let (mut topic, mut credential, mut at) = (None, None, 0);
        while let Some((name, value, after)) = field(payload, at) {
            if name.eq_ignore_ascii_case(b"topic") && topic.is_none() {
                topic = Some(String::from_utf8_lossy(value).into_owned());
            } else if name.eq_ignore_ascii_case(b"authorization") && credential.is_none() {
                let token = record::bearer_token(value).ok_or("expected authorization: Bearer TOKEN")?;
                credential = Some(payload.slice_ref(token));
            } else {
                return Err("a request may begin with a line topic: NAME and a line authorization: Bearer TOKEN, each once; then records");
            }
            at = after;
        }
        Ok(Self { topic, credential, body: payload.slice(at..) })
    }
}

/// The field in the line at `at`: its name, its value, and where the next line begins.
fn field(payload: &[u8], at: usize) -> Option<(&[u8], &[u8], usize)> {
    let rest = &payload[at..];
    let name_bytes = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-').count();
    if name_bytes == 0 || rest.get(name_bytes) != Some(&b':') {
        return None;
    }
    let line_bytes = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let value = rest[name_bytes + 1..line_bytes].trim_ascii();
    Some((&rest[..name_bytes], value, at + (line_bytes + 1).min(rest.len())))
}

#[cfg(test)]
mod tests;
