//! Labels that people gave, and what is likely true: verdicts, workers' quality, accuracy with its interval.
//!
//! Pure functions and one in-memory state. It is *not* a place for files, Arrow, async or OCR; time and thread randomness do not occur.
//! Every result depends on the *set* of answers alone: the same set gives the same bits in any order.
//!
//! | file | for |
//! |---|---|
//! | `labels` | sparse answers task × worker → class, and what a fit gives back |
//! | `majority_vote`, `one_coin`, `dawid_skene` | truth inference for any number of classes |
//! | `words` | the live state of word verification: right, or wrong and what then |
//! | `workers` | how good a worker is, and who is set apart |
//! | `stopping` | when a word has enough answers, and which words are unsure |
//! | `accuracy` | the engine's accuracy with its interval |
//!
//! ```
//! use truth::{Labels, dawid_skene, majority_vote};
//! let labels = Labels::new([(0, 0, 1), (0, 1, 1), (0, 2, 0), (1, 0, 0), (1, 1, 0)]);
//! let votes = majority_vote::majority_vote(&labels, &majority_vote::Config::default());
//! assert_eq!(votes.best(0), [1]);
//! let fit = dawid_skene::dawid_skene(&labels, &dawid_skene::Config::default());
//! assert_eq!(fit.best(1), [0]);
//! ```

pub mod accuracy;
pub mod dawid_skene;
mod labels;
pub mod majority_vote;
mod numeric;
pub mod one_coin;
pub mod stopping;
pub mod words;
pub mod workers;

pub use labels::{Fit, Labels};
