//! The HTTP door: `POST /v1/records/{topic}`, and for `beacon` its address. `cli` gives it, with its routes and the product's, to
//! [`server::run`](crate::server::run), which asks it first: the way of a record is not through a router.
//!
//! request → topic known? headroom? → capped body, unpacked → `wire::split` (or one event of fields and body) → `Ingest::submit` → `wire::Response`
//!
//! | status | when |
//! |---|---|
//! | 200 | every record has an outcome, also a rejected one |
//! | 400 | no record could be found, or the body is not packed as it says |
//! | 401 | `Authorization` is there and is not a bearer token; the topic takes records only with a write token, and this is none |
//! | 403 | the write token is for other topics |
//! | 404 | the topic is not taken here |
//! | 408 | the body did not arrive in time |
//! | 413 | the body (as sent, or unpacked), or the number of its records, is over the cap |
//! | 415 | the content type or the content encoding is none of ours; CloudEvents for a topic of typed columns |
//! | 429 | more records a second than one sender may bring (with `Retry-After`) |
//! | 503 | all are *retry* (with `Retry-After`), or the queue is closed |

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::BodyDataStream,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use queue::Headroom;
use record::Outcome;

use crate::{
    beacon,
    cloudevents::Attributes,
    ingest::{Ingest, Sender},
    limits::{self, BodyError, Budget, Caps},
    problem::Problem,
    server::SentFrom,
    telemetry,
    tokens::Refusal,
    unpack::Coding,
    wire::{self, Form, Item},
};

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

/// One of the door's addresses, and what it takes.
pub(crate) struct Entry {
    /// The name of the door, in records and metrics.
    pub(crate) door: &'static str,
    /// Whether its answer carries the outcomes.
    pub(crate) is_told: bool,
    /// The largest body, where the settings do not say less.
    pub(crate) body_bytes_max: usize,
    /// How the records stand in a request, by its fields.
    pub(crate) layout: fn(&HeaderMap) -> Result<Layout, Problem>,
}

const RECORDS: Entry = Entry { door: "http", is_told: true, body_bytes_max: usize::MAX, layout: Layout::of };

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Records(Arc<Shared>);

pub(crate) struct Shared {
    ingest: Arc<Ingest>,
    budget: Budget,
    config: Config,
}

/// How the address of a topic begins.
const RECORDS_PATH: &str = "/v1/records/";

impl Records {
    /// A door to a conductor.
    pub fn new(ingest: Arc<Ingest>, config: Config) -> Self {
        Self(Arc::new(Shared { ingest, budget: Budget::new(config.bodies_bytes_max), config }))
    }

    /// Its routes, for every request that comes to it.
    pub fn router(&self) -> Router {
        let shared = Arc::clone(&self.0);
        Router::new().route("/v1/records/{topic}", post(records)).route("/v1/beacon/{topic}", post(beacon::records)).with_state(shared)
    }

    /// The topic of a request that [`answer`](Self::answer) can take without its routes: most of them. A browser's with an origin is not
    /// among them, as other layers have to look at it.
    pub(crate) fn topic_of<B>(request: &Request<B>) -> Option<&str> {
        let topic = request.uri().path().strip_prefix(RECORDS_PATH)?;
        let is_plain = topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let is_ours = request.method() == Method::POST && is_plain && !request.headers().contains_key(header::ORIGIN);
        is_ours.then_some(topic)
    }

    /// Takes the records of a request to a topic.
    pub(crate) async fn answer(self, topic: String, request: Request, address: Option<IpAddr>) -> Response {
        self.0.answer(&topic, request, address).await
    }
}

/// The door's routes alone.
pub fn router(ingest: Arc<Ingest>, config: Config) -> Router {
    Records::new(ingest, config).router()
}

async fn records(State(shared): State<Arc<Shared>>, topic: Result<Path<String>, PathRejection>, request: Request) -> Response {
    let address = address_of(&request);
    shared.answer(&topic_of(topic), request, address).await
}

