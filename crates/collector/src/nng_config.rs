//! Settings of the NNG door (`nng`).

/// Settings of the door.
#[derive(Clone, Debug)]
pub struct Config {
    /// The topic of requests that name none.
    pub topic: String,
    /// The most connections at a time; as [`server::Config::connections_max`](crate::server::Config::connections_max).
    pub connections_max: Option<usize>,
    /// How many listeners share the limit of open files, this one among them; as
    /// [`server::Config::listeners`](crate::server::Config::listeners).
    pub listeners: usize,
    /// The time for a peer's greeting, in milliseconds.
    pub greeting_timeout_ms: u64,
    /// The time a message may take from its first byte to its last, in milliseconds.
    pub message_timeout_ms: u64,
    /// How long a peer may take to read the replies that are there, in milliseconds.
    pub answer_timeout_ms: u64,
    /// How long a connection may say nothing, in milliseconds. A requester that is closed connects anew by itself.
    pub idle_timeout_ms: u64,
    /// How many requests of a connection may wait for their replies; then it is not read from.
    pub in_flight_requests_max: usize,
    /// The same for their records. A message that has begun is read to its end.
    pub in_flight_records_max: usize,
    /// The memory for the messages of all connections together, under way and in flight, beyond 4 KiB each, in bytes.
    pub messages_bytes_max: usize,
    /// How long a peer may take to close its side, in milliseconds.
    pub close_timeout_ms: u64,
    /// How much of what is not kept is read and dropped, in bytes: of a message that is too large, and of what still comes when the
    /// connection ends.
    pub drain_bytes_max: u64,
    /// How long what is in flight may take once shutdown has begun, in milliseconds.
    pub shutdown_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topic: "events".to_owned(),
            connections_max: None,
            listeners: 1,
            greeting_timeout_ms: 10_000,
            message_timeout_ms: 30_000,
            answer_timeout_ms: 20_000,
            idle_timeout_ms: 600_000,
            in_flight_requests_max: 256,
            in_flight_records_max: 10_000,
            messages_bytes_max: 256 * 1024 * 1024,
            close_timeout_ms: 5_000,
            drain_bytes_max: 8 * 1024 * 1024,
            shutdown_timeout_ms: 10_000,
        }
    }
}
