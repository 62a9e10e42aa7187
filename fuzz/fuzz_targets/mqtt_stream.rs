//! See `collector::fuzz::mqtt_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::mqtt_stream(data));
