//! Reduces a kernel's BTF to what the probes look up, small enough to be kept as a fixture.
//!
//! `cargo run -p wattrace-tests --bin btf-extract -- /sys/kernel/btf/vmlinux OUT`
//!
//! The structs below stay whole: every member with its name, offset, type and size, anonymous structs
//! included. What they refer to stays by name and size only: other structs lose their members, other
//! structs behind pointers become forward declarations, enumerations lose their values.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wattrace::probes::bpf::btf::{Btf, Kind, Type};

/// Structs kept whole, all types of these names.
const STRUCTS: &[&str] =
    &["task_struct", "sched_entity", "sched_info", "css_set", "cgroup", "cgroup_root", "kernfs_node", "cfs_rq", "rq"];
/// Tracepoints kept.
const TRACEPOINTS: &[&str] = &["sched_switch", "cgroup_mkdir", "cgroup_rmdir", "cgroup_attach_task"];

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(input), Some(output), None) = (args.next(), args.next(), args.next()) else {
        bail!("usage: btf-extract IN OUT");
    };
    let bytes = std::fs::read(&input).with_context(|| format!("cannot read {}", input.display()))?;
    let btf = Btf::parse(&bytes)?;
    let extract = extract(&btf)?;
    let kept = Btf::parse(&extract)?.len();
    std::fs::write(&output, &extract).with_context(|| format!("cannot write {}", output.display()))?;
    println!("{}: {kept} of {} types, {} bytes", output.display(), btf.len(), extract.len());
    Ok(())
}

fn extract(btf: &Btf<'_>) -> Result<Vec<u8>> {
    let mut out = Extract { btf, ids: HashMap::new(), records: Vec::new(), strings: vec![0], offsets: HashMap::new() };
    for name in STRUCTS {
        let found: Vec<u32> = btf.named(Kind::Struct, name).map(|(id, _)| id).collect();
        if found.is_empty() {
            eprintln!("no struct {name}");
        }
        found.into_iter().try_for_each(|id| out.keep(id, Place::Value).map(drop))?;
    }
    for name in TRACEPOINTS {
        let name = format!("btf_trace_{name}");
        let found: Vec<u32> = btf.named(Kind::Typedef, &name).map(|(id, _)| id).collect();
        if found.is_empty() {
            eprintln!("no typedef {name}");
        }
        found.into_iter().try_for_each(|id| out.keep(id, Place::Tracepoint).map(drop))?;
    }
    out.finish()
}

/// Where a type is referred to from: it decides how much of it stays.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// Embedded: its size must stay.
    Value,
    /// Behind a pointer: its name must stay.
    Target,
    /// On the way from a tracepoint's typedef to its prototype.
    Tracepoint,
}

