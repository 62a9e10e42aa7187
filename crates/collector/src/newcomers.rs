//! How many new workers an address may ask for: each may hold words that others then wait for. `cli` puts [`limited`] around the
//! pages' routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use record::Clock;

use crate::{
    http,
    problem::Problem,
    rates::{self, Rates, Who},
    telemetry,
};

/// The rate. A room of some hundred people behind one address comes in at once.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// So many a second; 0 for no limit.
    pub per_second_max: u32,
    /// So many at once.
    pub burst_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_second_max: 2, burst_max: 500 }
    }
}

/// Bounds how often one address may POST to a path of the routes. This machine's own may as often as they like.
pub fn limited(routes: Router, path: &'static str, config: Config, clock: Arc<dyn Clock>) -> Router {
    let Config { per_second_max, burst_max } = config;
    let rates = rates::Config { address_records_per_second_max: per_second_max, token_records_per_second_max: 0 };
    // The one that fills the burst is still taken.
    let burst_us = u64::from(burst_max.saturating_sub(1)) * 1_000_000 / u64::from(per_second_max.max(1));
    let rates = Arc::new(Rates::new(clock, rates).with_burst(burst_us));
    let layer = from_fn(move |request: Request, next: Next| {
        let rates = Arc::clone(&rates);
        async move {
            let is_asked = request.method() == Method::POST && request.uri().path() == path;
            if let Some(who) = http::address_of(&request).filter(|_| is_asked).and_then(Who::of_address) {
                if let Some(wait_ms) = rates.wait_ms(who) {
                    return too_many(wait_ms).into_response();
                }
                rates.count(who, 1);
            }
            next.run(request).await
        }
    });
    routes.layer(layer)
}

fn too_many(wait_ms: u64) -> Problem {
    let detail = "more new workers from one address than are taken at a time: ask again later";
    telemetry::refused("pages", StatusCode::TOO_MANY_REQUESTS.as_u16(), detail);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after_ms(wait_ms)
}

#[cfg(test)]
mod tests;
