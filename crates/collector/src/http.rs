//! The HTTP door: `POST /v1/records/{topic}`. `cli` merges its [`router`] with the product's routes and gives both to
//! [`server::run`](crate::server::run).
//!
//! request → topic known? headroom? → capped body → `wire::split` → `Ingest::submit` → `wire::Response`
//!
//! | status | when |
//! |---|---|
//! | 200 | every record has an outcome, also a rejected one |
//! | 400 | no record could be found |
//! | 401 | `Authorization` is there and is not a bearer token |
//! | 404 | the topic is not taken here |
//! | 408 | the body did not arrive in time |
//! | 413 | the body, or the number of its records, is over the cap |
//! | 415 | the content type is none of ours |
//! | 503 | all are *retry* (with `Retry-After`), or the queue is closed |

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::BodyDataStream,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use queue::Headroom;

use crate::{
    ingest::Ingest,
    limits::{self, BodyError, Budget, Caps},
    problem::Problem,
    telemetry,
    wire::{self, Form},
};

/// The name of the door, in records and metrics.
const DOOR: &str = "http";

/// Settings of the door. Those of the connections are in [`server::Config`](crate::server::Config).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The time a body may take from its first byte to its last, in milliseconds.
    pub body_timeout_ms: u64,
    /// The memory for the bodies of all requests together, in bytes.
    pub bodies_bytes_max: usize,
    /// How much of a refused body is read and dropped so that its sender can read the answer, in bytes.
    pub drain_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { body_timeout_ms: 30_000, bodies_bytes_max: 256 * 1024 * 1024, drain_bytes_max: 8 * 1024 * 1024 }
    }
}

#[derive(Clone)]
struct Shared {
    ingest: Arc<Ingest>,
    budget: Budget,
    config: Config,
}

/// The door's route.
pub fn router(ingest: Arc<Ingest>, config: Config) -> Router {
    let shared = Shared { ingest, budget: Budget::new(config.bodies_bytes_max), config };
    Router::new().route("/v1/records/{topic}", post(records)).with_state(shared)
}

async fn records(State(shared): State<Shared>, topic: Result<Path<String>, PathRejection>, request: Request) -> Response {
    // A path that is not UTF-8 names no topic.
    let topic = topic.map_or_else(|_| String::new(), |Path(topic)| topic);
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let plan = match shared.plan(&topic, &parts.headers) {
        Ok(plan) => plan,
        // Draining would ask for a body that a polite sender holds back until it is told to go on.
        Err(problem) if parts.headers.contains_key(header::EXPECT) => return refused(&problem),
        Err(problem) => return shared.drain_and_refuse(problem, body).await,
    };
    let timeout = Duration::from_millis(shared.config.body_timeout_ms);
    let held = match shared.budget.read(&mut body, plan.caps.body_bytes_max, timeout).await {
        Ok(held) => held,
        Err(error @ (BodyError::TooLarge | BodyError::NoRoom)) => {
            return shared.drain_and_refuse(body_problem(error, &plan.caps), body).await;
        }
        Err(error @ (BodyError::TimedOut | BodyError::Broken)) => return refused(&body_problem(error, &plan.caps)),
    };
    match shared.answer(&topic, plan, &held.bytes).await {
        Ok(response) => response,
        Err(problem) => refused(&problem),
    }
}

/// What is known before the body is read.
struct Plan {
    caps: Caps,
    form: Form,
    credential: Option<Bytes>,
}

impl Shared {
    /// Everything that can refuse the request without a look at its body (promise C2).
    fn plan(&self, topic: &str, headers: &HeaderMap) -> Result<Plan, Problem> {
        let caps = self.ingest.caps(topic).ok_or_else(|| unknown_topic(&self.ingest, topic))?;
        let credential = credential(headers)?;
        let form = form(headers)?;
        if announced_length(headers).is_some_and(|length| length > caps.body_bytes_max as u64) {
            return Err(body_problem(BodyError::TooLarge, &caps));
        }
        match self.ingest.headroom() {
            Ok(Headroom::Enough) => Ok(Plan { caps, form, credential }),
            Ok(Headroom::Low { retry_after_ms }) => Err(headroom_low(retry_after_ms)),
            Err(error) => Err(Problem::from(&error)),
        }
    }

    async fn answer(&self, topic: &str, plan: Plan, body: &Bytes) -> Result<Response, Problem> {
        let items = wire::split(body, plan.form, &plan.caps)
            .map_err(|error| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_records", error.to_string()))?;
        if items.is_empty() {
            let expected = "no record found: send a JSON object, an array of objects, or an object a line";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "no_record", expected));
        }
        let outcomes = self.ingest.submit(topic, items, DOOR.into(), plan.credential).await.map_err(|error| Problem::from(&error))?;
        let response = wire::Response::new(self.ingest.durability(), &outcomes);
        Ok(match response.all_retry_after_ms() {
            None => Json(response).into_response(),
            Some(retry_after_ms) => headroom_low(retry_after_ms).response(&response.outcomes),
        })
    }

    /// Answers once the rest of the body is out of the way.
    async fn drain_and_refuse(&self, problem: Problem, body: BodyDataStream) -> Response {
        limits::drain(body, self.config.drain_bytes_max, Duration::from_millis(self.config.body_timeout_ms)).await;
        refused(&problem)
    }
}

fn refused(problem: &Problem) -> Response {
    telemetry::refused(DOOR, problem.status().as_u16(), problem.detail());
    problem.response(&[])
}

fn headroom_low(retry_after_ms: u64) -> Problem {
    let detail = "nothing of this request was stored; send it again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after_ms(retry_after_ms)
}

fn body_problem(error: BodyError, caps: &Caps) -> Problem {
    match error {
        BodyError::TooLarge => {
            let detail = format!("the body is larger than {} bytes: send fewer records at a time", caps.body_bytes_max);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        }
        BodyError::TimedOut => Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time"),
        BodyError::NoRoom => headroom_low(1_000),
        BodyError::Broken => Problem::new(StatusCode::BAD_REQUEST, "body_broken", "the body ended too early; nothing of it was stored"),
    }
}

pub(crate) fn unknown_topic(ingest: &Ingest, topic: &str) -> Problem {
    let shown: String = topic.chars().take(80).collect();
    let known: Vec<&str> = ingest.topics().collect();
    let detail = format!("no topic {shown:?} here; there are: {}", known.join(", "));
    Problem::new(StatusCode::NOT_FOUND, "unknown_topic", detail)
}

/// The bearer token (RFC 6750 section 2.1), which the topic's validator judges.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Option<Bytes>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let expected = || Problem::new(StatusCode::UNAUTHORIZED, "not_bearer", "expected Authorization: Bearer <token>, or none");
    record::bearer_token(value.as_bytes()).map(|token| Some(Bytes::copy_from_slice(token))).ok_or_else(expected)
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let wrong = |detail: String| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(wrong("send the body without Content-Encoding".to_owned()));
    }
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    Form::of(content_type).map_err(|error| wrong(error.to_string()))
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
