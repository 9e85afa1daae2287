//! Powercap trees of typical machines, built below a directory from `fixtures/powercap_shapes.tsv`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

const SHAPES: &str = include_str!("../fixtures/powercap_shapes.tsv");

/// One zone of a machine, as the fixture describes it. Files whose column is empty do not exist.
#[derive(Clone, Debug)]
pub struct Row {
    /// The machine.
    pub shape: String,
    /// `intel-rapl:0:0`
    pub path: String,
    /// `package-0`, `dram`
    pub name: String,
    /// `max_energy_range_uj`
    pub range: u64,
    /// `constraint_0_max_power_uw`
    pub max_power: Option<u64>,
    /// `constraint_0_power_limit_uw`
    pub power_limit: Option<u64>,
    /// Name of the zone beside or around it, with a remark.
    pub parent: String,
    /// Whether its energy is shared out.
    pub attributed: bool,
}

impl Row {
    /// Socket and, where zones are per die, die of the package that the zone is, or belongs to.
    pub fn package(&self) -> Option<(u32, Option<u32>)> {
        let around = self.parent.split(' ').next().unwrap_or_default();
        let name = if self.name.starts_with("package-") { &self.name } else { around };
        let (socket, die) = match name.strip_prefix("package-")?.split_once("-die-") {
            Some((socket, die)) => (socket, Some(die.parse().ok()?)),
            None => (name.strip_prefix("package-")?, None),
        };
        Some((socket.parse().ok()?, die))
    }

    /// Whether it shows what another zone shows.
    pub fn is_duplicate(&self) -> bool {
        self.parent.starts_with("same zone")
    }
}

/// How the class directory shows the zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As sysfs does: links in the class directory, zones nested behind them.
    Linked,
    /// Plain directories, subzones within their zones, zones within their control type.
    Nested,
    /// Plain directories side by side.
    Flat,
    /// Plain directories side by side, and subzones within their zones once more.
    Both,
}

/// Every layout.
pub const LAYOUTS: [Layout; 4] = [Layout::Linked, Layout::Nested, Layout::Flat, Layout::Both];

/// The zones of every machine; the masked one has none.
pub fn rows() -> Result<Vec<Row>> {
    let lines = SHAPES.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.filter(|line| !line.starts_with("masked\t")).map(|line| row(line).with_context(|| line.to_owned())).collect()
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<_> = line.split('\t').collect();
    let [shape, path, name, range, max_power, power_limit, parent, attributed, _note] = cells[..] else {
        bail!("{} columns instead of 9", cells.len());
    };
    let optional = |cell: &str| Some(cell).filter(|cell| !cell.is_empty()).map(str::parse).transpose();
    Ok(Row {
        shape: shape.to_owned(),
        path: path.to_owned(),
        name: name.to_owned(),
        range: range.parse()?,
        max_power: optional(max_power)?,
        power_limit: optional(power_limit)?,
        parent: parent.to_owned(),
        attributed: attributed == "yes",
    })
}

/// Builds `<root>/sys/class/powercap` and `<root>/proc/cpuinfo` of one machine; each counter shows 1000.
pub fn build(root: &Path, shape: &str, layout: Layout) -> Result<Vec<Row>> {
    let rows: Vec<_> = rows()?.into_iter().filter(|row| row.shape == shape).collect();
    let class = root.join("sys/class/powercap");
    fs::create_dir_all(&class)?;
    cpuinfo(root, shape.starts_with("kvm"))?;
    for row in &rows {
        match layout {
            Layout::Linked => {
                zone(&nested(&root.join("sys/devices/virtual/powercap"), &row.path), row)?;
                links(root, row)?;
            }
            Layout::Nested => zone(&nested(&class, &row.path), row)?,
            Layout::Flat => zone(&class.join(&row.path), row)?,
            Layout::Both => {
                zone(&class.join(&row.path), row)?;
                zone(&nested(&class, &row.path), row)?;
            }
        }
    }
    Ok(rows)
}

/// `intel-rapl:0:1` → `base/intel-rapl/intel-rapl:0/intel-rapl:0:1`
fn nested(base: &Path, id: &str) -> PathBuf {
    let ends = id.match_indices(':').map(|(end, _)| end).chain([id.len()]);
    ends.fold(base.to_owned(), |path, end| path.join(id.get(..end).unwrap_or(id)))
}

fn zone(directory: &Path, row: &Row) -> Result<()> {
    fs::create_dir_all(directory)?;
    let write = |name: &str, value: String| fs::write(directory.join(name), value + "\n");
    write("name", row.name.clone())?;
    write("energy_uj", "1000".to_owned())?;
    write("max_energy_range_uj", row.range.to_string())?;
    for (name, value) in [("max_power", row.max_power), ("power_limit", row.power_limit)] {
        if let Some(value) = value {
            write(&format!("constraint_0_{name}_uw"), value.to_string())?;
        }
    }
    Ok(())
}

/// The links that sysfs has: control type and zone in the class directory, and a way back from each zone.
fn links(root: &Path, row: &Row) -> Result<()> {
    let class = root.join("sys/class/powercap");
    let control = row.path.split(':').next().unwrap_or_default();
    let devices = Path::new("../../devices/virtual/powercap");
    for id in [control, &row.path] {
        if !class.join(id).is_symlink() {
            symlink(nested(devices, id), class.join(id))?;
        }
    }
    let zone = nested(&root.join("sys/devices/virtual/powercap"), &row.path);
    symlink("..", zone.join("device"))?;
    symlink(&class, zone.join("subsystem")).context("the link back to the class")
}

/// Writes `<root>/proc/cpuinfo` of a machine or of a guest.
pub fn cpuinfo(root: &Path, guest: bool) -> Result<()> {
    let flags = if guest { "fpu hypervisor lahf_lm" } else { "fpu lahf_lm" };
    fs::create_dir_all(root.join("proc"))?;
    let text = format!(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nstepping\t: 4\nflags\t\t: {flags}\n"
    );
    fs::write(root.join("proc/cpuinfo"), text).context("cpuinfo")
}
