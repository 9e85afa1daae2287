use super::*;
use crate::{
    samples::{Scope, ZoneKind},
    units::Nanos,
};

fn saved(boot_id: &str) -> Saved {
    let at = Instant { monotonic: Nanos(1), boottime: Nanos(2), wall: Nanos(u64::MAX) };
    let key = ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(1) };
    let zone = SavedZone { key, counter: Microjoules(u64::MAX), at };
    Saved::new(boot_id.to_owned(), at, Record::default(), TelemetryRecord::default(), vec![zone])
}

#[test]
fn what_was_saved_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    assert_eq!(state.load().unwrap(), Found::Nothing);
    state.save(&saved("a")).unwrap();
    state.save(&saved("b")).unwrap();
    assert_eq!(state.load().unwrap(), Found::Saved(Box::new(saved("b"))));
}

#[test]
fn what_is_out_of_date_is_not_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    state.save(&saved("a")).unwrap();
    assert!(state.outdate() && state.outdate());
    assert_eq!(state.load().unwrap(), Found::Nothing);
    assert!(folder.path().join(OUTDATED).exists());
    state.save(&saved("b")).unwrap();
    assert_eq!(state.load().unwrap(), Found::Saved(Box::new(saved("b"))));
    assert!(!folder.path().join(OUTDATED).exists());
}

#[test]
fn garbage_and_other_versions_are_set_aside_and_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let other = serde_json::to_string(&Saved { version: 99, ..saved("a") }).unwrap();
    for content in ["", "{", "[1,2]", &other] {
        fs::write(folder.path().join(NAME), content).unwrap();
        let Found::Corrupt(aside) = state.load().unwrap() else { panic!("{content} was taken") };
        assert_eq!(fs::read_to_string(aside).unwrap(), content);
        assert_eq!(state.load().unwrap(), Found::Nothing);
    }
}

#[test]
fn a_second_agent_is_refused_until_the_first_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = StateDir::open(folder.path()).unwrap();
    assert!(matches!(StateDir::open(folder.path()), Err(StateError::Taken { .. })));
    drop(first);
    StateDir::open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = StateDir::open(&file.path().join("below")).unwrap_err();
    assert!(error.to_string().contains("agent.state_dir"), "{error}");
}

fn measured() -> Measured {
    let processor = "Xeon".to_owned();
    Measured { host: "a".to_owned(), processor, memory: 16 << 30, source: EnergySource::RaplPerf }
}

#[test]
fn floors_are_of_one_machine_and_its_hardware() {
    let here = measured();
    assert!(here.is_same(&measured()));
    assert!(here.is_same(&Measured { memory: (16 << 30) - (1 << 28), ..measured() }), "another kernel's share");
    for other in [
        Measured { host: "b".to_owned(), ..measured() },
        Measured { processor: "EPYC".to_owned(), ..measured() },
        Measured { memory: 32 << 30, ..measured() },
        Measured { source: EnergySource::Vrapl, ..measured() },
    ] {
        assert!(!here.is_same(&other), "{other:?}");
    }
}

#[test]
fn floors_can_be_looked_at_while_an_agent_runs() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    assert_eq!(peek_floors(folder.path()), None);
    state.save(&saved("a")).unwrap();
    assert_eq!(peek_floors(folder.path()), None);
    let key = ZoneKey { kind: ZoneKind::Dram, scope: Scope::Socket(0) };
    let floors = Some(SavedFloors { hardware: measured(), zones: vec![(key, 4.25)] });
    state.save(&Saved { floors: floors.clone(), ..saved("a") }).unwrap();
    assert_eq!(peek_floors(folder.path()), floors);
    fs::write(folder.path().join(NAME), "{").unwrap();
    assert_eq!(peek_floors(folder.path()), None);
    assert!(folder.path().join(NAME).exists(), "it is the other agent's");
}

#[test]
fn a_file_of_before_there_were_floors_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let mut old = serde_json::to_value(saved("a")).unwrap();
    let fields = old.as_object_mut().unwrap();
    assert!(fields.remove("floors").is_some() && fields.remove("source").is_some());
    fs::write(folder.path().join(NAME), old.to_string()).unwrap();
    assert_eq!(state.load().unwrap(), Found::Saved(Box::new(saved("a"))));
}
