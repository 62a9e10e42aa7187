//! What only the owner of the data folder may ask of a running server: `/v1/tokens`, `/v1/dead-letters/retry`, and what rooms answer that
//! the doors know nothing of ([`Question`]). `cli` asks, with the token that stands in the folder's lock file.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use record::{Clock, Digest, Outcome, RecordId, Rejection, RejectionTag, Timestamp, Topic};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::Ref};

use crate::{
    ingest::{Ingest, Sender},
    problem::Problem,
    raw_item::RawItem,
    tokens::{Refusal, Token, Tokens},
    wire,
};

/// The largest request, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// The name of the door of records that are sent again.
const DOOR: &str = "retry";

/// A question to a room that the doors know nothing of: what is asked, as JSON (`null` without a body), to the answer.
pub type Question = Arc<dyn Fn(serde_json::Value) -> BoxFuture<'static, record::Result<serde_json::Value>> + Send + Sync>;

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// With `GET`, and `null` for what is asked.
    Get,
    /// With `POST`, and a body.
    Post,
}

/// What the addresses need.
pub struct Admin {
    /// Takes the records that are sent again.
    pub ingest: Arc<Ingest>,
    /// The write tokens.
    pub tokens: Arc<Tokens>,
    /// What the owner shows.
    pub owner_token: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Answered at their addresses.
    pub questions: Vec<(&'static str, Asked, Question)>,
}

/// The routes.
pub fn router(mut admin: Admin) -> Router {
    let mut questions = Router::new();
    for (path, asked, question) in std::mem::take(&mut admin.questions) {
        let answer = match asked {
            Asked::Get => get(async move || told(question(serde_json::Value::Null).await)),
            Asked::Post => post(async move |asked: Result<Json<serde_json::Value>, JsonRejection>| told(question(body(asked)?).await)),
        };
        questions = questions.route(path, answer);
    }
    let admin = Arc::new(admin);
    questions
        .route("/v1/tokens", get(list).merge(post(create)))
        .route("/v1/tokens/{id}", delete(revoke))
        .route("/v1/dead-letters/retry", post(retry))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        // Before anything of a body is read.
        .layer(from_fn_with_state(Arc::clone(&admin), owner_only))
        .with_state(admin)
}

/// The tokens of a server.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// The oldest first.
    pub tokens: Vec<Token>,
}

/// A token that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for; without control characters.
    #[schema(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: String,
    /// The topics that it lets write to.
    #[schema(schema_with = topic_names)]
    pub topics: Vec<String>,
    /// Up to when it is good, RFC 3339; for ever where nothing is said.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// `api` has the names.
fn topic_names() -> utoipa::openapi::schema::Array {
    let name = Ref::from_schema_name("TopicName");
    utoipa::openapi::schema::ArrayBuilder::new().items(name).min_items(Some(1)).build()
}

/// Rejected records that are sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryRequest)]
pub struct Retry {
    /// The records.
    pub records: Vec<Rejected>,
}

/// One of them, as the dead letters have it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RejectedRecord)]
pub struct Rejected {
    /// The topic.
    pub topic: String,
    /// The id that it was given, or had.
    pub record_id: RecordId,
    /// The JSON object.
    pub payload: String,
}

impl Admin {
    fn check_owner(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let detail = "only the owner of the data folder may do this: `crowdread token`, `crowdread dead-letters` and `crowdread audit` with --data DIR can";
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| record::bearer_token(value.as_bytes()));
        match shown {
            // Of hashes, so that the time it takes says nothing of the token.
            Some(shown) if Digest::of(&[shown]) == Digest::of(&[self.owner_token.as_bytes()]) => Ok(()),
            Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "not_the_owner", detail)),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "not_the_owner", detail)),
        }
    }

    /// Topics that are taken here; the token of a topic that is declared later is made later.
    fn topics(&self, names: &[String]) -> record::Result<Vec<Topic>> {
        names.iter().map(|name| self.ingest.topic(name)).collect()
    }
}

