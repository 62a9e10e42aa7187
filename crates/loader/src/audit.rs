//! The conservation audit (promise L2): what the ledger says of the queue against what the tables' own files have, by topic and minute of
//! receipt, and the totals of each partition's whole life. [`crate::Handle::audit`] asks for it.
//!
//! ```text
//! loader, between two rolls: ledger, counters, the queue's tail ──▶ View ─┐
//!                                      tables: received_at, record_id ────┴─▶ compare ──▶ Audit
//! ```
//!
//! The loader is held up for the view alone. The tables are read afterwards, up to where the view ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::{
    array::AsArray,
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use lake::{DataFile, FileName, Lake, Table};
use queue::Queue;
use record::{Error, Offset, Partition, RecordId, Result, Timestamp, Topic};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    batch::Lane,
    commit::Counters,
    index::Index,
    ledger::{Entry, Kept, Minute, minute_of, minute_text, sum_of},
};

/// The most minutes that are told one by one for a topic; the others are counted.
const TOLD_MAX: usize = 1_000;
/// Records of the queue's tail that are read at a time.
const READ_RECORDS_MAX: usize = 8_192;

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// When it looked, RFC 3339.
    pub at: String,
    /// Whether everything balances.
    pub balances: bool,
    /// By name; what doors rejected and kept is the line `dead_letters`.
    pub topics: Vec<TopicAudit>,
    /// The queue's partitions.
    pub partitions: Vec<PartitionAudit>,
}

/// The books of a topic: the sums over the minutes that the ledger has, and the minutes that do not balance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicAudit {
    /// The topic.
    pub topic: String,
    /// What the minutes have together.
    #[serde(flatten)]
    pub terms: Terms,
    /// Minutes that were compared.
    pub minutes: u64,
    /// Those of them that differ.
    pub minutes_differing: u64,
    /// The first thousand of those.
    pub differing: Vec<MinuteAudit>,
    /// Rows that the table's commits say they brought, since there is the queue; for `dead_letters` all its rows.
    pub rows_committed: u64,
    /// Rows in the table's files from this queue.
    pub rows_found: u64,
    /// Rows in files that did not come from this queue, which these books know nothing of.
    pub rows_of_others: u64,
}

/// Where records are: stored = landed + repeated + dead-lettered + in flight. Nothing is erased yet; records that are quarantined have no
/// topic and time any more, and are told by partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Terms {
    /// Records that the queue stored.
    pub stored: u64,
    /// Rows in the table.
    pub landed: u64,
    /// Records that came again.
    pub repeated: u64,
    /// Records in the dead letters after storing.
    pub dead_lettered: u64,
    /// Records in the queue that the loader has not taken yet.
    pub in_flight: u64,
}

/// A minute that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MinuteAudit {
    /// Its beginning, such as `2026-11-24T11:15Z`.
    pub minute: String,
    /// What it has.
    #[serde(flatten)]
    pub terms: Terms,
    /// Whether the rows are others than those that were stored, by their ids.
    pub has_other_rows: bool,
}

/// The totals of a partition since there is the queue, by the counters in the tables' commits:
/// stored = landed + repeated + dead-lettered + refused + quarantined + in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionAudit {
    /// The partition.
    pub partition: String,
    /// Offsets that were given out.
    pub stored: u64,
    /// Rows of all topics.
    pub landed: u64,
    /// Records that came again.
    pub repeated: u64,
    /// Records in the dead letters after storing.
    pub dead_lettered: u64,
    /// Rejected records that doors kept.
    pub refused: u64,
    /// Records that were lost to damage, or are in no table and not in the queue any more.
    pub quarantined: u64,
    /// Records in the queue that the loader has not taken yet.
    pub in_flight: u64,
    /// Whether these are as many as were stored.
    pub balances: bool,
    /// When the comparison by minutes began, where it did not begin with the queue: records before are in the totals alone.
    pub minutes_since: Option<String>,
    /// Minutes before this one are in the totals alone, as they are too old.
    pub minutes_from: Option<String>,
}

impl Terms {
    fn balances(&self) -> bool {
        self.stored == self.landed + self.repeated + self.dead_lettered + self.in_flight
    }

    fn add(&mut self, more: &Self) {
        self.stored += more.stored;
        self.landed += more.landed;
        self.repeated += more.repeated;
        self.dead_lettered += more.dead_lettered;
        self.in_flight += more.in_flight;
    }

    fn text(&self) -> String {
        format!(
            "{} stored = {} landed + {} repeated + {} dead-lettered + {} in flight",
            self.stored, self.landed, self.repeated, self.dead_lettered, self.in_flight
        )
    }
}

