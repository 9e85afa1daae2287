//! Prints the reference of all events: `cargo xtask docs` writes it to `docs/events.md`.

fn main() {
    print!("{}", wattrace::telemetry::events::catalog::markdown());
}
