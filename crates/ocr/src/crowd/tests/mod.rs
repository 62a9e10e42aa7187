//! What the simulated crowd promises: people who err like people, and phones that lose no answer.

mod load;
mod model;
mod phones;
mod replies;
mod server;
