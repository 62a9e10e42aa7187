//! The inputs that are kept in `fuzz/inputs`, among them each that once broke something, and drawn changes of them: a fuzzer on the stable
//! compiler, for a moment.

use std::{fs, path::Path};

use super::{cloud_event, http_body, mqtt_stream, websocket_stream};

/// So many changes of each input.
const CHANGES: u64 = 60;

/// The inputs of a target that are kept, and changes of them.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/inputs").join(target);
    let kept = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let kept: Vec<Vec<u8>> = kept.map(|entry| fs::read(entry.expect("an entry").path()).expect("an input")).collect();
    assert!(!kept.is_empty(), "{target} has inputs");
    let mut random = 1_u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    let mut inputs = kept.clone();
    for input in kept.iter().filter(|input| !input.is_empty()) {
        for _ in 0..CHANGES {
            let mut changed = input.clone();
            for _ in 0..=draw(3) {
                let at = draw(changed.len());
                match draw(3) {
                    0 => changed[at] = draw(256) as u8,
                    1 => changed.truncate(at + 1),
                    _ => changed.insert(at, draw(256) as u8),
                }
            }
            inputs.push(changed);
        }
    }
    inputs
}

/// C1. Seen to fail when `collect` keeps the first frame of a body alone, and when `unpack` takes an empty frame for a packed body.
#[test]
fn a_body_is_the_same_in_one_piece_and_in_many() {
    inputs("http_body").iter().for_each(|input| http_body(input));
}

#[test]
fn an_event_in_binary_mode_is_the_same_event_in_json() {
    inputs("cloud_event").iter().for_each(|input| cloud_event(input));
}

#[test]
fn packets_are_the_same_in_one_piece_and_in_many() {
    inputs("mqtt_stream").iter().for_each(|input| mqtt_stream(input));
}

#[test]
fn messages_are_the_same_in_one_piece_and_in_many() {
    inputs("websocket_stream").iter().for_each(|input| websocket_stream(input));
}
