//! Phones that send plain events at a rate, in place of answers: load for the doors without a collection.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use rand::{Rng, rngs::SmallRng};
use record::{Clock, Error, ErrorKind, RecordId, Result, Timestamp};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    connection::Connection,
    delivery::{Outbox, Prepared, new_record_id},
    draw,
    report::{Tally, WorkerReport},
    run::Crowd,
    worker::Worker,
};

/// Events that are sent together, at most.
const EVENTS_PER_SEND_MAX: usize = 500;
/// A phone sends this often, in seconds, when its rate is high enough to fill a request.
const SEND_INTERVAL_SECONDS: f64 = 0.1;

#[derive(Serialize)]
struct Event {
    record_id: RecordId,
    device: String,
    kind: &'static str,
    value: f64,
    sent_at: Timestamp,
}

/// Sends this phone's part of the events: `per_second` each second, fewer when the server takes fewer.
pub(super) async fn run(crowd: &Crowd, worker: &Worker, per_second: f64) -> Result<WorkerReport> {
    let mut tally = Tally::default();
    crowd.progress.phones.fetch_add(1, Relaxed);
    let end = send(crowd, worker, per_second, &mut tally).await;
    crowd.progress.phones.fetch_sub(1, Relaxed);
    let gave_up = end.err().filter(|error| error.kind() != ErrorKind::Closed).map(|error| error.to_string());
    Ok(WorkerReport { number: worker.number(), worker_ids: Vec::new(), kind: worker.kind(), tally, gave_up })
}

async fn send(crowd: &Crowd, worker: &Worker, per_second: f64, tally: &mut Tally) -> Result<()> {
    let mut rng = draw::rng(crowd.config.seed, "events", &[&worker.number().to_le_bytes()]);
    let connection = Connection::new(&crowd.server)?;
    let outbox = Outbox { crowd, connection: &connection, topic: "events", secret: crowd.config.token.as_deref() };
    let count = ((per_second * SEND_INTERVAL_SECONDS).ceil() as usize).clamp(1, EVENTS_PER_SEND_MAX);
    let mut ticks = interval(Duration::from_secs_f64(count as f64 / per_second));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Phones do not send in step.
    tokio::time::sleep(ticks.period().mul_f64(rng.random::<f64>()).min(Duration::from_secs(1))).await;
    loop {
        tokio::select! {
            () = crowd.stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let claimed = (0..count).take_while(|_| crowd.claim_record()).count();
        let batch = (0..claimed).map(|_| event(crowd, worker.number(), &mut rng)).collect::<Result<Vec<_>>>()?;
        outbox.deliver(batch, tally, &mut rng).await?;
    }
}

fn event(crowd: &Crowd, number: u64, rng: &mut SmallRng) -> Result<Prepared> {
    let sent_at = crowd.clock.now();
    let value = (rng.random_range(150..250) as f64) / 10.0;
    let event = Event { record_id: new_record_id(sent_at)?, device: format!("phone-{number}"), kind: "temperature", value, sent_at };
    let json = serde_json::to_string(&event).map_err(|error| Error::internal("cannot write an event as JSON").because(error))?;
    Ok(Prepared { id: event.record_id, json, label: None })
}
