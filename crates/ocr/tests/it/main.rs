//! What the product promises, through real sockets and a real browser.

mod browser;
mod browser_driver;
mod browser_server;
