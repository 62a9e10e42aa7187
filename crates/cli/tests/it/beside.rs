//! Commands beside a running server: they ask it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::programs::{crowdread, fail, free_port, request, sample, serve, succeed};

/// Seen to fail when JSON's numbers are read inexactly: the report beside a server ends in other digits.
#[test]
fn import_report_and_export_ask_the_server_that_owns_the_folder() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, out, port) = (folder.path().join("data"), folder.path().join("log"), folder.path().join("out"), free_port());
    let mut server = serve(&data, port, &log, &[]);
    let import = |page: &str, collection: &str, more: &[&str]| {
        let path = sample().join("pages").join(page);
        let output = succeed(crowdread().arg("import").arg(path).args(["--collection", collection]).args(more).arg("--data").arg(&data));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = import("en-bees.tsv", "bees", &[]);
    assert!(told.contains("1 of 1 pages") && told.contains(&port.to_string()), "{told}");
    import("es-puerto.tsv", "puerto", &["--convention", "diplomatic"]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("folder");
    let told = fail(2, crowdread().args(["import", "--collection", "bees", "--data"]).arg(&data).arg(&empty));
    assert!(told.contains("no OCR files"), "{told}");

    // The convention that a crowd goes by is the collection's; another one is told of.
    let url = format!("http://127.0.0.1:{port}");
    let crowd = |more: &[&str]| {
        let truth = sample().join("truth");
        let args = ["crowd", "--url", &url, "--phones", "4", "--collection", "puerto", "--records-max", "40"];
        let output = succeed(crowdread().args(args).arg("--truth").arg(truth).args(more));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(!crowd(&[]).contains("convention"));
    assert!(crowd(&["--convention", "default", "--seed", "2"]).contains("go by the convention diplomatic"));

    let told = fail(2, crowdread().args(["report", "--data"]).arg(&data));
    assert!(told.contains("bees, puerto"), "{told}");
    let report = succeed(crowdread().args(["report", "--json", "--collection", "puerto", "--data"]).arg(&data));
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!((report["pages"].as_u64(), report["answers"].as_u64()), (Some(1), Some(80)));
    succeed(crowdread().args(["export", "--collection", "puerto", "--data"]).arg(&data).arg("--out").arg(&out));
    assert_eq!(fs::read_dir(&out).expect("folder").count(), 1);

    // One inference state, to the last digit.
    let report = || succeed(crowdread().args(["report", "--json", "--collection", "puerto", "--data"]).arg(&data)).stdout;
    let beside = report();
    server.end();
    assert_eq!(String::from_utf8_lossy(&beside), String::from_utf8_lossy(&report()));
}

/// A board that stays open does not hold up the server's end: its stream is ended in order, by the last chunk of RFC 9112 section 7.1.
/// Is to fail when the stream does not know of the shutdown: then it is cut off after ten seconds.
#[test]
fn an_open_board_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    succeed(crowdread().arg("import").arg(sample().join("pages/en-bees.tsv")).args(["--collection", "bees", "--data"]).arg(&data));
    let mut server = serve(&data, port, &log, &[]);
    assert_eq!(request(port, "GET", "/v1/collections/none/live", "").status, 404);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.write_all(b"GET /v1/collections/bees/live HTTP/1.1\r\nhost: here\r\n\r\n").expect("sends");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("data:") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).expect("UTF-8"), 0, "the stream is open");
    }
    server.signal("TERM");
    let mut rest = String::new();
    stream.take(64 << 20).read_to_string(&mut rest).expect("UTF-8");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest:?}");
    assert_eq!(server.exit_code(), 0);
}

/// What phones in the room open is the machine's address, not the wildcard that the server listens on.
#[test]
fn a_server_for_the_room_tells_an_address_that_can_be_opened() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    succeed(crowdread().arg("import").arg(sample().join("pages/en-bees.tsv")).args(["--collection", "bees", "--data"]).arg(&data));
    let mut server = serve(&data, port, &log, &[("CROWDREAD_LISTEN", &format!("0.0.0.0:{port}"))]);
    let status: serde_json::Value = serde_json::from_str(&request(port, "GET", "/v1/collections/bees/status", "").body).expect("JSON");
    let join_url = status["join_url"].as_str().expect("an address").to_owned();
    assert!(join_url.ends_with(&format!(":{port}/")) && !join_url.contains("0.0.0.0"), "{join_url}");
    succeed(crowdread().args(["report", "--data"]).arg(&data)); // asks the owner under an address that can be opened
    server.end();
}
