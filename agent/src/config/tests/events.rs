//! `[events]`: what is asked for arrives, and what cannot be is said.

use super::*;

const HERE: &str = "otlp.endpoint = \"http://c\"\n";

#[test]
fn each_kind_is_asked_for_by_itself() {
    assert!(!parsed("").unwrap().events.any());
    let text = format!("{HERE}[events]\nprocess_exec = true\nargs = \"redacted\"\nrate = 7\n");
    let expected = Events { process_exec: true, args: Arguments::Redacted, rate: 7, ..Events::default() };
    assert_eq!(parsed(&text).unwrap().events, expected);
    let text = format!("{HERE}[events]\nprocess_exit = true\nenergy = true\ntcp_connection_closed = true\n");
    let expected = Events { process_exit: true, energy: true, tcp_connection_closed: true, ..Events::default() };
    assert_eq!(parsed(&text).unwrap().events, expected);
}

#[test]
fn a_rate_is_whole_and_in_range() {
    for (rate, what) in [
        ("0", "is 0: give a whole number from 1 to 10000"),
        ("10001", "is 10001: give a whole number from 1 to 10000"),
        ("-1", "is an integer: give a whole number from 1 to 10000"),
        ("1.5", "is a float: give a whole number from 1 to 10000"),
    ] {
        assert_eq!(said(&format!("events.rate = {rate}")), format!("w.toml:1: events.rate {what}"));
    }
    assert_eq!(parsed("events.rate = 10000").unwrap().events.rate, 10_000);
}

#[test]
fn what_says_nothing_alone_is_a_mistake() {
    assert!(said("events.args = \"redacted\"").contains("says nothing without events.process_exec"));
    assert!(said("events.energy = true").contains("says nothing without events.process_exit"));
    assert_eq!(parsed("events.args = \"none\"\nevents.energy = false").unwrap().events, Events::default());
}

#[test]
fn events_without_a_destination_are_a_mistake_unless_the_export_is_switched_off() {
    for key in ["process_exec", "process_exit", "tcp_connection_closed"] {
        let asked = format!("events.{key} = true\n");
        assert!(said(&asked).contains(&format!("w.toml:1: events.{key} has nowhere to go")));
        assert!(said(&format!("{asked}{HERE}otlp.logs_endpoint = \"off\"")).contains("has nowhere to go"));
        parsed(&format!("{asked}{HERE}")).unwrap();
        parsed(&format!("{asked}otlp.logs_endpoint = \"http://l\"")).unwrap();
        let off = all(&format!("{asked}{HERE}"), &[("OTEL_SDK_DISABLED", "true")], &Flags::default()).unwrap();
        assert_eq!(off.config.otlp.logs.endpoint, None);
    }
}
