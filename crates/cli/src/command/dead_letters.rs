//! `crowdread dead-letters list|retry`

use anyhow::Result;
use clap::Subcommand;
use collector::admin::{Rejected, Retry};
use lake::{DeadLetter, Lake, Stage};
use record::{Error, RecordId, RejectionTag, SystemClock, Topic};
use reqwest::Method;
use serde_json::{Value, json};

use super::{LakePlace, Source, open, runtime};
use crate::{
    console::{print, say},
    folder::Owner,
    owner, server,
    settings::Settings,
};

/// Reasons that are told.
const REASONS_MAX: usize = 20;
/// Records sent again in one request.
const RETRY_RECORDS_MAX: usize = 500;
/// Their payloads together, in bytes.
const RETRY_BYTES_MAX: usize = 1 << 20;

/// Look at records that were rejected, and send them again once the topic takes them
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List them, those that were sent again left out. They are in the table some seconds after they came
    List {
        #[command(flatten)]
        place: LakePlace,
        #[command(flatten)]
        wanted: Wanted,
        /// Show at most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Print one JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Send them again to the running server, each under the id that it had. What is stored is not listed any more
    Retry {
        #[command(flatten)]
        place: LakePlace,
        #[command(flatten)]
        wanted: Wanted,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
    },
}

/// Which of them.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// Those of one topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Those with one reason, such as schema_mismatch
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// The one with this record id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// The same, checked.
struct Filter {
    topic: Option<Topic>,
    tag: Option<String>,
    id: Option<RecordId>,
}

impl Wanted {
    fn filter(self) -> record::Result<Filter> {
        let topic = self.topic.as_deref().map(Topic::parse).transpose()?;
        Ok(Filter { topic, tag: self.tag, id: self.id.as_deref().map(RecordId::parse).transpose()? })
    }
}

impl Filter {
    fn takes_all(&self) -> bool {
        self.topic.is_none() && self.tag.is_none() && self.id.is_none()
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        self.topic.as_ref().is_none_or(|topic| *topic == letter.topic)
            && self.tag.as_ref().is_none_or(|tag| *tag == letter.tag)
            && self.id.is_none_or(|id| id == letter.id)
    }
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List { place, wanted, limit, json } => {
            let filter = wanted.filter()?;
            let (letters, more) = runtime()?.block_on(list(&place.settings()?, &filter, limit as usize))?;
            for letter in &letters {
                print(if json { as_json(letter).to_string() } else { as_text(letter) })?;
            }
            match (letters.len(), more) {
                (0, _) if filter.takes_all() => say("no dead letters"),
                (0, _) => say("no dead letters of this kind"),
                (_, true) => say(format_args!("there are more than {limit}: --limit N shows more, --topic, --tag and --id fewer")),
                _ => {}
            }
            Ok(())
        }
        Command::Retry { place, wanted, json } => {
            let filter = wanted.filter()?;
            let settings = place.settings()?;
            let Source::Server(server) = open(&settings.data)? else {
                return Err(
                    Error::invalid("no server runs on this folder: start `crowdread serve`, which takes them, and try again").into()
                );
            };
            let told = runtime()?.block_on(retry(&server, &filter))?;
            if json {
                print(json!({ "stored": told.stored, "rejected": told.rejected, "left_out": told.left_out }))?;
            } else {
                told.reasons.iter().for_each(|reason| say(format_args!("  {reason}")));
                print(format_args!("{} stored, {} rejected again, {} left out", told.stored, told.rejected, told.left_out))?;
            }
            match told.rejected {
                0 => Ok(()),
                rejected => Err(Error::invalid("some were rejected again: their topic does not take them as they are")
                    .with("rejected", rejected)
                    .into()),
            }
        }
    }
}

/// The letters that are wanted, and whether there are more.
async fn list(settings: &Settings, filter: &Filter, limit: usize) -> Result<(Vec<DeadLetter>, bool)> {
    // A server knows where its tables are; for the time of a look its folder may be had without it.
    let url = match open(&settings.data)? {
        Source::Server(server) => server.lake,
        Source::Folder(folder) => server::lake_url(settings, &folder),
    };
    let (mut letters, mut more) = (Vec::new(), false);
    let take = |letter: DeadLetter| {
        if filter.takes(&letter) {
            more = letters.len() == limit;
            if !more {
                letters.push(letter);
            }
        }
        !more
    };
    each(&url, take).await?;
    Ok((letters, more))
}

