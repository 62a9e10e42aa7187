//! Promises of the inference: published figures, edge cases, order, accuracy and its coverage.

mod accuracy;
mod crowds;
mod methods;
mod published;
