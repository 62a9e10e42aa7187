//! Any mix of good and bad records, in any form of body.

use bytes::Bytes;
use collector::{
    ingest::Sender,
    wire::{self, Form},
};
use proptest::prelude::*;

use crate::{
    client::spread,
    rigged::{Rigged, ingest},
};

/// Well-formed JSON, as an array or as lines can carry it; and whether it can be stored.
fn element() -> impl Strategy<Value = (String, bool)> {
    let text = "[a-z,\\[\\]{} äß€]{0,12}".prop_map(|text| format!("\"{text}\""));
    prop_oneof![
        4 => (any::<i32>(), text.clone()).prop_map(|(n, text)| (format!("{{\"n\": {n}, \"t\": {text}}}"), true)),
        1 => any::<u128>().prop_map(|id| (format!("{{\"record_id\":\"{:032x}\"}}", id | 1), true)),
        1 => any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(|n| (format!("{n:e}"), false)),
        1 => text.prop_map(|text| (text, false)),
        1 => (1_usize..100).prop_map(|depth| (format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)), depth < 64)),
        1 => Just(("{\"record_id\":\"nonsense\"}".to_owned(), false)),
        1 => Just(("null".to_owned(), false)),
    ]
}

/// Submits a body and gives the word for each index, checked against the queue.
fn submit(body: Vec<u8>, form: Form) -> Vec<String> {
    let queue = Rigged::new();
    let (ingest, _) = ingest(&queue);
    let caps = ingest.caps("events").expect("a topic");
    let items = wire::split(&Bytes::from(body), form, &caps).expect("within the caps");
    let count = items.len();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let sender = Sender { door: "http".into(), credential: None, address: None, is_told: true };
    let outcomes = runtime.block_on(ingest.submit("events", items, sender)).expect("open");
    let response = serde_json::to_value(wire::Response::new(ingest.durability(), &outcomes)).expect("JSON");
    let words: Vec<String> = spread(response["outcomes"].as_array().expect("runs")).into_iter().map(|(word, _)| word).collect();
    assert_eq!(words.len(), count, "the runs cover every index once");
    assert_eq!(words.iter().filter(|word| *word == "stored").count(), queue.stored().len());
    assert_eq!(words.iter().filter(|word| *word != "stored").count(), queue.letters().len(), "each rejection is kept");
    words
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn runs_cover_every_index_of_an_array(elements in prop::collection::vec(element(), 1..40), blank in "[ \n\r\t]{0,3}") {
        let texts: Vec<&str> = elements.iter().map(|(text, _)| text.as_str()).collect();
        let words = submit(format!("{blank}[{blank}{}{blank}]{blank}", texts.join(&format!("{blank},{blank}"))).into(), Form::Json);
        prop_assert_eq!(words.len(), elements.len());
        for (word, (text, good)) in words.iter().zip(&elements) {
            prop_assert_eq!(word == "stored", *good, "{}: {}", text, word);
        }
    }

    #[test]
    fn a_line_of_rubbish_spoils_no_other_line(
        elements in prop::collection::vec(prop_oneof![3 => element(), 1 => "[^\n \r\t{][^\n]{0,20}".prop_map(|text| (text, false))], 1..40),
    ) {
        let body: Vec<&str> = elements.iter().map(|(text, _)| text.as_str()).collect();
        // A byte order mark at the front would be passed over.
        prop_assume!(!body[0].starts_with('\u{feff}'));
        let words = submit(body.join("\n").into(), Form::Lines);
        prop_assert_eq!(words.len(), elements.len());
        for (word, (text, good)) in words.iter().zip(&elements) {
            prop_assert_eq!(word == "stored", *good, "{:?}: {}", text, word);
        }
    }

    #[test]
    fn no_bytes_bring_the_door_down(body in prop::collection::vec(any::<u8>(), 0..300), form in 0..5) {
        submit(body, [Form::Json, Form::Lines, Form::Unsaid, Form::Event, Form::Events][form as usize]);
    }

    #[test]
    fn a_cut_array_loses_only_its_end(elements in prop::collection::vec(element(), 1..20), part in 0.0..1.0_f64) {
        let texts: Vec<&str> = elements.iter().map(|(text, _)| text.as_str()).collect();
        let whole = format!("[{}]", texts.join(","));
        let cut = (whole.len() as f64 * part) as usize;
        let words = submit(whole.as_bytes()[..cut].to_vec(), Form::Json);
        // The last index is the one that was cut, or the missing end; those before stand at their own places.
        for (word, (_, good)) in words.iter().rev().skip(1).rev().zip(&elements) {
            prop_assert_eq!(word == "stored", *good);
        }
    }
}