/// Gives out the letters of the tables at an address, one by one, until there is enough.
async fn each(url: &str, take: impl FnMut(DeadLetter) -> bool + Send) -> Result<()> {
    if !server::is_there(url) {
        return Err(Error::invalid("there are no tables here yet: `crowdread serve` makes them").with("lake", url).into());
    }
    let lake = Lake::open(url, lake::Config::default(), std::sync::Arc::new(SystemClock::new())).await?;
    if let Some(table) = lake.existing_table("dead_letters").await? {
        lake::each_dead_letter(&table, &mut { take }).await?;
    }
    Ok(())
}

#[derive(Default)]
struct Told {
    stored: u64,
    rejected: u64,
    left_out: u64,
    /// The first reasons, each once.
    reasons: Vec<String>,
}

/// Sends them in requests of a bounded size, as the table is read.
async fn retry(server: &Owner, filter: &Filter) -> Result<Told> {
    let (mut told, mut next) = (Told::default(), Batch::default());
    let mut sent = Ok(());
    let here = tokio::runtime::Handle::current();
    let take = |letter: DeadLetter| {
        if filter.takes(&letter) {
            next.add(letter, &mut told);
        }
        if next.is_full() {
            sent = tokio::task::block_in_place(|| here.block_on(told.send(server, std::mem::take(&mut next))));
        }
        sent.is_ok()
    };
    each(&server.lake, take).await?;
    sent?;
    told.send(server, next).await?;
    Ok(told)
}

/// The records of one request.
#[derive(Default)]
struct Batch {
    records: Vec<Rejected>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, letter: DeadLetter, told: &mut Told) {
        if let Err(why) = can_be_sent(&letter) {
            told.left_out += 1;
            return told.note(format!("{}: {why}", letter.topic));
        }
        let payload = String::from_utf8_lossy(&letter.payload).into_owned();
        // As the request has them: a control character takes six bytes there.
        self.bytes += serde_json::to_string(&payload).map_or(6 * payload.len(), |text| text.len());
        self.records.push(Rejected { topic: letter.topic.to_string(), record_id: letter.id, payload });
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RETRY_RECORDS_MAX || self.bytes >= RETRY_BYTES_MAX
    }
}

/// What would be rejected for ever is not sent.
fn can_be_sent(letter: &DeadLetter) -> Result<(), &'static str> {
    if letter.topic == Topic::answers() {
        return Err("an answer can be sent by its worker alone");
    }
    if letter.tag == RejectionTag::IdReused.as_str() {
        return Err("another record has its id");
    }
    let is_cut = letter.message.ends_with(" are kept)") && letter.message.contains(" bytes the first ");
    if is_cut || letter.message.contains("shown as U+FFFD)") {
        return Err("its payload is not whole");
    }
    Ok(())
}

impl Told {
    fn note(&mut self, reason: String) {
        let reason = cleaned(&reason);
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    async fn send(&mut self, server: &Owner, Batch { records, .. }: Batch) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let answer: Value = owner::send(server, Method::POST, "/v1/dead-letters/retry", Some(&Retry { records })).await?;
        for run in answer["outcomes"].as_array().into_iter().flatten() {
            let count = run["to"].as_u64().unwrap_or(0) + 1 - run["from"].as_u64().unwrap_or(0);
            match run["outcome"].as_str() {
                Some("stored") => self.stored += count,
                Some("rejected") => {
                    self.rejected += count;
                    self.note(format!("{}: {}", run["tag"].as_str().unwrap_or_default(), run["message"].as_str().unwrap_or_default()));
                }
                _ => {
                    let told = Error::unavailable("the server cannot store now: try again later");
                    return Err(told.with("stored so far", self.stored).into());
                }
            }
        }
        Ok(())
    }
}

fn stage(letter: &DeadLetter) -> &'static str {
    match letter.stage {
        Stage::Door => "door",
        Stage::Loader => "loader",
    }
}

/// Messages quote what strangers sent.
fn cleaned(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn as_text(letter: &DeadLetter) -> String {
    let payload: String = String::from_utf8_lossy(&letter.payload).chars().take(200).flat_map(char::escape_debug).collect();
    let message = cleaned(&letter.message);
    format!(
        "{}  {}  {}  {}\n  {} ({}, {})\n  {payload}",
        letter.received_at,
        letter.topic,
        letter.id,
        letter.tag,
        message,
        letter.door,
        stage(letter)
    )
}

fn as_json(letter: &DeadLetter) -> Value {
    json!({
        "topic": letter.topic.as_str(), "record_id": letter.id, "received_at": letter.received_at.to_string(), "door": letter.door,
        "stage": stage(letter), "tag": letter.tag, "message": letter.message, "payload": String::from_utf8_lossy(&letter.payload),
        "receipt": letter.position.to_string(),
    })
}
