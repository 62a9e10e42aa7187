//! See `queue::fuzz::journal_entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queue::fuzz::journal_entry(data));
