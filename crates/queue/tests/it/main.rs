//! What queues promise, through their public face.

mod compat;
mod conformance;
mod inspect;
mod kill;
