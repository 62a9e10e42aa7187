//! Describing addresses in OpenAPI 3.1, so that doors and product describe theirs in one form, as pure data.
//!
//! types of serde → their schemas, [`Api::schema`] → [`Operation`]s that name them → [`Api::document`]
//!
//! Called by `collector::api`, `ocr::web::api_of` and, for what the binary alone knows, by `cli`, which puts them together.

use serde_json::{Map, Value, json};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::ProblemDetails;

/// The addresses of a room, or of several, and the schemas that they name.
#[derive(Debug, Default)]
pub struct Api {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// Adds what is not there. Two things under one name would be a bug: the document would lie about one of them.
fn add(map: &mut Map<String, Value>, name: String, value: Value) {
    if let Some(before) = map.get(&name) {
        assert_eq!(*before, value, "two things are called {name}");
        return;
    }
    map.insert(name, value);
}

fn to_value(schema: RefOr<Schema>) -> Value {
    serde_json::to_value(schema).expect("a schema is JSON")
}

impl Api {
    /// The schema of a type, with all that it names, to be used in an operation.
    pub fn schema<T: ToSchema>(&mut self) -> Value {
        let mut named = Vec::new();
        T::schemas(&mut named);
        for (name, schema) in named {
            add(&mut self.schemas, name, to_value(schema));
        }
        self.named_schema(&T::name(), to_value(T::schema()))
    }

    /// A schema that is no type of ours, under a name.
    pub fn named_schema(&mut self, name: &str, schema: Value) -> Value {
        add(&mut self.schemas, name.to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Adds an operation. What it refuses has the form of [`ProblemDetails`], which is added with it.
    pub fn add(&mut self, operation: Operation) {
        self.schema::<ProblemDetails<'_>>();
        let path = self.paths.entry(operation.path).or_insert_with(|| json!({}));
        let before = path.as_object_mut().expect("operations by method").insert(operation.method.to_owned(), operation.said);
        assert!(before.is_none(), "two operations at one address");
    }

    /// Adds what another room describes.
    pub fn merge(&mut self, other: Self) {
        for (name, schema) in other.schemas {
            add(&mut self.schemas, name, schema);
        }
        for (path, operations) in other.paths {
            let before = self.paths.entry(path).or_insert_with(|| json!({}));
            let (before, Value::Object(operations)) = (before.as_object_mut().expect("operations by method"), operations) else { continue };
            for (method, operation) in operations {
                add(before, method, operation);
            }
        }
    }

    /// The document. `top` has the members that are no room's own, such as `info`; its `components` get the schemas.
    pub fn document(self, mut top: Value) -> Value {
        top["openapi"] = "3.1.0".into();
        top["paths"] = self.paths.into();
        top["components"]["schemas"] = self.schemas.into();
        top
    }
}

/// One method of one address.
#[derive(Debug)]
pub struct Operation {
    method: &'static str,
    path: String,
    said: Value,
}

/// How somebody shows who may do it; the names of `components.securitySchemes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A write token of the topic.
    WriteToken,
    /// A worker's secret.
    WorkerSecret,
    /// The owner's token.
    Owner,
}

impl Credential {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WriteToken => "write_token",
            Self::WorkerSecret => "worker_secret",
            Self::Owner => "owner",
        }
    }
}

impl Operation {
    /// `GET` of an address; `id` is a name for programs, `tag` the group.
    pub fn get(path: impl Into<String>, id: &str, tag: &str, summary: &str) -> Self {
        Self::new("get", path.into(), id, tag, summary)
    }

    /// `POST`, likewise.
    pub fn post(path: impl Into<String>, id: &str, tag: &str, summary: &str) -> Self {
        Self::new("post", path.into(), id, tag, summary)
    }

    /// `DELETE`, likewise.
    pub fn delete(path: impl Into<String>, id: &str, tag: &str, summary: &str) -> Self {
        Self::new("delete", path.into(), id, tag, summary)
    }

    fn new(method: &'static str, path: String, id: &str, tag: &str, summary: &str) -> Self {
        let said = json!({ "operationId": id, "tags": [tag], "summary": summary, "parameters": [], "responses": {} });
        Self { method, path, said }
    }

