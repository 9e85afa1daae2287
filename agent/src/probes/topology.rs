//! Which CPUs there are, on which socket and die each sits, and which share a core.

use std::{collections::BTreeMap, path::Path};

use super::{
    file::{self, FileError},
    parse,
};
use crate::samples::Place;

/// PMUs of performance and of efficiency cores: both are there on hybrid processors alone.
const HYBRID: [&str; 2] = ["cpu_core", "cpu_atom"];

/// Where one CPU sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Socket and die.
    pub place: Place,
    /// Online hardware threads of the same core, this CPU included.
    pub siblings: Vec<u32>,
}

/// The CPUs of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// CPUs that may ever come online: what per-CPU kernel maps are sized by.
    pub possible: Vec<u32>,
    /// Online CPUs by number. The kernel says nothing of the place of an offline CPU.
    pub cpus: BTreeMap<u32, Cpu>,
}

impl Topology {
    /// Socket and die of an online CPU.
    pub fn place(&self, cpu: u32) -> Option<Place> {
        self.cpus.get(&cpu).map(|cpu| cpu.place)
    }

    /// The other thread of a CPU's core, where exactly two of a core are online.
    pub fn sibling(&self, cpu: u32) -> Option<u32> {
        let online = self.cpus.get(&cpu)?.siblings.iter().filter(|sibling| self.cpus.contains_key(sibling));
        match *online.collect::<Vec<_>>() {
            [first, second] if *first == cpu && *second != cpu => Some(*second),
            [first, second] if *second == cpu && *first != cpu => Some(*first),
            _ => None,
        }
    }

    /// Every CPU that has such a sibling, with it.
    pub fn siblings(&self) -> BTreeMap<u32, u32> {
        self.cpus.keys().filter_map(|cpu| Some((*cpu, self.sibling(*cpu)?))).collect()
    }

    /// Whether any core has exactly two threads.
    pub fn has_siblings(&self) -> bool {
        self.cpus.keys().any(|cpu| self.sibling(*cpu).is_some())
    }

    /// Sockets that have an online CPU.
    pub fn sockets(&self) -> u32 {
        let sockets: std::collections::BTreeSet<_> = self.cpus.values().map(|cpu| cpu.place.socket).collect();
        u32::try_from(sockets.len()).unwrap_or(u32::MAX)
    }
}

/// CPUs that are online now, in ascending order.
pub fn online(root: &Path) -> Result<Vec<u32>, FileError> {
    file::parse(&root.join("sys/devices/system/cpu/online"), parse::cpu_list)
}

/// Reads the topology below `<root>/sys/devices/system/cpu`.
pub fn read(root: &Path) -> Result<Topology, FileError> {
    let base = root.join("sys/devices/system/cpu");
    let possible = file::parse(&base.join("possible"), parse::cpu_list)?;
    let online = file::parse(&base.join("online"), parse::cpu_list)?;
    let (mut cpus, mut cores) = (BTreeMap::new(), BTreeMap::new());
    for cpu in online {
        match read_cpu(&base.join(format!("cpu{cpu}/topology")), cpu) {
            Ok((found, core)) => {
                cores.extend(core.map(|core| (cpu, (found.place, core))));
                cpus.insert(cpu, found);
            }
            // It went offline between the two reads.
            Err(error) if error.is_absent() && !is_online(&base, cpu) => {}
            Err(error) => return Err(error),
        }
    }
    join(&cores, &mut cpus);
    Ok(Topology { possible, cpus })
}

/// CPUs of a hybrid processor, by the kernel's name of their kind; empty where all are of one.
pub fn kinds(root: &Path) -> Vec<(&'static str, Vec<u32>)> {
    let cpus = |kind: &str| file::parse(&root.join("sys/devices").join(kind).join("cpus"), parse::cpu_list).ok();
    HYBRID.into_iter().filter_map(|kind| Some((kind, cpus(kind)?))).filter(|(_, cpus)| !cpus.is_empty()).collect()
}

fn is_online(base: &Path, cpu: u32) -> bool {
    file::parse(&base.join("online"), parse::cpu_list).is_ok_and(|online| online.contains(&cpu))
}

/// CPUs whose siblings no file names: those of one core of one place are.
fn join(cores: &BTreeMap<u32, (Place, u32)>, cpus: &mut BTreeMap<u32, Cpu>) {
    for (cpu, core) in cores {
        let same = cores.iter().filter(|(_, other)| *other == core).map(|(cpu, _)| *cpu);
        if let Some(found) = cpus.get_mut(cpu) {
            found.siblings = same.collect();
        }
    }
}

