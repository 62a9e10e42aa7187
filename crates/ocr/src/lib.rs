//! The product: scanned pages in, a crowd's verdicts on every word, corrected pages out.
//!
//! What it is *not*: it stores no answer (that is the collector's and the queue's), writes no table (that is the lake's,
//! through `analysis`), and knows nothing of Kafka, Parquet or the collector's insides.

pub mod align;
pub mod answer;
pub mod collection;
pub mod convention;
pub mod corrections;
pub mod crop;
pub mod crowd;
pub mod distance;
pub mod engine;
pub mod evaluate;
pub mod evaluate_files;
pub mod export;
pub mod formats;
pub mod identity;
pub mod live;
pub mod page;
pub mod report;
pub mod sample;
pub mod selection;
pub mod task;
pub mod web;
