//! What the product's addresses take and answer, in OpenAPI. `cli` asks, and puts the document together.

use record::{Api, Credential, Operation};
use serde_json::{Value, json};

use super::{
    api::{NewWorker, TaskOffers},
    collections::{CollectionList, PageList, PageMap, PageWithTasks, StatusAndAddress},
};
use crate::{collection::import::Imported, corrections::PageCorrections, report::Report};

/// The group of the addresses that a reader's page uses.
pub const READING: &str = "Reading";
/// The group of the addresses that tell of collections.
pub const COLLECTIONS: &str = "Collections";

const NO_COLLECTION: (u16, &str) = (404, "`not_found`: no such collection, or page of it");
const NOT_OWNER: [(u16, &str); 2] =
    [(401, "`not_the_owner`: no bearer token was shown"), (403, "`not_the_owner`: the token is not the owner's")];
const FAILED: (u16, &str) = (500, "`internal`, `corrupt`: the request failed; the server's log says why");
const NOT_NOW: (u16, &str) = (503, "`unavailable`: a disk or the memory does not let it now");

/// Describes them.
pub fn of() -> Api {
    let mut api = Api::default();
    reading(&mut api);
    pictures(&mut api);
    collections(&mut api);
    pages(&mut api);
    upload(&mut api);
    of_the_owner(&mut api);
    api
}

/// 32 hexadecimal digits.
fn id() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn reading(api: &mut Api) {
    let (worker, tasks) = (api.schema::<NewWorker>(), api.schema::<TaskOffers>());
    api.add(
        Operation::post("/v1/workers", "new_worker", READING, "Become a worker")
            .details("A worker is anonymous: a secret that nobody else has.")
            .answers_json(201, "The worker; the secret is shown here and nowhere else", worker)
            .refuses(&[
                (429, "`too_many_requests`: more new workers from one address than a room full of people asks for"),
                FAILED,
                NOT_NOW,
            ]),
    );
    let count = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 20 });
    api.add(
        Operation::get("/v1/tasks", "get_tasks", READING, "Words to judge, leased to a worker")
            .details("Fewer than asked for where the collection has no more for this worker, or too many of its words are unanswered.")
            .needs(Credential::WorkerSecret)
            .in_query("collection", true, "The collection", text())
            .in_query("n", false, "How many words at most", count)
            .answers_json(200, "The words", tasks)
            .refuses(&[(400, "`invalid`: the query is another one"), (401, "`unknown_worker`"), NO_COLLECTION, FAILED]),
    );
    api.add(
        Operation::get("/v1/join.svg", "get_join_code", READING, "The QR code that a phone in the room scans")
            .answers(200, "The picture", "image/svg+xml", text())
            .refuses(&[FAILED]),
    );
}

fn pictures(api: &mut Api) {
    for (path, name, summary) in [
        ("/v1/crops/{task}", "get_crop", "The picture of a word, at twice the size of the scan"),
        ("/v1/lines/{task}", "get_line", "The picture of a word's line"),
    ] {
        api.add(
            Operation::get(path, name, READING, summary)
                .in_path("task", "The task's id", id())
                .answers(200, "The picture, which never changes", "image/png", json!({}))
                .answers_too(200, "image/jpeg", json!({}))
                .refuses(&[(400, "`invalid`: not an id"), (404, "`not_found`: no such word"), FAILED, NOT_NOW]),
        );
    }
}

fn collections(api: &mut Api) {
    let (list, status) = (api.schema::<CollectionList>(), api.schema::<StatusAndAddress>());
    let data = json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": status });
    let event = json!({ "type": "object", "required": ["data"], "properties": { "data": data } });
    api.add(
        Operation::get("/v1/collections", "list_collections", COLLECTIONS, "The collections")
            .answers_json(200, "By name", list)
            .refuses(&[FAILED]),
    );
    api.add(
        Operation::get("/v1/collections/{name}/status", "get_status", COLLECTIONS, "How a collection stands")
            .details(
                "Words, answers, readers, and the engine's accuracy with its interval: what the board shows. At most half a second old.",
            )
            .in_path("name", "The collection", text())
            .answers_json(200, "How it stands", status)
            .refuses(&[NO_COLLECTION, FAILED]),
    );
    api.add(
        Operation::get("/v1/collections/{name}/live", "follow_status", COLLECTIONS, "How a collection stands, as it changes")
            .details("Server-sent events, one a second; the data of each is what `status` answers. It ends with the server.")
            .in_path("name", "The collection", text())
            .answers(200, "The stream", "text/event-stream", event)
            .refuses(&[NO_COLLECTION, FAILED]),
    );
}

