//! A packed body → its bytes, as a stream. `limits` reads from it what it would read from the body itself.
//!
//! body's frames → counted → gzip or zstd → pieces
//!
//! Nothing is unpacked before somebody asks for the next piece, so a few bytes that would become gigabytes (a *bomb*) cost
//! what the reader's cap lets through and no more. What was sent is counted too: a stream of empty gzip members or zstd
//! frames unpacks to nothing for ever.

use std::{io, pin::Pin};

use async_compression::{
    tokio::bufread::{GzipDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::limits::BodyError;

/// How much is unpacked at a time, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// The largest window of a zstd frame, as a power of two: 8 MiB (RFC 9659 section 3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is packed (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Plain,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several, with windows of at most 8 MiB.
    Zstd,
}

impl Coding {
    /// What is taken, as `Accept-Encoding` has it.
    pub const TAKEN: &'static str = "gzip, zstd";

    /// From the values of all `Content-Encoding` fields; `None` for what is not taken here, such as two codings on top of
    /// each other.
    pub fn of<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut found = Self::Plain;
        for name in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
            let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                // Section 8.4.1.3: the old name of the same.
                b"gzip" | b"x-gzip" => Self::Gzip,
                b"zstd" => Self::Zstd,
                _ => return None,
            };
            if found != Self::Plain {
                return None;
            }
            found = coding;
        }
        Some(found)
    }

    /// The memory that unpacking takes beside the unpacked bytes, once there are so many of them. Rounded up from what the
    /// libraries document: tables and a window of 32 KiB; a context, a block, and a window that holds a copy of the output.
    pub(crate) fn working_bytes(self, unpacked: usize) -> usize {
        match self {
            Self::Plain => 0,
            Self::Gzip => 64 * 1024,
            Self::Zstd => 256 * 1024 + unpacked,
        }
    }
}

/// The pieces of an unpacked body.
pub(crate) type Pieces<'a> = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send + 'a>>;

/// Unpacks a body of which at most `packed_bytes_max` bytes are read.
pub(crate) fn pieces<'a>(
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + 'a,
    coding: Coding,
    packed_bytes_max: usize,
) -> Pieces<'a> {
    if coding == Coding::Plain {
        return Box::pin(body);
    }
    let mut packed = 0_usize;
    let counted = body.map(move |frame| {
        let frame = frame.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        packed += frame.len();
        // `FileTooLarge` and `ConnectionAborted` are what no decoder says by itself.
        if packed > packed_bytes_max { Err(io::Error::from(io::ErrorKind::FileTooLarge)) } else { Ok(frame) }
    });
    let reader = StreamReader::new(counted);
    if coding == Coding::Gzip {
        let mut decoder = GzipDecoder::new(reader);
        decoder.multiple_members(true);
        return unpacked(decoder);
    }
    let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)]);
    decoder.multiple_members(true);
    unpacked(decoder)
}

fn unpacked<'a>(decoder: impl AsyncRead + Send + 'a) -> Pieces<'a> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => BodyError::TooLarge,
        io::ErrorKind::ConnectionAborted => BodyError::Broken,
        _ => BodyError::NotUnpacked,
    };
    Box::pin(ReaderStream::with_capacity(decoder, PIECE_BYTES).map(move |piece| piece.map_err(told)))
}
