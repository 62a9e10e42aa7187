//! What the loader is asked: by the owner of the folder beside a server, or by a command that has the folder to itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use collector::{
    admin::{Asked, Question},
    api::OWNER,
};
use futures::FutureExt;
use lake::Lake;
use loader::{Audit, Handle, Loader};
use queue::{Queue, journal::Journal};
use record::{Api, Clock, Credential, Error, Operation, SystemClock, TopicSchema};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{catch_up, journal_config, topics};
use crate::{folder::Folder, settings::Settings};

/// Where a server is asked whether its books balance.
pub const AUDIT_PATH: &str = "/v1/audit";
/// Where a server is asked to keep its journal as it is for a while.
pub const HOLD_PATH: &str = "/v1/hold";

/// A hold that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The one that is to last on; a new one where there is none.
    pub hold: Option<u64>,
    /// For how long from now; 0 ends it.
    #[schema(maximum = 600)]
    pub seconds: u64,
}

/// What the owner may ask of a server's loader.
pub fn questions(loader: &Handle) -> Vec<(&'static str, Asked, Question)> {
    let asked = loader.clone();
    let audit: Question = Arc::new(move |_| {
        let loader = asked.clone();
        async move { as_json(&loader.audit().await?) }.boxed()
    });
    let asked = loader.clone();
    let hold: Question = Arc::new(move |body| {
        let loader = asked.clone();
        async move {
            let Hold { hold, seconds } =
                serde_json::from_value(body).map_err(|error| Error::invalid("this asks for no hold").because(error))?;
            let held = match hold {
                None => loader.hold(seconds).await?,
                Some(hold) => loader.renew(hold, seconds)?,
            };
            as_json(&held)
        }
        .boxed()
    });
    vec![(AUDIT_PATH, Asked::Get, audit), (HOLD_PATH, Asked::Post, hold)]
}

/// Describes these addresses.
pub fn api() -> Api {
    let mut api = Api::default();
    let (audit, hold, held) = (api.schema::<Audit>(), api.schema::<Hold>(), api.schema::<loader::Held>());
    let owner = |operation: Operation| {
        operation.needs(Credential::Owner).refuses(&[
            (401, "`not_the_owner`: no bearer token was shown"),
            (403, "`not_the_owner`: the token is not the owner's"),
            (500, "`internal`, `corrupt`: the request failed; the server's log says why"),
            (503, "`unavailable`: it cannot be said now; `closed`: the server has to be restarted"),
        ])
    };
    api.add(
        owner(Operation::get(AUDIT_PATH, "audit", OWNER, "Whether the books balance"))
            .details("Counts again, from the tables. It waits until what was stored before it has landed, and may take minutes.")
            .answers_json(200, "What was found, whether it balances or not", audit),
    );
    api.add(
        owner(Operation::post(HOLD_PATH, "hold", OWNER, "Keep the journal as it is for a while, for a backup"))
            .body("application/json", hold, Some(serde_json::json!({ "seconds": 60 })))
            .answers_json(200, "The hold, and where the journal ends", held)
            .refuses(&[
                (400, "`bad_body`; `invalid`: another form, or tables that are in no folder of the server's machine"),
                (409, "`conflict`: the hold has lapsed"),
                (413, "`bad_body`"),
                (415, "`bad_body`: it is JSON"),
            ]),
    );
    api
}

fn as_json(value: &impl Serialize) -> record::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Error::internal("an answer is no JSON").because(error))
}

/// The folder of the tables, absolute: whoever asks may be elsewhere.
///
/// # Errors
/// `Invalid` for tables that are in no folder of this machine.
pub fn lake_folder(url: &str) -> record::Result<PathBuf> {
    let elsewhere = || Error::invalid("the tables are in no folder of this machine").with("lake", url);
    let folder = catch_up::lake_folder(url).ok_or_else(elsewhere)?;
    std::path::absolute(&folder).map_err(|error| elsewhere().because(error))
}

/// Lands what a folder's journal has, and compares it with the tables, without serving anybody.
///
/// # Errors
/// `Invalid` when nothing was ever stored there, or the tables are not where they are said to be; else what the loader gives.
pub async fn audit_folder(folder: &Folder, settings: &Settings) -> Result<Audit> {
    let (journal, url) = (folder.join("journal"), catch_up::lake_url(settings, folder));
    check_is_there(&journal, &url)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let lake = Lake::open(&url, lake::Config::default(), clock.clone()).await?;
    let queue = Arc::new(Journal::open(&journal, journal_config(settings), clock.clone())?);
    let declared = topics::declared(settings)?;
    let topics = [TopicSchema::answers()].into_iter().chain(declared.into_iter().map(|topic| topic.schema)).collect();
    let parts = loader::Parts { queue: queue.clone(), lake, topics, clock };
    // Whoever only wants to look must not change what is there by naming the wrong tables or settings.
    let config = loader::Config { is_strict: true, ..loader::Config::new(&folder.join("index")) };
    let (opened, handle) = Loader::open(parts, config).await?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(opened.run(shutdown.clone()));
    let audit = handle.audit().await;
    shutdown.cancel();
    // What ended the loader says more than that it has ended.
    running.await??;
    queue.close().await?;
    Ok(audit?)
}

/// # Errors
/// `Invalid` when there is no journal in the folder, or no tables at the address.
pub fn check_is_there(journal: &Path, url: &str) -> record::Result<()> {
    if !journal.is_dir() {
        return Err(Error::invalid("nothing was ever stored here: `crowdread serve` takes records").with("folder", journal.display()));
    }
    if !catch_up::is_there(url) {
        return Err(Error::invalid("there are no tables at this address").with("lake", url));
    }
    Ok(())
}
