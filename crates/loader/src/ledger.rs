//! The ledger: what was read from the queue, by topic and minute of receipt, and what the loader made of it (promise L2). It stands in
//! the file of the index of repeats and is written in the transaction that tells the index of a roll: before the queue is trimmed, so
//! that after any crash the queue still has what the ledger does not know. `batch` counts, `commit` writes, `audit` compares.
//!
//! ```text
//! queue: …──trimmed──┤ known to the ledger ├ next ── committed by a process that died ── committed_to ── new ──▶
//!                                                 judged again, for the ledger alone          judged and landed
//! ```
//!
//! What landed is not in it: an audit reads that from the tables, so that the two check each other.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use record::{Digest, Offset, Partition, Record, RecordId, Result, Timestamp, Topic};
use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::{
    dedup::{Fresh, Seen, Verdict, judge, partition_digest},
    index::{FORGET_MAX, Index, failed},
};

/// Minutes since 1970.
pub(crate) type Minute = i64;

/// Minute (big endian, its sign turned), topic, 0, partition → [`Entry`], 24 bytes.
const LEDGER: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("ledger");
/// What holds for a partition's ledger, by names such as `#next@<partition>`; `<topic>@<partition>` → where the topic's counting begins.
const PAGES: TableDefinition<'_, &str, u64> = TableDefinition::new("ledger_pages");
/// Minutes below this one are not kept any more.
const FLOOR: &str = "#floor";

const MINUTE_US: i64 = 60_000_000;
/// Minutes are kept so long, in minutes: 90 days.
const KEPT_MINUTES: Minute = 90 * 24 * 60;

/// What is known of one topic's records of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Records that the queue had.
    pub stored: u64,
    /// Those that were repeats.
    pub repeated: u64,
    /// The ids of those that belong into the table, as [`sum_of`] adds them up.
    pub ids: u64,
}

/// One partition's ledger: where it stands, and what is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// What is below is in the ledger.
    pub next: Offset,
    /// Where each topic's counting begins, as its table's cursor stood then.
    pub begins: HashMap<Topic, Offset>,
    /// Where that of other topics and of doors' letters begins.
    pub begins_others: Offset,
    pending: HashMap<Topic, BTreeMap<Minute, Entry>>,
    /// Records that an earlier process landed and the ledger does not know, as they are read again.
    replayed: Fresh,
}

/// What one roll adds to a ledger.
#[derive(Debug)]
pub(crate) struct Addition {
    pub partition: Partition,
    pub next: Offset,
    pub entries: Vec<(Topic, Minute, Entry)>,
}

/// A minute of receipt.
pub(crate) fn minute_of(received_at: Timestamp) -> Minute {
    received_at.as_micros().div_euclid(MINUTE_US)
}

/// The minute's beginning, for people: `2026-11-24T11:15Z`.
pub(crate) fn minute_text(minute: Minute) -> String {
    let text = Timestamp::from_micros(minute.saturating_mul(MINUTE_US)).to_string();
    text.get(..16).map_or_else(|| text.clone(), |minute| format!("{minute}Z"))
}

/// A number that an id adds to a sum, in any order: a row with another id gives another sum, but for one case in 2^64.
pub(crate) fn sum_of(id: &RecordId) -> u64 {
    let (high, low) = id.as_bytes().split_at(8);
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
    // The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, figure 17), over both halves.
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(number(high)).wrapping_add(number(low)))
}

impl Entry {
    pub(crate) fn add(&mut self, more: &Self) {
        self.stored += more.stored;
        self.repeated += more.repeated;
        self.ids = self.ids.wrapping_add(more.ids);
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.stored, self.repeated, self.ids].map(u64::to_be_bytes).concat()
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let number = |at: usize| bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        Self { stored: number(0), repeated: number(8), ids: number(16) }
    }
}

impl Page {
    /// Where a topic's counting begins.
    pub(crate) fn begin(&self, topic: &Topic) -> Offset {
        self.begins.get(topic).copied().unwrap_or(self.begins_others)
    }

    /// Whether a record is not in the ledger yet, and belongs into it.
    pub(crate) fn wants(&self, topic: &Topic, offset: Offset) -> bool {
        offset >= self.next && offset >= self.begin(topic)
    }

    /// The entry of a record that the ledger does not know.
    fn entry(&mut self, topic: &Topic, offset: Offset, received_at: Timestamp) -> Option<&mut Entry> {
        if !self.wants(topic, offset) {
            return None;
        }
        if !self.pending.contains_key(topic) {
            self.pending.insert(topic.clone(), BTreeMap::new());
        }
        let minutes = self.pending.get_mut(topic).expect("it is there now");
        Some(minutes.entry(minute_of(received_at)).or_default())
    }

    /// Counts a record that was read.
    pub(crate) fn stored(&mut self, offset: Offset, record: &Record) {
        if let Some(entry) = self.entry(&record.topic, offset, record.received_at) {
            entry.stored += 1;
        }
    }

