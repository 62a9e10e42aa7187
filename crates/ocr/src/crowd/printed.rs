//! What is printed in each word's box, as the simulated workers see it.
//!
//! true pages + the server's pages → aligned → task → printed text; or a map that the caller has already

use std::collections::HashMap;

use record::{Error, Result};
use serde::Deserialize;

use super::{connection::Connection, word::WordView};
use crate::convention::Convention;

/// The printed text of each task, under the collection's convention.
#[derive(Clone, Debug)]
pub struct PrintedWords {
    of_task: HashMap<String, Option<String>>,
    convention: Convention,
}

/// A word with both texts folded.
pub(super) struct SeenWord<'a> {
    shown: String,
    printed: Option<&'a str>,
}

#[derive(Deserialize)]
struct Collections {
    collections: Vec<Collection>,
}

#[derive(Deserialize)]
struct Collection {
    name: String,
}

impl PrintedWords {
    /// From pairs of a task's id and what is printed there: none, one word, or several with blanks between. Workers compare and
    /// write under the convention, as readers are told to.
    pub fn new(convention: Convention, of_task: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let of_task = of_task.into_iter().map(|(task, printed)| (task, printed.map(|text| convention.apply(&text)))).collect();
        Self { of_task, convention }
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.of_task.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of_task.is_empty()
    }

    /// The task with its shown text, as a worker sees it; none when nobody knows what is printed there.
    pub(super) fn look(&self, task_id: &str, shown: &str) -> Option<SeenWord<'_>> {
        self.of_task.get(task_id).map(|printed| SeenWord { shown: self.convention.apply(shown), printed: printed.as_deref() })
    }
}

impl SeenWord<'_> {
    pub fn word<'w>(&'w self, task_id: &'w str) -> WordView<'w> {
        WordView { task_id, shown: &self.shown, printed: self.printed }
    }
}

/// The collection to read: the one wanted, or the only one that the server has.
pub(super) async fn choose_collection(connection: &Connection, wanted: Option<&str>) -> Result<String> {
    let reply = connection.get(connection.address(&["v1", "collections"], &[]), None).await?;
    let names: Vec<String> = reply.json::<Collections>("GET /v1/collections")?.collections.into_iter().map(|one| one.name).collect();
    let known = || names.join(", ");
    match (wanted, names.as_slice()) {
        (Some(wanted), _) if names.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(Error::invalid("the server has no such collection").with("wanted", wanted).with("it_has", known())),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Error::invalid("the server has no collection: import one first")),
        (None, _) => Err(Error::invalid("the server has several collections: name one").with("it_has", known())),
    }
}