impl TopicAudit {
    fn balances(&self) -> bool {
        self.minutes_differing == 0 && self.rows_committed == self.rows_found
    }
}

impl MinuteAudit {
    fn text(&self) -> String {
        let found = self.terms.landed + self.terms.repeated + self.terms.dead_lettered + self.terms.in_flight;
        let what = match self.terms.stored.cmp(&found) {
            std::cmp::Ordering::Greater => format!("{} missing", self.terms.stored - found),
            std::cmp::Ordering::Less => format!("{} too many", found - self.terms.stored),
            std::cmp::Ordering::Equal => "as many rows as there should be, and others than those that were stored".to_owned(),
        };
        format!("{}: {}: {what}", self.minute, self.terms.text().replace(" = ", ", ").replace(" + ", ", "))
    }
}

impl Audit {
    /// For people: a line for each topic and partition, and one for each minute that differs.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for topic in &self.topics {
            let name = &topic.topic;
            lines.push(format!("{name}: {}; {} minutes compared, {} differ", topic.terms.text(), topic.minutes, topic.minutes_differing));
            lines.extend(topic.differing.iter().map(|minute| format!("  {name} {}", minute.text())));
            if topic.minutes_differing > topic.differing.len() as u64 {
                lines.push(format!("  {name}: and {} more", topic.minutes_differing - topic.differing.len() as u64));
            }
            if topic.rows_committed != topic.rows_found {
                let (committed, found) = (topic.rows_committed, topic.rows_found);
                lines.push(format!("  {name}: the table's commits brought {committed} rows, and its files have {found}"));
            }
            if topic.rows_of_others > 0 {
                lines.push(format!("  {name}: {} rows came from elsewhere and are not looked at", topic.rows_of_others));
            }
        }
        for partition in &self.partitions {
            let PartitionAudit { partition: name, stored, landed, repeated, dead_lettered, refused, quarantined, in_flight, .. } =
                partition;
            let verdict = if partition.balances { "" } else { ": DIFFERS" };
            lines.push(format!(
                "{name}: {stored} stored = {landed} landed + {repeated} repeated + {dead_lettered} dead-lettered + {refused} rejected and kept \
                 + {quarantined} quarantined + {in_flight} in flight{verdict}"
            ));
            if let Some(since) = &partition.minutes_since {
                lines.push(format!("  compared by minutes since {since} only, when this began; the totals are of the whole time"));
            }
            if let Some(from) = &partition.minutes_from {
                lines.push(format!("  compared by minutes from {from} on; older ones are in the totals"));
            }
        }
        lines.join("\n") + "\n"
    }

    /// # Errors
    /// `Corrupt`, with what differs, when the books do not balance.
    pub fn check(&self) -> Result<()> {
        if self.balances {
            return Ok(());
        }
        let minutes: u64 = self.topics.iter().map(|topic| topic.minutes_differing).sum();
        let mut error = Error::corrupt("the books do not balance").with("minutes_differing", minutes);
        if let Some((topic, minute)) = self.topics.iter().find_map(|topic| Some((&topic.topic, topic.differing.first()?))) {
            error = error.with("first", format_args!("{topic} {}", minute.minute));
        }
        let tables = self.topics.iter().filter(|topic| topic.rows_committed != topic.rows_found).map(|topic| topic.topic.as_str());
        let tables = tables.collect::<Vec<_>>().join(", ");
        if !tables.is_empty() {
            error = error.with("tables_with_other_rows", tables);
        }
        Err(error.with("mend", "docs/operating.md says what to do when an audit differs"))
    }
}

/// What the loader says at one moment between two rolls.
pub(crate) struct View {
    pub at: Timestamp,
    pub partitions: Vec<PartitionView>,
}

/// The same of one partition.
pub(crate) struct PartitionView {
    partition: Partition,
    /// Everything below is committed.
    next: Offset,
    end: Offset,
    begins: HashMap<Topic, Offset>,
    begins_others: Offset,
    kept: Kept,
    tail: BTreeMap<(Topic, Minute), u64>,
    counters: Counters,
    quarantined: u64,
}

impl PartitionView {
    /// Looks at a lane of which nothing waits.
    pub(crate) fn of(queue: &dyn Queue, index: &Index, lane: &Lane, counters: &Counters) -> Result<Self> {
        let end = queue.range(&lane.partition)?.end;
        let mut tail = BTreeMap::new();
        let mut at = lane.next;
        while at < end {
            let batch = queue.read(&lane.partition, at, READ_RECORDS_MAX)?;
            for found in batch.records.into_iter().filter(|found| found.offset < end) {
                *tail.entry((found.record.topic, minute_of(found.record.received_at))).or_default() += 1;
            }
            at = batch.next;
        }
        Ok(Self {
            partition: lane.partition.clone(),
            next: lane.next,
            end,
            begins: lane.page.begins.clone(),
            begins_others: lane.page.begins_others,
            kept: index.ledger(&lane.partition)?,
            tail,
            counters: counters.clone(),
            quarantined: counters.quarantined + lane.quarantined + lane.lost,
        })
    }

