//! Any bytes as an answer about sockets: no panic, no endless search, no more sockets than bytes for them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattrace::probes::parse::diag::answer;

fuzz_target!(|bytes: &[u8]| {
    let mut sockets = 0;
    let answer = answer(bytes, |_| sockets += 1);
    assert!(sockets * 88 <= bytes.len(), "each has a head and its fixed part");
    // A rest that is too short for anything is one, too.
    assert!((answer.malformed as usize).saturating_sub(1) * 4 <= bytes.len());
});
