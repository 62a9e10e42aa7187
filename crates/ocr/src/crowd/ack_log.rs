//! The file of acknowledgements: one JSON line for each record that the server has said is stored, on its way to the file
//! before anything else is done with the reply. The kill test holds the table against it.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use record::{Error, RecordId, Result, Timestamp};
use serde::Serialize;

/// An open log; lines of several phones do not mix.
#[derive(Debug)]
pub(super) struct AckLog {
    path: PathBuf,
    file: Mutex<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    record_id: RecordId,
    receipt: &'a str,
    at: String,
}

impl AckLog {
    /// Opens a log to add to.
    ///
    /// # Errors
    /// `Invalid` when the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file =
            file.map_err(|error| Error::invalid("cannot open the log of acknowledgements").with("file", path.display()).because(error))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Writes the acknowledgements of one reply in one write, so that a kill leaves whole lines.
    ///
    /// # Errors
    /// `Unavailable` when the file does not take them.
    pub fn write(&self, stored: &[(RecordId, &str)], at: Timestamp) -> Result<()> {
        let mut lines = Vec::new();
        for &(record_id, receipt) in stored {
            serde_json::to_writer(&mut lines, &Line { record_id, receipt, at: at.to_string() })
                .map_err(|error| Error::internal("cannot write an acknowledgement as JSON").because(error))?;
            lines.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&lines).and_then(|()| file.flush()).map_err(|error| {
            Error::unavailable("cannot write to the log of acknowledgements").with("file", self.path.display()).because(error)
        })
    }
}
