//! Runs every ordinary task of the machine in the class of schedulers that are kernel programs (`sched_ext`), until its standard
//! input ends. The scheduler is one without a program of its own: a name, and the kernel's defaults, first come first served.
//!
//! Says `ready` once it is in force, or exits with 3 and says why the kernel has none.
#![expect(unsafe_code, reason = "there is no library for these calls, which take their arguments as bytes")]

use std::{
    fs, io,
    io::{Read, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use wattrace::probes::bpf::btf::{Btf, Kind};

/// What the kernel calls the operations, and the value of a map that has them.
const OPERATIONS: &str = "sched_ext_ops";
const VALUE: &str = "bpf_struct_ops_sched_ext_ops";
const NAME: &[u8] = b"wattrace_test";

// From the kernel's `include/uapi/linux/bpf.h`.
const MAP_CREATE: i64 = 0;
const MAP_UPDATE: i64 = 2;
const BTF_LOAD: i64 = 18;
const LINK_CREATE: i64 = 28;
const STRUCT_OPS_MAP: u32 = 26;
const IS_LINKED: u32 = 1 << 13;
const STRUCT_OPS_LINK: u32 = 44;

/// Types with one number: the kernel wants some beside the map, and looks at none.
const TYPES: [u8; 45] = [
    0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, // header
    1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 32, 0, 0, 1, // int of 32 bits
    0, b'i', b'n', b't', 0,
];

/// Where things are in this kernel.
struct Layout {
    id: u32,
    size: u32,
    name: usize,
}

fn main() -> ExitCode {
    match register() {
        Ok(link) => {
            println!("ready");
            io::stdout().flush().ok();
            io::stdin().read_to_end(&mut Vec::new()).ok();
            // The scheduler ends with it.
            drop(link);
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::from(3)
        }
    }
}

fn register() -> Result<OwnedFd> {
    let layout = layout()?;
    let types = descriptor(BTF_LOAD, &[words(&[TYPES.as_ptr().addr() as u64, 0]), halves(&[45, 0, 0, 0])].concat())
        .context("the kernel takes no types")?;
    let map = [STRUCT_OPS_MAP, 4, layout.size, 1, IS_LINKED, 0, 0, 0, 0, 0, 0, 0, number(&types), 0, 0, layout.id];
    let map = descriptor(MAP_CREATE, &[halves(&map), words(&[0])].concat()).context("the map of the scheduler")?;
    let mut value = vec![0u8; layout.size as usize];
    value.get_mut(layout.name..).context("the name")?.iter_mut().zip(NAME).for_each(|(to, from)| *to = *from);
    let key = [0u8; 4];
    let update = words(&[u64::from(number(&map)), key.as_ptr().addr() as u64, value.as_ptr().addr() as u64, 0]);
    bpf(MAP_UPDATE, &update).context("the scheduler is refused")?;
    descriptor(LINK_CREATE, &halves(&[number(&map), 0, STRUCT_OPS_LINK, 0])).context("the scheduler does not start")
}

fn layout() -> Result<Layout> {
    let bytes = fs::read("/sys/kernel/btf/vmlinux").context("the kernel's types")?;
    let btf = Btf::parse(&bytes)?;
    let (id, value) = btf.named(Kind::Struct, VALUE).next().context("this kernel has no sched_ext")?;
    let data = btf.member(VALUE, "data")?.offset;
    let name = btf.member(OPERATIONS, "name")?.offset;
    Ok(Layout { id, size: value.value, name: (data + name) as usize })
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn halves(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn number(of: &OwnedFd) -> u32 {
    of.as_raw_fd().cast_unsigned()
}

fn descriptor(command: i64, attributes: &[u8]) -> Result<OwnedFd> {
    let number = bpf(command, attributes)?;
    // SAFETY: the kernel just gave this descriptor to this process, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(number)?) })
}

fn bpf(command: i64, attributes: &[u8]) -> Result<i64> {
    // SAFETY: the kernel reads as many bytes as it is told, and what they point to lives in the callers until it returns.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), attributes.len()) };
    ensure!(answer >= 0, io::Error::last_os_error());
    Ok(answer)
}
