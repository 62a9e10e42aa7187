//! What each setting may be. `load` asks once, so that a server never starts on settings that break it later.

use std::{net::SocketAddr, ops::RangeInclusive};

use figment::value::magic::RelativePathBuf;

use super::{Doors, Mqtt, Settings, Topic};

/// The smallest segment: the largest record (64 KiB) and a door's smallest body fit in many times.
const SEGMENT_BYTES: RangeInclusive<u64> = (4 << 20)..=(1 << 30);
/// A segment's size is a multiple of a page of memory.
const SEGMENT_BYTES_STEP: u64 = 4_096;
/// An append never spans two segments, and small records take up to three times their bytes there.
const SEGMENT_BODIES_MIN: u64 = 4;

/// What the journal takes of one record at most.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// A setting that cannot be.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its name, such as `loader.roll_age_ms`.
    pub setting: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// The first setting that cannot be used.
pub fn first_wrong(settings: &Settings) -> Option<Wrong> {
    let Settings { data, listen, lake, join_url, doors, topics, dead_letters, selection, journal, loader } = settings;
    let is_address = listen.parse::<SocketAddr>().is_ok();
    let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    let within = |setting, value: u64, range: RangeInclusive<u64>| {
        let expected = format!("{} to {}", range.start(), range.end());
        unless(range.contains(&value), setting, value, expected)
    };
    let answers_max = u64::from(selection.answers_max);
    unless(!data.as_os_str().is_empty(), "data", "nothing", "the path of a folder")
        .or_else(|| unless(is_address, "listen", listen, "an address such as 127.0.0.1:8080, or 0.0.0.0:8080 for all of this machine's"))
        .or_else(|| unless(lake.as_ref().is_none_or(|lake| !lake.is_empty()), "lake", "nothing", "the path of a folder"))
        .or_else(|| {
            let found = join_url.as_deref().unwrap_or_default();
            unless(join_url.as_ref().is_none_or(is_url), "join_url", found, "an address that begins with http:// or https://")
        })
        .or_else(|| within("journal.segment_bytes", journal.segment_bytes, SEGMENT_BYTES))
        .or_else(|| {
            let is_multiple = journal.segment_bytes.is_multiple_of(SEGMENT_BYTES_STEP);
            unless(is_multiple, "journal.segment_bytes", journal.segment_bytes, format!("a multiple of {SEGMENT_BYTES_STEP}"))
        })
        .or_else(|| within("journal.headroom_bytes_min", journal.headroom_bytes_min, 0..=(1 << 50)))
        .or_else(|| within("doors.body_bytes_max", doors.body_bytes_max as u64, 1_024..=journal.segment_bytes / SEGMENT_BODIES_MIN))
        .or_else(|| {
            let wrong = doors.cors_origins.iter().find(|origin| !collector::cors::is_origin(origin))?;
            unless(false, "doors.cors_origins", wrong, "a list of origins as browsers write them, such as https://pages.example, or *")
        })
        .or_else(|| topics.iter().find_map(|(name, topic)| wrong_topic(name, topic, doors.body_bytes_max as u64)))
        .or_else(|| within("dead_letters.bytes_per_day_max", dead_letters.bytes_per_day_max, (1 << 20)..=(1 << 50)))
        .or_else(|| within("dead_letters.burst_bytes_max", dead_letters.burst_bytes_max, (8 << 20)..=(1 << 40)))
        .or_else(|| within("doors.connections_max", doors.connections_max.unwrap_or(1) as u64, 1..=(1 << 20)))
        .or_else(|| tls_wrong(doors))
        .or_else(|| mqtt_wrong(&doors.mqtt))
        .or_else(|| {
            let wrong = doors.nng.listen.as_ref().filter(|listen| listen.parse::<collector::nng::Address>().is_err())?;
            unless(false, "doors.nng.listen", wrong, "an address such as tcp://127.0.0.1:5555 or ipc:///run/crowdread/nng")
        })
        .or_else(|| within("selection.answers_max", answers_max, 1..=10_000))
        .or_else(|| within("selection.answers_min", u64::from(selection.answers_min), 1..=answers_max))
        .or_else(|| within("selection.census_answers", u64::from(selection.census_answers), 1..=answers_max))
        .or_else(|| within("selection.lease_seconds", u64::from(selection.lease_seconds), 1..=7 * 86_400))
        .or_else(|| within("loader.roll_age_ms", loader.roll_age_ms, 1..=3_600_000))
}

fn wrong_topic(name: &str, topic: &Topic, body_bytes_max: u64) -> Option<Wrong> {
    let setting = |field: &str| format!("topics.{name}{field}");
    let is_free = record::Topic::parse(name).is_ok_and(|topic| !topic.is_reserved());
    let is_name = "a name of a-z, 0-9, _ and -, beginning with a letter, that no table of ours has";
    let is_events_with_schema = name == "events" && topic.schema.is_some();
    let most = topic.record_bytes_max as u64;
    unless(is_free, setting(""), name, is_name)
        .or_else(|| unless(name != "answers", setting(""), name, "another name: the topic of the crowd's answers is built in"))
        .or_else(|| unless(!is_events_with_schema, setting(".schema"), "a schema", "none: declare a topic of another name with it"))
        .or_else(|| {
            let max = body_bytes_max.min(RECORD_BYTES_MAX);
            let why = if max == RECORD_BYTES_MAX { "what the journal takes of one record" } else { "doors.body_bytes_max" };
            unless((1..=max).contains(&most), setting(".record_bytes_max"), most, format!("1 to {max} ({why})"))
        })
}

/// An address to listen on that is none.
fn no_address(setting: &str, listen: Option<&String>, example: &str) -> Option<Wrong> {
    let found = listen.filter(|listen| listen.parse::<SocketAddr>().is_err())?;
    unless(false, setting, found, format!("an address such as {example}"))
}

fn tls_wrong(doors: &Doors) -> Option<Wrong> {
    let tls = &doors.tls;
    let wants = [("doors.tls.listen", &tls.listen), ("doors.mqtt.tls_listen", &doors.mqtt.tls_listen)];
    let wants = wants.iter().find_map(|(setting, listen)| listen.is_some().then_some(*setting));
    let missing = |setting, path: &Option<RelativePathBuf>, what| {
        let wants = wants.filter(|_| path.as_ref().is_none_or(|path| path.original().as_os_str().is_empty()))?;
        unless(false, setting, "nothing", format!("the file of {what}, as {wants} is set"))
    };
    no_address("doors.tls.listen", tls.listen.as_ref(), "0.0.0.0:8443")
        .or_else(|| missing("doors.tls.certificate", &tls.certificate, "the certificate in PEM"))
        .or_else(|| missing("doors.tls.key", &tls.key, "its private key in PEM"))
}

fn mqtt_wrong(mqtt: &Mqtt) -> Option<Wrong> {
    let wrong_listen = no_address("doors.mqtt.listen", mqtt.listen.as_ref(), "127.0.0.1:1883")
        .or_else(|| no_address("doors.mqtt.tls_listen", mqtt.tls_listen.as_ref(), "0.0.0.0:8883"));
    wrong_listen.or_else(|| {
        let (mapping, expected) = mqtt.topics.iter().find_map(|mapping| Some((mapping, mapping.wrong()?)))?;
        Some(Wrong { setting: "doors.mqtt.topics".to_owned(), found: format!("{mapping:?}"), expected })
    })
}

fn unless(fits: bool, setting: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Option<Wrong> {
    (!fits).then(|| Wrong { setting: setting.into(), found: found.to_string(), expected: expected.into() })
}