    /// Counts what a record was found to be; dead letters tell of themselves.
    pub(crate) fn judged(&mut self, offset: Offset, record: &Record, verdict: Verdict) {
        if let Some(entry) = self.entry(&record.topic, offset, record.received_at) {
            match verdict {
                Verdict::First => entry.ids = entry.ids.wrapping_add(sum_of(&record.id)),
                Verdict::Repeat => entry.repeated += 1,
                Verdict::IdReused => {}
            }
        }
    }

    /// Judges a record that a process that died has judged and committed. The index has read back from the tables which ids landed
    /// then, each with its file's lowest offset, which is not below `next`; the first of the records with the id is the one that did.
    pub(crate) fn judge_again(&mut self, record: &Record, seen: Seen, earlier: &Fresh) {
        let key = (record.topic.clone(), record.id);
        let verdict = match (self.replayed.get(&key), earlier.get(&key)) {
            (Some(first), _) if first.hash == seen.hash => Verdict::Repeat,
            (Some(_), _) => Verdict::IdReused,
            (None, Some(known)) if known.partition != seen.partition || known.offset < self.next => judge(Some(known), &seen),
            (None, _) => {
                self.replayed.insert(key, seen);
                Verdict::First
            }
        };
        self.judged(seen.offset, record, verdict);
    }

    /// Whether something was read that the ledger does not know. What an earlier process committed comes into it whole, and not before: until
    /// then `next` tells it from what landed before.
    pub(crate) fn has_news(&self, read_to: Offset, committed_to: Offset) -> bool {
        read_to > self.next && read_to >= committed_to
    }

    /// What a roll adds, when everything that was read is committed.
    pub(crate) fn addition(&self, partition: &Partition, read_to: Offset, committed_to: Offset) -> Option<Addition> {
        let of_topic = |(topic, minutes): (&Topic, &BTreeMap<Minute, Entry>)| {
            minutes.iter().map(|(minute, entry)| (topic.clone(), *minute, *entry)).collect::<Vec<_>>()
        };
        let entries = || self.pending.iter().flat_map(of_topic).collect();
        self.has_news(read_to, committed_to).then(|| Addition { partition: partition.clone(), next: read_to, entries: entries() })
    }

    /// The ledger has it now.
    pub(crate) fn turn(&mut self, next: Offset) {
        self.next = next;
        self.pending.clear();
        self.replayed.clear();
    }
}

fn name(what: &str, partition: &Partition) -> String {
    format!("#{what}@{partition}")
}

fn ledger_key(minute: Minute, topic: &Topic, partition: Digest) -> Vec<u8> {
    [&minute_key(minute)[..], topic.as_str().as_bytes(), &[0], partition.as_bytes()].concat()
}

