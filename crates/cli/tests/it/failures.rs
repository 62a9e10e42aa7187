//! What goes wrong, told once and with the exit code of its kind (design, section 7). 5 is in `disk`.

use std::{fs, io::pipe, net::TcpListener, process::Stdio};

use crate::programs::{crowdread, fail, free_port, import_sample, request, sample, serve, succeed, wait_until};

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let at = |name: &str| folder.path().join(name).display().to_string();

    // 2: mend the input.
    let told = fail(2, crowdread().args(["import", "nothing-here", "--collection", "press", "--data"]).arg(&data));
    assert!(told.contains("nothing-here"), "{told}");
    assert!(!data.exists(), "a mistyped path leaves no folder behind");
    fs::write(at("page.xml"), "no XML at all").expect("file");
    fs::copy(sample().join("pages/en-bees.png"), at("page.png")).expect("file");
    let told = fail(2, crowdread().args(["import", &at("page.xml"), "--collection", "press", "--data"]).arg(&data));
    assert!(told.contains("page.xml") && told.contains("failed: 1"), "{told}");
    assert!(told.contains("nothing was imported") && !told.contains("are now in"), "{told}");
    fs::create_dir(at("empty")).expect("folder");
    let told = fail(2, crowdread().args(["import", &at("empty"), "--collection", "press", "--data"]).arg(&data));
    assert!(told.contains("no OCR files there"), "{told}");
    fail(2, crowdread().args(["report", "--data"]).arg(at("nowhere")));
    fail(2, crowdread().args(["evaluate", &at("page.xml"), &at("nowhere")]));
    fail(2, crowdread().args(["crowd", "--url", "no address", "--truth"]).arg(sample().join("truth")));
    fail(2, crowdread().arg("no-command"));

    // 3: wait. The cause is told, and told once.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let told = fail(3, crowdread().args(["serve", "--listen", &address, "--data"]).arg(&data));
    assert_eq!(told.matches("os error").count(), 1, "{told}");
    let away = format!("http://127.0.0.1:{}", free_port());
    fail(3, crowdread().args(["crowd", "--url", &away, "--truth"]).arg(sample().join("truth")));

    // 4: a person must look.
    fs::write(data.join("server.key"), "short").expect("file");
    let told = fail(4, crowdread().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data));
    assert!(told.contains("server.key"), "{told}");
}

/// Some files cannot be used: the others are, and the exit code says so.
#[test]
fn what_is_partly_unusable_is_told_and_fails() {
    let folder = tempfile::tempdir().expect("folder");
    let ocr = folder.path().join("ocr");
    fs::create_dir(&ocr).expect("folder");
    for name in ["en-bees.tsv", "en-bees.png", "es-puerto.tsv", "es-puerto.png"] {
        fs::copy(sample().join("pages").join(name), ocr.join(name)).expect("file");
    }
    fs::write(ocr.join("broken.xml"), "<PcGts>").expect("file");
    let told = fail(2, crowdread().arg("evaluate").arg(&ocr).arg(sample().join("truth")));
    assert!(told.contains("broken.xml"), "{told}");
    let told = fail(2, crowdread().arg("import").arg(&ocr).args(["--collection", "press", "--data"]).arg(folder.path().join("data")));
    assert!(told.contains("broken.xml") && told.contains("2 of 3 pages"), "{told}");
}

/// An import of nothing leaves the collection's title as it was, another file by the same engine takes a reading's place where no server
/// is, and a collection that is not there is named with those that are. Seen to fail when the title is kept, when each file is imported
/// as beside a server, and when any name is answered with "name one".
#[test]
fn imports_and_names_say_what_became_of_them() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, page) = (folder.path().join("data"), folder.path().join("en-bees.tsv"));
    let import = || {
        let mut command = crowdread();
        command.arg("import").arg(&page).args(["--collection", "press", "--data"]).arg(&data);
        command
    };
    fs::copy(sample().join("pages/en-bees.png"), folder.path().join("en-bees.png")).expect("file");
    let read = fs::read_to_string(sample().join("pages/en-bees.tsv")).expect("file");
    fs::write(&page, &read).expect("file");
    succeed(&mut import());
    let settings = || fs::read_to_string(data.join("collections/press/collection.json")).expect("settings");
    let before = settings();
    fs::write(&page, "no rows").expect("file");
    let told = fail(2, import().args(["--title", "Another"]));
    assert!(told.contains("nothing was imported"), "{told}");
    assert_eq!(settings(), before);
    let shorter: Vec<&str> = read.lines().collect();
    fs::write(&page, shorter[..shorter.len() - 1].join("\n") + "\n").expect("file");
    succeed(&mut import());
    let told = fail(2, crowdread().args(["report", "--collection", "nope", "--data"]).arg(&data));
    assert!(told.contains("no collection \"nope\"") && told.contains("press"), "{told}");
    let output = succeed(crowdread().args(["report", "--json", "--data"]).arg(&data));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["right_after_expected"].is_null(), "only the prior: {report}");
}

/// 1, and who the owner is.
#[test]
fn a_folder_belongs_to_one_server() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    let mut server = serve(&data, port, &log, &[]);
    let told = fail(1, crowdread().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data));
    assert!(told.contains(&format!("http://127.0.0.1:{port}")), "{told}");
    assert_eq!(request(port, "GET", "/healthz", "").status, 200);
    server.end();
}

/// Whoever reads our output may go away; that is no failure and no panic. Is to fail with `println!` and `eprintln!`.
#[test]
fn a_closed_pipe_ends_nothing() {
    let closed = || {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    let mut child = crowdread().arg("config").stdout(closed()).stderr(closed()).spawn().expect("starts");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    let mut child = crowdread().args(["report", "--data", "nowhere"]).stdout(closed()).stderr(closed()).spawn().expect("starts");
    assert_eq!(child.wait().expect("ends").code(), Some(2));
}

/// The second Ctrl-C does not wait for anybody: here a door waits for the rest of a body. Is to fail when each wait listens for
/// signals anew.
#[test]
fn the_second_interrupt_ends_at_once() {
    use std::{io::Write, net::TcpStream};
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    import_sample(&data);
    let mut server = serve(&data, port, &log, &[]);
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    slow.write_all(b"POST /v1/records/events HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{").expect("sends");
    assert_eq!(request(port, "GET", "/healthz", "").status, 200); // by now the slow one is being read
    server.signal("INT");
    wait_until("the end to begin", || fs::read_to_string(&log).expect("log").contains("once more ends at once"));
    server.signal("INT");
    assert_eq!(server.exit_code(), 130);
    succeed(crowdread().args(["report", "--data"]).arg(&data));
}
