use super::*;

fn x86(vendor: &str, family: u32, model: u32, stepping: u32, name: &str) -> CpuIdentity {
    CpuIdentity::X86 { vendor: vendor.to_owned(), family, model, stepping, name: name.to_owned() }
}

fn intel(model: u32, stepping: u32, name: &str) -> CpuIdentity {
    x86("GenuineIntel", 6, model, stepping, name)
}

fn amd(family: u32, model: u32, name: &str) -> CpuIdentity {
    x86("AuthenticAMD", family, model, 1, name)
}

#[test]
fn every_row_is_read_and_sound() {
    let rows = rows().expect("the table");
    assert_eq!(rows.len(), POWERS.lines().count() - 1);
    let curves = curves().expect("the curves");
    assert_eq!(curves.len(), 5);
    for row in &rows {
        assert!(0.0 < row.idle && row.idle < row.max && row.max < 20.0, "{}", row.arch);
        assert!(row.memory_gib > 0.0 && row.results > 0 && !row.ids.models.is_empty(), "{}", row.arch);
        assert!(row.ids.models.iter().chain(&row.ids.steppings).all(|range| !range.is_empty()), "{}", row.arch);
        assert!(curves.contains_key(&row.load_curve), "{}", row.arch);
    }
}

#[test]
fn rows_of_one_cpuid_are_told_apart_by_name() {
    let rows = rows().expect("the table");
    for (index, row) in rows.iter().enumerate() {
        for other in rows.iter().skip(index + 1).filter(|other| overlap(&row.ids, &other.ids)) {
            let named = !row.name_pattern.is_empty() && !other.name_pattern.is_empty();
            assert!(named && row.name_pattern != other.name_pattern, "{} and {}", row.arch, other.arch);
        }
    }
}

fn overlap(one: &CpuIds, other: &CpuIds) -> bool {
    let meet = |one: &[RangeInclusive<u32>], other: &[RangeInclusive<u32>]| {
        one.iter().any(|one| other.iter().any(|other| one.start() <= other.end() && other.start() <= one.end()))
    };
    let steppings = one.steppings.is_empty() || other.steppings.is_empty() || meet(&one.steppings, &other.steppings);
    one.arm == other.arm && one.family == other.family && meet(&one.models, &other.models) && steppings
}

#[test]
fn cpus_find_their_generation() {
    let rows = [
        (intel(0x55, 4, ""), "Skylake-SP"),
        (intel(0x55, 7, ""), "Cascade Lake"),
        (intel(0x55, 11, ""), "Cooper Lake"),
        (intel(0x6a, 6, ""), "Ice Lake-SP"),
        (intel(0x8f, 8, ""), "Sapphire Rapids"),
        (intel(0xcf, 2, ""), "Emerald Rapids"),
        (intel(0xad, 1, ""), "Granite Rapids"),
        (intel(0xaf, 3, ""), "Sierra Forest"),
        (intel(0x4f, 1, ""), "Broadwell"),
        (intel(0x9e, 9, "Intel(R) Xeon(R) CPU E3-1230 v6 @ 3.50GHz"), "Kaby Lake"),
        (intel(0x9e, 10, "Intel(R) Xeon(R) E-2136 CPU @ 3.30GHz"), "E-21xx"),
        (intel(0x9e, 10, "Intel(R) Xeon(R) E-2224 CPU @ 3.40GHz"), "E-22xx"),
        (intel(0x9e, 13, "Intel(R) Core(TM) i9-9900K"), "E-21xx"),
        (amd(0x17, 0x01, ""), "Naples"),
        (amd(0x17, 0x31, ""), "Rome"),
        (amd(0x19, 0x01, ""), "Milan"),
        (amd(0x19, 0x11, ""), "Genoa"),
        (amd(0x19, 0xa0, "AMD EPYC 9754 128-Core Processor"), "Bergamo"),
        (amd(0x19, 0xa0, "AMD EPYC 8324P 32-Core Processor"), "Siena"),
        (amd(0x19, 0xa0, ""), "Bergamo"),
        (amd(0x1a, 0x02, ""), "EPYC 9005 Turin"),
        (amd(0x1a, 0x11, ""), "Turin Dense"),
        (CpuIdentity::Arm { implementer: 0x41, part: 0xd0c }, "Altra"),
    ];
    for (cpu, expected) in rows {
        let power = thread_power(&cpu).expect("the table").expect("a row");
        assert!(power.description.contains(expected), "{cpu:?} is {}", power.description);
        assert_eq!(power.precision, Precision::Family, "{cpu:?}");
    }
}

#[test]
fn unknown_cpus_get_a_median_or_a_proxy_and_never_a_guess() {
    let precision = |cpu: &CpuIdentity| thread_power(cpu).expect("the table").map(|power| power.precision);
    assert_eq!(precision(&intel(0x56, 1, "Xeon D-1541")), Some(Precision::Default));
    assert_eq!(precision(&amd(6, 0x55, "an old AMD with an Intel's numbers")), Some(Precision::Default));
    for (implementer, part) in [(0x41, 0xd40), (0x41, 0xd4f), (0xc0, 0xac3)] {
        assert_eq!(precision(&CpuIdentity::Arm { implementer, part }), Some(Precision::Proxy), "{part:x}");
    }
    assert_eq!(precision(&x86("HygonGenuine", 0x18, 1, 1, "")), None);
    assert_eq!(precision(&CpuIdentity::Other), None);
}

#[test]
fn the_median_is_of_the_vendors_rows() {
    let power = thread_power(&amd(0x15, 1, "")).expect("the table").expect("a median");
    // Idle of the eight AMD rows, sorted: .209 .232 .331 .353 .424 .437 .572 .744
    assert!((power.idle.0 - f64::midpoint(0.353, 0.424)).abs() < 1e-9, "{power:?}");
    assert_eq!(power.description, "median of 8 amd server generations");
    assert_eq!((median(vec![]), median(vec![3.0, 1.0, 2.0])), (None, Some(2.0)));
}

#[test]
fn curves_are_straight_between_their_points() {
    let rome = thread_power(&amd(0x17, 0x31, "")).expect("the table");
    let curve = load_curve(rome.as_ref()).expect("a curve");
    let rows = [(0.0, 0.0), (0.1, 0.276), (0.15, 0.3185), (0.5, 0.589), (0.95, 0.9495), (1.0, 1.0)];
    for (busy, expected) in rows.into_iter().chain([(-1.0, 0.0), (7.0, 1.0), (f64::NAN, 0.0), (f64::INFINITY, 1.0)]) {
        assert!((curve.at(busy) - expected).abs() < 1e-9, "g({busy}) = {}", curve.at(busy));
    }
    assert!((load_curve(None).expect("a curve").at(0.5) - 0.447).abs() < 1e-9);
}
