#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    onetap_conformance::fuzz::process(bytes);
});
