//! The doors through real sockets.

mod books;
mod client;
mod conformance;
mod hostile;
mod http;
mod property;
mod rigged;
mod websocket;
