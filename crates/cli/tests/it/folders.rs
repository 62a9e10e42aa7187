//! Settings and folders: every command means the same ones.

use std::{fs, path::Path};

use crate::programs::{crowdread, fail, free_port, sample, serve, succeed};

fn told(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Defaults, file, environment, flags: the later ones win, and each is named.
#[test]
fn settings_come_from_the_last_that_says_something() {
    let folder = tempfile::tempdir().expect("folder");
    let here = folder.path();
    fs::write(here.join("crowdread.toml"), "data = 'from-file'\nlisten = '127.0.0.1:1001'\njoin_url = 'http://file/'\n").expect("file");
    let mut command = crowdread();
    command.args(["config", "--join-url", "http://flag/"]).env("CROWDREAD_LISTEN", "127.0.0.1:1002");
    command.env("CROWDREAD_JOIN_URL", "http://environment/").env("CROWDREAD_LOADER__ROLL_AGE_MS", "77").env("CROWDREAD_LISTN", "x");
    let output = succeed(command.current_dir(here));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        |name: &str| shown.lines().find(|line| line.starts_with(name)).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(line("data").as_deref(), Some("data = \"from-file\" # crowdread.toml"));
    assert_eq!(line("listen").as_deref(), Some("listen = \"127.0.0.1:1002\" # environment CROWDREAD_LISTEN"));
    assert_eq!(line("join_url").as_deref(), Some("join_url = \"http://flag/\" # flag --join-url"));
    assert_eq!(line("loader.roll_age_ms").as_deref(), Some("loader.roll_age_ms = 77 # environment CROWDREAD_LOADER__ROLL_AGE_MS"));
    assert_eq!(line("doors.body_bytes_max").as_deref(), Some("doors.body_bytes_max = 1048576 # default"));
    assert!(told(&output).contains("CROWDREAD_LISTN"), "a misspelt variable is told of: {}", told(&output));
}

#[test]
fn a_setting_that_cannot_be_used_is_named_with_its_origin() {
    let folder = tempfile::tempdir().expect("folder");
    let here = folder.path();
    let refused = |name: &str, value: &str| fail(2, crowdread().arg("config").env(name, value).current_dir(here));
    let told = refused("CROWDREAD_SELECTION__ANSWERS_MAX", "0");
    for part in ["selection.answers_max", "found: 0", "environment CROWDREAD_SELECTION__ANSWERS_MAX", "1 to 10000"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = refused("CROWDREAD_LOADER__ROLL_AGE_MS", "soon");
    assert!(told.contains("loader.roll_age_ms") && told.contains("soon") && told.contains("environment"), "{told}");
    let told = refused("CROWDREAD_LOADER__ROL_AGE_MS", "5");
    assert!(told.contains("rol_age_ms"), "{told}");
    fs::write(here.join("crowdread.toml"), "[journal]\nsegment_bytes = 65536\n").expect("file");
    let told = fail(2, crowdread().args(["report", "--data", "x"]).current_dir(here));
    assert!(told.contains("journal.segment_bytes") && told.contains("crowdread.toml"), "{told}");
    fail(2, crowdread().args(["config", "--config", "none.toml"]).current_dir(here));
}

/// Import, report and export read the settings file and the environment as the server does; and where no server has been, they make
/// nothing but what they are for. Is to fail when only `serve` reads the settings.
#[test]
fn every_command_means_the_same_folder_and_makes_nothing_of_its_own() {
    let folder = tempfile::tempdir().expect("folder");
    let here = folder.path();
    fs::write(here.join("crowdread.toml"), "data = 'press'\n").expect("file");
    let run = |args: &[&str]| succeed(crowdread().args(args).current_dir(here));
    succeed(crowdread().arg("import").arg(sample().join("pages/en-bees.tsv")).args(["--collection", "bees"]).current_dir(here));
    let names = |path: &Path| -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).expect("folder").map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&here.join("press")), ["collections", "lock"]);
    assert!(told(&run(&["report"])).contains("no answers yet"));
    assert!(told(&run(&["export", "--out", "corrected"])).contains("1 pages"));
    assert_eq!(names(&here.join("press")), ["collections", "lock"], "reading makes no journal and no table");
    fail(2, crowdread().args(["report", "--lake", "no-tables"]).current_dir(here));
    assert_eq!(names(here), ["corrected", "crowdread.toml", "press"]);
    // The environment goes before the file, for all of them.
    let told = fail(2, crowdread().arg("report").env("CROWDREAD_DATA", "other").current_dir(here));
    assert!(told.contains("other"), "{told}");
    // A server with tables elsewhere: the report finds them there.
    let (data, log, port) = (here.join("press"), here.join("log"), free_port());
    let lake = here.join("tables").display().to_string();
    let mut server = serve(&data, port, &log, &[("CROWDREAD_LAKE", &lake)]);
    let truth = sample().join("truth").display().to_string();
    let url = format!("http://127.0.0.1:{port}");
    run(&["crowd", "--url", &url, "--phones", "5", "--records-max", "50", "--truth", &truth]);
    server.end();
    let answers = |command: &mut std::process::Command| -> serde_json::Value {
        let output = succeed(command.args(["report", "--json"]).current_dir(here));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")["answers"].clone()
    };
    assert_eq!(answers(crowdread().env("CROWDREAD_LAKE", &lake)), 50);
}
