//! Settings: defaults, then a file, then the environment, then flags; later ones win. Every command that works on a data folder reads
//! them here, so that no two commands mean different folders; `crowdread config` prints them.
//!
//! layers → extract → check (`check`) → in force

mod check;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use collector::mqtt::Mapping;
use figment::{
    Figment, Metadata,
    providers::{Env, Format, Serialized, Toml},
    value::magic::RelativePathBuf,
};
use record::{Error, Result};
use serde::{Deserialize, Serialize};

/// The name of the settings file that is looked for in the working folder.
pub const FILE: &str = "crowdread.toml";
/// What the names of settings in the environment begin with.
const PREFIX: &str = "CROWDREAD_";
/// A variable with the prefix that is no setting: which log lines are shown.
const LOG_VARIABLE: &str = "CROWDREAD_LOG";

/// All settings of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// The address to listen on.
    pub listen: String,
    /// Where the tables are: a folder or an address; `DATA/lake` where nothing is said.
    pub lake: Option<String>,
    /// The address that the QR code shows, where it is not the one listened on (behind a proxy).
    pub join_url: Option<String>,
    /// Bounds of what a door takes.
    pub doors: Doors,
    /// Topics beside the built-in ones, by name; and what is changed of the built-in topic `events`.
    pub topics: BTreeMap<String, Topic>,
    /// What is kept of rejected records.
    pub dead_letters: DeadLetters,
    /// How words are chosen.
    pub selection: Selection,
    /// The journal.
    pub journal: Journal,
    /// The loader.
    pub loader: Loader,
}

/// Bounds of what a door takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doors {
    /// The largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// The origins whose pages may send records and read the answers, such as `https://pages.example`; `*` for all.
    pub cors_origins: Vec<String>,
    /// Records a second that one address may bring to topics that need no token; 0 for no limit. This machine has none.
    pub address_records_per_second_max: u32,
    /// Records a second that may come with one write token; 0 for no limit.
    pub token_records_per_second_max: u32,
    /// The most connections of each door at a time; where nothing is said 16,384, or as many as the limit of open files lets it have.
    pub connections_max: Option<usize>,
    /// The certificate, and the socket for HTTP with it.
    pub tls: Tls,
    /// The MQTT door.
    pub mqtt: Mqtt,
    /// The NNG door.
    pub nng: Nng,
}

/// TLS: the certificate of all doors, and HTTP's socket with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The address to listen on for HTTP over TLS, beside `listen`; without one there is none.
    pub listen: Option<String>,
    /// The file of the certificate, followed by those that it was signed with; its place is told from the settings file's own.
    #[serde(serialize_with = "relative")]
    pub certificate: Option<RelativePathBuf>,
    /// The file of its private key; likewise.
    #[serde(serialize_with = "relative")]
    pub key: Option<RelativePathBuf>,
}

/// The MQTT door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// The address to listen on; without one the door stays shut.
    pub listen: Option<String>,
    /// The same for TLS.
    pub tls_listen: Option<String>,
    /// Which of MQTT's topics are ours, beside those that have our topics' names.
    pub topics: Vec<Mapping>,
}

/// The NNG door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nng {
    /// The address to listen on, as NNG writes it: `tcp://IP:PORT` or `ipc:///PATH`; without one the door stays shut.
    pub listen: Option<String>,
    /// The topic of requests that name none.
    pub topic: String,
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// The file of the JSON Schema that its records keep to; its place is told from the settings file's own. Without one the topic takes
    /// any JSON object, and keeps it as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "relative")]
    pub schema: Option<RelativePathBuf>,
    /// The largest record, in bytes.
    #[serde(default = "record_bytes_max")]
    pub record_bytes_max: usize,
    /// Whether anybody may write to it; else a write token is needed (`crowdread token create`).
    #[serde(default)]
    pub open: bool,
}

fn relative<S: serde::Serializer>(path: &Option<RelativePathBuf>, out: S) -> std::result::Result<S::Ok, S::Error> {
    match path {
        Some(path) => path.serialize_relative(out),
        None => out.serialize_none(),
    }
}

fn record_bytes_max() -> usize {
    64 * 1024
}

/// What is kept of rejected records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// Of one topic, in bytes a day.
    pub bytes_per_day_max: u64,
    /// Of one topic at once, in bytes.
    pub burst_bytes_max: u64,
}

/// How words are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Most answers for one word.
    pub answers_max: u32,
    /// Fewest answers for one word.
    pub answers_min: u32,
    /// Answers for a word of the census share.
    pub census_answers: u32,
    /// How long a lease runs, in seconds.
    pub lease_seconds: u32,
}

/// The journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The size of a segment file, in bytes.
    pub segment_bytes: u64,
    /// So many bytes of the disk are left free; beyond that answers are refused for the time being.
    pub headroom_bytes_min: u64,
}

/// The loader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loader {
    /// The longest time that a stored record waits for its commit, in milliseconds.
    pub roll_age_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let selection = ocr::selection::Config::default();
        let journal = queue::journal::Config::default();
        let letters = collector::letters::Config::default();
        let rates = collector::rates::Config::default();
        Self {
            data: "crowdread-data".into(),
            listen: "127.0.0.1:8080".to_owned(),
            lake: None,
            join_url: None,
            doors: Doors {
                body_bytes_max: 1 << 20,
                cors_origins: Vec::new(),
                address_records_per_second_max: rates.address_records_per_second_max,
                token_records_per_second_max: rates.token_records_per_second_max,
                connections_max: None,
                tls: Tls::default(),
                mqtt: Mqtt { listen: None, tls_listen: None, topics: Vec::new() },
                nng: Nng { listen: None, topic: collector::nng::Config::default().topic },
            },
            topics: BTreeMap::from([("events".to_owned(), Topic { schema: None, record_bytes_max: record_bytes_max(), open: true })]),
            dead_letters: DeadLetters { bytes_per_day_max: letters.bytes_per_day_max, burst_bytes_max: letters.burst_bytes_max },
            selection: Selection {
                answers_max: selection.answers_max,
                answers_min: selection.answers_min,
                census_answers: selection.census_answers,
                lease_seconds: u32::try_from(selection.lease_micros / 1_000_000).unwrap_or(u32::MAX),
            },
            journal: Journal { segment_bytes: journal.segment_bytes, headroom_bytes_min: journal.headroom_bytes_min },
            loader: Loader { roll_age_ms: 10_000 },
        }
    }
}

