#![no_main]
#![allow(missing_docs, reason = "the target is documented where its body is")]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hubwire_fuzz::protobuf_message::run(data));
