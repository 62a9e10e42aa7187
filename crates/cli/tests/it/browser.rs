//! People at the pages of the real server: a real Chromium, `crowdread serve` on the sample, and what stands in the table afterwards.
//!
//! What the real server cannot be made to do (to refuse, to lose pictures) is tested with the pages alone, in the product's own tests.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    browser_driver::{Browser, with_browser},
    programs::{Process, crowdread, free_port, python, sample, serve, succeed},
};

const PHONE: (u32, u32) = (360, 740);
const SMALL_PHONE: (u32, u32) = (320, 640);
const PROJECTOR: (u32, u32) = (1920, 1080);

// Keys as WebDriver writes them.
const LEFT: &str = "\u{e012}";
const UP: &str = "\u{e013}";
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";
const BACKSPACE: &str = "\u{e003}";
const ENTER: &str = "\u{e007}";

const READING: &str = "document.body.dataset.mode === 'read' && !document.querySelector('dialog[open]')";
const NOTHING_WAITS: &str = "document.querySelector('#waiting').hidden";
const SHOWN: &str = ".card:not(.leaving) .said .word";
const FITS: &str = "document.documentElement.scrollWidth <= innerWidth";

/// Reads the table with a library that is not ours, in the order in which the answers were given.
const READ_ANSWERS: &str = "
import json, os, sys
from deltalake import DeltaTable
columns = ['record_id', 'reading_id', 'worker_id', 'label', 'text', 'late']
rows = DeltaTable(sys.argv[1]).to_pyarrow_table(columns=columns + ['answered_at']).sort_by('answered_at')
print(json.dumps(rows.select(columns).to_pylist()), flush=True)
os._exit(0)
";

/// The real server on a folder of its own, with the sample imported.
struct House {
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Process>,
}

impl House {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let data = folder.path().join("data");
        succeed(crowdread().arg("import").arg(sample().join("pages")).arg("--data").arg(&data).args(["--collection", "sample"]));
        let mut house = Self { folder, port: free_port(), server: None };
        house.serve();
        house
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn serve(&mut self) {
        self.server = Some(serve(&self.data(), self.port, &self.folder.path().join("log"), &[]));
    }

    fn kill(&mut self) {
        self.server.take().expect("it runs").kill();
    }