/// The CPU; with it its core, where the file that names its siblings is not there.
fn read_cpu(topology: &Path, cpu: u32) -> Result<(Cpu, Option<u32>), FileError> {
    let id = |name: &str| file::parse(&topology.join(name), parse::signed);
    // -1: firmware that does not say; then the machine is one socket of one die.
    let known = |id: i64| u32::try_from(id).unwrap_or(0);
    let socket = known(id("physical_package_id")?);
    let die = match id("die_id") {
        Ok(die) => known(die),
        Err(error) if error.is_absent() => 0,
        Err(error) => return Err(error),
    };
    let place = Place { socket, die };
    match file::parse(&topology.join("thread_siblings_list"), parse::cpu_list) {
        Ok(siblings) => return Ok((Cpu { place, siblings }, None)),
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    let core = match id("core_id") {
        Ok(core) => u32::try_from(core).ok(),
        Err(error) if error.is_absent() => None,
        Err(error) => return Err(error),
    };
    Ok((Cpu { place, siblings: vec![cpu] }, core))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join("sys/devices/system/cpu").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, text).expect("a file");
        }
        root
    }

    #[test]
    fn offline_cpus_have_no_place() {
        let root = machine(&[
            ("possible", "0-3\n"),
            ("online", "0,2\n"),
            ("cpu0/topology/physical_package_id", "0\n"),
            ("cpu0/topology/die_id", "1\n"),
            ("cpu0/topology/thread_siblings_list", "0,2\n"),
            ("cpu2/topology/physical_package_id", "1\n"),
        ]);
        let topology = read(root.path()).expect("a topology");
        assert_eq!(topology.possible, [0, 1, 2, 3]);
        assert_eq!(topology.cpus[&0], Cpu { place: Place { socket: 0, die: 1 }, siblings: vec![0, 2] });
        assert_eq!(topology.cpus[&2], Cpu { place: Place { socket: 1, die: 0 }, siblings: vec![2] });
        assert_eq!((topology.place(1), topology.sockets()), (None, 2));
    }

    /// `thread_siblings_list` and `core_id` by CPU, all online on one socket; what is empty is not there.
    fn siblings(cpus: &[(&str, &str)]) -> Vec<Option<u32>> {
        let online = format!("0-{}\n", cpus.len() - 1);
        let mut files = vec![("possible".to_owned(), online.clone()), ("online".to_owned(), online)];
        for (cpu, (list, core)) in cpus.iter().enumerate() {
            let contents = [("physical_package_id", "0"), ("thread_siblings_list", *list), ("core_id", *core)];
            let there = contents.into_iter().filter(|(_, text)| !text.is_empty());
            files.extend(there.map(|(name, text)| (format!("cpu{cpu}/topology/{name}"), format!("{text}\n"))));
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let topology = read(machine(&files).path()).expect("a topology");
        let found: Vec<_> = topology.cpus.keys().map(|cpu| topology.sibling(*cpu)).collect();
        assert_eq!(topology.has_siblings(), found.iter().any(Option::is_some));
        found
    }

    #[test]
    fn a_sibling_is_the_other_of_exactly_two_threads() {
        assert_eq!(
            siblings(&[("0,2", ""), ("1,3", ""), ("0,2", ""), ("1,3", "")]),
            [Some(2), Some(3), Some(0), Some(1)]
        );
        assert_eq!(siblings(&[("0", ""), ("1", "")]), [None; 2], "one thread per core");
        assert_eq!(siblings(&[("0-3", ""), ("0-3", ""), ("0-3", ""), ("0-3", "")]), [None; 4], "four");
        assert_eq!(siblings(&[("0-1", ""), ("0-1", ""), ("2", "")]), [Some(1), Some(0), None], "hybrid");
        assert_eq!(siblings(&[("0,7", ""), ("1,7", "")]), [None; 2], "the other is offline");
        assert_eq!(siblings(&[("1,2", ""), ("0", ""), ("0", "")]), [None; 3], "nonsense");
    }

    #[test]
    fn cores_tell_siblings_where_no_list_does() {
        assert_eq!(siblings(&[("", "0"), ("", "1"), ("", "0"), ("", "1")]), [Some(2), Some(3), Some(0), Some(1)]);
        assert_eq!(siblings(&[("", "-1"), ("", "-1")]), [None; 2], "firmware that does not say");
        assert_eq!(siblings(&[("", ""), ("", "")]), [None; 2]);
    }

    #[test]
    fn cores_of_two_sockets_are_two() {
        let files = [("possible", "0-1\n"), ("online", "0-1\n")];
        let cpu = |cpu, socket| {
            [("physical_package_id", socket), ("core_id", "0")].map(|(n, t)| (format!("cpu{cpu}/topology/{n}"), t))
        };
        let cpus: Vec<_> = [cpu(0, "0\n"), cpu(1, "1\n")].concat();
        let all: Vec<_> = files.into_iter().chain(cpus.iter().map(|(path, text)| (path.as_str(), *text))).collect();
        assert!(!read(machine(&all).path()).expect("a topology").has_siblings());
    }

    #[test]
    fn kinds_of_a_hybrid_processor_are_told() {
        let root = tempfile::tempdir().expect("a directory");
        assert!(kinds(root.path()).is_empty());
        for (kind, cpus) in [("cpu_core", "0-3\n"), ("cpu_atom", "4-5\n")] {
            let folder = root.path().join("sys/devices").join(kind);
            fs::create_dir_all(&folder).expect("a directory");
            fs::write(folder.join("cpus"), cpus).expect("a file");
        }
        assert_eq!(kinds(root.path()), [("cpu_core", vec![0, 1, 2, 3]), ("cpu_atom", vec![4, 5])]);
    }

    #[test]
    fn unknown_ids_are_the_only_socket() {
        let files = [("possible", "0\n"), ("online", "0\n")];
        let ids = [("cpu0/topology/physical_package_id", "-1\n"), ("cpu0/topology/die_id", "-1\n")];
        let root = machine(&[files, ids].concat());
        assert_eq!(read(root.path()).expect("a topology").place(0), Some(Place::default()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let files = [("possible", "0\n"), ("online", "0\n")];
        let missing = read(machine(&files).path()).expect_err("no package id").to_string();
        assert!(missing.contains("cpu0/topology/physical_package_id"), "{missing}");
        let root = machine(&[files[0], files[1], ("cpu0/topology/physical_package_id", "zero\n")]);
        let malformed = read(root.path()).expect_err("no number").to_string();
        assert!(malformed.contains("expected an integer, found \"zero\\n\""), "{malformed}");
    }
}
