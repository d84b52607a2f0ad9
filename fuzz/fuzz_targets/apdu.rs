#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onetap_trials::fuzz::apdu(bytes));