    fn page(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn status(&self) -> Value {
        let status = reqwest::get(self.page("/v1/collections/sample/status")).await.expect("an answer");
        status.json().await.expect("JSON")
    }

    /// Ends the server, which lands what is stored, and reads the table.
    fn answers_in_the_table(mut self, python: &Path) -> Vec<Value> {
        self.server.take().expect("it runs").end();
        let output = succeed(Command::new(python).args(["-c", READ_ANSWERS]).arg(self.data().join("lake/answers")));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Opens the reader's page and goes past the first steps, as a new reader does.
async fn start_reading(browser: &Browser, house: &House, language: &str) {
    browser.open(&house.page(&format!("/?lang={language}"))).await;
    browser.until("document.body.dataset.mode === 'read' && document.querySelector('#steps').open").await;
    browser.tap("#steps button").await;
    browser.until(READING).await;
}

/// Does something that answers, and waits until the next word may be answered.
async fn next_word(browser: &Browser, answer: impl Future<Output = ()>) {
    browser.value("void (window.shown = document.querySelector('.card:not(.leaving)'))").await;
    answer.await;
    browser.until(&format!("document.querySelector('.card:not(.leaving)') !== window.shown && {READING}")).await;
    // Less than this is taken for the second half of a double tap.
    browser.value("new Promise((later) => setTimeout(later, 90))").await;
}

/// What is to come again after a reload.
async fn words_ahead(browser: &Browser) -> Vec<Value> {
    let kept = browser
        .value(
            "JSON.parse(sessionStorage.getItem(Object.keys(sessionStorage).find((key) => key.startsWith('crowdread.words.'))))\
             .map((task) => task.reading_id)",
        )
        .await;
    kept.as_array().cloned().unwrap_or_default()
}

fn column(answers: &[Value], name: &str) -> Vec<Value> {
    answers.iter().map(|answer| answer[name].clone()).collect()
}

#[tokio::test]
async fn what_a_person_says_by_touch_and_by_keys_stands_in_the_table() {
    let Some(python) = python() else { return };
    with_browser(PHONE, |browser| async move {
        let house = House::open();
        start_reading(&browser, &house, "es").await;
        for button in ["#right", "#unreadable", "#not_one_word"] {
            next_word(&browser, browser.tap(button)).await;
        }
        let by_touch = browser.text(SHOWN).await;
        browser.tap("#wrong").await;
        browser.until("document.activeElement.id === 'typed'").await;
        assert_eq!(browser.value("document.querySelector('#typed').value").await, by_touch);
        browser.tap("#send").await; // the engine's own text is no correction
        browser.until("document.querySelector('#typed_problem').textContent").await;
        browser.tap("#letters button").await;
        next_word(&browser, browser.tap("#send")).await;

        browser.value("document.activeElement.blur()").await;
        for key in [RIGHT, UP, DOWN, ENTER] {
            next_word(&browser, browser.press(key)).await;
        }
        let by_keys = browser.text(SHOWN).await;
        browser.press(LEFT).await;
        browser.until("document.activeElement.id === 'typed'").await;
        browser.press("ñ").await;
        next_word(&browser, browser.press(ENTER)).await;

        let after = browser.text(SHOWN).await;
        next_word(&browser, browser.tap("#undo")).await;
        assert!(browser.text(".card:not(.leaving) .before").await.contains(&format!("{by_keys}ñ")));
        next_word(&browser, browser.tap("#right")).await;
        assert_eq!(browser.text(SHOWN).await, after, "the word that was on the screen comes again");
        browser.value("document.activeElement.blur()").await;
        next_word(&browser, browser.press(BACKSPACE)).await;
        next_word(&browser, browser.press(UP)).await;
        browser.until(NOTHING_WAITS).await;
        assert_eq!(browser.text("#stored").await, "11 guardadas");
        assert_eq!(house.status().await["answers"], 9, "one for each word; two were changed");

        let answers = house.answers_in_the_table(&python);
        let wrong = |text: String| ("wrong", json!(text));
        let said = [
            ("right", Value::Null),
            ("unreadable", Value::Null),
            ("not_one_word", Value::Null),
            wrong(format!("{by_touch}ſ")),
            ("right", Value::Null),
            ("unreadable", Value::Null),
            ("not_one_word", Value::Null),
            ("right", Value::Null),
            wrong(format!("{by_keys}ñ")),
            ("right", Value::Null),
            ("unreadable", Value::Null),
        ];
        assert_eq!(column(&answers, "label"), said.clone().map(|(label, _)| Value::from(label)));
        assert_eq!(column(&answers, "text"), said.map(|(_, text)| text));
        let readings = column(&answers, "reading_id");
        assert!(readings[8] == readings[9] && readings[9] == readings[10], "undo answers the same reading anew");
        let distinct = |name: &str| column(&answers, name).iter().map(ToString::to_string).collect::<BTreeSet<_>>().len();
        assert_eq!((distinct("record_id"), distinct("reading_id"), distinct("worker_id")), (11, 9, 1));
        assert!(answers.iter().all(|answer| answer["late"] == false));
    })
    .await;
}

/// Q1, C3, L1 as a reader sees them. Seen to fail when the deck keeps no words: other words come when the reader is back.
#[tokio::test]
async fn a_server_killed_in_mid_run_loses_nothing_and_the_words_ahead_come_again() {
    let Some(python) = python() else { return };
    with_browser(PHONE, |browser| async move {
        let mut house = House::open();
        start_reading(&browser, &house, "en").await;
        for _ in 0..3 {
            next_word(&browser, browser.tap("#right")).await;
        }
        browser.until(NOTHING_WAITS).await;
        browser.until("performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/v1/crops/')).length >= 20").await;
        house.kill();
        for _ in 0..2 {
            next_word(&browser, browser.tap("#right")).await;
        }
        browser.until("!document.querySelector('#notice').hidden").await;
        assert_eq!((browser.text("#waiting").await, browser.text("#stored").await), ("2 to send".to_owned(), "3 saved".to_owned()));
        house.serve();
        browser.until(NOTHING_WAITS).await; // they go out by themselves
        assert_eq!(browser.text("#stored").await, "5 saved");

        house.kill();
        for _ in 0..2 {
            next_word(&browser, browser.tap("#right")).await;
        }
        let (ahead, shown) = (words_ahead(&browser).await, browser.text(SHOWN).await);
        assert!(ahead.len() >= 10, "{ahead:?}");
        browser.open("about:blank").await; // the reader leaves with two answers that are not sent
        house.serve();
        browser.open(&house.page("/?lang=en")).await;
        browser.until(READING).await;
        browser.until(NOTHING_WAITS).await;
        assert_eq!(browser.text("#stored").await, "7 saved");
        for how in ["a return", "a reload"] {
            assert_eq!(browser.text(SHOWN).await, shown, "after {how}");
            assert_eq!(words_ahead(&browser).await[..ahead.len()], ahead[..], "no word is spent by {how}");
            browser.reload().await;
            browser.until(READING).await;
        }
        next_word(&browser, browser.tap("#right")).await;
        browser.until(NOTHING_WAITS).await;

        let answers = house.answers_in_the_table(&python);
        assert_eq!(answers.len(), 8);
        let distinct = |name: &str| column(&answers, name).iter().map(ToString::to_string).collect::<BTreeSet<_>>().len();
        assert_eq!((distinct("record_id"), distinct("reading_id"), distinct("worker_id")), (8, 8, 1));
    })
    .await;
}

/// Seen to fail when each rule is written out as the object that the server sends.
#[tokio::test]
async fn on_a_small_phone_all_is_there_in_both_languages_and_nothing_scrolls_sideways() {
    with_browser(SMALL_PHONE, |browser| async move {
        let house = House::open();
        start_reading(&browser, &house, "es").await;
        for (language, rule) in [
            ("es", "La s larga (ſ) y la s redonda son iguales. Waſſer = Wasser"),
            ("en", "The long s (ſ) and the round s are the same. Waſſer = Wasser"),
        ] {
            browser.open(&house.page(&format!("/?lang={language}"))).await;
            browser.until(READING).await;
            assert_eq!(browser.value(FITS).await, true, "reading in {language}");
            assert_eq!(browser.value("document.querySelector('#right').offsetHeight >= 72").await, true);
            browser.tap("#wrong").await;
            browser.until("document.body.dataset.mode === 'type'").await;
            browser.value("void (document.querySelector('#rules').open = true)").await;
            let rules = browser.text("#rules").await;
            assert!(rules.contains(rule) && !rules.contains("object"), "{rules}");
            assert_eq!(browser.value(FITS).await, true, "typing in {language}");
            browser.open(&house.page(&format!("/board?lang={language}"))).await;
            browser.until("document.querySelector('#map rect') && document.querySelector('#qr').naturalWidth > 0").await;
            assert_eq!(browser.value(FITS).await, true, "board in {language}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_board_follows_a_crowd() {
    with_browser(PROJECTOR, |browser| async move {
        let house = House::open();
        browser.open(&house.page("/board?lang=es")).await;
        browser.until("document.querySelector('#map rect.open') && document.querySelector('#qr').naturalWidth > 0").await;
        let mut crowd = crowdread();
        crowd.args(["crowd", "--url", &house.page(""), "--phones", "20", "--seed", "7"]).arg("--truth").arg(sample().join("truth"));
        let _crowd = Process(crowd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"));
        for drawn in ["#band polygon", "#map rect.right", "#words b:not(.asked)"] {
            browser.until(&format!("document.querySelector('{drawn}')")).await;
        }
        browser.until("Number(document.querySelector('#readers').textContent) === 20").await;
        assert!(browser.text("#estimate").await.ends_with('%'));
        assert!(browser.text("#interval").await.starts_with("entre "));
        let evidence = browser.text("#evidence").await;
        assert!(evidence.contains("salvo que todos se equivoquen igual"), "{evidence}");
        assert_eq!(browser.text("#address").await, format!("127.0.0.1:{}", house.port));
        browser.open(&house.page("/board?lang=en")).await;
        browser.until("document.querySelector('#evidence').textContent.includes('unless readers all make the same mistakes')").await;
    })
    .await;
}