    /// What is to be known beyond the summary.
    #[must_use]
    pub fn details(self, text: impl Into<String>) -> Self {
        self.with("description", text.into().into())
    }

    /// Any member, such as an extension.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.said[member] = value;
        self
    }

    /// It is refused without this.
    #[must_use]
    pub fn needs(self, credential: Credential) -> Self {
        self.with("security", json!([{ credential.as_str(): [] }]))
    }

    /// This may be shown, and some of what is asked for may depend on it.
    #[must_use]
    pub fn takes(self, credential: Credential) -> Self {
        self.with("security", json!([{ credential.as_str(): [] }, {}]))
    }

    /// A part of the path.
    #[must_use]
    pub fn in_path(self, name: &str, text: &str, schema: Value) -> Self {
        self.parameter(json!({ "name": name, "in": "path", "required": true, "description": text, "schema": schema }))
    }

    /// A part of the query.
    #[must_use]
    pub fn in_query(self, name: &str, is_required: bool, text: &str, schema: Value) -> Self {
        self.parameter(json!({ "name": name, "in": "query", "required": is_required, "description": text, "schema": schema }))
    }

    /// A field of the request's head, which may be left out.
    #[must_use]
    pub fn in_field(self, name: &str, text: &str, schema: Value) -> Self {
        self.parameter(json!({ "name": name, "in": "header", "required": false, "description": text, "schema": schema }))
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.said["parameters"].as_array_mut().expect("parameters are a list").push(parameter);
        self
    }

    /// A body that may be sent: its media type, schema, and an example that is sent as it stands.
    #[must_use]
    pub fn body(mut self, media_type: &str, schema: Value, example: Option<Value>) -> Self {
        self.said["requestBody"]["required"] = true.into();
        self.said["requestBody"]["content"][media_type] = content(schema, example);
        self
    }

    /// An answer with a body.
    #[must_use]
    pub fn answers(self, status: u16, text: &str, media_type: &str, schema: Value) -> Self {
        let content = json!({ media_type: content(schema, None) });
        self.responds(status, json!({ "description": text, "content": content }))
    }

    /// Another media type of an answer with a body.
    #[must_use]
    pub fn answers_too(mut self, status: u16, media_type: &str, schema: Value) -> Self {
        self.said["responses"][status.to_string()]["content"][media_type] = content(schema, None);
        self
    }

    /// An answer in JSON.
    #[must_use]
    pub fn answers_json(self, status: u16, text: &str, schema: Value) -> Self {
        self.answers(status, text, "application/json", schema)
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(self, status: u16, text: &str) -> Self {
        self.responds(status, json!({ "description": text }))
    }

    /// What is refused, by status: problem details with the codes that the text names.
    #[must_use]
    pub fn refuses(self, refusals: &[(u16, &str)]) -> Self {
        let problem = json!({ "$ref": "#/components/schemas/Problem" });
        refusals.iter().fold(self, |operation, (status, text)| {
            let mut response = json!({ "description": text, "content": { ProblemDetails::MEDIA_TYPE: content(problem.clone(), None) } });
            if let Some((field, text, schema)) = field_of(*status) {
                response["headers"][field] = json!({ "description": text, "schema": schema });
            }
            operation.responds(*status, response)
        })
    }

    /// A field of an answer's head.
    #[must_use]
    pub fn with_field(mut self, status: u16, name: &str, text: &str, schema: Value) -> Self {
        self.said["responses"][status.to_string()]["headers"][name] = json!({ "description": text, "schema": schema });
        self
    }

    fn responds(mut self, status: u16, response: Value) -> Self {
        self.said["responses"][status.to_string()] = response;
        self
    }
}

fn content(schema: Value, example: Option<Value>) -> Value {
    match example {
        Some(example) => json!({ "schema": schema, "example": example }),
        None => json!({ "schema": schema }),
    }
}

/// The field that comes with a refusal of this status, wherever it is told.
fn field_of(status: u16) -> Option<(&'static str, &'static str, Value)> {
    match status {
        401 => Some(("WWW-Authenticate", "The scheme: Bearer", json!({ "type": "string", "const": "Bearer" }))),
        429 | 503 => Some(("Retry-After", "Seconds to wait", json!({ "type": "integer", "minimum": 1 }))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
