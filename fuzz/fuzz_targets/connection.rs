#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| heartwire_tests::fuzz::connection(data));
