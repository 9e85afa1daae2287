use proptest::prelude::*;

use super::*;

#[test]
fn integers() {
    assert_eq!(unsigned(b"262143328850\n"), Ok(262_143_328_850));
    assert_eq!(unsigned(b"18446744073709551615"), Ok(u64::MAX));
    for bad in ["", "\n", "-1\n", "+1\n", "12 13\n", "0x1f\n", "18446744073709551616\n", "1\0"] {
        assert_eq!(unsigned(bad.as_bytes()).map_err(|error| error.expected), Err("an unsigned integer"), "{bad:?}");
    }
    assert_eq!(signed(b"-1\n"), Ok(-1));
    assert!(signed(b"\xff").is_err());
}

#[test]
fn cpu_lists() {
    assert_eq!(cpu_list(b"0-3,8\n"), Ok(vec![0, 1, 2, 3, 8]));
    assert_eq!(cpu_list(b"0\n"), Ok(vec![0]));
    assert_eq!(cpu_list(b"\n"), Ok(vec![]));
    for bad in ["3-0", "0-", "a", "0,,1", "0-4294967295", "99999999999999999999", "0-65535,0-65535"] {
        assert!(cpu_list(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn errors_say_what_was_expected_and_quote_little() {
    let error = unsigned("never".repeat(100).as_bytes()).expect_err("not a number");
    assert_eq!(error.to_string(), format!("expected an unsigned integer, found {:?}", "never".repeat(8)));
}

const STAT: &str = "cpu  10 20 30 40 50 60 70 80 5 6\n\
    cpu0 1 2 3 4 5 6 7 8 1 1\n\
    cpu12 100 0 0 400\n\
    intr 12345 0\nctxt 5\nbtime 1700000000\n";

#[test]
fn stat_keeps_stolen_time_apart() {
    let first = CpuTicks { cpu: 0, busy: 1 + 2 + 3 + 6 + 7, steal: 8, idle: 4 + 5 };
    let old = CpuTicks { cpu: 12, busy: 100, steal: 0, idle: 400 };
    assert_eq!(proc_stat(STAT.as_bytes()), Ok(vec![first, old]));
    for bad in ["", "cpu  1 2 3 4\n", "cpu0 1 2 3\n", "cpu0 1 x 3 4\n", "cpu0x 1 2 3 4\n"] {
        assert!(proc_stat(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn ticks_become_time() {
    assert_eq!(ticks(150, 100), Nanos::from_millis(1_500));
    assert_eq!(ticks(u64::MAX, 100), Nanos(u64::MAX));
    assert_eq!(ticks(1, 0), Nanos::from_secs(1));
}

const XEON: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
    model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\nstepping\t: 4\nflags\t\t: fpu vme hypervisor sse\n\n\
    processor\t: 1\nvendor_id\t: Other\n";
const ALTRA: &str =
    "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";

#[test]
fn cpuinfo_names_the_first_cpu() {
    let xeon = cpuinfo(XEON.as_bytes()).expect("a Xeon");
    assert_eq!(xeon.hypervisor, Some(true));
    let name = "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz".to_owned();
    assert_eq!(
        xeon.identity,
        CpuIdentity::X86 { vendor: "GenuineIntel".to_owned(), family: 6, model: 85, stepping: 4, name }
    );
    let bare = cpuinfo(XEON.replace("hypervisor", "hypervisor_like").as_bytes()).expect("a Xeon");
    assert_eq!(bare.hypervisor, Some(false));
    let altra = cpuinfo(ALTRA.as_bytes()).expect("an Altra");
    assert_eq!(altra, CpuInfo { identity: CpuIdentity::Arm { implementer: 0x41, part: 0xd0c }, hypervisor: None });
    let power = cpuinfo(b"processor\t: 0\ncpu\t\t: POWER9\n").expect("a POWER9");
    assert_eq!(power.identity, CpuIdentity::Other);
}

#[test]
fn cpuinfo_refuses_what_it_cannot_read() {
    for bad in ["", "\n\n", "vendor_id : GenuineIntel\ncpu family : six\n", "CPU implementer : 41\nCPU part : 0xd0c\n"]
    {
        assert!(cpuinfo(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn memory_is_in_kib() {
    assert_eq!(memory_total(b"MemTotal:       16384 kB\nMemFree: 1 kB\n"), Ok(Bytes(16 << 20)));
    for bad in ["", "MemTotal: 16384\n", "MemTotal: -1 kB\n", "MemTotal: 18446744073709551615 kB\n"] {
        assert!(memory_total(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn threads_stand_behind_those_that_run() {
    assert_eq!(threads(b"0.20 0.18 0.12 1/1180 11206\n"), Ok(1_180));
    for bad in [
        "",
        "0.20 0.18 0.12\n",
        "0.20 0.18 0.12 1180 11206\n",
        "0.20 0.18 0.12 1/ 5\n",
        "0 0 0 1/-4 5\n",
        "0 0 0 1/2/3 5",
    ] {
        assert!(threads(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let parsed = (unsigned(&bytes), signed(&bytes), cpu_list(&bytes), proc_stat(&bytes), cpuinfo(&bytes), memory_total(&bytes), threads(&bytes));
        drop(parsed);
    }

    #[test]
    fn no_likely_text_panics(text in "(cpu|cpu0|MemTotal:|0.1 0 0 1/|model|flags|[0-9,-]{0,12}|[ \t:\n]){0,30}") {
        let bytes = text.as_bytes();
        let parsed = (unsigned(bytes), signed(bytes), cpu_list(bytes), proc_stat(bytes), cpuinfo(bytes), memory_total(bytes), threads(bytes));
        drop(parsed);
    }

    #[test]
    fn lists_come_back(cpus in proptest::collection::btree_set(0..CPUS_MAX, 0..50)) {
        let text = cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        prop_assert_eq!(cpu_list(text.as_bytes()), Ok(cpus.into_iter().collect()));
    }
}