/// What is known before the body is read.
struct Plan {
    caps: Caps,
    layout: Layout,
    coding: Coding,
    credential: Option<Bytes>,
    address: Option<IpAddr>,
}

/// How the records stand in the request.
pub(crate) enum Layout {
    /// In the body alone.
    Body(Form),
    /// One event: its attributes in fields, its data in the body.
    Fields(Attributes),
}

impl Layout {
    /// A content type of CloudEvents decides before fields do (HTTP binding section 3).
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let form = form(headers);
        match Attributes::of(headers) {
            Some(attributes) if !matches!(form, Ok(Form::Event | Form::Events)) => Ok(Self::Fields(attributes)),
            _ => form.map(Self::Body),
        }
    }

    fn is_event(&self) -> bool {
        matches!(self, Self::Fields(_) | Self::Body(Form::Event | Form::Events))
    }
}

impl Shared {
    async fn answer(&self, topic: &str, request: Request, address: Option<IpAddr>) -> Response {
        match self.receive(&RECORDS, topic, request, address).await {
            Ok(outcomes) => {
                let response = wire::Response::new(self.ingest.durability(), &outcomes);
                match response.all_retry_after_ms() {
                    None => Json(response).into_response(),
                    Some(retry_after_ms) => headroom_low(retry_after_ms).response(&response.outcomes),
                }
            }
            Err(problem) => refused(&RECORDS, &problem),
        }
    }

    /// Takes the records of one request, and says what became of each.
    pub(crate) async fn receive(
        &self,
        entry: &Entry,
        topic: &str,
        request: Request,
        address: Option<IpAddr>,
    ) -> Result<Vec<Outcome>, Problem> {
        let (parts, body) = request.into_parts();
        let mut body = body.into_data_stream();
        let plan = match self.plan(entry, topic, &parts.headers, address) {
            Ok(plan) => plan,
            // Draining would ask for a body that a polite sender holds back until it is told to go on.
            Err(problem) if parts.headers.contains_key(header::EXPECT) => return Err(problem),
            Err(problem) => {
                self.drain(body).await;
                return Err(problem);
            }
        };
        let timeout = Duration::from_millis(self.config.body_timeout_ms);
        let held = match self.budget.read(&mut body, plan.coding, plan.caps.body_bytes_max, timeout).await {
            Ok(held) => held,
            Err(error) => {
                if matches!(error, BodyError::TooLarge | BodyError::NoRoom | BodyError::NotUnpacked) {
                    self.drain(body).await;
                }
                return Err(body_problem(error, plan.caps.body_bytes_max));
            }
        };
        self.submit(entry, topic, plan, &held.bytes).await
    }

    /// Everything that can refuse the request without a look at its body (promise C2).
    fn plan(&self, entry: &Entry, topic: &str, headers: &HeaderMap, address: Option<IpAddr>) -> Result<Plan, Problem> {
        let mut caps = self.ingest.caps(topic).ok_or_else(|| unknown_topic(&self.ingest, topic))?;
        caps.body_bytes_max = caps.body_bytes_max.min(entry.body_bytes_max);
        let credential = credential(headers)?;
        self.ingest.authorize(topic, credential.as_deref()).map_err(unauthorized)?;
        if let Some(wait_ms) = self.ingest.wait_ms(topic, credential.as_deref(), address) {
            return Err(too_many_records_a_second(wait_ms));
        }
        let (layout, coding) = ((entry.layout)(headers)?, coding(headers)?);
        if layout.is_event() && !self.ingest.takes_any_object(topic) {
            return Err(unsupported(format!(
                "the topic {topic} has columns of its own: send its records as they are, without CloudEvents"
            )));
        }
        if announced_length(headers).is_some_and(|length| length > caps.body_bytes_max as u64) {
            return Err(body_problem(BodyError::TooLarge, caps.body_bytes_max));
        }
        match self.ingest.headroom() {
            Ok(Headroom::Enough) => Ok(Plan { caps, layout, coding, credential, address }),
            Ok(Headroom::Low { retry_after_ms }) => Err(headroom_low(retry_after_ms)),
            Err(error) => Err(Problem::from(&error)),
        }
    }

