//! What is done with tables: reading answers out of them, and inference over label files.
//!
//! What it is *not*: it knows no page, no picture and no HTTP.
//!
//! | file | what it holds |
//! |---|---|
//! | `answers` | the rows of the table `answers`, each id once |
//! | `infer` | truth inference over a file of labels |

pub mod answers;
pub mod infer;