type Answer = Result<Response, Problem>;

async fn owner_only(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Answer {
    admin.check_owner(request.headers())?;
    Ok(next.run(request).await)
}

/// The owner may know everything.
fn told(answer: record::Result<serde_json::Value>) -> Result<Json<serde_json::Value>, Problem> {
    answer.map(Json).map_err(|error| Problem::new(problem(&error).status(), error.kind().as_str(), error.to_string()))
}

fn problem(error: &record::Error) -> Problem {
    Problem::from(error)
}

/// A body of ours, or what is wrong with it in the one form.
fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| Problem::new(rejection.status(), "bad_body", rejection.body_text()))
}

async fn list(State(admin): State<Arc<Admin>>) -> Answer {
    Ok(Json(TokenList { tokens: admin.tokens.list() }).into_response())
}

async fn create(State(admin): State<Arc<Admin>>, new: Result<Json<NewToken>, JsonRejection>) -> Answer {
    let new = body(new)?;
    let topics = admin.topics(&new.topics).map_err(|error| problem(&error))?;
    let expires_at = new.expires_at.as_deref().map(Timestamp::parse).transpose().map_err(|error| problem(&error))?;
    let now = admin.clock.now();
    let tokens = Arc::clone(&admin.tokens);
    let made = aside(move || tokens.create(&new.name, &topics, now, expires_at)).await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

async fn revoke(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer {
    let tokens = Arc::clone(&admin.tokens);
    let revoked = aside(move || tokens.revoke(&id)).await;
    // The address names a token: where there is none, nothing is there.
    let revoked = revoked.map_err(|problem| match problem.status() {
        StatusCode::BAD_REQUEST => Problem::new(StatusCode::NOT_FOUND, Refusal::UnknownToken.code(), problem.detail()),
        _ => problem,
    });
    Ok(Json(revoked?).into_response())
}

/// Waits for a disk away from the threads that serve connections.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> record::Result<T> + Send + 'static) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| problem(&error)),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed half-way")),
    }
}

/// Sends records again, each under the id that it had. Those that are stored are noted in the dead letters.
async fn retry(State(admin): State<Arc<Admin>>, asked: Result<Json<Retry>, JsonRejection>) -> Answer {
    let records = body(asked)?.records;
    let mut outcomes: Vec<Option<Outcome>> = vec![None; records.len()];
    let mut by_topic: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        by_topic.entry(&record.topic).or_default().push(index);
    }
    for (name, indices) in by_topic {
        let (Ok(topic), Some(caps)) = (admin.ingest.topic(name), admin.ingest.caps(name)) else {
            let rejection = Rejection::new(RejectionTag::UnknownTopic, Refusal::UnknownTopic.detail());
            indices.into_iter().for_each(|index| outcomes[index] = Some(Outcome::Rejected(rejection.clone())));
            continue;
        };
        let read = |index: &usize| {
            let record = &records[*index];
            RawItem::parse(Bytes::copy_from_slice(record.payload.as_bytes()), 0, &caps).map(|item| item.with_id(record.record_id))
        };
        let items = indices.iter().map(read).collect();
        let sender = Sender { door: DOOR.into(), credential: None, address: None, is_told: true };
        let told = admin.ingest.take(name, items, sender, false).await.map_err(|error| problem(&error))?;
        let stored = indices.iter().zip(&told).filter_map(|(index, outcome)| match outcome {
            Outcome::Stored(position) => Some((records[*index].record_id, format!("sent again, and stored at {position}"))),
            Outcome::Rejected(_) | Outcome::Retry { .. } => None,
        });
        admin.ingest.settle(&topic, &stored.collect::<Vec<_>>()).await.map_err(|error| problem(&error))?;
        for (index, outcome) in indices.into_iter().zip(told) {
            outcomes[index] = Some(outcome);
        }
    }
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|outcome| outcome.expect("each index is of one topic")).collect();
    Ok(Json(wire::Response::new(admin.ingest.durability(), &outcomes)).into_response())
}
