//! Label files: published figures, forms of CSV, bad rows, limits.

use std::{fs::File, path::PathBuf};

use super::*;

const NONE: Option<&[u8]> = None;

fn votes(labels: &str) -> InferReport {
    infer(labels.as_bytes(), NONE, Method::Majority).expect("a label file")
}

fn error(labels: &[u8]) -> String {
    infer(labels, NONE, Method::Majority).expect_err("a file that cannot be used").to_string()
}

fn sets() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("CROWDREAD_SHARED").map_or_else(beside, PathBuf::from);
    let sets = shared.join("data/crowd");
    if sets.is_dir() {
        return Some(sets);
    }
    println!("skipped: no label sets at {}", sets.display());
    None
}

/// Accuracy and F1 of both methods as other implementations gave them. Dawid–Skene moves with the stopping rule and the smoothing, hence
/// ± .003 (F1 ± .006). The published F1 of .9253 for d_possent's votes gives all 43 ties to the first class; s_rel holds repeated answers, of which the last counts here, where its published .5411 counts each.
/// Broken on purpose by joining truth and labels one item off, and by counting ties as wrong: fails at d_product, and at d_possent.
#[test]
fn files_of_public_sets_give_the_published_figures() {
    let Some(folder) = sets() else { return };
    let figures = [
        ("bluebirds", 108, (0.7593, None), (0.8981, None)),
        ("d_product", 8_315, (0.8966, Some(0.5905)), (0.9397, Some(0.7209))),
        ("d_possent", 1_000, (0.9335, Some(0.9286)), (0.9600, Some(0.9566))),
        ("s_rel", 4_460, (0.5412, None), (0.6119, None)),
        ("s_dog", 807, (0.8222, None), (0.8426, None)),
        ("rte", 800, (0.8969, None), (0.9275, None)),
        ("web", 2_653, (0.7307, None), (0.8266, None)),
    ];
    for (set, n, votes, dawid_skene) in figures {
        let open = |name: &str| File::open(folder.join(set).join(name)).expect("the set is readable");
        for (method, (accuracy, f1), slack) in [(Method::Majority, votes, 0.000_051), (Method::DawidSkene, dawid_skene, 0.003)] {
            let report = infer(open("label.csv"), Some(open("truth.csv")), method).expect("a public set");
            let truth = report.truth.expect("truth was given");
            let found = truth.accuracy.expect("items with a truth");
            let found_f1 = truth.f1.map(|f1| f1.value);
            println!("{set} {}: accuracy {found:.4} (published {accuracy}), F1 {found_f1:?} ({f1:?}), n {}", method.as_str(), truth.n);
            assert_eq!((truth.n, report.bad_rows.count, truth.bad_rows.count), (n, 0, 0));
            assert!((found - accuracy).abs() <= slack, "{set}: {found}");
            if let Some(f1) = f1 {
                assert!((found_f1.expect("two classes") - f1).abs() <= 2.0 * slack, "{set}: F1 {found_f1:?}");
            }
        }
    }
}

#[test]
fn columns_may_be_named_and_ordered_in_any_way_and_labels_may_be_words() {
    let report = votes("\u{feff}Label;x;TASK;worker\r\nyes;1;b;ann\r\n\"no; never\";2;a;ann\r\nyes;3;b;bob\r\n");
    assert_eq!(report.bad_rows.count, 0);
    let of = |at: usize| (report.items[at].item.as_str(), report.items[at].label.as_str(), report.items[at].posterior);
    assert_eq!((of(0), of(1)), (("a", "no; never", 1.0), ("b", "yes", 1.0)));
    assert_eq!(report.workers.iter().map(|worker| (worker.worker.as_str(), worker.answers)).collect::<Vec<_>>(), [("ann", 2), ("bob", 1)]);
    assert_eq!(votes("item\tworker\tlabel\n1\t2\t3").answers, 1);
}

#[test]
fn integers_stand_in_numeric_order_and_ties_are_told() {
    let report = votes("item,worker,label\n10,1,10\n10,2,9\n9,1,9\n10,3,x\n");
    assert_eq!(report.classes.iter().map(|class| class.label.as_str()).collect::<Vec<_>>(), ["9", "10", "x"]);
    assert_eq!((report.items[0].item.as_str(), report.items[1].label.as_str()), ("9", "9"));
    assert_eq!(report.items[1].ties, ["10", "x"]);
}

#[test]
fn tied_labels_count_as_drawn_at_random() {
    let labels = "item,worker,label\n1,1,a\n1,2,b\n2,1,b\n2,2,b\n";
    let truth = "item,truth\n1,a\n2,b\n3,b\n";
    let found = infer(labels.as_bytes(), Some(truth.as_bytes()), Method::Majority).expect("files").truth.expect("truth was given");
    assert_eq!((found.n, found.accuracy, found.unanswered), (2, Some(0.75), 1));
    assert_eq!(found.f1, Some(ClassF1 { label: "b".into(), value: 2.0 / 2.5 }));
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let rows: Vec<String> = (0..300).map(|n| format!("{},w{},{}\n", n % 60, (n * 7 + n / 60) % 11, (n * n % 7) % 3)).collect();
    let file = |rows: &mut dyn Iterator<Item = &String>| "item,worker,label\n".to_owned() + &rows.map(String::as_str).collect::<String>();
    let run = |text: String| infer(text.as_bytes(), NONE, Method::DawidSkene).expect("a label file");
    assert_eq!(run(file(&mut rows.iter())), run(file(&mut rows.iter().rev())));
}

