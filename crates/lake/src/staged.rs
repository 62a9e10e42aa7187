//! The files of a local table, with a log whose entries have their bytes on stable storage before they have their names.
//!
//! object_store gives a new file its name and leaves the rest to the kernel, which may write the name first: a power cut then leaves an
//! entry without its bytes, of a commit that nobody was told of, and the table cannot be read any more until a person looks.
//! [`Lake`](crate::Lake) puts this under every local table. What stays when its writer dies is swept (`durable`).

use std::{
    fmt, fs,
    fs::File,
    io::{self, ErrorKind, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result, local::LocalFileSystem, path::Path as StorePath,
};

use crate::Fsync;

/// The local file system, from its root.
pub(crate) struct Staged {
    files: LocalFileSystem,
    fsync: Fsync,
}

impl Staged {
    pub(crate) fn new(fsync: Fsync) -> Self {
        Self { files: LocalFileSystem::new(), fsync }
    }
}

/// Whether a path is one of a table's log.
fn is_of_log(location: &StorePath) -> bool {
    location.parts().rev().nth(1).is_some_and(|folder| folder.as_ref() == "_delta_log")
}

/// Writes a file under another name, makes it durable, and gives it its own name, over a file of that name only if it may.
fn put(path: &Path, payload: &PutPayload, may_replace: bool, fsync: &Fsync) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let staged = folder.join(format!("_commit_{:032x}.json.tmp", u128::from_le_bytes(random)));
    let made = match File::create_new(&staged) {
        // A table that is being made.
        Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir_all(folder).and_then(|()| File::create_new(&staged)),
        made => made,
    };
    let written = made.and_then(|mut file| payload.iter().try_for_each(|part| file.write_all(part)));
    let named = written.and_then(|()| fsync(&staged)).and_then(|()| match may_replace {
        true => fs::rename(&staged, path),
        false => fs::hard_link(&staged, path),
    });
    if named.is_err() || !may_replace {
        // What stays is swept.
        let _ = fs::remove_file(&staged);
    }
    named
}

#[async_trait]
impl ObjectStore for Staged {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let may_replace = matches!(options.mode, PutMode::Overwrite);
        if !is_of_log(location) || !(may_replace || matches!(options.mode, PutMode::Create)) {
            return self.files.put_opts(location, payload, options).await;
        }
        let (path, fsync) = (self.files.path_to_filesystem(location)?, Arc::clone(&self.fsync));
        let named = tokio::task::spawn_blocking(move || put(&path, &payload, may_replace, &fsync)).await?;
        named.map(|()| PutResult { e_tag: None, version: None }).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::AlreadyExists { path: location.to_string(), source: error.into() },
            _ => Error::Generic { store: "LocalFileSystem", source: error.into() },
        })
    }

    async fn put_multipart_opts(&self, location: &StorePath, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &StorePath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&StorePath>, offset: &StorePath) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &StorePath, to: &StorePath, options: RenameOptions) -> Result<()> {
        self.files.rename_opts(from, to, options).await
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Staged").field("files", &self.files).finish_non_exhaustive()
    }
}

impl fmt::Display for Staged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.files)
    }
}
