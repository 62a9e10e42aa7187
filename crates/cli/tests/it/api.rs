//! The API as its document describes it, and as others' programs read that: a validator of OpenAPI 3.1, and Schemathesis, which draws
//! requests from the document, right and wrong ones, and holds the answers against it.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::programs::{crowdread, free_port, import_sample, python, request, request_as, serve_as, succeed, wait_until};

/// How Schemathesis is to go about it.
const CONFIG: &str = include_str!("api/schemathesis.toml");
/// What it does not know by itself.
const HOOKS: &str = include_str!("api/hooks.py");

/// A topic with references within its schema, and formats.
fn sensors() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://pages.example/sensors.json",
        "type": "object",
        "required": ["device", "celsius"],
        "properties": {
            "device": { "$ref": "#/$defs/name" },
            "celsius": { "type": "number", "minimum": -90, "maximum": 60 },
            "steps": { "type": "integer", "minimum": 0, "maximum": 1_000_000 },
            "is_on": { "type": ["boolean", "null"] },
            "at": { "type": "string", "format": "date-time", "pattern": "^20[0-9]{2}-" },
            "neighbours": { "type": "array", "maxItems": 4, "items": { "$ref": "#/$defs/name" } },
        },
        "$defs": { "name": { "type": "string", "minLength": 1, "maxLength": 20 } },
        "examples": [{ "device": "attic", "celsius": 21.5 }],
    })
}

/// A working folder with the settings, and what Schemathesis reads.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let settings = "[topics.sensors]\nschema = \"sensors.json\"\n\n[topics.plain]\n";
    fs::write(folder.path().join("crowdread.toml"), settings).expect("written");
    fs::write(folder.path().join("sensors.json"), sensors().to_string()).expect("written");
    fs::write(folder.path().join("hooks.py"), HOOKS).expect("written");
    import_sample(&folder.path().join("data"));
    folder
}

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

/// What stands on this server, for parameters that are not drawn by chance.
fn dictionaries(port: u16, secret: &str) -> String {
    let ids = |value: &Value, list: &str, name: &str| {
        let list = value[list].as_array().expect("a list").iter();
        list.map(|one| one[name].as_str().expect("an id").to_owned()).take(4).collect::<Vec<_>>()
    };
    let tasks = json_of(&request_as(secret, port, "GET", "/v1/tasks?collection=sample", "").body);
    let pages = json_of(&request(port, "GET", "/v1/collections/sample/pages", "").body);
    let record = "0192f0c4-8c5e-7000-8000-000000000001";
    let body = format!("{{\"record_id\":\"{record}\"}}");
    assert_eq!(request(port, "POST", "/v1/records/events", &body).status, 200);
    let of = |name: &str, values: &[String]| format!("\n[dictionaries.{name}]\nvalues = {values:?}\n");
    [
        of("collections", &["sample".to_owned()]),
        of("tasks", &ids(&tasks, "tasks", "task_id")),
        of("pages", &ids(&pages, "pages", "id")),
        of("ids", &[record.to_owned()]),
    ]
    .concat()
}

fn check_document(python: &Path, folder: &Path, document: &str) {
    let file = folder.join("openapi.json");
    fs::write(&file, document).expect("written");
    succeed(Command::new(python).args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(file));
}

/// Seen to fail when a type of an answer is another than the document's, when a status is not described, and when a route that is the
/// owner's answers anybody.
#[test]
fn the_server_keeps_to_its_document() {
    let Some(python) = python() else { return };
    let (folder, port) = (folder(), free_port());
    let folder = folder.path();
    let mut command = crowdread();
    command.env("CROWDREAD_LOG", "warn").env("CROWDREAD_LOADER__ROLL_AGE_MS", "100").current_dir(folder);
    let mut server = serve_as(command, &folder.join("data"), port, &folder.join("log"), &[]);
    let document = request(port, "GET", "/openapi.json", "").body;
    check_document(&python, folder, &document);
    let document = json_of(&document);
    assert_eq!(document["components"]["schemas"]["record.sensors"]["properties"]["celsius"]["maximum"], 60, "{document}");

    let secret = json_of(&request(port, "POST", "/v1/workers", "").body)["secret"].as_str().expect("a secret").to_owned();
    fs::write(folder.join("schemathesis.toml"), format!("{CONFIG}{}", dictionaries(port, &secret))).expect("written");
    let mut create = crowdread();
    create.args(["token", "create", "--topic", "sensors", "--topic", "plain", "--data"]).arg(folder.join("data")).current_dir(folder);
    let token = String::from_utf8(succeed(&mut create).stdout).expect("UTF-8");
    let owner = json_of(&fs::read_to_string(folder.join("data/lock")).expect("a lock file"))["token"].as_str().expect("a token").to_owned();
    // What the dictionary names is a row by now, so that its receipt says where.
    let receipt = "/v1/records/events/0192f0c4-8c5e-7000-8000-000000000001";
    wait_until("a landed record", || request(port, "GET", receipt, "").body.contains("landed"));

    let mut schemathesis = Command::new(&python);
    // From the file: of an address it would leave the document's own out.
    schemathesis.args(["-m", "schemathesis.cli", "run", "openapi.json", "--url", &format!("http://127.0.0.1:{port}")]);
    schemathesis.env("OWNER", owner).env("WRITE_TOKEN", token.trim()).env("WORKER_SECRET", secret).current_dir(folder);
    let output = schemathesis.output().expect("runs");
    let (told, log) = (String::from_utf8_lossy(&output.stdout), fs::read_to_string(folder.join("log")).unwrap_or_default());
    assert!(output.status.success(), "{told}\n{}\nthe server's log:\n{log}", String::from_utf8_lossy(&output.stderr));
    // A run that tried nothing would be green, too.
    let items = document["paths"].as_object().expect("paths").values();
    let operations: usize = items.map(|item| item.as_object().map_or(0, serde_json::Map::len)).sum();
    assert!(told.contains(&format!("Tested: {operations}")), "{operations} operations: {told}");
    server.end();
}
