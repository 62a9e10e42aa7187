//! The tables against the books, after the last recovery. `run` calls it once all that was stored is said to have landed.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{array::AsArray, datatypes::Int64Type};
use futures::TryStreamExt;
use lake::{DeadLetter, FileName, Lake, Stage};
use record::{Offset, Partition, RecordId, Result, Topic};

use crate::{
    oracle::{Books, Key},
    process::topics,
};

/// Where a record stands in the queue.
type Place = (Partition, Offset);

/// What is in the tables.
pub struct Landed {
    /// The rows of the topics, by file, in the files' order.
    files: Vec<(FileName, Vec<(Key, String)>)>,
    letters: Vec<DeadLetter>,
}

impl Landed {
    /// Reads all tables.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn read(lake: &Lake) -> Result<Self> {
        let mut files = Vec::new();
        for schema in topics() {
            let table = lake.table(&schema).await?;
            let column = if schema.is_json_text() { "payload" } else { "n" };
            for file in table.snapshot().await?.files {
                let name = FileName::parse(&file.path).expect("only a loader writes here");
                let batches: Vec<_> = table.scan_files(vec![file], Some(&["record_id", column]))?.try_collect().await?;
                let mut rows = Vec::new();
                for batch in batches {
                    for row in 0..batch.num_rows() {
                        let id = RecordId::parse(batch.column(0).as_string::<i32>().value(row))?;
                        let said = match schema.is_json_text() {
                            true => batch.column(1).as_string::<i32>().value(row).to_owned(),
                            false => format!(r#"{{"record_id":"{id}","n":{}}}"#, batch.column(1).as_primitive::<Int64Type>().value(row)),
                        };
                        rows.push(((schema.topic.clone(), id), said));
                    }
                }
                files.push((name, rows));
            }
        }
        let mut letters = Vec::new();
        lake::each_dead_letter(&lake.dead_letters().await?, &mut |letter| {
            letters.push(letter);
            true
        })
        .await?;
        Ok(Self { files, letters })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.files.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// How many dead letters there are.
    pub fn letters(&self) -> usize {
        self.letters.len()
    }
}

/// What must be so, and is not.
pub fn judge(books: &Books, landed: &Landed, ends: &BTreeMap<Partition, Offset>) -> Vec<String> {
    let mut wrong = books.wrong.clone();
    all_was_read(books, ends, &mut wrong);
    rows_are_what_was_stored(books, landed, &mut wrong);
    acknowledged_is_stored(books, &mut wrong);
    refused_is_kept(books, landed, &mut wrong);
    reused_is_a_letter(books, landed, &mut wrong);
    order_is_kept(books, landed, &mut wrong);
    wrong
}

/// No offset was passed over: what the loader never saw, it cannot have landed.
fn all_was_read(books: &Books, ends: &BTreeMap<Partition, Offset>, wrong: &mut Vec<String>) {
    for (partition, end) in ends {
        let read = books.offsets(partition);
        let missing: Vec<Offset> = (0..*end).filter(|offset| !read.contains(offset)).collect();
        if !missing.is_empty() {
            wrong.push(format!("L1: {} offsets of {partition} were never read, the first is {}", missing.len(), missing[0]));
        }
    }
}

/// The records by id, in the order of the queue, each with where it stood and what it said.
fn stored(books: &Books) -> BTreeMap<Key, Vec<(Place, String)>> {
    let mut stored: BTreeMap<Key, Vec<_>> = BTreeMap::new();
    for (place, (topic, id, payload)) in &books.read {
        if *topic != Topic::dead_letters() {
            stored.entry((topic.clone(), *id)).or_default().push((place.clone(), payload.clone()));
        }
    }
    stored
}

/// L1, C3: each stored id is one row with the bytes that came first; nothing else is a row, and nothing that nobody issued.
fn rows_are_what_was_stored(books: &Books, landed: &Landed, wrong: &mut Vec<String>) {
    let mut rows: BTreeMap<&Key, Vec<&String>> = BTreeMap::new();
    for (key, said) in landed.files.iter().flat_map(|(_, rows)| rows) {
        rows.entry(key).or_default().push(said);
    }
    let stored = stored(books);
    for (key, said) in &rows {
        match books.issued.get(*key) {
            None => wrong.push(format!("L1: a row of {} in {} that nobody issued: {}", key.1, key.0, said[0])),
            Some(issued) if said.iter().any(|said| !issued.contains(said)) => {
                wrong.push(format!("L1: the row of {} in {} says what nobody issued: {}", key.1, key.0, said[0]));
            }
            Some(_) => {}
        }
        if !stored.contains_key(*key) {
            wrong.push(format!("L1: a row of {} in {}, which no loader ever read", key.1, key.0));
        }
    }
    for (key, places) in &stored {
        let (place, first) = &places[0];
        match rows.get(key).map_or(&[][..], Vec::as_slice) {
            [said] if *said == first => {}
            [said] => wrong.push(format!("L1: {} at {place:?} is stored as {first} and landed as {said}", key.1)),
            [] => wrong.push(format!("L1: {} at {place:?} is stored and did not land", key.1)),
            several => wrong.push(format!("L1: {} at {place:?} landed {} times", key.1, several.len())),
        }
    }
}

/// Q1: what was acknowledged stands where its receipt says.
fn acknowledged_is_stored(books: &Books, wrong: &mut Vec<String>) {
    for (key, payload, position) in &books.acknowledged {
        let found = books.read.get(&(position.partition.clone(), position.offset));
        if found.is_none_or(|(topic, id, said)| (topic, id, said) != (&key.0, &key.1, payload)) {
            wrong.push(format!("Q1: {} was acknowledged at {position}, where there is {found:?}", key.1));
        }
    }
}

/// C1: what was refused is no row, and is in the dead letters where that was said.
fn refused_is_kept(books: &Books, landed: &Landed, wrong: &mut Vec<String>) {
    let at_doors: Vec<&str> = landed
        .letters
        .iter()
        .filter(|letter| letter.stage == Stage::Door)
        .filter_map(|letter| std::str::from_utf8(&letter.payload).ok())
        .collect();
    let kept: BTreeSet<&str> = at_doors.iter().filter_map(|text| mark_in(text)).collect();
    for (mark, is_kept) in &books.refused {
        if *is_kept && !kept.contains(mark.as_str()) {
            wrong.push(format!("C1: {mark} was refused, and is not in the dead letters"));
        }
    }
    for text in at_doors {
        if mark_in(text).is_none_or(|mark| !books.refused.contains_key(mark)) {
            wrong.push(format!("L1: a dead letter of a door that nobody issued: {text}"));
        }
    }
    for (key, said) in landed.files.iter().flat_map(|(_, rows)| rows) {
        if said.contains("mark-") {
            wrong.push(format!("C1: {} is bad and landed: {said}", key.1));
        }
    }
}

fn mark_in(text: &str) -> Option<&str> {
    let from = text.find("mark-")?;
    let length = text[from..].find('.')? + 1;
    Some(&text[from..from + length])
}

/// L1: a record under an id that is taken is a dead letter, once; no other record becomes one after it was stored.
fn reused_is_a_letter(books: &Books, landed: &Landed, wrong: &mut Vec<String>) {
    let mut expected = BTreeMap::new();
    for (key, places) in stored(books) {
        for (place, said) in &places[1..] {
            if *said != places[0].1 {
                expected.insert(place.clone(), (key.1, said.clone()));
            }
        }
    }
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for letter in &landed.letters {
        let place = (letter.position.partition.clone(), letter.position.offset);
        if !seen.insert(place.clone()) {
            wrong.push(format!("L1: two dead letters of {place:?}"));
        }
        if letter.stage == Stage::Loader {
            found.insert(place, (letter.id, String::from_utf8_lossy(&letter.payload).into_owned()));
        }
    }
    if let Some((place, _)) = expected.iter().find(|(place, letter)| found.get(*place) != Some(letter)) {
        wrong.push(format!("L1: the record at {place:?} has an id that is taken, and is not in the dead letters"));
    }
    if let Some((place, letter)) = found.iter().find(|(place, _)| !expected.contains_key(*place)) {
        wrong.push(format!("L1: the record at {place:?} is a dead letter for no reason: {letter:?}"));
    }
}

/// Each client's records came first in the order in which it sent them, and stand so in each file.
fn order_is_kept(books: &Books, landed: &Landed, wrong: &mut Vec<String>) {
    let mut firsts: BTreeMap<Key, Place> = BTreeMap::new();
    let mut latest: BTreeMap<usize, u64> = BTreeMap::new();
    for (key, places) in stored(books) {
        firsts.insert(key, places[0].0.clone());
    }
    let mut by_place: Vec<(&Place, &Key)> = firsts.iter().map(|(key, place)| (place, key)).collect();
    by_place.sort();
    for (place, key) in by_place {
        let Some((client, seq)) = books.order.get(key) else { continue };
        let before = latest.insert(*client, *seq);
        if before.is_some_and(|before| before > *seq) {
            wrong.push(format!("order: record {seq} of client {client} stands at {place:?}, behind a later one"));
        }
    }
    for (name, rows) in &landed.files {
        let places: Vec<_> = rows.iter().filter_map(|(key, _)| firsts.get(key)).collect();
        if !places.is_sorted() {
            wrong.push(format!("order: the rows of {name:?} are not in the queue's order"));
        }
    }
}
