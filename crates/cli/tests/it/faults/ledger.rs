//! The oracle's books: what was issued, acknowledged and refused, kept outside the server, and the judgement after recovery.
//!
//! Clients write into it before they send and after they are told; what nobody was told of may be in the table or not.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::table::Rows;

/// A record's name: its client, and its number in the order in which that client sent its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub client: u32,
    pub number: u64,
}

impl Name {
    /// Its `record_id`: a UUIDv7 that says whose it is.
    pub fn id(self) -> String {
        format!("01930000-{:04x}-7000-8000-{:012x}", self.client, self.number)
    }

    fn parse(id: &str) -> Option<Self> {
        let name = Self { client: u32::from_str_radix(id.get(9..13)?, 16).ok()?, number: u64::from_str_radix(id.get(24..)?, 16).ok()? };
        (name.id() == id).then_some(name)
    }
}

/// What the sender was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Stored,
    Refused,
}

#[derive(Default)]
struct Books {
    records: HashMap<Name, (String, Told)>,
    /// Other bytes under an id that was stored before, and what was told of them.
    impostors: Vec<(Name, String, Told)>,
    wrong: Vec<String>,
    counts: Counts,
}

/// How much there was of everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub issued: u64,
    pub acknowledged: u64,
    pub refused: u64,
    /// Sent again after a *stored*.
    pub repeats: u64,
    /// Requests without an answer, which were sent again.
    pub lost: u64,
    /// Answers 429 and 503, and outcomes *retry*.
    pub put_off: u64,
    /// Other answers that say that nothing is stored, such as of a server that takes no records any more.
    pub turned_away: u64,
}

/// The books of one data folder.
#[derive(Default)]
pub struct Ledger(Mutex<Books>);

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a record is sent for the first time.
    pub fn issue(&self, name: Name, payload: &str) {
        let mut books = self.books();
        books.counts.issued += 1;
        assert!(books.records.insert(name, (payload.to_owned(), Told::Nothing)).is_none(), "an id is issued once");
    }

    /// Before other bytes are sent under an id that was stored.
    pub fn issue_impostor(&self, name: Name, payload: &str) {
        self.books().impostors.push((name, payload.to_owned(), Told::Nothing));
    }

    /// What was told of a record; `payload` tells it from its impostor.
    pub fn tell(&self, name: Name, payload: &str, told: Told) {
        let mut books = self.books();
        let Books { records, impostors, counts, wrong, .. } = &mut *books;
        if let Some((_, _, of)) = impostors.iter_mut().find(|(known, bytes, _)| *known == name && bytes == payload) {
            *of = told;
            return;
        }
        let (_, of) = records.get_mut(&name).expect("issued before");
        match (*of, told) {
            (Told::Nothing, Told::Stored) => counts.acknowledged += 1,
            (Told::Nothing, Told::Refused) => counts.refused += 1,
            (Told::Stored, Told::Stored) => counts.repeats += 1,
            (before, now) => wrong.push(format!("{name:?} was told {before:?} first and {now:?} later")),
        }
        *of = told;
    }

    /// Something that no client may see, in the words of the promise.
    pub fn wrong(&self, what: String) {
        self.books().wrong.push(what);
    }

    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.books().counts);
    }

    pub fn counts(&self) -> Counts {
        self.books().counts
    }

    /// Reads the tables of a data folder whose server has ended, with a reader that is not ours, and compares.
    ///
    /// # Panics
    /// With what is wrong, if anything is.
    pub fn judge(&self, python: &Path, data: &Path, context: &str) -> Counts {
        let [rows, dead] = Rows::read(python, data, ["events", "dead_letters"]);
        let mut books = self.books();
        let mut wrong = std::mem::take(&mut books.wrong);
        wrong.extend(books.compare(&rows, &dead));
        // L2: the loader's own books, which its commits carry.
        if rows.landed != rows.rows.len() as u64 || dead.quarantined > 0 {
            wrong.push(format!("L2: {} rows, {} landed by the books, {} quarantined", rows.rows.len(), rows.landed, dead.quarantined));
        }
        let shown = wrong.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n  ");
        assert!(wrong.is_empty(), "{context}: {} things are wrong:\n  {shown}", wrong.len());
        books.counts
    }
}

impl Books {
    fn compare(&self, rows: &Rows, dead: &Rows) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut seen: HashMap<Name, u32> = HashMap::new();
        // The last number of each client in the versions before, and in each file of this one.
        let mut before: HashMap<u32, u64> = HashMap::new();
        let mut now: HashMap<(u32, u32), u64> = HashMap::new();
        let mut version = 0;
        for row in &rows.rows {
            let Some((name, (payload, told))) = Name::parse(&row.id).and_then(|name| Some((name, self.records.get(&name)?))) else {
                wrong.push(format!("L1: {} is in the table and was never issued", row.id));
                continue;
            };
            if row.payload != *payload {
                wrong.push(format!("L1: {name:?} has other bytes in the table: {:.200}", row.payload));
            }
            if *told == Told::Refused {
                wrong.push(format!("C1: {name:?} was refused and is in the table"));
            }
            if seen.insert(name, 1).is_some() {
                wrong.push(format!("L1, C3: {name:?} stands twice"));
            }
            if row.version != version {
                version = row.version;
                for ((client, _), number) in now.drain() {
                    let last = before.entry(client).or_default();
                    *last = number.max(*last);
                }
            }
            let last = now.insert((name.client, row.file), name.number).max(before.get(&name.client).copied());
            if last.is_some_and(|last| last >= name.number) {
                wrong.push(format!("{name:?} stands behind {last:?} of the same client"));
            }
        }
        let missing = self.records.iter().filter(|(name, (_, told))| *told == Told::Stored && !seen.contains_key(name));
        // The gravest first: of many findings, some are shown.
        let missing = missing.map(|(name, _)| format!("Q1, L1: {name:?} was acknowledged and is not in the table"));
        wrong = missing.chain(wrong).collect();
        let buried = |name: Name, payload: &str| dead.rows.iter().any(|row| row.id == name.id() && row.payload == payload);
        let lost = self.impostors.iter().filter(|(name, payload, told)| *told == Told::Stored && !buried(*name, payload));
        wrong.extend(lost.map(|(name, ..)| format!("L1: other bytes under {name:?} were acknowledged and are no dead letter")));
        // What a door refused may be kept with an id that the door gave it.
        let refused: HashSet<&str> =
            self.records.values().filter(|(_, told)| *told != Told::Stored).map(|(payload, _)| payload.as_str()).collect();
        for row in &dead.rows {
            let is_known = refused.contains(row.payload.as_str())
                || Name::parse(&row.id)
                    .is_some_and(|name| self.impostors.iter().any(|(known, payload, _)| *known == name && *payload == row.payload));
            if !is_known {
                wrong.push(format!("L1: {} is a dead letter and should not be one: {:.200}", row.id, row.payload));
            }
        }
        wrong
    }
}