    fn begin(&self, topic: &Topic) -> Offset {
        self.begins.get(topic).copied().unwrap_or(self.begins_others)
    }

    fn totals(&self) -> PartitionAudit {
        let counters = &self.counters;
        let (landed, repeated) = (counters.landed.values().sum::<u64>(), counters.repeated.values().sum::<u64>());
        let dead_lettered = counters.dead_total - counters.refused;
        let counted = landed + repeated + counters.dead_total + self.quarantined;
        PartitionAudit {
            partition: self.partition.to_string(),
            stored: self.end,
            landed,
            repeated,
            dead_lettered,
            refused: counters.refused,
            quarantined: self.quarantined,
            in_flight: self.end - self.next,
            balances: counted == self.next,
            minutes_since: self.kept.since.map(|since| since.to_string()),
            minutes_from: (self.kept.floor != Minute::MIN).then(|| minute_text(self.kept.floor)),
        }
    }
}

/// The books as they are put together.
#[derive(Default)]
struct Books {
    minutes: BTreeMap<(Topic, Minute), Page>,
    topics: BTreeMap<Topic, TopicAudit>,
}

#[derive(Default)]
struct Page {
    terms: Terms,
    /// The sums of the ids, by the ledger and by the table.
    ids: (u64, u64),
}

/// Compares a view with the tables.
///
/// # Errors
/// What reading the tables gives: `Corrupt` for a file that is gone or damaged.
pub(crate) async fn compare(view: View, lake: &Lake, tables: &BTreeMap<Topic, Table>, dead_letters: &Table) -> Result<Audit> {
    let mut books = Books::default();
    for partition in &view.partitions {
        books.take_ledger(partition);
    }
    let known = tables.keys().chain(books.minutes.keys().map(|(topic, _)| topic)).cloned();
    for topic in known.collect::<BTreeSet<_>>() {
        books.topics.entry(topic.clone()).or_default();
        let table = match tables.get(&topic) {
            Some(table) => Some(table.clone()),
            None if topic == Topic::dead_letters() => None,
            // It was in the settings once.
            None => lake.existing_table(topic.as_str()).await?,
        };
        if let Some(table) = table {
            books.take_rows(&view, &topic, &table).await?;
        }
    }
    books.take_letters(&view, dead_letters).await?;
    Ok(books.close(&view))
}

impl Books {
    fn take_ledger(&mut self, view: &PartitionView) {
        for ((topic, minute), Entry { stored, repeated, ids }) in &view.kept.entries {
            if *minute >= view.kept.floor {
                let page = self.minutes.entry((topic.clone(), *minute)).or_default();
                page.terms.add(&Terms { stored: *stored, repeated: *repeated, ..Terms::default() });
                page.ids.0 = page.ids.0.wrapping_add(*ids);
            }
        }
        for ((topic, minute), count) in &view.tail {
            if *minute >= view.kept.floor {
                let terms = Terms { stored: *count, in_flight: *count, ..Terms::default() };
                self.minutes.entry((topic.clone(), *minute)).or_default().terms.add(&terms);
            }
        }
    }

