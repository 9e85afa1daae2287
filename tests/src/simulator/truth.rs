//! The text of the simulator's truth, read into exact integers. Its format is in `tests/vm/simulator/README.md`.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Context, Result, bail, ensure};

const VERSION: u32 = 1;

/// Energy of one socket by zone, in femtojoules: whole, because 1 ns at 1 µW is 1 fJ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The package, which contains the core.
    pub package: u128,
    /// The memory.
    pub dram: u128,
    /// The core.
    pub core: u128,
}

impl Parts {
    fn plus(self, other: Self) -> Self {
        Self { package: self.package + other.package, dram: self.dram + other.dram, core: self.core + other.core }
    }
}

/// Time of one CPU, by the scheduler's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Physical package.
    pub package: u32,
    /// Nanoseconds in which a task ran.
    pub busy_ns: u64,
    /// Nanoseconds in which none ran.
    pub idle_ns: u64,
    /// Nanoseconds in which the CPU was offline.
    pub offline_ns: u64,
}

/// Energy of one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// All of it.
    pub total: Parts,
    /// What it uses at rest, however busy it is.
    pub idle: Parts,
}

/// Energy of the platform, in femtojoules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Psys {
    /// All packages and the constant.
    pub total: u128,
    /// What is in no package.
    pub constant: u128,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Kernel threads of the root cgroup.
    Kernel,
    /// Cgroups for which the module's table had no room.
    Overflow,
    /// A cgroup, by its id.
    Cgroup(u64),
    /// A cgroup that does not exist any more.
    Released(u64),
}

/// What one owner used on one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub owner: Owner,
    /// Physical package.
    pub package: u32,
    /// Nanoseconds on its CPUs.
    pub cpu_ns: u64,
    /// The part of them in which a sibling was busy.
    pub overlap_ns: u64,
    /// Energy beyond that at rest.
    pub active: Parts,
    /// The cgroup's path in the unified hierarchy; empty if it is not known.
    pub path: String,
}

/// Everything since the truth was reset, at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Nanoseconds since then.
    pub time_ns: u64,
    /// Slices that were booked to [`Owner::Overflow`].
    pub overflows: u64,
    /// By number.
    pub cpus: BTreeMap<u32, Cpu>,
    /// By physical package.
    pub sockets: BTreeMap<u32, Socket>,
    /// The platform.
    pub psys: Psys,
    /// One for each owner and socket that it ran on.
    pub rows: Vec<Row>,
}

impl Truth {
    /// Reads the module's text.
    ///
    /// # Errors
    /// When a line is not of the known format, or the text has another version.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let mut first = Fields(lines.next().unwrap_or_default());
        ensure!(first.word()? == "version", "no simulator's truth: it has no version");
        let version: u32 = first.number()?;
        ensure!(version == VERSION, "the truth has version {version}, not {VERSION}: rebuild the module");
        let mut truth = Self::default();
        for line in lines {
            truth.line(line).with_context(|| format!("the truth has the line {line:?}"))?;
        }
        Ok(truth)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let mut fields = Fields(line);
        match fields.word()? {
            "time" => self.time_ns = fields.number()?,
            "overflows" => self.overflows = fields.number()?,
            "cpu" => {
                self.cpus.insert(fields.number()?, fields.cpu()?);
            }
            "total" => {
                let socket = self.sockets.entry(fields.number()?).or_default();
                socket.total = fields.parts()?;
            }
            "idle" => {
                let socket = self.sockets.entry(fields.number()?).or_default();
                socket.idle = fields.parts()?;
            }
            "psys" => self.psys = Psys { total: fields.number()?, constant: fields.number()? },
            kind => self.rows.push(fields.row(kind)?),
        }
        Ok(())
    }

    /// What the cgroup of this path used, socket by socket. After a cgroup was made again there are rows of both.
    pub fn of_path<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Row> {
        let is_cgroup = |row: &Row| matches!(row.owner, Owner::Cgroup(_) | Owner::Released(_));
        self.rows.iter().filter(move |row| row.path == path && is_cgroup(row))
    }

    /// What the cgroup of this id used, socket by socket.
    pub fn of_id(&self, id: u64) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.owner == Owner::Cgroup(id) || row.owner == Owner::Released(id))
    }

    /// Seconds the cgroup of this path ran since `earlier`, and those of them in which the other thread of its core was busy.
    pub fn time_since(&self, earlier: &Self, path: &str) -> [f64; 2] {
        let sums = |truth: &Self| {
            truth.of_path(path).fold([0, 0], |[all, shared], row| [all + row.cpu_ns, shared + row.overlap_ns])
        };
        let ([all, shared], before) = (sums(self), sums(earlier));
        [(all - before[0]) as f64 / 1e9, (shared - before[1]) as f64 / 1e9]
    }

    /// Checks that all sums are equal to the last femtojoule and nanosecond.
    ///
    /// # Errors
    /// The first sum that is not.
    pub fn check(&self) -> Result<()> {
        for (package, socket) in &self.sockets {
            let rows = self.rows.iter().filter(|row| row.package == *package);
            let sum = rows.fold(socket.idle, |sum, row| sum.plus(row.active));
            ensure!(sum == socket.total, "package {package}: rows and idle are {sum:?}, the total {:?}", socket.total);
            let cpus: u64 = self.cpus.values().filter(|cpu| cpu.package == *package).map(|cpu| cpu.busy_ns).sum();
            let rows: u64 = self.rows.iter().filter(|row| row.package == *package).map(|row| row.cpu_ns).sum();
            ensure!(cpus == rows, "package {package}: its CPUs were busy for {cpus} ns, its rows have {rows}");
        }
        let packages: u128 = self.sockets.values().map(|socket| socket.total.package).sum();
        ensure!(self.psys.total == self.psys.constant + packages, "psys is not its packages and its constant");
        Ok(())
    }
}

