use proptest::prelude::*;

use super::*;
use crate::units::Bytes;

fn rome(threads: u32, gib: u64) -> Processor {
    let identity = CpuIdentity::X86 {
        vendor: "AuthenticAMD".to_owned(),
        family: 0x17,
        model: 0x31,
        stepping: 0,
        name: "AMD EPYC 7702 64-Core Processor".to_owned(),
    };
    Processor { identity, threads, memory: Bytes(gib << 30), hypervisor: Some(false) }
}

fn other() -> Processor {
    Processor { identity: CpuIdentity::Other, ..rome(4, 8) }
}

#[test]
fn the_formula_by_hand() {
    // 8 threads of 0.437 to 1.664 W, 16 GiB of which 8 are beyond 1 GiB per thread; g(0.5) = 0.589.
    let model = PowerModel::of(&rome(8, 16)).expect("a model");
    let idle = 8.0 * 0.437 + 0.3 * 8.0;
    for (busy, g) in [(0.0, 0.0), (0.5, 0.589), (1.0, 1.0)] {
        let expected = idle + 8.0 * (1.664 - 0.437) * g;
        assert!((model.power(busy).0 - expected).abs() < 1e-9, "{busy}");
        let energy = model.energy(busy, Nanos::from_secs(10));
        assert_eq!(
            (energy.total, energy.idle),
            (Watts(expected).during(Nanos::from_secs(10)), Microjoules(58_960_000))
        );
    }
}

#[test]
fn less_memory_than_usual_saves_nothing() {
    let usual = PowerModel::of(&rome(8, 8)).expect("a model");
    assert_eq!(PowerModel::of(&rome(8, 1)), Ok(usual));
}

#[test]
fn the_stated_error_follows_the_precision() {
    let arm = Processor { identity: CpuIdentity::Arm { implementer: 0x41, part: 0xd40 }, ..rome(4, 8) };
    let rows = [
        (PowerModel::of(&rome(4, 8)), Precision::Family, 0.3),
        (PowerModel::of(&arm), Precision::Proxy, 0.4),
        (PowerModel::configured(&other(), Watts(50.0), Watts(200.0)), Precision::Configured, 0.3),
    ];
    for (model, precision, uncertainty) in rows {
        let model = model.expect("a model");
        assert_eq!(model.precision, precision);
        assert!((model.uncertainty - uncertainty).abs() < 1e-9);
    }
}

#[test]
fn an_unknown_cpu_asks_for_its_powers() {
    let error = PowerModel::of(&other()).expect_err("no figures").to_string();
    assert!(error.contains("energy.idle_watts"), "{error}");
}

#[test]
fn configured_powers_are_the_machines() {
    let model = PowerModel::configured(&rome(8, 999), Watts(50.0), Watts(150.0)).expect("a model");
    for (busy, expected) in [(0.0, 50.0), (0.5, 50.0 + 58.9), (1.0, 150.0)] {
        assert!((model.power(busy).0 - expected).abs() < 1e-9, "{busy}");
    }
    for (idle, max) in [(-1.0, 5.0), (6.0, 5.0), (f64::NAN, 5.0), (1.0, f64::INFINITY)] {
        let refused = PowerModel::configured(&rome(1, 1), Watts(idle), Watts(max));
        assert!(matches!(refused, Err(ModelError::Configured { .. })), "{idle} {max}");
    }
}

#[test]
fn the_idle_ratio_is_the_familys() {
    assert!((idle_ratio(&rome(1, 1).identity).expect("the table") - 0.437 / 1.664).abs() < 1e-9);
    assert!((idle_ratio(&CpuIdentity::Other).expect("the table") - 0.25).abs() < 1e-9);
    let arm = CpuIdentity::Arm { implementer: 0x41, part: 0xd40 };
    assert!((idle_ratio(&arm).expect("the table") - 0.25).abs() < 1e-9, "a proxy is not the family");
}

proptest! {
    #[test]
    fn idle_is_within_the_total(busy in any::<f64>(), span in any::<u64>(), threads in 0..1_000_u32, gib in 0..10_000_u64) {
        let energy = PowerModel::of(&rome(threads, gib)).expect("a model").energy(busy, Nanos(span));
        prop_assert!(energy.idle <= energy.total);
    }
}
