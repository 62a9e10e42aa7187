//! Which settings are refused, and which variables are told of.

use super::{Settings, Topic, check, unknown_variables};

fn wrong(change: impl FnOnce(&mut Settings)) -> Option<String> {
    let mut settings = Settings::default();
    change(&mut settings);
    check::first_wrong(&settings).map(|wrong| wrong.setting)
}

#[test]
fn a_setting_that_cannot_be_is_named() {
    assert_eq!(wrong(|_| ()), None);
    assert_eq!(wrong(|settings| settings.listen = "8080".to_owned()).as_deref(), Some("listen"));
    assert_eq!(wrong(|settings| settings.join_url = Some("library.example".to_owned())).as_deref(), Some("join_url"));
    assert_eq!(wrong(|settings| settings.journal.segment_bytes = 65_536).as_deref(), Some("journal.segment_bytes"));
    assert_eq!(wrong(|settings| settings.journal.segment_bytes = (4 << 20) + 1).as_deref(), Some("journal.segment_bytes"));
    assert_eq!(wrong(|settings| settings.doors.body_bytes_max = 0).as_deref(), Some("doors.body_bytes_max"));
    assert_eq!(wrong(|settings| settings.doors.body_bytes_max = 17 << 20).as_deref(), Some("doors.body_bytes_max"));
    assert_eq!(wrong(|settings| settings.doors.connections_max = Some(0)).as_deref(), Some("doors.connections_max"));
    assert_eq!(wrong(|settings| settings.doors.connections_max = Some(50_000)), None);
    assert_eq!(wrong(|settings| settings.doors.cors_origins = vec!["*".to_owned(), "https://pages.example".to_owned()]), None);
    assert_eq!(
        wrong(|settings| settings.doors.cors_origins = vec!["https://pages.example/".to_owned()]).as_deref(),
        Some("doors.cors_origins")
    );
    assert_eq!(wrong(|settings| settings.doors.mqtt.listen = Some("127.0.0.1:1883".to_owned())), None);
    assert_eq!(wrong(|settings| settings.doors.mqtt.listen = Some("1883".to_owned())).as_deref(), Some("doors.mqtt.listen"));
    for listen in ["8443", "localhost:8443"] {
        assert_eq!(wrong(|settings| settings.doors.tls.listen = Some(listen.to_owned())).as_deref(), Some("doors.tls.listen"));
        assert_eq!(wrong(|settings| settings.doors.mqtt.tls_listen = Some(listen.to_owned())).as_deref(), Some("doors.tls.certificate"));
    }
    let tls = |certificate: Option<&str>, key: Option<&str>, change: fn(&mut Settings)| {
        wrong(|settings| {
            settings.doors.tls.certificate = certificate.map(Into::into);
            settings.doors.tls.key = key.map(Into::into);
            change(settings);
        })
    };
    let https = |settings: &mut Settings| settings.doors.tls.listen = Some("0.0.0.0:8443".to_owned());
    let mqtts = |settings: &mut Settings| settings.doors.mqtt.tls_listen = Some("0.0.0.0:8883".to_owned());
    for change in [https, mqtts] {
        assert_eq!(tls(None, Some("key.pem"), change).as_deref(), Some("doors.tls.certificate"));
        assert_eq!(tls(Some("chain.pem"), None, change).as_deref(), Some("doors.tls.key"));
        assert_eq!(tls(Some("chain.pem"), Some(""), change).as_deref(), Some("doors.tls.key"));
        assert_eq!(tls(Some("chain.pem"), Some("key.pem"), change), None);
    }
    let wrong_mqtts = |settings: &mut Settings| settings.doors.mqtt.tls_listen = Some("8883".to_owned());
    assert_eq!(tls(Some("chain.pem"), Some("key.pem"), wrong_mqtts).as_deref(), Some("doors.mqtt.tls_listen"));
    let mapping = |filter: &str| collector::mqtt::Mapping { filter: filter.to_owned(), topic: "events".to_owned(), topic_field: None };
    assert_eq!(wrong(|settings| settings.doors.mqtt.topics = vec![mapping("sensors/#")]), None);
    let mappings = vec![mapping("sensors/#"), mapping("#/sensors")];
    assert_eq!(wrong(|settings| settings.doors.mqtt.topics = mappings).as_deref(), Some("doors.mqtt.topics"));
    for listen in ["tcp://127.0.0.1:5555", "ipc:///run/crowdread/nng"] {
        assert_eq!(wrong(|settings| settings.doors.nng.listen = Some(listen.to_owned())), None);
    }
    for listen in ["127.0.0.1:5555", "tcp://localhost:5555", "ipc://nng"] {
        assert_eq!(wrong(|settings| settings.doors.nng.listen = Some(listen.to_owned())).as_deref(), Some("doors.nng.listen"));
    }
    let topic = |name: &str, topic: Topic| wrong(|settings| drop(settings.topics.insert(name.to_owned(), topic)));
    let plain = Topic { schema: None, record_bytes_max: 4_096, open: false };
    assert_eq!(topic("sensors", plain.clone()), None);
    for name in ["Sensors", "dead_letters", "answers", "pages", ""] {
        assert_eq!(topic(name, plain.clone()), Some(format!("topics.{name}")));
    }
    assert_eq!(topic("sensors", Topic { record_bytes_max: 0, ..plain.clone() }).as_deref(), Some("topics.sensors.record_bytes_max"));
    assert_eq!(topic("sensors", Topic { record_bytes_max: 2 << 20, ..plain.clone() }).as_deref(), Some("topics.sensors.record_bytes_max"));
    assert_eq!(topic("events", Topic { schema: Some("s.json".into()), ..plain }).as_deref(), Some("topics.events.schema"));
    assert_eq!(wrong(|settings| settings.dead_letters.bytes_per_day_max = 0).as_deref(), Some("dead_letters.bytes_per_day_max"));
    assert_eq!(wrong(|settings| settings.selection.answers_max = 0).as_deref(), Some("selection.answers_max"));
    assert_eq!(
        wrong(|settings| settings.selection.answers_min = settings.selection.answers_max + 1).as_deref(),
        Some("selection.answers_min")
    );
    assert_eq!(
        wrong(|settings| settings.selection.census_answers = settings.selection.answers_max + 1).as_deref(),
        Some("selection.census_answers")
    );
    assert_eq!(wrong(|settings| settings.selection.lease_seconds = 0).as_deref(), Some("selection.lease_seconds"));
    assert_eq!(wrong(|settings| settings.loader.roll_age_ms = 0).as_deref(), Some("loader.roll_age_ms"));
}