/// What flags say; what they do not say is left to the layers below.
#[derive(Clone, Debug, Default, Serialize, clap::Args)]
pub struct Flags {
    /// The data folder [default: ./crowdread-data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where the tables are: a folder [default: DIR/lake]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lake: Option<String>,
    /// The address that the QR code shows, behind a proxy
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_url: Option<String>,
    /// The settings file [default: ./crowdread.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// The layers of settings, later ones over earlier ones.
///
/// # Errors
/// `Invalid` when a settings file is named and not there.
fn layers(flags: &Flags) -> Result<Figment> {
    let defaults = Figment::from(Serialized::defaults(Settings::default()));
    let with_file = match &flags.config {
        Some(path) if !path.is_file() => {
            return Err(Error::invalid("there is no such settings file").with("file", path.display()));
        }
        Some(path) => defaults.merge(Toml::file_exact(path)),
        None if Path::new(FILE).is_file() => defaults.merge(Toml::file_exact(FILE)),
        None => defaults,
    };
    let environment = Env::prefixed(PREFIX).split("__").filter(|name| is_setting(name.as_str()));
    Ok(with_file.merge(environment).merge(Serialized::defaults(flags)))
}

/// The prefix is also that of variables for logs and tests, so only the names of settings are looked at.
fn is_setting(name: &str) -> bool {
    const TOPS: [&str; 10] = ["data", "listen", "lake", "join_url", "doors", "topics", "dead_letters", "selection", "journal", "loader"];
    let top = name.split('.').next().unwrap_or_default();
    TOPS.iter().any(|known| known.eq_ignore_ascii_case(top))
}

/// Variables with the prefix that are no settings: misspelt ones would be passed over in silence.
fn unknown_variables<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let unknown = |name: &&str| {
        let rest = name.strip_prefix(PREFIX).filter(|_| *name != LOG_VARIABLE);
        rest.is_some_and(|rest| !is_setting(&rest.replace("__", ".")))
    };
    names.filter(unknown).collect()
}

/// The settings in force, checked.
///
/// # Errors
/// `Invalid` names the setting, what was found, where it came from, and what was expected.
pub fn load(flags: &Flags) -> Result<Settings> {
    let names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    for name in unknown_variables(names.iter().map(String::as_str)) {
        tracing::warn!("the environment's {name} is no setting and is not looked at; `crowdread config` shows the settings");
    }
    let layers = layers(flags)?;
    let settings: Settings = layers.extract().map_err(|error| {
        let from = error.metadata.as_ref().map(|origin| origin_of(origin, &error.path.join("."), flags));
        let wrong = Error::invalid("a setting cannot be used").with("setting", error.path.join("."));
        from.map_or_else(|| Error::invalid("a setting cannot be used"), |from| wrong.with("from", from)).because(error.kind.to_string())
    })?;
    match check::first_wrong(&settings) {
        None => Ok(settings),
        Some(wrong) => {
            let from = layers.find_metadata(&wrong.setting).map_or_else(|| "default".to_owned(), |of| origin_of(of, &wrong.setting, flags));
            Err(Error::invalid("a setting cannot be used")
                .with("setting", wrong.setting)
                .with("found", wrong.found)
                .with("from", from)
                .with("expected", wrong.expected))
        }
    }
}

/// Each setting in force as `name = value  # where it came from`.
///
/// # Errors
/// As [`load`].
pub fn explain(flags: &Flags) -> Result<String> {
    let settings = load(flags)?;
    let layers = layers(flags)?;
    let value = serde_json::to_value(&settings).map_err(|error| Error::internal("settings cannot be shown").because(error))?;
    let mut lines = Vec::new();
    walk("", &value, &mut |name, value| {
        let origin = layers.find_metadata(name).map_or_else(|| "default".to_owned(), |origin| origin_of(origin, name, flags));
        // A setting that has no value yet, as TOML would have it: left out.
        let line = if value.is_null() { format!("# {name} is not set") } else { format!("{name} = {value}") };
        lines.push(format!("{line:<40} # {origin}"));
    });
    Ok(lines.join("\n"))
}

/// Where a setting came from, in the words in which a person would change it.
fn origin_of(origin: &Metadata, name: &str, flags: &Flags) -> String {
    match &origin.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if origin.name.contains("environment") => format!("environment {PREFIX}{}", name.to_uppercase().replace('.', "__")),
        _ if flag_is_set(flags, name) => format!("flag --{}", name.replace('_', "-")),
        _ => "default".to_owned(),
    }
}

fn flag_is_set(flags: &Flags, name: &str) -> bool {
    serde_json::to_value(flags).is_ok_and(|flags| flags.get(name).is_some())
}

fn walk(prefix: &str, value: &serde_json::Value, tell: &mut dyn FnMut(&str, &serde_json::Value)) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                walk(&name, value, tell);
            }
        }
        value => tell(prefix, value),
    }
}
