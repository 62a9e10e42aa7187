//! Nothing of others is emptied, and a seed that misses the range is told.

use std::fs;

use serde_json::json;

use super::*;

/// A new folder, away from all others.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("xtask-sample-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_folder_of_something_else_is_not_emptied() {
    let folder = folder("other");
    fs::create_dir(folder.join("pages")).unwrap();
    fs::write(folder.join("pages/mine.txt"), "mine").unwrap();
    let out = folder.to_str().unwrap();
    for note in [None, Some("{}"), Some("no json"), Some("{\"command\": \"make\"}")] {
        note.into_iter().for_each(|note| fs::write(folder.join(NOTE), note).unwrap());
        let error = run(&["--seed", "1", "--out", out]).unwrap_err().to_string();
        assert!(error.contains("was not made by"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("pages/mine.txt")).unwrap(), "mine");
    }
    fs::write(folder.join(NOTE), "{\"command\": \"cargo xtask sample --seed 7\"}").unwrap();
    may_write(&folder).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    may_write(&folder).unwrap();
}

#[test]
fn an_empty_folder_and_the_one_that_ships_may_be_written() {
    let folder = folder("empty");
    may_write(&folder).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    may_write(&workspace::root().join("crates/ocr/sample")).unwrap();
}

#[test]
fn what_a_seed_misses_is_named() {
    let collection = |pages: usize, right: u64, languages: [&str; 2]| {
        let page = |number: usize| json!({"language": languages[number % 2], "words_printed": 260, "boxes": 100, "boxes_right": right});
        json!({"pages": (0..pages).map(page).collect::<Vec<_>>()})
    };
    let good = ["en", "es"];
    assert_eq!(misses(&collection(6, 92, good), BYTES_MAX), Vec::<String>::new());
    assert_eq!(misses(&collection(6, 75, good), 0), Vec::<String>::new());
    for (collection, bytes, says) in [
        (collection(5, 80, good), 9, "5 pages"),
        (collection(5, 80, good), 9, "1300 words"),
        (collection(6, 74, good), 9, "74.0 %"),
        (collection(6, 93, good), 9, "93.0 %"),
        (collection(6, 80, ["en", "en"]), 9, "no page in es"),
        (collection(6, 80, good), BYTES_MAX + 1, "3000001 bytes"),
        (json!({}), 9, "0 pages"),
    ] {
        let found = misses(&collection, bytes);
        assert!(found.iter().any(|miss| miss.contains(says)), "{found:?}");
    }
}