/// Rises with the minute.
fn minute_key(minute: Minute) -> [u8; 8] {
    (minute.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The minute, topic and partition of a key; `None` for one that no ledger wrote.
fn parts_of(key: &[u8]) -> Option<(Minute, Topic, &[u8])> {
    let (minute, rest) = key.split_first_chunk::<8>()?;
    let (topic, partition) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
    let topic = std::str::from_utf8(topic.strip_suffix(&[0])?).ok().and_then(|topic| Topic::parse(topic).ok())?;
    Some(((u64::from_be_bytes(*minute) ^ (1 << 63)).cast_signed(), topic, partition))
}

pub(crate) fn make_tables(write: &WriteTransaction) -> Result<()> {
    write.open_table(LEDGER).map_err(failed)?;
    write.open_table(PAGES).map_err(failed)?;
    Ok(())
}

pub(crate) fn delete_tables(write: &WriteTransaction) -> Result<()> {
    write.delete_table(LEDGER).map_err(failed)?;
    write.delete_table(PAGES).map_err(failed)?;
    Ok(())
}

/// Writes what a roll adds.
pub(crate) fn note(write: &WriteTransaction, addition: &Addition) -> Result<()> {
    let mut pages = write.open_table(PAGES).map_err(failed)?;
    let floor = pages.get(FLOOR).map_err(failed)?.map_or(Minute::MIN, |found| found.value().cast_signed());
    pages.insert(name("next", &addition.partition).as_str(), addition.next).map_err(failed)?;
    let mut ledger = write.open_table(LEDGER).map_err(failed)?;
    let partition = partition_digest(&addition.partition);
    for (topic, minute, more) in addition.entries.iter().filter(|(_, minute, _)| *minute >= floor) {
        let key = ledger_key(*minute, topic, partition);
        let mut entry = ledger.get(key.as_slice()).map_err(failed)?.map_or_else(Entry::default, |found| Entry::from_bytes(found.value()));
        entry.add(more);
        ledger.insert(key.as_slice(), entry.to_bytes().as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Forgets minutes that are old enough: by the clock or by the newest minute, whichever is earlier, so that a clock that jumps ahead
/// takes none away.
pub(crate) fn forget(write: &WriteTransaction, now: Timestamp) -> Result<()> {
    let mut ledger = write.open_table(LEDGER).map_err(failed)?;
    let newest = ledger.last().map_err(failed)?.and_then(|(key, _)| parts_of(key.value()).map(|(minute, ..)| minute));
    let Some(newest) = newest else { return Ok(()) };
    let floor = newest.min(minute_of(now)).saturating_sub(KEPT_MINUTES);
    let old: Vec<Vec<u8>> = ledger
        .range::<&[u8]>(..minute_key(floor).as_slice())
        .map_err(failed)?
        .take(FORGET_MAX)
        .map(|entry| entry.map(|(key, _)| key.value().to_vec()).map_err(failed))
        .collect::<Result<_>>()?;
    // The floor rises no further than what is taken away now: between them there are whole minutes.
    let Some(last) = old.last().and_then(|key| parts_of(key)).map(|(minute, ..)| minute) else { return Ok(()) };
    for key in &old {
        ledger.remove(key.as_slice()).map_err(failed)?;
    }
    let mut pages = write.open_table(PAGES).map_err(failed)?;
    pages.insert(FLOOR, last.saturating_add(1).cast_unsigned()).map_err(failed)?;
    Ok(())
}

/// A partition's ledger as it is on the disk.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub entries: BTreeMap<(Topic, Minute), Entry>,
    /// Minutes below are not kept any more.
    pub floor: Minute,
    /// When it began, if it did not begin with the queue.
    pub since: Option<Timestamp>,
}

impl Index {
    /// Opens a partition's ledger. One that does not go on where the queue does, because the index was lost or is an older one, begins
    /// anew: where the tables' cursors stand, or the queue begins.
    pub(crate) fn open_page(
        &self,
        partition: &Partition,
        range: &Range<Offset>,
        cursors: &HashMap<Topic, Offset>,
        dead_cursor: Offset,
    ) -> Result<Page> {
        if let Some(page) = self.read_page(partition, cursors)?
            && (range.start..=range.end).contains(&page.next)
        {
            return Ok(page);
        }
        let begins: HashMap<Topic, Offset> = cursors.iter().map(|(topic, cursor)| (topic.clone(), (*cursor).max(range.start))).collect();
        let begins_others = dead_cursor.max(range.start);
        // Below, nothing waits for any table.
        let next = begins.values().copied().min().unwrap_or(begins_others);
        let page = Page { next, begins, begins_others, ..Page::default() };
        let is_late = page.begins_others > 0 || page.begins.values().any(|begin| *begin > 0);
        let digest = partition_digest(partition);
        self.write(|write, _| {
            let mut ledger = write.open_table(LEDGER).map_err(failed)?;
            ledger.retain(|key, _| parts_of(key).is_none_or(|(_, _, of)| of != digest.as_bytes())).map_err(failed)?;
            let mut pages = write.open_table(PAGES).map_err(failed)?;
            pages.retain(|name, _| !name.ends_with(&format!("@{partition}"))).map_err(failed)?;
            pages.insert(name("next", partition).as_str(), page.next).map_err(failed)?;
            pages.insert(name("begin", partition).as_str(), page.begins_others).map_err(failed)?;
            for (topic, begin) in &page.begins {
                pages.insert(partition.cursor_id(topic).as_str(), *begin).map_err(failed)?;
            }
            if is_late {
                let since = u64::try_from(self.clock.now().as_micros()).unwrap_or(0);
                pages.insert(name("since", partition).as_str(), since).map_err(failed)?;
            }
            Ok(())
        })?;
        Ok(page)
    }

    fn read_page(&self, partition: &Partition, cursors: &HashMap<Topic, Offset>) -> Result<Option<Page>> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let pages = read.open_table(PAGES).map_err(failed)?;
            let number = |name: &str| Ok::<_, record::Error>(pages.get(name).map_err(failed)?.map(|found| found.value()));
            let Some(next) = number(&name("next", partition))? else { return Ok(None) };
            let begins_others = number(&name("begin", partition))?.unwrap_or(0);
            let mut begins = HashMap::new();
            for topic in cursors.keys() {
                // A topic that is new in the settings was one of the others before.
                begins.insert(topic.clone(), number(&partition.cursor_id(topic))?.unwrap_or(begins_others));
            }
            Ok(Some(Page { next, begins, begins_others, ..Page::default() }))
        })
    }

    /// What the ledger has of a partition.
    pub(crate) fn ledger(&self, partition: &Partition) -> Result<Kept> {
        let digest = partition_digest(partition);
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let pages = read.open_table(PAGES).map_err(failed)?;
            let number = |name: &str| Ok::<_, record::Error>(pages.get(name).map_err(failed)?.map(|found| found.value()));
            let floor = number(FLOOR)?.map_or(Minute::MIN, u64::cast_signed);
            let since = number(&name("since", partition))?.map(|since| Timestamp::from_micros(since.cast_signed()));
            let mut entries = BTreeMap::new();
            for entry in read.open_table(LEDGER).map_err(failed)?.iter().map_err(failed)? {
                let (key, value) = entry.map_err(failed)?;
                if let Some((minute, topic, of)) = parts_of(key.value())
                    && of == digest.as_bytes()
                {
                    entries.insert((topic, minute), Entry::from_bytes(value.value()));
                }
            }
            Ok(Kept { entries, floor, since })
        })
    }
}
