//! The table, to the character.

use super::*;
use crate::{
    attribution::{
        functional::FunctionalUnit,
        weight::{Method, SmtGain},
    },
    outputs::example::{Example, HOSTILE},
};

#[test]
fn a_table_says_everything_once() {
    let text = table(&Example::new().report(), 20, " or --json", Width::Narrow);
    let expected = "\
2.0 s on 4 CPUs, 25.0 % busy
energy  rapl_powercap (measured), scope package+dram, ±5 %: intel-rapl:0
grid    330 gCO2e/kWh: DE (static, country, lifecycle, 2025)

WORKLOAD                                     KIND              CPU s           J        W    mgCO2e
ssh.service                                  systemd_unit      1.200      13.200    6.600     1.000
evil\\u{1b}[2J\\u{a}\\u{9b}1A\\u{202e}gpj        process           0.300       5.500    2.750     0.500
unattributed                                 unattributed      0.500       3.300    1.650     0.250

books   measured 33.000000 J = workloads 22.000000 + idle 11.000000 + residual 0.000000 (closed)
carbon  operational 3.000 mg, idle included; embodied unknown: the host is not known
idle    package of socket 0: 5.00 W, assumed
unknown 2.000 s of meter time: its energy is in no figure above
lost    sched.map_full 3
";
    assert_eq!(text, expected);
}

#[test]
fn what_workloads_have_of_idle_is_shown_where_they_have_any() {
    let text = table(&Example::by_request().report(), 20, "", Width::Narrow);
    let lines: Vec<&str> = text.lines().skip(4).take(5).collect();
    let expected = [
        "WORKLOAD                                     KIND              CPU s           J      IDLE J        W    mgCO2e",
        "ssh.service                                  systemd_unit      1.200      13.200       2.750    6.600     1.000",
        "evil\\u{1b}[2J\\u{a}\\u{9b}1A\\u{202e}gpj        process           0.300       5.500           -    2.750     0.500",
        "unattributed                                 unattributed      0.500       3.300           -    1.650     0.250",
        "asleep.service                               systemd_unit      0.000       0.000       1.375    0.000     0.125",
    ];
    assert_eq!(lines, expected, "{text}");
    let books = "\nbooks   measured 33.000000 J = workloads 22.000000 + idle 11.000000 + residual 0.000000 (closed)\n";
    assert!(text.contains(books), "idle is counted once: {text}");
    assert!(text.contains("\nidle    by_request: workloads 4.125000 J by reserved CPUs, node 6.875000 J\n"), "{text}");
}

#[test]
fn block_io_stands_beside_joules() {
    let mut example = Example::new();
    example.did_block_io();
    let text = table(&example.report(), 20, "", Width::Narrow);
    let lines: Vec<&str> = text.lines().skip(4).take(4).collect();
    let expected = [
        "WORKLOAD                    KIND              CPU s           J        W    mgCO2e   READ/s  WRITE/s",
        "ssh.service                 systemd_unit      1.200      13.200    6.600     1.000  12.3 MB  2.05 kB",
        "evil\\u{1b}[2J\\u{a}\\u{9b}1A… process           0.300       5.500    2.750     0.500        0        0",
        "unattributed                unattributed      0.500       3.300    1.650     0.250        0  1.50 kB",
    ];
    assert_eq!(lines, expected, "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100));
}

#[test]
fn connections_and_programs_are_summed_up_and_stand_beside_joules_in_a_wide_table() {
    let mut example = Example::new();
    example.did_block_io();
    let narrow = table(&example.report(), 20, "", Width::Narrow);
    assert!(!narrow.contains("\ntcp ") && !narrow.contains("\nprocess "), "they are not counted: {narrow}");
    example.connected();
    example.started_programs();
    let narrow = table(&example.report(), 20, "", Width::Narrow);
    let tcp = "\ntcp     32 established, 34 closed, 8 failed; payload of 12.0 kB sent, 4.10 kB received; 5 segments sent again\n";
    assert!(narrow.contains(tcp), "{narrow}");
    let process = "\nprocess 1500 forks, 1234 execs, 1203 exits, 1100 of them within a second\n";
    assert!(narrow.contains(process), "{narrow}");
    assert!(!narrow.contains("CONN"), "{narrow}");
    let wide = table(&example.report(), 1, "", Width::Wide);
    let lines: Vec<&str> = wide.lines().skip(4).take(3).collect();
    let expected = [
        "WORKLOAD                                     KIND              CPU s           J        W    mgCO2e   READ/s  WRITE/s    CONN    FAIL    EXEC",
        "ssh.service                                  systemd_unit      1.200      13.200    6.600     1.000  12.3 MB  2.05 kB      32       8    1234",
        "… 2 more (--rows 3)                                            0.800       8.800    4.400     0.750        0  1.50 kB       0       0       0",
    ];
    assert_eq!(lines, expected, "{wide}");
}

#[test]
fn joules_per_operation_are_shown_where_they_are_known() {
    let mut example = Example::new();
    example.functional_unit = Some(FunctionalUnit::DiskOperations);
    let last = |text: &str| -> Vec<String> {
        text.lines().skip(4).take(4).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    let text = table(&example.report(), 20, "", Width::Narrow);
    assert_eq!(last(&text), ["J/op", "-", "-", "-"], "they are not counted");
    assert!(text.contains("\nunit    disk_operations: not counted here\n"), "{text}");
    example.did_block_io();
    let text = table(&example.report(), 20, "", Width::Narrow);
    assert_eq!(last(&text), ["J/op", "0.044", "-", "0.550"]);
    assert!(text.contains("\nunit    disk_operations: 309, 0.071 J of active energy each\n"), "{text}");
    example.footprint.covered = Nanos(0);
    let text = table(&example.report(), 20, "", Width::Narrow);
    assert_eq!(last(&text), ["J/op", "-", "-", "-"], "no energy is known");
}

#[test]
fn figures_are_short() {
    for (bytes, expected) in [
        (0.4, "0 B"),
        (999.4, "999 B"),
        (999.5, "1.00 kB"),
        (1_234.0, "1.23 kB"),
        (9_996.0, "10.0 kB"),
        (99_960.0, "100 kB"),
        (999_500.0, "1.00 MB"),
        (12_345_678.0, "12.3 MB"),
        (1e15, "1.00 PB"),
        (5e18, "5 EB"),
    ] {
        assert_eq!(short(bytes), expected, "{bytes}");
    }
    for (energy, expected) in [(12.5, "12.500"), (0.0014, "0.001"), (0.0, "0.000"), (0.000_012_34, "1.23e-5")] {
        assert_eq!(energy_of_one(Joules(energy)), expected);
    }
}

#[test]
fn how_energy_was_shared_out_is_said_where_cores_have_two_threads() {
    let example = Example::new();
    let mut report = example.report();
    report.method = Method::CpuTimeSmt(SmtGain::default());
    let text = table(&report, 20, "", Width::Narrow);
    let line =
        "\nshares  cpu_time+smt: time in which both threads of a core were busy counts for less, by a gain of 0.15\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn nothing_in_a_name_steers_a_terminal() {
    let text = table(&Example::new().report(), 20, " or --json", Width::Narrow);
    let steers = |c: char| c != '\n' && (c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c));
    assert!(HOSTILE.contains(steers) && !text.contains(steers), "{text}");
    assert_eq!(text.lines().count(), 14, "{text}");
}

#[test]
fn long_names_are_clipped_and_the_columns_stay() {
    for (name, expected) in [
        ("x".repeat(44), "x".repeat(44)),
        ("x".repeat(45), "x".repeat(43) + "…"),
        ("é".repeat(4_000), "é".repeat(43) + "…"),
        ("\u{1b}".repeat(9), format!("{}…", &"\\u{1b}".repeat(9)[..43])),
    ] {
        assert_eq!(clip(&name, 44), expected);
    }
}

#[test]
fn rows_that_are_not_shown_are_summed_up_exactly() {
    let example = Example::new();
    let text = table(&example.report(), 1, " or --json", Width::Narrow);
    let rows: Vec<&str> = text.lines().skip(5).take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        rows,
        [
            "ssh.service                                  systemd_unit      1.200      13.200    6.600     1.000",
            "… 2 more (--rows 3 or --json)                                  0.800       8.800    4.400     0.750",
        ]
    );
    let none = table(&example.report(), 0, " or --json", Width::Narrow);
    assert!(
        none.contains("… 3 more (--rows 3 or --json)                                  2.000      22.000"),
        "{none}"
    );
}

#[test]
fn what_is_unknown_is_no_figure() {
    let mut example = Example::new();
    example.footprint.covered = Nanos(0);
    let text = table(&example.report(), 20, " or --json", Width::Narrow);
    let row = "ssh.service                                  systemd_unit      1.200           -        -         -";
    assert!(text.lines().any(|line| line == row), "{text}");
    assert!(!text.contains("books"), "there is nothing to close: {text}");
    let mut report = example.report();
    report.energy.source = EnergySource::None;
    "no meter".clone_into(&mut report.energy.description);
    assert!(table(&report, 20, " or --json", Width::Narrow).contains("\nenergy  unknown: no meter\n"));
}

#[test]
fn open_books_are_said() {
    let mut example = Example::new();
    let mut record = crate::attribution::ledger::Record::from(&example.ledger);
    record.zones[0].measured += Microjoules(1);
    example.ledger = record.into();
    assert!(
        table(&example.report(), 20, " or --json", Width::Narrow)
            .contains("measured 33.000001 J = workloads 22.000000")
    );
    assert!(table(&example.report(), 20, " or --json", Width::Narrow).contains("(OPEN: please report this)"));
}
