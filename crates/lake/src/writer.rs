//! Record batch → Parquet files, one for each date of receipt. Called by the loader and by [`Table::append`].
//!
//! A file's name is never used before and a file is never overwritten: the commit alone decides what counts.

use std::collections::{BTreeMap, HashMap};

use arrow::{
    array::{Array, AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, max, min, take_record_batch},
    datatypes::{DataType, TimestampMicrosecondType},
};
use deltalake::Path as StorePath;
use object_store::{ObjectStore, PutMode, PutOptions};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use record::{Error, Offset, Partition, Result, Timestamp};

use crate::{
    schema::RECEIVED_DATE,
    store::{FaultPoint, blocking},
    table::{PartitionValues, Table},
};

const DAY_US: i64 = 86_400_000_000;

/// What a data file's name says: `<topic>.<queue id>.<n>.<first>.<last>.<random>.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The topic or table.
    pub topic: String,
    /// The partition that the rows were read from.
    pub partition: Partition,
    /// The lowest offset that may be in it.
    pub first: Offset,
    /// The highest.
    pub last: Offset,
}

impl FileName {
    /// Reads what a file's name says; `None` for a file that does not come from a queue.
    pub fn parse(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?.strip_suffix(".parquet")?;
        let mut parts = name.rsplitn(5, '.');
        let (_, last, first, n, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (topic, queue_id) = rest.split_once('.')?;
        Some(Self {
            topic: topic.to_owned(),
            partition: Partition::parse(&format!("{queue_id}/{n}")).ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }

    fn stem(&self) -> String {
        format!("{}.{}.{:020}.{:020}", self.topic, self.partition.as_str().replace('/', "."), self.first, self.last)
    }
}

/// A Parquet file of a table, written and perhaps committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its path within the table.
    pub path: String,
    /// Its rows; `None` when the log does not say.
    pub rows: Option<u64>,
    /// Its size.
    pub bytes: u64,
    pub(crate) partition_values: PartitionValues,
    pub(crate) stats: Option<String>,
    /// When it was written, by the clock that never goes back; `None` for a file of a snapshot.
    pub(crate) written_at_us: Option<u64>,
}

impl DataFile {
    /// The UTC date on which all of its rows were received, as `2026-11-24`; `None` for a table that is not kept by date.
    pub fn received_date(&self) -> Option<&str> {
        self.partition_values.get(RECEIVED_DATE)?.as_deref()
    }
}

impl Table {
    /// Writes batches as durable files, one for each date of receipt; they count only once they are committed.
    ///
    /// The columns are taken by name; a column of the table that the batch lacks must be optional and is null.
    ///
    /// # Errors
    /// `Invalid` when a column does not fit; `Unavailable` when the files cannot be written.
    pub async fn write(&self, batches: &[RecordBatch], name: &FileName) -> Result<Vec<DataFile>> {
        self.write_as(batches, &name.stem()).await
    }

    pub(crate) async fn write_as(&self, batches: &[RecordBatch], stem: &str) -> Result<Vec<DataFile>> {
        let fitted = batches.iter().map(|batch| self.fitted(batch)).collect::<Result<Vec<_>>>()?;
        let whole = concat_batches(&self.schema, &fitted).map_err(|error| self.misfit(error))?;
        let mut files = Vec::new();
        if whole.num_rows() == 0 {
            return Ok(files);
        }
        let parts = if self.dated { by_date(&whole).map_err(|error| self.misfit(error))? } else { vec![(None, whole)] };
        for (date, part) in parts {
            self.lake.fault(FaultPoint::WriteFile)?;
            let stats = stats(&part);
            let rows = part.num_rows() as u64;
            let content = blocking(move || parquet_bytes(&part)).await?;
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|error| Error::unavailable("the system gives no random bytes").because(error))?;
            let folder = date.as_ref().map(|date| format!("{RECEIVED_DATE}={date}/")).unwrap_or_default();
            let path = format!("{folder}{stem}.{:016x}.parquet", u64::from_le_bytes(random));
            let bytes = content.len() as u64;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.store.put_opts(&StorePath::from(path.as_str()), content.into(), options).await.map_err(|error| {
                Error::unavailable("cannot write a data file").with("table", &self.name).with("file", &path).because(error)
            })?;
            self.lake.fault(FaultPoint::SyncFile)?;
            let partition_values = date.map(|date| (RECEIVED_DATE.to_owned(), Some(date))).into_iter().collect();
            let written_at_us = Some(self.lake.shared.clock.monotonic_micros());
            files.push(DataFile { path, rows: Some(rows), bytes, partition_values, stats: Some(stats), written_at_us });
        }
        self.lake.sync(&self.url, files.iter().map(|file| file.path.clone()).collect()).await?; // L1
        Ok(files)
    }

    fn fitted(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
        });
        if let Some(extra) = batch.schema().fields().iter().find(|field| self.schema.field_with_name(field.name()).is_err()) {
            return Err(Error::invalid("a batch has a column that the table lacks").with("table", &self.name).with("column", extra.name()));
        }
        RecordBatch::try_new(self.schema(), columns.collect()).map_err(|error| self.misfit(error))
    }

    fn misfit(&self, error: arrow::error::ArrowError) -> Error {
        Error::invalid("a batch does not fit the table").with("table", &self.name).because(error)
    }
}

/// The rows of each UTC date of `received_at`.
fn by_date(batch: &RecordBatch) -> Result<Vec<(Option<String>, RecordBatch)>, arrow::error::ArrowError> {
    let times = received(batch).map(|column| column.values().to_vec()).unwrap_or_default();
    let mut days: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, time) in (0..).zip(times) {
        days.entry(time.div_euclid(DAY_US)).or_default().push(row);
    }
    let text = |day: i64| Timestamp::from_micros(day * DAY_US).to_string().chars().take_while(|letter| *letter != 'T').collect();
    if let [(day, _)] = days.iter().collect::<Vec<_>>()[..] {
        return Ok(vec![(Some(text(*day)), batch.clone())]);
    }
    days.into_iter().map(|(day, rows)| Ok((Some(text(day)), take_record_batch(batch, &UInt32Array::from(rows))?))).collect()
}

fn received(batch: &RecordBatch) -> Option<&arrow::array::PrimitiveArray<TimestampMicrosecondType>> {
    let column = batch.column_by_name("received_at")?;
    matches!(column.data_type(), DataType::Timestamp(..)).then(|| column.as_primitive())
}

/// The statistics of the Delta protocol (section *Per-file Statistics*) for the columns that people filter by.
fn stats(batch: &RecordBatch) -> String {
    let nulls: HashMap<&str, usize> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().as_str(), column.null_count()))
        .collect();
    let mut stats = serde_json::json!({ "numRecords": batch.num_rows(), "nullCount": nulls });
    if let Some(times) = received(batch)
        && let (Some(low), Some(high)) = (min(times), max(times))
    {
        stats["minValues"] = serde_json::json!({ "received_at": Timestamp::from_micros(low).to_string() });
        stats["maxValues"] = serde_json::json!({ "received_at": Timestamp::from_micros(high).to_string() });
    }
    stats.to_string()
}

fn parquet_bytes(batch: &RecordBatch) -> Result<Vec<u8>> {
    let level = ZstdLevel::try_new(3).map_err(|error| Error::internal("zstd level 3 is refused").because(error))?;
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(level)).set_max_row_group_row_count(Some(131_072)).build();
    let broken = |error| Error::internal("cannot encode Parquet").because(error);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).map_err(broken)?;
    writer.write(batch).map_err(broken)?;
    writer.into_inner().map_err(broken)
}
