//! Which tables there are beside those of the settings, and whether they are those that the folder knows. `run` asks when it opens.

use std::collections::{BTreeMap, HashMap};

use lake::{Lake, Table};
use record::{Error, Result, Topic, TopicSchema};

use crate::{index::Index, run::Parts};

/// The tables of topics that the loader is not told of: their topics may have been in the settings once.
pub(crate) async fn retired(lake: &Lake, topics: &HashMap<Topic, TopicSchema>) -> Result<BTreeMap<Topic, Table>> {
    let mut retired = BTreeMap::new();
    for name in lake.existing_tables().await? {
        let Ok(topic) = Topic::parse(&name) else { continue };
        if topic == Topic::dead_letters() || topics.contains_key(&topic) {
            continue;
        }
        if let Some(table) = lake.existing_table(&name).await? {
            retired.insert(topic, table);
        }
    }
    Ok(retired)
}

/// Before anything is made or changed: whether the tables are those that the index knows.
pub(crate) async fn check_strictly(parts: &Parts, index: &Index) -> Result<()> {
    let mut tables = BTreeMap::new();
    for schema in &parts.topics {
        match parts.lake.existing_table(schema.topic.as_str()).await? {
            Some(table) => drop(tables.insert(schema.topic.clone(), table)),
            None if index.knows(&schema.topic)? => {
                return Err(Error::corrupt("a table that was here is gone: it was deleted, or the tables are elsewhere (--lake)")
                    .with("table", &schema.topic));
            }
            None => {}
        }
    }
    if tables.is_empty() || parts.lake.existing_table(Topic::dead_letters().as_str()).await?.is_none() {
        return Err(Error::invalid("there are no tables of this folder here: name the place where they are with --lake"));
    }
    if index.is_of_others(&tables)? {
        return Err(Error::invalid("the folder's records are in other tables than these: name the place where they are with --lake"));
    }
    Ok(())
}
