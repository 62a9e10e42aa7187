//! `/openapi.json` and, made of the same document, `/api`: a page for people that needs no script and nothing from elsewhere.
//! `cli` gives the document of all rooms; nothing here knows what is in it.
//!
//! document → operations by tag, each with its parameters, bodies, answers and a line for `curl` → schemas → one page

mod schema;

use axum::{Router, http::HeaderMap, routing::get};
use bytes::Bytes;
use maud::{DOCTYPE, Markup, html};
use record::{Api, Operation};
use serde_json::{Value, json};

use self::schema::{prose, shape};
use super::assets::{Asset, address_of};

/// Both addresses.
///
/// # Panics
/// When the document is no JSON object, which is a bug of its maker.
pub fn router(document: &Value) -> Router {
    assert!(document["paths"].is_object(), "an OpenAPI document has paths");
    let (json, page) = (Bytes::from(document.to_string()), Bytes::from(page(document)));
    let json: &'static Asset = Box::leak(Box::new(Asset::of("application/json", json)));
    let page: &'static Asset = Box::leak(Box::new(Asset::of("text/html; charset=utf-8", page)));
    let file = |asset: &'static Asset| get(async move |headers: HeaderMap| asset.respond(&headers, "no-cache"));
    Router::new().route("/openapi.json", file(json)).route("/api", file(page))
}

/// Describes the one that programs ask for.
pub fn api() -> Api {
    let mut api = Api::default();
    let text = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    api.add(Operation::get("/openapi.json", "openapi", "Status", "This document").answers_json(
        200,
        "OpenAPI 3.1; `/api` is the page that is made of it",
        text,
    ));
    api
}

/// An operation and where it is.
struct Told<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
}

impl<'a> Told<'a> {
    fn all(document: &'a Value) -> Vec<Self> {
        let paths = document["paths"].as_object().into_iter().flatten();
        let methods = paths.flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |(method, said)| (path, method, said)));
        methods.map(|(path, method, said)| Self { method, path, said }).collect()
    }

    fn id(&self) -> &'a str {
        text(&self.said["operationId"])
    }

    fn has_tag(&self, tag: &str) -> bool {
        list(&self.said["tags"]).any(|of| of == tag)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn page(document: &Value) -> String {
    let (info, operations) = (&document["info"], Told::all(document));
    let sheet = |path: &str| html! { link rel="stylesheet" href=(address_of(path)); };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(&info["title"])) }
                link rel="icon" href=(address_of("shared/icon.svg"));
                (sheet("shared/tokens.css"))
                (sheet("reference/reference.css"))
            }
            body {
                (contents(document, &operations))
                main {
                    h1 { (text(&info["title"])) }
                    p.soft { "Version " (text(&info["version"])) " · " a href="/openapi.json" { "openapi.json" } " (OpenAPI " (text(&document["openapi"])) ")" }
                    p { (prose(text(&info["description"]))) }
                    (credentials(document))
                    @for tag in list(&document["tags"]) {
                        section id={ "tag-" (text(&tag["name"])) } {
                            h2 { (text(&tag["name"])) }
                            p { (prose(text(&tag["description"]))) }
                            @for operation in operations.iter().filter(|operation| operation.has_tag(text(&tag["name"]))) {
                                (described(operation, document))
                            }
                        }
                    }
                    (schemas(document))
                }
            }
        }
    }
    .into_string()
}

