//! Reads the named columns of a CSV file, each row checked by itself; for [`infer`](super::infer).

use std::{
    io::{BufRead, BufReader, Cursor, Read},
    ops::Deref,
};

use csv::{ByteRecord, ReaderBuilder, Terminator};
use record::{Error, Result};
use serde::Serialize;

/// What a file may hold at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a file.
    pub bytes_max: u64,
    /// Rows of a file, bad ones included.
    pub rows_max: usize,
    /// Bytes of an item's, worker's or label's name.
    pub name_bytes_max: usize,
    /// Items × different labels: the posterior takes eight bytes for each.
    pub cells_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 1 << 30, rows_max: 20_000_000, name_bytes_max: 1024, cells_max: 50_000_000 }
    }
}

/// Bytes of the first line at most.
const HEADER_BYTES_MAX: u64 = 64 * 1024;
/// Bad rows that are told one by one.
const BAD_ROWS_TOLD_MAX: usize = 20;

/// Rows that do not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BadRows {
    /// How many.
    pub count: usize,
    /// The first ones, at most 20.
    pub first: Vec<BadRow>,
}

/// A row that does not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BadRow {
    /// Its line in the file; the header is line 1.
    pub line: u64,
    /// What was found and what was expected.
    pub problem: String,
}

impl BadRows {
    pub(super) fn add(&mut self, line: u64, problem: String) {
        self.count += 1;
        if self.first.len() < BAD_ROWS_TOLD_MAX {
            self.first.push(BadRow { line, problem });
        }
    }

    pub(super) fn write(&self, file: &str, text: &mut String) {
        if self.count > 0 {
            super::line(text, format_args!("{} rows of the {file} left out:", self.count));
            self.first.iter().for_each(|bad| super::line(text, format_args!("  line {}: {}", bad.line, bad.problem)));
            if self.count > self.first.len() {
                super::line(text, format_args!("  …"));
            }
        }
    }
}

/// The wanted columns of a row.
pub(super) struct Row {
    pub line: u64,
    names: Vec<Box<str>>,
}

impl Deref for Row {
    type Target = [Box<str>];

    fn deref(&self) -> &[Box<str>] {
        &self.names
    }
}

pub(super) struct Table {
    pub rows: Vec<Row>,
    pub bad_rows: BadRows,
}

/// Reads the columns that are wanted, each named in one of several ways (the first that is there counts).
pub(super) fn read(file: impl Read, wanted: &[&[&str]], kind: &'static str, limits: &Limits) -> Result<Table> {
    // One byte more than allowed: when it is used up, the file is too large.
    let mut file = BufReader::new(file.take(limits.bytes_max.saturating_add(1)));
    let mut header = Vec::new();
    let failed = |error: std::io::Error| Error::unavailable("cannot read").with("file", kind).because(error);
    file.by_ref().take(HEADER_BYTES_MAX).read_until(b'\n', &mut header).map_err(failed)?;
    let count = |byte: u8| header.iter().filter(|found| **found == byte).count();
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|byte| count(*byte)).unwrap_or(b',');
    // Rows end at a line feed alone, the last one too: so the lines can be counted (the reader's own count slips at empty lines).
    let lines = Cursor::new(header).chain(file).chain(&b"\n"[..]);
    let mut file = ReaderBuilder::new().flexible(true).delimiter(delimiter).terminator(Terminator::Any(b'\n')).from_reader(lines);
    let titles = file.byte_headers().map_err(|error| Error::unavailable("cannot read").with("file", kind).because(error))?.clone();
    let columns = wanted.iter().map(|names| column(&titles, names, kind)).collect::<Result<Vec<usize>>>()?;
    let mut table = Table { rows: Vec::new(), bad_rows: BadRows::default() };
    let mut record = ByteRecord::new();
    while file.read_byte_record(&mut record).map_err(|error| Error::unavailable("cannot read").with("file", kind).because(error))? {
        let within = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let line = file.position().line() - 1 - within;
        if record.as_slice().trim_ascii().is_empty() && record.len() == 1 {
            continue;
        }
        if table.rows.len() + table.bad_rows.count >= limits.rows_max {
            return Err(Error::invalid("the file has too many rows")
                .with("file", kind)
                .with("line", line)
                .with("rows_max", limits.rows_max));
        }
        let names = columns.iter().zip(wanted).map(|(at, names)| name(&record, *at, names[0], titles.len(), limits));
        match names.collect::<Result<Vec<_>, String>>() {
            Ok(names) => table.rows.push(Row { line, names }),
            Err(problem) => table.bad_rows.add(line, problem),
        }
    }
    let (lines, _) = file.get_ref().get_ref();
    if lines.get_ref().1.get_ref().limit() == 0 {
        return Err(Error::invalid("the file is too large").with("file", kind).with("bytes_max", limits.bytes_max));
    }
    Ok(table)
}

fn column(titles: &ByteRecord, names: &[&str], kind: &'static str) -> Result<usize> {
    let is = |title: &[u8], name: &str| String::from_utf8_lossy(title).trim().eq_ignore_ascii_case(name);
    let at = names.iter().find_map(|name| titles.iter().position(|title| is(title, name)));
    at.ok_or_else(|| {
        let found: Vec<String> = titles.iter().take(20).map(|title| String::from_utf8_lossy(title).chars().take(40).collect()).collect();
        Error::invalid("a column is missing in the first line")
            .with("file", kind)
            .with("expected", names.join(" or "))
            .with("found", format_args!("{found:?}"))
    })
}

fn name(record: &ByteRecord, at: usize, title: &str, columns: usize, limits: &Limits) -> Result<Box<str>, String> {
    if record.len() != columns {
        return Err(format!("found {} columns, expected {columns} as in the first line", record.len()));
    }
    let text = std::str::from_utf8(&record[at]).map_err(|_| format!("{title} is not UTF-8, expected a file in UTF-8"))?.trim();
    match text.len() {
        0 => Err(format!("{title} is empty, expected a name or number")),
        bytes if bytes > limits.name_bytes_max => {
            Err(format!("{title} has {bytes} bytes, expected at most {} (is a quote left open?)", limits.name_bytes_max))
        }
        _ => Ok(text.into()),
    }
}
