//! What queues promise, through their public face.

mod conformance;
mod kill;
