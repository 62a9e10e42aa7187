//! From a file's bytes to text. Called by `xml` and by the readers of plain text.

use record::{Error, Result};

/// Decodes by byte order mark, else by the XML declaration's `encoding`, else as UTF-8; without the mark.
///
/// # Errors
/// `Invalid` names the byte that does not belong, or an encoding that is not read.
pub fn decode(bytes: &[u8]) -> Result<String> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // XML 1.0, appendix F: without a mark the declaration's first bytes tell.
        [b'<', 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0, b'<', ..] => utf16(bytes, u16::from_be_bytes),
        _ => match declared(bytes).as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => utf8(bytes),
            Some("iso-8859-1" | "iso8859-1" | "latin1" | "latin-1") => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Some("windows-1252" | "cp1252") => bytes.iter().enumerate().map(|(at, byte)| windows_1252(at, *byte)).collect(),
            Some(other) => Err(Error::invalid("the file's encoding is not read: convert it to UTF-8").with("encoding", other)),
        },
    }
}

fn declared(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(200)];
    let head = &head[..head.iter().position(|byte| *byte == b'>')?];
    let head = std::str::from_utf8(head).ok()?.trim_start();
    let value = head.strip_prefix("<?xml")?.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next()?;
    Some(value[1..].split(quote).next()?.to_ascii_lowercase())
}

fn utf8(bytes: &[u8]) -> Result<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        Error::invalid("not UTF-8: convert the file, or say its encoding in the XML declaration").with("line", line).with("byte", at)
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let decoded: std::result::Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match decoded {
        Ok(text) if rest.is_empty() => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Ok(_) => Err(Error::invalid("half a UTF-16 character at the end: the file was cut off").with("byte", bytes.len())),
        Err(error) => Err(Error::invalid("not UTF-16, though the file begins like it: convert it to UTF-8").because(error)),
    }
}

/// The 27 characters that Windows-1252 has where ISO 8859-1 has control characters.
fn windows_1252(at: usize, byte: u8) -> Result<char> {
    const HIGH: [u16; 32] = [
        0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019,
        0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
    ];
    match byte {
        0x80..=0x9f => match char::from_u32(u32::from(HIGH[usize::from(byte - 0x80)])) {
            Some('\0') | None => Err(Error::invalid("a byte that Windows-1252 does not have").with("byte", at)),
            Some(character) => Ok(character),
        },
        _ => Ok(char::from(byte)),
    }
}
