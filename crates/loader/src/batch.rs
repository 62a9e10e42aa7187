//! What was read and is not committed: for each topic rows and repeats, for each partition dead letters. Filled by `run`.

use std::collections::{BTreeMap, HashMap};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};
use lake::{DeadLetter, Row, Stage, build_batch, row_hashes};
use record::{Error, Letter, Offset, Partition, Position, Positioned, RejectionTag, Result, TailBatch, Topic, TopicSchema};

use crate::{
    dedup::{Fresh, Seen, Verdict, judge, partition_digest},
    ledger::Page,
};

/// The tag of a dead letter whose topic is not in the settings.
const UNKNOWN_TOPIC: &str = "unknown_topic";

/// The tag of a dead letter that a door is said to have kept, and that cannot be read.
const NO_LETTER: &str = "no_letter";

/// One topic's records of one partition that wait for a commit.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub batches: Vec<RecordBatch>,
    pub rows: u64,
    pub repeated: u64,
    pub bytes: usize,
    /// The lowest and the highest offset of the rows.
    pub first: Offset,
    pub last: Offset,
}

/// One partition: where reading stands, and what waits.
#[derive(Debug)]
pub(crate) struct Lane {
    pub partition: Partition,
    /// Where to read on.
    pub next: Offset,
    /// Everything below is committed or in no table's way: the queue may forget it.
    pub settled: Offset,
    /// Each topic's own cursor: what is below was committed before.
    pub cursors: HashMap<Topic, Offset>,
    /// The same of topics that have a table and are not in the settings now.
    pub retired: HashMap<Topic, Offset>,
    /// Whether a record of a topic that nobody has told of is an error, and no dead letter.
    pub is_strict: bool,
    pub dead_cursor: Offset,
    pub waiting: BTreeMap<Topic, Waiting>,
    pub dead: Vec<DeadLetter>,
    pub quarantined: u64,
    /// Where the furthest table stood at the start: once reading is there, every record below is in a table or waits.
    pub committed_to: Offset,
    /// Records that are in no table and not in the queue any more; they go to `quarantined` with the next commit of the dead letters.
    pub lost: u64,
    pub is_balanced: bool,
    pub page: Page,
}

/// Where nothing is to be changed by a wrong start.
pub(crate) fn unknown_topic(topic: &Topic) -> Error {
    Error::invalid(
        "the folder has records of a topic that is not in the settings: name the settings file that its server has, with --config",
    )
    .with("topic", topic)
}

impl Lane {
    pub(crate) fn records(&self) -> u64 {
        let rows: u64 = self.waiting.values().map(|waiting| waiting.rows + waiting.repeated).sum();
        rows + self.dead.len() as u64 + self.quarantined
    }

