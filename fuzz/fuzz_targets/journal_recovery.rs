//! See `queue::fuzz::journal_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue::fuzz::journal_recovery(data));
