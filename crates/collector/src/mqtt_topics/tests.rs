//! Filters, and what a mapping writes into a record.

use super::*;

#[test]
fn filters_match_as_the_standard_says() {
    let cases = [
        ("zigbee2mqtt/+/state", "zigbee2mqtt/lamp/state", true),
        ("zigbee2mqtt/+/state", "zigbee2mqtt/lamp/x/state", false),
        ("zigbee2mqtt/+/state", "zigbee2mqtt//state", true),
        ("zigbee2mqtt/+/state", "zigbee2mqtt/lamp/state/x", false),
        ("sport/tennis/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/#", "sport/tennis", true),
        ("sport/tennis/#", "sport/tennis2", false),
        ("#", "a/b", true),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("a/b", "a/b", true),
        ("a/b", "a/B", false),
        ("a/b", "a/b/", false),
    ];
    for (filter, name, expected) in cases {
        assert_eq!(matches(filter, name), expected, "{filter} {name}");
    }
}

#[test]
fn a_mapping_that_cannot_be_says_what_was_expected() {
    let mapping = |filter: &str, topic: &str, field: Option<&str>| {
        Mapping { filter: filter.to_owned(), topic: topic.to_owned(), topic_field: field.map(str::to_owned) }.wrong()
    };
    assert_eq!(mapping("a/+/b/#", "events", Some("mqtt_topic")), None);
    for (filter, topic, field) in [
        ("", "events", None),
        ("a/#/b", "events", None),
        ("a+", "events", None),
        ("$share/group/a", "events", None),
        ("a", "No topic", None),
        ("a", "events", Some("")),
        ("a", "events", Some("record_id")),
        ("a", "events", Some("a\nb")),
    ] {
        assert!(mapping(filter, topic, field).is_some(), "{filter} {topic} {field:?}");
    }
}

fn items(field: Option<&str>, name: &str, payload: &'static str, caps: &Caps) -> Vec<Result<String, RejectionTag>> {
    let target = Target { topic: "events".into(), field: field.map(str::to_owned) };
    let (items, _) = target.items(name, &Bytes::from_static(payload.as_bytes()), caps);
    let text = |item: RawItem| String::from_utf8(item.payload().to_vec()).expect("UTF-8");
    items.into_iter().map(|item| item.map(text).map_err(|unreadable| unreadable.rejection.tag)).collect()
}

#[test]
fn the_name_stands_in_each_record() {
    let caps = Caps::default();
    let found = items(Some("topic"), "a/\"b\"", "[{\"n\":1}, { }, 7, {\"topic\":1}, {\"to\\u0070ic\":1}]", &caps);
    let with_name = |rest: &str| Ok(format!("{{\"topic\":\"a/\\\"b\\\"\"{rest}"));
    let forged = Err(RejectionTag::ForgedField);
    assert_eq!(found, [with_name(",\"n\":1}"), with_name(" }"), Err(RejectionTag::NotAnObject), forged.clone(), forged]);
    assert_eq!(items(None, "a", "{\"n\":1}\n{\"n\":2}", &caps), [Ok("{\"n\":1}".to_owned()), Ok("{\"n\":2}".to_owned())]);
}

/// Seen to fail without the check in `with_field`: a long name and many records take memory without bound.
#[test]
fn a_long_name_does_not_make_many_records_larger_than_a_body() {
    let caps = Caps { body_bytes_max: 100, ..Caps::default() };
    assert_eq!(items(Some("topic"), &"x".repeat(40), "{}\n{}", &caps), [Err(RejectionTag::TooLarge)]);
    assert_eq!(items(Some("topic"), &"x".repeat(10), "{}\n{}", &caps).len(), 2);
}

#[test]
fn what_has_no_record_is_one_rejection() {
    let caps = Caps { records_per_request_max: 2, ..Caps::default() };
    assert_eq!(items(None, "a", " \n", &caps), [Err(RejectionTag::NotJson)]);
    assert_eq!(items(None, "a", "{}\n{}\n{}", &caps), [Err(RejectionTag::TooLarge)]);
}