/// The smallest segment takes the largest body that is let through with it, also when it is full of the smallest records.
#[test]
fn the_largest_body_fits_into_the_smallest_segment() {
    assert_eq!(wrong(|settings| settings.journal.segment_bytes = 4 << 20), None);
    let records = collector::limits::Caps::default().records_per_request_max;
    let payload = br#"{"worker_id":"0123456789abcdef0123456789abcdef"}"#.as_slice();
    let record = |_| record::Record {
        topic: record::Topic::answers(),
        id: record::RecordId::from_bytes([7; 16]),
        received_at: record::Timestamp::from_micros(0),
        door: "http".into(),
        payload: payload.into(),
    };
    let folder = tempfile::tempdir().expect("folder");
    let config = queue::journal::Config { segment_bytes: 4 << 20, headroom_bytes_min: 0, ..queue::journal::Config::default() };
    let clock = std::sync::Arc::new(record::SystemClock::new());
    let journal = queue::journal::Journal::open(folder.path(), config, clock).expect("opens");
    let stored = futures::executor::block_on(queue::Queue::append(&journal, (0..records).map(record).collect()));
    assert_eq!(stored.expect("fits").len(), records);
}

#[test]
fn variables_that_are_no_settings_are_told_of() {
    let names = ["PATH", "CROWDREAD_LOG", "CROWDREAD_DATA", "CROWDREAD_LOADER__ROLL_AGE_MS", "CROWDREAD_LISTN", "CROWDREAD_LOADERS__X"];
    assert_eq!(unknown_variables(names.into_iter()), ["CROWDREAD_LISTN", "CROWDREAD_LOADERS__X"]);
}
