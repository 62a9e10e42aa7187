//! Majority vote: every answer counts the same. The baseline that the other methods are held against.

use crate::labels::{Fit, Labels};

/// It has no settings; the type keeps the methods alike.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// The vote shares of each task; a tie shows as equal shares (see [`Fit::best`]).
pub fn majority_vote(labels: &Labels, _: &Config) -> Fit {
    Fit::summarise(labels, labels.vote_shares(), 0)
}
