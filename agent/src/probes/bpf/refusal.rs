//! Why the kernel does not take the programs, in words that say what to do.

use aya::programs::ProgramError;

use super::memlock;

/// Why there is no measurement by kernel programs.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A missing right.
    #[error(
        "the kernel programs need CAP_BPF and CAP_PERFMON: run as root, or grant both with `setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep`"
    )]
    Denied,
    /// Too low a limit, on kernels that have one.
    #[error(
        "the kernel programs were refused although CAP_BPF and CAP_PERFMON are there: kernels before 5.11 count their memory against RLIMIT_MEMLOCK, which is {limit} bytes: set `LimitMEMLOCK=infinity` in the unit, or run `ulimit -l unlimited` first"
    )]
    MemoryLimit {
        /// The limit, bytes.
        limit: u64,
    },
    /// No BTF, or a field that is not where it must be.
    #[error("{0}")]
    Layout(String),
    /// The kernel refused the maps or the object.
    #[error("the kernel refused the maps of the built object: {0}")]
    Object(String),
    /// The verifier refused a program.
    #[error("the kernel's verifier refused `{program}`: {reason}")]
    Refused {
        /// The program.
        program: &'static str,
        /// The last lines of the verifier, or the system error.
        reason: String,
    },
    /// The object does not hold what this agent expects.
    #[error("the built object lacks `{0}`: rebuild it with `cargo xtask ebpf`")]
    Missing(&'static str),
    /// The program runs, but reads the wrong memory.
    #[error("the kernel program does not recognise this process on CPU {cpu}: {found}, expected {expected}")]
    SelfTest {
        /// Where.
        cpu: u32,
        /// What the program said.
        found: String,
        /// What it should have said.
        expected: String,
    },
}

pub(super) fn refused(program: &'static str, error: &ProgramError) -> LoadError {
    if error_is_denied(error) {
        return denied();
    }
    let reason = match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            format!("{io_error}; {}", objection(&verifier_log.to_string()))
        }
        other => chain(other),
    };
    LoadError::Refused { program, reason }
}

/// The verifier's log is long: what it objects to stands at its end, before its own statistics.
fn objection(log: &str) -> String {
    const STATISTICS: [&str; 4] = ["processed ", "verification time ", "stack depth ", "subprog "];
    let is_statistics = |line: &&str| STATISTICS.iter().any(|start| line.starts_with(start));
    log.lines()
        .rev()
        .find(|line| !line.trim().is_empty() && !is_statistics(line))
        .unwrap_or("no reason given")
        .to_owned()
}

pub(super) fn denied_or(
    error: &(dyn std::error::Error + 'static),
    other: impl FnOnce(String) -> LoadError,
) -> LoadError {
    if error_is_denied(error) { denied() } else { other(chain(error)) }
}

/// Why something was not permitted.
fn denied() -> LoadError {
    memlock::in_the_way().map_or(LoadError::Denied, |limit| LoadError::MemoryLimit { limit })
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn error_is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.raw_os_error() == Some(libc::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objection_is_found_before_the_statistics() {
        let log = "0: R1=ctx\naccess beyond struct kernfs_node at off 4192 size 8\nverification time 3349 usec\n\
                   stack depth 48+0+0\nprocessed 78 insns (limit 1000000)\nsubprog 1 (memset) static insns_self 0\n\n";
        assert_eq!(objection(log), "access beyond struct kernfs_node at off 4192 size 8");
        assert_eq!(objection(""), "no reason given");
    }
}
