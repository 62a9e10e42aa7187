//! JSON Schemas in words: what a value is, and a table of an object's fields.

use maud::{Markup, html};
use serde_json::Value;

use super::{list, members, text};

/// How schemas of the document are named.
const NAMED: &str = "#/components/schemas/";

/// Text with code between backticks. Square brackets round such code, as the notes of our types have them, are left out.
pub(super) fn prose(text: &str) -> Markup {
    let text = text.replace("[`", "`").replace("`]", "`");
    html! { @for (index, piece) in text.split('`').enumerate() { @if index % 2 == 1 { code { (piece) } } @else { (piece) } } }
}

/// What a value is, in a few words.
pub(super) fn shape(schema: &Value) -> Markup {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix(NAMED).unwrap_or(reference);
        // Within a schema there is no place to lead to.
        let top = name.split('/').next().unwrap_or(name);
        return html! { a href={ "#schema-" (top) } { (name) } };
    }
    if !schema["const"].is_null() {
        return html! { code { (schema["const"].to_string()) } };
    }
    if schema["enum"].is_array() {
        return html! { @for (index, value) in list(&schema["enum"]).enumerate() { @if index > 0 { " or " } code { (value.to_string()) } } };
    }
    for (member, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if schema[member].is_array() {
            return html! { @for (index, one) in list(&schema[member]).enumerate() { @if index > 0 { (word) } (shape(one)) } };
        }
    }
    of_type(schema)
}

fn of_type(schema: &Value) -> Markup {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(text).collect(),
        _ => vec!["any value"],
    };
    html! {
        @for (index, name) in types.iter().enumerate() {
            @if index > 0 { " or " }
            @match *name {
                "array" if schema["prefixItems"].is_array() => {
                    "list of " @for (index, item) in list(&schema["prefixItems"]).enumerate() { @if index > 0 { ", then " } (shape(item)) }
                }
                "array" => { "list of " (shape(&schema["items"])) }
                "object" if schema["additionalProperties"].is_object() && schema["properties"].is_null() => {
                    "object of " (shape(&schema["additionalProperties"]))
                }
                name => (name),
            }
        }
        @if let Some(format) = schema["format"].as_str() { span.soft { " " (format) } }
        (limits(schema))
    }
}

fn limits(schema: &Value) -> Markup {
    let of = |name: &str| schema[name].as_f64();
    html! {
        @match (of("minimum"), of("maximum")) {
            (Some(low), Some(high)) => span.soft { ", " (low) " to " (high) },
            (Some(low), None) => span.soft { ", at least " (low) },
            (None, Some(high)) => span.soft { ", at most " (high) },
            (None, None) => {},
        }
        @if let Some(most) = of("maxLength") { span.soft { ", at most " (most) " characters" } }
        @if !schema["default"].is_null() { span.soft { ", else " (schema["default"].to_string()) } }
    }
}

/// A line of a table.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    /// Where it stands, of a parameter.
    pub(super) place: &'a str,
    pub(super) schema: &'a Value,
    pub(super) is_required: bool,
    pub(super) text: &'a str,
}

/// A table of fields or parameters.
pub(super) fn table<'a>(rows: impl Iterator<Item = Row<'a>>) -> Markup {
    html! {
        div.wide {
            table {
                @for row in rows {
                    tr {
                        th scope="row" { code { (row.name) } @if row.is_required { span.required title="required" { " *" } } }
                        td { (shape(row.schema)) @if !row.place.is_empty() { span.soft { " in " (row.place) } } }
                        td { (prose(row.text)) }
                    }
                }
            }
        }
    }
}

/// The fields of an object, those of each part of a schema that has several.
pub(super) fn fields(schema: &Value) -> Markup {
    let required = |name: &str| list(&schema["required"]).any(|one| one == name);
    html! {
        @if schema["properties"].is_object() {
            (table(members(&schema["properties"]).map(|(name, property)| Row {
                name,
                place: "",
                schema: property,
                is_required: required(name),
                text: text(&property["description"]),
            })))
        }
        @for part in ["oneOf", "anyOf", "allOf"].into_iter().flat_map(|member| list(&schema[member])) {
            @if part["properties"].is_object() {
                @if part["description"].is_string() { p { (prose(text(&part["description"]))) } }
                (fields(part))
            }
        }
    }
}