fn pages(api: &mut Api) {
    let (list, page, map) = (api.schema::<PageList>(), api.schema::<PageWithTasks>(), api.schema::<PageMap>());
    api.add(
        Operation::get("/v1/collections/{name}/pages", "list_pages", COLLECTIONS, "The pages of a collection")
            .in_path("name", "The collection", text())
            .answers_json(200, "The pages", list)
            .refuses(&[NO_COLLECTION, FAILED]),
    );
    let of_page = |path: &str, name, summary| {
        Operation::get(path, name, COLLECTIONS, summary)
            .in_path("name", "The collection", text())
            .in_path("page", "The page's id", id())
            .refuses(&[(400, "`invalid`: not an id"), NO_COLLECTION, FAILED])
    };
    api.add(
        of_page("/v1/collections/{name}/pages/{page}", "get_page", "A page as its engine read it, with the task of each word")
            .answers_json(200, "The page", page),
    );
    api.add(
        of_page("/v1/collections/{name}/pages/{page}/map", "get_page_map", "A page's words by how they stand")
            .details("A word whose verdict would tell others' answers to who is still asked about it is open.")
            .answers_json(200, "The words", map),
    );
}

/// The form is read field by field, so no type has its schema.
fn upload(api: &mut Api) {
    let imported = api.schema::<Imported>();
    let file = |text: &str| json!({ "type": "string", "contentMediaType": "application/octet-stream", "description": text });
    let form = json!({
        "type": "object",
        "required": ["ocr", "image"],
        "additionalProperties": false,
        "properties": {
            "ocr": file("The engine's file, with its name: PAGE XML, ALTO, hOCR or TSV."),
            "image": file("The page's image: PNG, JPEG or TIFF."),
            "engine": { "type": "string", "description": "The engine, where the file does not say it." },
            "title": { "type": "string", "description": "The collection's title." },
            "convention": { "enum": ["default", "diplomatic"] },
        },
    });
    api.add(
        Operation::post("/v1/collections/{name}/pages", "upload_page", COLLECTIONS, "Add a page to a collection")
            .details("What `crowdread import` does beside a running server. A collection that is not there is made.")
            .needs(Credential::Owner)
            .in_path("name", "The collection: 1 to 64 of a-z, 0-9, _ and -, beginning with a letter", text())
            .body("multipart/form-data", form, None)
            .answers_json(201, "What became of it", imported)
            .refuses(&NOT_OWNER)
            .refuses(&[
                (400, "`invalid`: the files are no page, or the form is another one"),
                (409, "`conflict`: the page has another reading by this engine"),
                (413, "`body_too_large`"),
                FAILED,
                NOT_NOW,
            ]),
    );
}

fn of_the_owner(api: &mut Api) {
    let (report, corrections) = (api.schema::<Report>(), api.schema::<PageCorrections>());
    let owner = |path: &str, name, summary| {
        Operation::get(path, name, COLLECTIONS, summary)
            .needs(Credential::Owner)
            .in_path("name", "The collection", text())
            .refuses(&NOT_OWNER)
            .refuses(&[NO_COLLECTION, FAILED])
    };
    api.add(
        owner("/v1/collections/{name}/report", "get_report", "All that a report tells of a collection")
            .details("After a full pass of the inference over a copy: readers do not wait for it.")
            .answers_json(200, "The report", report),
    );
    api.add(owner("/v1/collections/{name}/corrections", "get_corrections", "What is to be mended on each page").answers_json(
        200,
        "The pages",
        json!({ "type": "array", "items": corrections }),
    ));
}
