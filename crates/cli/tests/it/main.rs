//! The binary as its users run it: real processes, real sockets, real files.

mod api;
mod beside;
mod books;
mod browser;
#[path = "../../../ocr/tests/it/browser_driver.rs"]
mod browser_driver;
mod demo;
mod disk;
mod doors;
mod failures;
mod faults;
mod folders;
mod journal;
mod mqtt;
mod nng;
mod programs;
mod stream;
mod table;
mod tls;
mod topics;
mod truth;
