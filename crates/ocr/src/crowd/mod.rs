//! A simulated crowd: phones that read words over real HTTP against any running server, with the errors of people and bots.
//!
//! `crowdread crowd`, the demo and the kill test call this. It is *not* drawn from the models of the inference and uses none
//! of its code, so that what the inference finds out about this crowd is worth something.
//!
//! mix → worker (what each answers: word, confusion, typing) → phone (over HTTP) → report

mod ack_log;
mod confusion;
mod connection;
mod delivery;
mod draw;
mod events;
pub(crate) mod load;
mod mix;
mod phone;
mod printed;
mod report;
mod run;
mod typing;
mod word;
mod worker;

pub use load::{LoadedTruth, load};
pub use mix::{Mix, WorkerKind};
pub use printed::PrintedWords;
pub use report::{CrowdReport, EndReason, LabelCounts, Progress, ProgressSnapshot, Tally, WorkerReport};
pub use run::{Config, PHONES_MAX, Until, Work, run};
pub use word::{WordRates, WordView};
pub use worker::{Answer, PeopleRates, Rates, Worker};

#[cfg(test)]
mod tests;
