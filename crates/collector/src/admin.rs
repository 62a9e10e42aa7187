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
    /// Answered at `GET` or, with a body, `POST` of their addresses.
    pub questions: Vec<(&'static str, Question)>,
}

/// The routes.
pub fn router(mut admin: Admin) -> Router {
    let mut questions = Router::new();
    for (path, question) in std::mem::take(&mut admin.questions) {
        let answer = |asked: Option<Json<serde_json::Value>>| async move {
            let asked = asked.map_or(serde_json::Value::Null, |Json(asked)| asked);
            // The owner may know everything.
            let told =
                question(asked).await.map_err(|error| Problem::new(problem(&error).status(), error.kind().as_str(), error.to_string()))?;
            Ok::<_, Problem>(Json(told))
        };
        questions = questions.route(path, get(answer.clone()).post(answer));
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
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenList {
    /// The oldest first.
    pub tokens: Vec<Token>,
}

/// A token that is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// The topics that it lets write to.
    pub topics: Vec<String>,
    /// Up to when it is good, RFC 3339.
    pub expires_at: Option<String>,
}

/// Rejected records that are sent again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The records.
    pub records: Vec<Rejected>,
}

/// One of them, as the dead letters have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    Ok(Json(aside(move || tokens.revoke(&id)).await?).into_response())
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
