//! The active files as record batches, one file open at a time, in bounded memory. SQL and inference read through this.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::Schema,
};
use bytes::Bytes;
use deltalake::Path as StorePath;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::ArrowReaderOptions,
        async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder},
    },
    errors::ParquetError,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use record::{Error, Result};

use crate::{table::Table, writer::DataFile};

/// The rows of a scan.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

impl Table {
    /// Reads the active files of the newest commit; the columns named, in the order named, or all of them.
    ///
    /// # Errors
    /// `Invalid` for a column that is not there; `Unavailable` when the log cannot be read. The stream's own errors are
    /// `Unavailable` or, for a file that is no Parquet, `Corrupt`.
    pub async fn scan(&self, columns: Option<&[&str]>) -> Result<BatchStream> {
        let files = self.snapshot().await?.files;
        self.scan_files(files, columns)
    }

    /// Reads some files of a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn scan_files(&self, files: Vec<DataFile>, columns: Option<&[&str]>) -> Result<BatchStream> {
        let wanted = match columns {
            None => self.schema(),
            Some(names) => {
                let fields = names.iter().map(|name| {
                    let missing = |_| Error::invalid("the table has no such column").with("table", &self.name).with("column", name);
                    self.schema.field_with_name(name).cloned().map_err(missing)
                });
                Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?))
            }
        };
        let table = self.clone();
        let batches = stream::iter(files).then(move |file| {
            let (table, wanted) = (table.clone(), Arc::clone(&wanted));
            async move { table.read_file(file, wanted).await }
        });
        Ok(batches.try_flatten().boxed())
    }

    async fn read_file(&self, file: DataFile, wanted: Arc<Schema>) -> Result<BatchStream> {
        let name = Arc::clone(&self.name);
        let (path, bytes) = (StorePath::from(file.path.as_str()), file.bytes);
        let reader = FileReader { store: Arc::clone(&self.store), path: path.clone(), bytes };
        let broken = move |error: ParquetError| {
            let error = match error {
                ParquetError::External(_) => Error::unavailable("cannot read a data file").because(error),
                _ => Error::corrupt("a data file is damaged").because(error),
            };
            error.with("table", &name).with("file", &file.path)
        };
        let opened = ParquetRecordBatchStreamBuilder::new(reader).await;
        if opened.is_err() {
            self.check_size(&path, bytes).await?;
        }
        let builder = opened.map_err(&broken)?;
        let present: Vec<&str> = wanted.fields().iter().map(|field| field.name().as_str()).collect();
        let mask = ProjectionMask::columns(builder.parquet_schema(), present);
        let rows_max = self.lake.shared.config.scan_rows_max;
        let batches = builder.with_projection(mask).with_batch_size(rows_max).build().map_err(&broken)?;
        Ok(batches.map(move |batch| fitted(&batch.map_err(&broken)?, &wanted)).boxed())
    }
}

impl Table {
    /// Whether a file that cannot be read is there as it was committed.
    ///
    /// # Errors
    /// `Corrupt` when it is gone or has another size: the store answers, and what it has is not what the log says.
    async fn check_size(&self, path: &StorePath, bytes: u64) -> Result<()> {
        let lost = |what: &'static str| Error::corrupt(what).with("table", &self.name).with("file", path);
        match self.store.head(path).await {
            Err(object_store::Error::NotFound { .. }) => Err(lost("a data file is gone")),
            Ok(found) if found.size != bytes => {
                Err(lost("a data file has another size than its commit says").with("bytes", found.size).with("bytes_committed", bytes))
            }
            _ => Ok(()),
        }
    }
}

/// A batch with exactly the wanted columns: one that came to the table after the file was written is null.
fn fitted(batch: &RecordBatch, wanted: &Arc<Schema>) -> Result<RecordBatch> {
    let columns = wanted.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns.collect(), &options)
        .map_err(|error| Error::corrupt("a data file does not fit its table").because(error))
}

/// One data file of a store, for the Parquet reader.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: StorePath,
    bytes: u64,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { Ok(self.store.get_range(&self.path, range).await?) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { Ok(self.store.get_ranges(&self.path, &ranges).await?) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let options = options.map(|options| options.metadata_options().clone());
            let bytes = self.bytes;
            let metadata = ParquetMetaDataReader::new().with_metadata_options(options).load_and_finish(self, bytes).await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}
