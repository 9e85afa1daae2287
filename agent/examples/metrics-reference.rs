//! Prints the reference of all metrics: `cargo xtask docs` writes it to `docs/metrics.md`.

fn main() {
    print!("{}", wattrace::telemetry::catalog::markdown());
}
