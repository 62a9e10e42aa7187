//! See `collector::fuzz::websocket_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::websocket_stream(data));
