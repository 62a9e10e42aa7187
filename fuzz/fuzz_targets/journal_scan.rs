//! See `queue::fuzz::journal_scan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue::fuzz::journal_scan(data));