    /// Records that wait for a roll; at least one while the ledger does not know all that was read.
    pub(crate) fn due(&self) -> u64 {
        self.records().max(u64::from(self.page.has_news(self.next, self.committed_to)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.bytes).sum::<usize>()
            + self.dead.iter().map(|letter| letter.payload.len()).sum::<usize>()
    }

    /// Takes what one read brought; `earlier` is what the index knows of its ids.
    pub(crate) fn take(&mut self, read: TailBatch, topics: &HashMap<Topic, TopicSchema>, earlier: &Fresh, fresh: &mut Fresh) -> Result<()> {
        let from = self.next.max(self.dead_cursor);
        let missing = read.next.saturating_sub(from) - read.records.iter().filter(|found| found.offset >= from).count() as u64;
        self.quarantined += missing;
        self.next = read.next;
        self.take_lost();
        let mut by_topic: BTreeMap<Topic, Vec<Positioned>> = BTreeMap::new();
        let mut committed: BTreeMap<Topic, Vec<Positioned>> = BTreeMap::new();
        for found in read.records {
            self.page.stored(found.offset, &found.record);
            if found.record.topic == Topic::dead_letters() {
                self.take_letter(found);
            } else if self.retired.get(&found.record.topic).is_some_and(|cursor| found.offset < *cursor) {
                // Landed, or was a repeat, while its topic was in the settings.
            } else if !topics.contains_key(&found.record.topic) {
                if self.is_strict {
                    return Err(unknown_topic(&found.record.topic));
                }
                self.bury(found, UNKNOWN_TOPIC, "the topic is not in the loader's settings".to_owned());
            } else if found.offset >= self.cursors.get(&found.record.topic).copied().unwrap_or(0) {
                by_topic.entry(found.record.topic.clone()).or_default().push(found);
            } else if self.page.wants(&found.record.topic, found.offset) {
                committed.entry(found.record.topic.clone()).or_default().push(found);
            }
        }
        for (topic, records) in committed {
            self.judge_again(&topics[&topic], &records, earlier)?;
        }
        for (topic, records) in by_topic {
            self.take_topic(&topics[&topic], records, earlier, fresh)?;
        }
        Ok(())
    }

    /// Finds records that nobody has, once reading is where the furthest table was (promise L2): below that, each offset is
    /// counted in some table's commit or was read just now. `committed` is what this partition's commits have counted.
    /// Returns how many are lost.
    pub(crate) fn find_lost(&mut self, committed: u64) -> u64 {
        if self.is_balanced || self.next < self.committed_to {
            return 0;
        }
        self.is_balanced = true;
        let lost = self.next.saturating_sub(committed + self.records());
        self.lost = lost;
        self.take_lost();
        lost
    }

    /// Counts what is lost among the quarantined, if a commit of the dead letters can: it has to move their cursor.
    fn take_lost(&mut self) {
        if self.next > self.dead_cursor {
            self.quarantined += std::mem::take(&mut self.lost);
        }
    }

    fn take_topic(&mut self, schema: &TopicSchema, records: Vec<Positioned>, earlier: &Fresh, fresh: &mut Fresh) -> Result<()> {
        let topic = &schema.topic;
        let rows: Vec<Row<'_>> = records.iter().map(row).collect();
        let built = build_batch(schema, &rows)?;
        let hashes = row_hashes(&built.batch)?;
        let partition = partition_digest(&self.partition);
        let waiting = self.waiting.entry(topic.clone()).or_default();
        let (mut chosen, mut reused) = (Vec::new(), Vec::new());
        for (place, (kept, hash)) in (0_u32..).zip(built.kept.iter().zip(&hashes)) {
            let found = &records[*kept];
            let seen = Seen { partition, offset: found.offset, received_at: found.record.received_at, hash: *hash };
            let key = (topic.clone(), found.record.id);
            let verdict = judge(fresh.get(&key).or(earlier.get(&key)), &seen);
            self.page.judged(found.offset, &found.record, verdict);
            match verdict {
                Verdict::First => {
                    fresh.insert(key, seen);
                    if waiting.rows == 0 && chosen.is_empty() {
                        waiting.first = found.offset;
                    }
                    waiting.last = found.offset;
                    chosen.push(place);
                }
                Verdict::Repeat => waiting.repeated += 1,
                Verdict::IdReused => reused.push(*kept),
            }
        }
        if !chosen.is_empty() {
            let taken = if chosen.len() == built.batch.num_rows() {
                built.batch
            } else {
                take_record_batch(&built.batch, &UInt32Array::from(chosen))
                    .map_err(|error| Error::internal("cannot choose rows").because(error))?
            };
            waiting.rows += taken.num_rows() as u64;
            waiting.bytes += taken.get_array_memory_size();
            waiting.batches.push(taken);
        }
        let mut bad: Vec<(usize, &'static str, String)> = built
            .bad
            .into_iter()
            .map(|bad| {
                let at = bad.rejection.pointer.map(|pointer| format!(" at {pointer}")).unwrap_or_default();
                (bad.index, bad.rejection.tag.as_str(), format!("{}{at}", bad.rejection.message))
            })
            .collect();
        let stands = "the same id came before with other content; the first record stands";
        bad.extend(reused.into_iter().map(|index| (index, RejectionTag::IdReused.as_str(), stands.to_owned())));
        bad.sort_by_key(|(index, ..)| *index);
        for (index, tag, message) in bad {
            self.bury(records[index].clone(), tag, message);
        }
        Ok(())
    }

    /// Judges records that are committed, for the ledger: what became of them does not change. Those that cannot be rows are dead letters.
    fn judge_again(&mut self, schema: &TopicSchema, records: &[Positioned], earlier: &Fresh) -> Result<()> {
        let rows: Vec<Row<'_>> = records.iter().map(row).collect();
        let built = build_batch(schema, &rows)?;
        let partition = partition_digest(&self.partition);
        for (kept, hash) in built.kept.iter().zip(row_hashes(&built.batch)?) {
            let Positioned { offset, record } = &records[*kept];
            self.page.judge_again(record, Seen { partition, offset: *offset, received_at: record.received_at, hash }, earlier);
        }
        Ok(())
    }

    /// A record that a door rejected and kept.
    fn take_letter(&mut self, found: Positioned) {
        if found.offset < self.dead_cursor {
            return; // committed before a crash
        }
        let letter = Letter::parse(&found.record.payload).and_then(|letter| Ok((Topic::parse(&letter.topic)?, letter)));
        match letter {
            Err(error) => {
                let message = error.to_string();
                self.bury(found, NO_LETTER, message);
            }
            Ok((topic, letter)) => self.dead.push(DeadLetter {
                topic,
                id: found.record.id,
                received_at: found.record.received_at,
                door: found.record.door.clone().into_owned(),
                stage: Stage::Door,
                tag: letter.tag.clone().into_owned(),
                message: letter.message.clone().into_owned(),
                payload: letter.payload.clone().into_owned().into_bytes(),
                position: Position { partition: self.partition.clone(), offset: found.offset },
            }),
        }
    }

    fn bury(&mut self, found: Positioned, tag: &str, message: String) {
        if found.offset < self.dead_cursor {
            return; // committed before a crash
        }
        let Positioned { offset, record } = found;
        self.dead.push(DeadLetter {
            topic: record.topic,
            id: record.id,
            received_at: record.received_at,
            door: record.door.into_owned(),
            stage: Stage::Loader,
            tag: tag.to_owned(),
            message,
            payload: record.payload.to_vec(),
            position: Position { partition: self.partition.clone(), offset },
        });
    }
}

fn row(found: &Positioned) -> Row<'_> {
    let record = &found.record;
    Row { id: record.id, received_at: record.received_at, door: &record.door, payload: &record.payload }
}