    async fn submit(&self, entry: &Entry, topic: &str, plan: Plan, body: &Bytes) -> Result<Vec<Outcome>, Problem> {
        let items = match plan.layout {
            Layout::Body(form) => items(body, form, &plan.caps)?,
            Layout::Fields(attributes) => vec![attributes.with_data(body, &plan.caps)],
        };
        let sender = Sender { door: entry.door.into(), credential: plan.credential, address: plan.address, is_told: entry.is_told };
        self.ingest.submit(topic, items, sender).await.map_err(|error| Problem::from(&error))
    }

    /// Gets the rest of a refused body out of the way of the answer.
    async fn drain(&self, body: BodyDataStream) {
        limits::drain(body, self.config.drain_bytes_max, Duration::from_millis(self.config.body_timeout_ms)).await;
    }
}

pub(crate) fn refused(entry: &Entry, problem: &Problem) -> Response {
    telemetry::refused(entry.door, problem.status().as_u16(), problem.detail());
    problem.response(&[])
}

pub(crate) fn headroom_low(retry_after_ms: u64) -> Problem {
    let detail = "nothing of this request was stored; send it again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after_ms(retry_after_ms)
}

/// RFC 6585 section 4.
pub(crate) fn too_many_records_a_second(retry_after_ms: u64) -> Problem {
    let detail = "more records a second than one sender may bring; nothing of this request was stored: send it again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after_ms(retry_after_ms)
}

/// Where a request comes from, as the server has noted it.
pub(crate) fn address_of<B>(request: &Request<B>) -> Option<IpAddr> {
    request.extensions().get::<SentFrom>().map(|SentFrom(address)| *address)
}

pub(crate) fn body_problem(error: BodyError, bytes_max: usize) -> Problem {
    match error {
        BodyError::TooLarge => {
            let detail = format!("the body is larger than {bytes_max} bytes: send fewer records at a time");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        }
        BodyError::TimedOut => Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time"),
        BodyError::NoRoom => headroom_low(1_000),
        BodyError::NotUnpacked => {
            let detail = "the body is not packed in the way that Content-Encoding says, or its end is missing; nothing of it was stored";
            Problem::new(StatusCode::BAD_REQUEST, "body_not_unpacked", detail)
        }
        BodyError::Broken => Problem::new(StatusCode::BAD_REQUEST, "body_broken", "the body ended too early; nothing of it was stored"),
    }
}

/// A path that is not UTF-8 names no topic.
pub(crate) fn topic_of(path: Result<Path<String>, PathRejection>) -> String {
    path.map_or_else(|_| String::new(), |Path(topic)| topic)
}

/// The records of a body; at least one.
pub(crate) fn items(body: &Bytes, form: Form, caps: &Caps) -> Result<Vec<Item>, Problem> {
    let items = wire::split(body, form, caps)
        .map_err(|error| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_records", error.to_string()))?;
    if items.is_empty() {
        let expected = "no record found: send a JSON object, an array of objects, or an object a line";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "no_record", expected));
    }
    Ok(items)
}

/// 401 asks for a token; 403 says that this one will never do (RFC 9110 sections 15.5.2, 15.5.4).
pub(crate) fn unauthorized(refusal: Refusal) -> Problem {
    let status = match refusal {
        Refusal::UnknownTopic => StatusCode::NOT_FOUND,
        Refusal::NoToken | Refusal::UnknownToken => StatusCode::UNAUTHORIZED,
        Refusal::OtherTopic => StatusCode::FORBIDDEN,
    };
    Problem::new(status, refusal.code(), refusal.detail())
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

pub(crate) fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    Form::of(content_type).map_err(|error| unsupported(error.to_string()).field(header::ACCEPT, Form::TAKEN))
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let fields = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    Coding::of(fields).ok_or_else(|| {
        let detail = format!("send the body as it is, or with one Content-Encoding of: {}", Coding::TAKEN);
        unsupported(detail).field(header::ACCEPT_ENCODING, Coding::TAKEN)
    })
}

pub(crate) fn unsupported(detail: String) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
