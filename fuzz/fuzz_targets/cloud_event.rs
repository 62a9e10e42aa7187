//! See `collector::fuzz::cloud_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::cloud_event(data));