/// The list at the side, or at the top of a narrow screen.
fn contents(document: &Value, operations: &[Told<'_>]) -> Markup {
    html! {
        nav aria-label="Contents" {
            @for tag in list(&document["tags"]) {
                @let name = text(&tag["name"]);
                a.group href={ "#tag-" (name) } { (name) }
                ul {
                    @for operation in operations.iter().filter(|operation| operation.has_tag(name)) {
                        li { a href={ "#" (operation.id()) } { (method(operation)) " " (broken(operation.path)) } }
                    }
                }
            }
            a.group href="#schemas" { "Schemas" }
        }
    }
}

fn method(operation: &Told<'_>) -> Markup {
    html! { b class={ "method " (operation.method) } { (operation.method.to_uppercase()) } }
}

/// A path that a narrow column may break at its parts.
fn broken(path: &str) -> Markup {
    html! { @for part in path.split('/').skip(1) { wbr; "/" (part) } }
}

fn credentials(document: &Value) -> Markup {
    html! {
        section id="credentials" {
            h2 { "Who may" }
            dl {
                @for (name, scheme) in members(&document["components"]["securitySchemes"]) {
                    dt id={ "credential-" (name) } { code { (name) } }
                    dd { (prose(text(&scheme["description"]))) }
                }
            }
        }
    }
}

fn described(operation: &Told<'_>, document: &Value) -> Markup {
    let said = operation.said;
    html! {
        details.operation {
            summary {
                span.address { (method(operation)) " " code { (broken(operation.path)) } }
                span.what { (text(&said["summary"])) }
            }
            // A link to what is inside opens it.
            div id=(operation.id()) {
                @if said["description"].is_string() { p { (prose(text(&said["description"]))) } }
                (shown(said))
                pre.curl { (curl(operation, document)) }
                (parameters(said))
                (bodies(said))
                (messages(said))
                (answers(said))
            }
        }
    }
}

/// What is shown to be let in.
fn shown(said: &Value) -> Markup {
    let choices: Vec<&Value> = list(&said["security"]).collect();
    let names: Vec<&String> = choices.iter().flat_map(|choice| members(choice)).map(|(name, _)| name).collect();
    let is_optional = choices.iter().any(|choice| members(choice).next().is_none());
    html! {
        @if !names.is_empty() {
            p { @if is_optional { "Takes " } @else { "Needs " }
                @for (index, name) in names.iter().enumerate() {
                    @if index > 0 { " or " }
                    a href={ "#credential-" (name) } { code { (name) } }
                }
                @if is_optional { ", if you have it" } "." }
        }
    }
}

fn parameters(said: &Value) -> Markup {
    html! {
        @if list(&said["parameters"]).next().is_some() {
            h4 { "Parameters" }
            (schema::table(list(&said["parameters"]).map(|parameter| schema::Row {
                name: text(&parameter["name"]),
                place: text(&parameter["in"]),
                schema: &parameter["schema"],
                is_required: parameter["required"] == true,
                text: text(&parameter["description"]),
            })))
        }
    }
}

fn bodies(said: &Value) -> Markup {
    html! {
        @for (media_type, content) in members(&said["requestBody"]["content"]) {
            h4 { "Body " code { (media_type) } }
            p { (shape(&content["schema"])) @if content["schema"]["description"].is_string() { ". " (prose(text(&content["schema"]["description"]))) } }
            (schema::fields(&content["schema"]))
            @if !content["example"].is_null() { pre { (as_sent(&content["example"], true)) } }
        }
    }
}

/// What goes over a WebSocket.
fn messages(said: &Value) -> Markup {
    html! {
        @for (which, schema) in members(&said["x-messages"]) {
            h4 { "Messages " (which) }
            p { (shape(schema)) " " (prose(text(&schema["description"]))) }
        }
    }
}

fn answers(said: &Value) -> Markup {
    html! {
        h4 { "Answers" }
        dl.answers {
            @for (status, response) in members(&said["responses"]) {
                dt class={ "status s" (status.chars().next().unwrap_or('0')) } { (status) }
                dd {
                    (prose(text(&response["description"])))
                    @for (media_type, content) in members(&response["content"]) {
                        br; code { (media_type) } " " (shape(&content["schema"]))
                    }
                    @for (field, header) in members(&response["headers"]) {
                        br; code { (field) } " " span.soft { (prose(text(&header["description"]))) }
                    }
                }
            }
        }
    }
}

/// An example as it goes over the wire: text as it is, all else as JSON.
fn as_sent(example: &Value, is_pretty: bool) -> String {
    match example {
        Value::String(text) => text.clone(),
        example if is_pretty => serde_json::to_string_pretty(example).unwrap_or_default(),
        example => example.to_string(),
    }
}

/// A line to be pasted into a shell.
fn curl(operation: &Told<'_>, document: &Value) -> String {
    let said = operation.said;
    let base = text(&document["info"]["x-base-url"]).trim_end_matches('/');
    let mut words = vec!["curl".to_owned()];
    if operation.method != "get" && (operation.method != "post" || said["requestBody"].is_null()) {
        words.push(format!("-X {}", operation.method.to_uppercase()));
    }
    if let Some((name, _)) = list(&said["security"]).flat_map(members).next() {
        words.push(format!("-H \"Authorization: Bearer ${}\"", name.to_uppercase()));
    }
    if let Some((media_type, content)) = members(&said["requestBody"]["content"]).next() {
        if media_type == "multipart/form-data" {
            words.extend(list(&content["schema"]["required"]).map(|field| format!("-F {0}=@{0}", text(field))));
        } else {
            words.push(format!("-H 'Content-Type: {media_type}'"));
            let example = if content["example"].is_null() { "…".to_owned() } else { as_sent(&content["example"], false) };
            words.push(format!("--data-binary '{}'", example.replace('\'', "'\\''")));
        }
    }
    let query: Vec<String> = list(&said["parameters"])
        .filter(|parameter| parameter["in"] == "query" && parameter["required"] == true)
        .map(|parameter| format!("{0}={1}", text(&parameter["name"]), text(&parameter["name"]).to_uppercase()))
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    // `{name}` becomes NAME: braces mean something to curl.
    let part = |part: &str| part.strip_prefix('{').map_or(part.to_owned(), |name| name.trim_end_matches('}').to_uppercase());
    let path: Vec<String> = operation.path.split('/').map(part).collect();
    words.push(format!("'{base}{}{query}'", path.join("/")));
    words.join(" ")
}

fn schemas(document: &Value) -> Markup {
    html! {
        section id="schemas" {
            h2 { "Schemas" }
            @for (name, schema) in members(&document["components"]["schemas"]) {
                details.operation {
                    summary { span.address { code { (name) } } span.what { (prose(text(&schema["description"]))) } }
                    div id={ "schema-" (name) } {
                        p { (shape(schema)) }
                        (schema::fields(schema))
                        details { summary { "JSON Schema" } pre { (as_sent(schema, true)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