struct Extract<'b, 'a> {
    btf: &'b Btf<'a>,
    /// New id by old id and place.
    ids: HashMap<(u32, Place), u32>,
    /// The new types; empty while one is being made.
    records: Vec<Vec<u8>>,
    strings: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl Extract<'_, '_> {
    /// New id of a type; adds it and what it refers to if it is not there yet.
    fn keep(&mut self, id: u32, place: Place) -> Result<u32> {
        if id == 0 {
            return Ok(0);
        }
        let ty = self.btf.get(id).with_context(|| format!("no type {id}"))?;
        let kind = ty.kind.with_context(|| format!("type {id} is of unknown kind"))?;
        let drops = match kind {
            Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag => true,
            Kind::FuncProto => place != Place::Tracepoint,
            Kind::Struct | Kind::Union => place == Place::Target && ty.name == 0,
            _ => false,
        };
        if drops {
            return Ok(0);
        }
        // A wanted struct is one type, however it is reached; so is any type without references.
        let whole = kind == Kind::Struct && STRUCTS.iter().any(|name| self.btf.is_named(ty.name, name));
        let place = if whole { Place::Value } else { place };
        if let Some(new) = self.ids.get(&(id, place)) {
            return Ok(*new);
        }
        self.records.push(Vec::new());
        let new = u32::try_from(self.records.len())?;
        self.ids.insert((id, place), new);
        let record = self.record(ty, kind, place, whole)?;
        *self.records.get_mut(new as usize - 1).context("no slot")? = record;
        Ok(new)
    }

    fn record(&mut self, ty: Type<'_>, kind: Kind, place: Place, whole: bool) -> Result<Vec<u8>> {
        let name = self.name(ty.name)?;
        match kind {
            Kind::Struct | Kind::Union if place == Place::Target && !whole => {
                Ok(head(name, Kind::Fwd, kind == Kind::Union, 0, 0))
            }
            Kind::Struct | Kind::Union if whole || ty.name == 0 => self.members(name, ty, kind),
            Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 => Ok(head(name, kind, ty.flag, 0, ty.value)),
            Kind::Array => {
                let (element, count) = ty.array().context("array without elements")?;
                let mut record = head(name, kind, false, 0, 0);
                // The index type is an integer in every kernel; the element's place is as good as any.
                let index = ty.tail.get(4..8).and_then(|word| word.try_into().ok()).context("array without index")?;
                push(&mut record, &[self.keep(element, place)?, self.keep(u32::from_le_bytes(index), place)?, count]);
                Ok(record)
            }
            Kind::FuncProto => self.prototype(ty),
            Kind::Int | Kind::Float | Kind::Fwd => {
                let mut record = head(name, kind, ty.flag, 0, ty.value);
                record.extend_from_slice(ty.tail);
                Ok(record)
            }
            Kind::Ptr if place != Place::Tracepoint => {
                let target = self.keep(ty.value, Place::Target)?;
                Ok(head(name, kind, ty.flag, 0, target))
            }
            _ => {
                let target = self.keep(ty.value, place)?;
                Ok(head(name, kind, ty.flag, 0, target))
            }
        }
    }

    fn members(&mut self, name: u32, ty: Type<'_>, kind: Kind) -> Result<Vec<u8>> {
        let mut record = head(name, kind, ty.flag, u32::try_from(ty.members().count())?, ty.value);
        for member in ty.members() {
            let place = if ty.flag { member.bit_width << 24 | member.bit_offset } else { member.bit_offset };
            let words = [self.name(member.name)?, self.keep(member.type_id, Place::Value)?, place];
            push(&mut record, &words);
        }
        Ok(record)
    }

    fn prototype(&mut self, ty: Type<'_>) -> Result<Vec<u8>> {
        let mut record = head(0, Kind::FuncProto, false, u32::try_from(ty.params().count())?, 0);
        for param in ty.params() {
            let kept = self.keep(param, Place::Value)?;
            push(&mut record, &[0, kept]);
        }
        Ok(record)
    }

    /// New offset of a name.
    fn name(&mut self, old: u32) -> Result<u32> {
        let name = self.btf.name(old).with_context(|| format!("no name at {old}"))?;
        if name.is_empty() {
            return Ok(0);
        }
        if let Some(offset) = self.offsets.get(name) {
            return Ok(*offset);
        }
        let offset = u32::try_from(self.strings.len())?;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        self.offsets.insert(name.to_owned(), offset);
        Ok(offset)
    }

    fn finish(self) -> Result<Vec<u8>> {
        let types = self.records.concat();
        let (types_len, strings_len) = (u32::try_from(types.len())?, u32::try_from(self.strings.len())?);
        let mut blob = Vec::new();
        push(&mut blob, &[0x0001_eb9f, 24, 0, types_len, types_len, strings_len]);
        blob.extend_from_slice(&types);
        blob.extend_from_slice(&self.strings);
        Ok(blob)
    }
}

/// The twelve bytes that every type begins with.
fn head(name: u32, kind: Kind, flag: bool, count: u32, value: u32) -> Vec<u8> {
    let mut record = Vec::new();
    push(&mut record, &[name, u32::from(flag) << 31 | (kind as u32) << 24 | count, value]);
    record
}

fn push(bytes: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}