/// What is left of a line, tab-separated.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn word(&mut self) -> Result<&'a str> {
        ensure!(!self.0.is_empty(), "a field is missing");
        let (word, rest) = self.0.split_once('\t').unwrap_or((self.0, ""));
        self.0 = rest;
        Ok(word)
    }

    fn number<T: FromStr>(&mut self) -> Result<T> {
        let word = self.word()?;
        word.parse().ok().with_context(|| format!("{word:?} is no number of its kind"))
    }

    fn parts(&mut self) -> Result<Parts> {
        Ok(Parts { package: self.number()?, dram: self.number()?, core: self.number()? })
    }

    fn cpu(&mut self) -> Result<Cpu> {
        Ok(Cpu {
            package: self.number()?,
            busy_ns: self.number()?,
            idle_ns: self.number()?,
            offline_ns: self.number()?,
        })
    }

    fn row(&mut self, kind: &str) -> Result<Row> {
        let id = self.number()?;
        let owner = match kind {
            "kernel" => Owner::Kernel,
            "overflow" => Owner::Overflow,
            "cgroup" => Owner::Cgroup(id),
            "released" => Owner::Released(id),
            _ => bail!("no row is known as {kind:?}"),
        };
        Ok(Row {
            owner,
            package: self.number()?,
            cpu_ns: self.number()?,
            overlap_ns: self.number()?,
            active: self.parts()?,
            // The rest of the line: a path may contain a tab.
            path: self.0.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../fixtures/simulator_truth.tsv");

    #[test]
    fn a_real_text_is_read_and_balances() {
        let truth = Truth::parse(SAMPLE).unwrap();
        truth.check().unwrap();
        assert_eq!((truth.time_ns, truth.overflows), (6_610_095_660, 0));
        let cpu = Cpu { package: 1, busy_ns: 3_479_700_638, idle_ns: 3_130_395_022, offline_ns: 0 };
        assert_eq!(truth.cpus.get(&3), Some(&cpu));
        assert_eq!(truth.sockets.len(), 2);
        let a: Vec<&Row> = truth.of_path("/a").collect();
        assert_eq!(a.iter().map(|row| row.cpu_ns).collect::<Vec<_>>(), [1_358_934_892, 24_040_636]);
        assert_eq!(truth.of_id(50).collect::<Vec<_>>(), a);
        let gone = truth.of_path("/gone").next().unwrap();
        assert_eq!(gone.owner, Owner::Released(119));
        assert_eq!(gone.active.package, 5_054_359_987_500_000);
        assert_eq!(truth.of_path("kernel").count(), 0, "only cgroups have paths");
    }

    #[test]
    fn a_femtojoule_or_nanosecond_too_much_is_found() {
        let truth = Truth::parse(SAMPLE).unwrap();
        let changes: [fn(&mut Truth); 4] = [
            |truth| truth.psys.total += 1,
            |truth| truth.rows[0].active.dram += 1,
            |truth| truth.rows[0].cpu_ns += 1,
            |truth| truth.sockets.get_mut(&1).unwrap().idle.core += 1,
        ];
        for change in changes {
            let mut wrong = truth.clone();
            change(&mut wrong);
            assert!(wrong.check().is_err());
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "",
            "time\t1\n",
            "version\t2\n",
            "version\t1\ncpu\t0\t0\t1\t2\n",
            "version\t1\ncgroup\t1\t0\t5\t0\t1\t1\n",
            "version\t1\ncgroup\t1\t0\t-5\t0\t1\t1\t1\t/\n",
            "version\t1\nother\t1\t0\t5\t0\t1\t1\t1\t/\n",
            "version\t1\n\n",
        ];
        for text in texts {
            assert!(Truth::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_beyond_64_bits_and_odd_paths_are_kept() {
        let text = "version\t1\npsys\t36893488147419103232\t0\ncgroup\t7\t0\t5\t0\t1\t2\t3\t/a b\tc\ncgroup\t8\t0\t5\t0\t1\t2\t3\t\n";
        let truth = Truth::parse(text).unwrap();
        assert_eq!(truth.psys.total, 1 << 65);
        assert_eq!(truth.of_path("/a b\tc").count(), 1);
        assert_eq!(truth.of_id(8).next().unwrap().path, "");
    }
}
