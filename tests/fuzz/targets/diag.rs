//! Any bytes as an answer about sockets: no panic, no endless search, no more sockets than bytes for them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattrace::probes::parse::diag::answer;

fuzz_target!(|bytes: &[u8]| {
    let mut sockets = 0;
    let answer = answer(bytes, |_| sockets += 1);
    assert!(sockets * 88 <= bytes.len(), "each has a head and its fixed part");
    assert!(answer.malformed as usize * 4 <= bytes.len());
});
