//! See `collector::fuzz::http_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::http_body(data));
