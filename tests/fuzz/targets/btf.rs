//! Any bytes as the kernel's BTF: no panic, no endless search.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattrace::probes::bpf::btf::Btf;
use wattrace::probes::bpf::layout::resolve;

fuzz_target!(|bytes: &[u8]| {
    let Ok(btf) = Btf::parse(bytes) else { return };
    let _layouts = resolve(&btf);
    for id in 0..=btf.len() {
        let Some(ty) = btf.get(id) else { continue };
        let _name = btf.name(ty.name);
        let _rest = (ty.members().count(), ty.params().count(), ty.array(), ty.int());
    }
    // Whatever else the blob names, a few times.
    for id in (1..=btf.len()).step_by(btf.len() as usize / 8 + 1) {
        let name = btf.get(id).and_then(|ty| btf.name(ty.name)).unwrap_or_default();
        if let Ok(member) = btf.member(name, "a.b") {
            assert!(member.offset.checked_add(member.size).is_some());
        }
        let _args = btf.tracepoint_args(name.strip_prefix("btf_trace_").unwrap_or(name));
    }
});