    /// The rows of a topic's table, of the files that are not older than the ledger.
    async fn take_rows(&mut self, view: &View, topic: &Topic, table: &Table) -> Result<()> {
        let files = table.snapshot().await?.files;
        for partition in &view.partitions {
            let of_it = of_partition(&files, partition);
            let line = self.topics.entry(topic.clone()).or_default();
            line.rows_found += rows_of(table, of_it.iter().map(|(file, _)| *file))?;
            line.rows_committed += match partition.counters.landed.get(topic) {
                Some(landed) => *landed,
                None => table.cursor(&crate::commit::counter_id(&partition.partition.cursor_id(topic), "landed")).await?.unwrap_or(0),
            };
            let floor_date = minute_text(partition.kept.floor).get(..10).map(str::to_owned).filter(|_| partition.kept.floor > 0);
            let is_new = |file: &DataFile| match (file.received_date(), &floor_date) {
                (Some(date), Some(floor)) => date >= floor.as_str(),
                _ => true,
            };
            let young = of_it.iter().filter(|(file, name)| name.first >= partition.begin(topic) && is_new(file));
            let young = young.map(|(file, _)| (*file).clone()).collect();
            let mut batches = table.scan_files(young, Some(&["record_id", "received_at"]))?;
            while let Some(batch) = batches.try_next().await? {
                let (ids, times) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<TimestampMicrosecondType>());
                for row in 0..batch.num_rows() {
                    let minute = minute_of(Timestamp::from_micros(times.value(row)));
                    if minute >= partition.kept.floor {
                        let page = self.minutes.entry((topic.clone(), minute)).or_default();
                        page.terms.landed += 1;
                        page.ids.1 = page.ids.1.wrapping_add(sum_of(&RecordId::parse(ids.value(row))?));
                    }
                }
            }
        }
        self.topics.entry(topic.clone()).or_default().rows_of_others = others(table, &files, view)?;
        Ok(())
    }

    /// The rows of the dead letters: those that doors kept are a topic of their own.
    async fn take_letters(&mut self, view: &View, table: &Table) -> Result<()> {
        let files = table.snapshot().await?.files;
        for partition in &view.partitions {
            let of_it = of_partition(&files, partition);
            let line = self.topics.entry(Topic::dead_letters()).or_default();
            line.rows_found += rows_of(table, of_it.iter().map(|(file, _)| *file))?;
            line.rows_committed += partition.counters.dead_total;
            let young = of_it.iter().filter(|(_, name)| name.last >= partition.begins_others.min(lowest(&partition.begins)));
            let young = young.map(|(file, _)| (*file).clone()).collect();
            let mut batches = table.scan_files(young, Some(&["topic", "received_at", "stage", "offset"]))?;
            while let Some(batch) = batches.try_next().await? {
                let (topics, stages) = (batch.column(0).as_string::<i32>(), batch.column(2).as_string::<i32>());
                let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
                let offsets = batch.column(3).as_primitive::<Int64Type>();
                for row in 0..batch.num_rows() {
                    let is_doors = stages.value(row) == "door";
                    let topic = if is_doors { Topic::dead_letters() } else { Topic::parse(topics.value(row))? };
                    let minute = minute_of(Timestamp::from_micros(times.value(row)));
                    let is_counted = u64::try_from(offsets.value(row)).is_ok_and(|offset| offset >= partition.begin(&topic));
                    if is_counted && minute >= partition.kept.floor {
                        let page = self.minutes.entry((topic, minute)).or_default();
                        match is_doors {
                            true => page.terms.landed += 1,
                            false => page.terms.dead_lettered += 1,
                        }
                    }
                }
            }
        }
        self.topics.entry(Topic::dead_letters()).or_default().rows_of_others = others(table, &files, view)?;
        Ok(())
    }

    fn close(mut self, view: &View) -> Audit {
        for ((topic, minute), page) in self.minutes {
            let has_other_rows = topic != Topic::dead_letters() && page.ids.0 != page.ids.1;
            let line = self.topics.entry(topic).or_default();
            line.minutes += 1;
            line.terms.add(&page.terms);
            if !page.terms.balances() || has_other_rows {
                line.minutes_differing += 1;
                if line.differing.len() < TOLD_MAX {
                    line.differing.push(MinuteAudit { minute: minute_text(minute), terms: page.terms, has_other_rows });
                }
            }
        }
        let topics: Vec<TopicAudit> =
            self.topics.into_iter().map(|(topic, line)| TopicAudit { topic: topic.to_string(), ..line }).collect();
        let partitions: Vec<PartitionAudit> = view.partitions.iter().map(PartitionView::totals).collect();
        let balances = topics.iter().all(TopicAudit::balances) && partitions.iter().all(|partition| partition.balances);
        Audit { at: view.at.to_string(), balances, topics, partitions }
    }
}

/// The files of a partition below where the view ends, with what their names say.
fn of_partition<'a>(files: &'a [DataFile], view: &PartitionView) -> Vec<(&'a DataFile, FileName)> {
    let named = files.iter().filter_map(|file| Some((file, FileName::parse(&file.path)?)));
    named.filter(|(_, name)| name.partition == view.partition && name.first < view.next).collect()
}

fn others(table: &Table, files: &[DataFile], view: &View) -> Result<u64> {
    let is_ours = |file: &&DataFile| {
        FileName::parse(&file.path).is_some_and(|name| view.partitions.iter().any(|partition| partition.partition == name.partition))
    };
    rows_of(table, files.iter().filter(|file| !is_ours(file)))
}

fn rows_of<'a>(table: &Table, files: impl Iterator<Item = &'a DataFile>) -> Result<u64> {
    let none = |file: &DataFile| Error::corrupt("a data file has no row count").with("table", table.name()).with("file", &file.path);
    files.map(|file| file.rows.ok_or_else(|| none(file))).sum()
}

fn lowest(begins: &HashMap<Topic, Offset>) -> Offset {
    begins.values().copied().min().unwrap_or(0)
}
