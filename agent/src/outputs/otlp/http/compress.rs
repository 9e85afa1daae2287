//! Compression of request bodies.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

/// gzip at level 1: metrics shrink seven- to tenfold at any level, and the CPU time is billed to us.
pub fn gzip(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(1));
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map_err(|error| format!("gzip cannot compress a request: {error}"))
}

/// zstd at level 1.
pub fn zstd(body: &[u8]) -> Result<Vec<u8>, String> {
    zstd::bulk::compress(body, 1).map_err(|error| format!("zstd cannot compress a request: {error}"))
}
