//! libFuzzer's entry to every target: `EINHORN_FUZZ_TARGET` names the one to run, for example
//! `EINHORN_FUZZ_TARGET=message cargo fuzz run --fuzz-dir fuzz/libfuzzer any fuzz/corpus/message`.
#![no_main]

use einhorn_fuzz::TARGETS;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("EINHORN_FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|(name, _)| *name == wanted) {
        Some((_, target)) => *target,
        None => {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            panic!("EINHORN_FUZZ_TARGET is `{wanted}`, but must be one of {}", names.join(", "))
        }
    }
});

fuzz_target!(|octets: &[u8]| (*TARGET)(octets));
