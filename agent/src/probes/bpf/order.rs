//! CPUs that see each other's stores in another order than they were made in: what a CPU writes within its sequence number must
//! not be seen outside of it. The programs then use atomics that nothing passes, where the kernel has them.

use super::{
    layout::Layouts,
    load::{self, Machine, Programs},
    refusal::LoadError,
};

/// Whether CPUs of this architecture do so. Those of x86 keep stores in order, and loads.
pub const REORDERS: bool = cfg!(not(any(target_arch = "x86_64", target_arch = "x86")));

/// As [`load::load`]; the programs keep their stores in order if the kernel can, see [`Programs::order`].
///
/// # Errors
/// As there.
pub fn load(layouts: &Layouts, machine: &Machine) -> Result<Programs, LoadError> {
    match load::load(layouts, machine) {
        Err(LoadError::Refused { reason, .. }) if machine.reorders => {
            let plain = Machine { reorders: false, ..machine.clone() };
            let order = Err(format!(
                "the kernel refuses atomics that keep stores in order ({reason}), which came with 5.12, or 5.18 on arm64: a \
                 reading may have parts of two switches"
            ));
            let mut programs = load::load(layouts, &plain)?;
            programs.order = order;
            Ok(programs)
        }
        other => other,
    }
}
