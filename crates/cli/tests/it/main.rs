//! The binary as its users run it: real processes, real sockets, real files.

mod browser;
#[path = "../../../ocr/tests/it/browser_driver.rs"]
mod browser_driver;
mod kill;
mod programs;
