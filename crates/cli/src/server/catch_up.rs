//! The live state as the table and the journal's tail tell it. A server does this at its start; `report` and `export` do it on a folder
//! that no server owns.

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use lake::Lake;
use ocr::{
    answer::Answer,
    collection::Collection,
    live::{self, Live},
    task::Label,
};
use queue::journal::Journal;
use record::{Clock, Error, Partition, SystemClock, Tail, Topic};

use super::{journal_config, selection_of};
use crate::{folder::Folder, settings::Settings};

/// The table's address: as set, else a folder in the data folder.
pub fn lake_url(settings: &Settings, folder: &Folder) -> String {
    settings.lake.clone().unwrap_or_else(|| folder.join("lake").display().to_string())
}

/// The collections of a folder, without answers.
///
/// # Errors
/// As [`Collection::open_all`].
pub fn open_collections(folder: &Folder, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Arc<Live>> {
    let live = Arc::new(Live::new(clock.clone()));
    for collection in Collection::open_all(&folder.join("collections"))? {
        live.add(&collection, selection_of(settings));
    }
    Ok(live)
}

/// The state of all collections, without serving anybody. Makes no journal and no table: a folder that was never served has no answers,
/// which is told.
///
/// # Errors
/// `Invalid` when the tables were named and are not there; else what opening the folder's parts gives.
pub async fn load_live(folder: &Folder, settings: &Settings) -> Result<Arc<Live>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let live = open_collections(folder, settings, &clock)?;
    let url = lake_url(settings, folder);
    let has_tables = is_there(&url);
    if !has_tables && settings.lake.is_some() {
        return Err(Error::invalid("there are no tables at this address").with("lake", url).into());
    }
    let journal_folder = folder.join("journal");
    let journal = journal_folder.is_dir().then(|| Journal::open(&journal_folder, journal_config(settings), clock.clone())).transpose()?;
    let lake = if has_tables { Some(Lake::open(&url, lake::Config::default(), clock).await?) } else { None };
    let cursor = match (&lake, &journal) {
        (Some(lake), Some(journal)) => count_table(&live, lake, Some(&only_partition(journal)?)).await?,
        (Some(lake), None) => count_table(&live, lake, None).await?,
        (None, _) => 0,
    };
    if let Some(journal) = &journal {
        live.follow(journal, &only_partition(journal)?, cursor)?;
        queue::Queue::close(journal).await?;
    }
    if live.names().iter().all(|name| live.get(name).is_ok_and(|live| live::lock(&live).answers() == 0)) {
        crate::console::say("no answers yet: `crowdread serve` lets people give some");
    }
    live.refresh();
    Ok(live)
}

/// Whether there may be tables at an address: a folder on this machine is looked for.
pub fn is_there(url: &str) -> bool {
    lake_folder(url).is_none_or(|folder| folder.is_dir())
}

/// The folder of tables on this machine; `None` for an address of another kind.
pub fn lake_folder(url: &str) -> Option<PathBuf> {
    match url.split_once("://") {
        None => Some(PathBuf::from(url)),
        Some(("file", path)) => Some(PathBuf::from(path)),
        Some(_) => None,
    }
}

/// Counts every answer in the table, then those that are stored and not landed; gives where the queue's tail goes on.
///
/// # Errors
/// What reading the table and the journal gives.
pub async fn catch_up(live: &Live, lake: &Lake, journal: &Journal) -> Result<(Partition, u64)> {
    let partition = only_partition(journal)?;
    let cursor = count_table(live, lake, Some(&partition)).await?;
    let next = live.follow(journal, &partition, cursor)?;
    Ok((partition, next))
}

/// Counts every answer in the table, if there is one; gives up to which offset of the partition it holds them.
async fn count_table(live: &Live, lake: &Lake, partition: Option<&Partition>) -> Result<u64> {
    let Some(table) = lake.existing_table(Topic::answers().as_str()).await? else { return Ok(0) };
    let mut odd = 0_u64;
    analysis::answers::each_answer(&table, &mut |row| match label(&row.label) {
        Some(label) => live.count(row.record_id, &answer(&row, label), row.received_at),
        None => odd += 1,
    })
    .await?;
    if odd > 0 {
        tracing::error!(rows = odd, "rows of the table answers have a label that is none");
    }
    let Some(partition) = partition else { return Ok(0) };
    Ok(table.cursor(&partition.cursor_id(&Topic::answers())).await?.unwrap_or(0))
}

fn only_partition(journal: &Journal) -> Result<Partition> {
    journal.partitions().into_iter().next().ok_or_else(|| Error::internal("the journal has no partition").into())
}

fn label(name: &str) -> Option<Label> {
    [Label::Right, Label::Wrong, Label::Unreadable, Label::NotOneWord].into_iter().find(|label| label.as_str() == name)
}

fn answer(row: &analysis::answers::AnswerRow, label: Label) -> Answer {
    Answer {
        collection: row.collection.clone(),
        task_id: row.task_id.clone(),
        reading_id: row.reading_id.clone(),
        worker_id: row.worker_id.clone(),
        lease_id: row.lease_id.clone(),
        label,
        text: row.text.clone(),
        shown_at: row.shown_at.map(record::Timestamp::as_micros),
        answered_at: row.answered_at.as_micros(),
        late: row.late,
    }
}