#[test]
fn a_repeated_answer_is_replaced_by_the_last() {
    let report = votes("item,worker,label\n1,1,0\n1,1,1\n");
    assert_eq!((report.answers, report.replaced, report.items[0].label.as_str()), (1, 1, "1"));
}

#[test]
fn bad_rows_are_left_out_and_told_with_their_line() {
    for (newline, header) in [("\n", 1), ("\r\n", 1)] {
        let rows = ["item,worker,label", "1,1,0", "2,1", "3,,0", "", "4,1,0,9", "5,1,1"];
        let mut file = rows.join(newline).into_bytes();
        file.extend_from_slice(newline.as_bytes());
        file.extend_from_slice(b"6,1,\xff");
        let report = infer(&file[..], NONE, Method::Majority).expect("two rows are good");
        assert_eq!(report.items.len(), 2);
        let told: Vec<(u64, &str)> = report.bad_rows.first.iter().map(|bad| (bad.line - header + 1, bad.problem.as_str())).collect();
        let expected = [
            (3, "found 2 columns, expected 3 as in the first line"),
            (4, "worker is empty, expected a name or number"),
            (6, "found 4 columns, expected 3 as in the first line"),
            (8, "label is not UTF-8, expected a file in UTF-8"),
        ];
        assert_eq!(told, expected);
        assert!(report.to_text().contains("line 6: found 4 columns"));
    }
}

#[test]
fn contradicting_truths_keep_the_first_and_tell_the_other() {
    let labels = "item,worker,label\n1,1,a\n";
    let truth = "task,label\n1,a\n1,a\n1,b\n";
    let found = infer(labels.as_bytes(), Some(truth.as_bytes()), Method::Majority).expect("files").truth.expect("truth was given");
    assert_eq!((found.accuracy, found.bad_rows.count, found.bad_rows.first[0].line), (Some(1.0), 1, 4));
}

#[test]
fn a_truth_that_nobody_answered_is_never_met() {
    let found = infer(&b"item,worker,label\n1,1,a\n"[..], Some(&b"item,truth\n1,z\n"[..]), Method::DawidSkene).expect("files").truth;
    assert_eq!(found.expect("truth was given").accuracy, Some(0.0));
}

#[test]
fn files_that_cannot_be_used_say_why() {
    for (file, why) in [
        ("", "column is missing"),
        ("item,label\n1,2\n", "expected: worker"),
        ("item,worker,label\n", "no row of the label file"),
        ("item,worker,label\n1,2\n", "line: 2"),
        ("<xml/>", "expected: item or task"),
    ] {
        assert!(error(file.as_bytes()).contains(why), "{file:?}: {}", error(file.as_bytes()));
    }
    assert!(error(&[0xff; 200_000]).contains("column is missing"));
    assert!("best".parse::<Method>().expect_err("no such method").to_string().contains("majority or dawid-skene"));
}

#[test]
fn limits_are_held() {
    let file = b"item,worker,label\n1,1,1\n2,1,2\n3,1,333333\n";
    let within = |limits: Limits| infer_within(&file[..], NONE, Method::Majority, &limits);
    let refused = |limits: Limits| within(limits).expect_err("a limit was passed").to_string();
    let limits = Limits::default;
    assert!(within(Limits { bytes_max: file.len() as u64, rows_max: 3, cells_max: 9, name_bytes_max: 6 }).is_ok());
    assert!(refused(Limits { bytes_max: file.len() as u64 - 1, ..limits() }).contains("too large"));
    assert!(refused(Limits { rows_max: 2, ..limits() }).contains("too many rows"));
    assert!(refused(Limits { cells_max: 8, ..limits() }).contains("too many items and labels"));
    assert_eq!(within(Limits { name_bytes_max: 5, ..limits() }).expect("two rows are good").bad_rows.first[0].line, 4);
}

#[test]
fn the_report_tells_people_and_programs() {
    let labels = "item,worker,label\n1,1,a\n1,2,b\n";
    let report = infer(labels.as_bytes(), Some(&b"item,truth\n1,a\n"[..]), Method::Majority).expect("files");
    let text = report.to_text();
    assert!(text.contains("accuracy: 0.5000 over 1 items") && text.contains("1: a 0.500 (tied with b)"), "{text}");
    let json: serde_json::Value = serde_json::to_value(&report).expect("the report has a JSON form");
    assert_eq!((json["method"].as_str(), json["items"][0]["ties"][0].as_str()), (Some("majority"), Some("b")));
}
