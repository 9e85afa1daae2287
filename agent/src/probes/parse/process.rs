//! Parsers for what the kernel says of one process.

use super::{ParseError, digits, text};

/// `PF_KTHREAD` of `linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// `/proc/PID/stat`, times in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Name of its leader, as many bytes as fit.
    pub comm: [u8; 16],
    /// Whether it is a thread of the kernel.
    pub is_kernel: bool,
    /// In its own code and in the kernel, all its threads, also those that ended.
    pub time: u64,
    /// Start since boot.
    pub start: u64,
}

/// Fields as `proc_pid_stat(5)` has them. The name, field 2, may hold anything, brackets and blanks too: what follows
/// its last bracket is numbers.
pub fn process_stat(bytes: &[u8]) -> Result<ProcessStat, ParseError> {
    const EXPECTED: &str = "the fields of /proc/PID/stat, start time included";
    let malformed = || ParseError::new(EXPECTED, bytes);
    let open = bytes.iter().position(|byte| *byte == b'(').ok_or_else(malformed)?;
    let close = bytes.iter().rposition(|byte| *byte == b')').ok_or_else(malformed)?;
    let name = bytes.get(open + 1..close).ok_or_else(malformed)?;
    let rest = text(bytes.get(close + 1..).unwrap_or_default(), EXPECTED)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied().and_then(digits).ok_or_else(malformed);
    let mut comm = [0; 16];
    comm.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    Ok(ProcessStat {
        comm,
        is_kernel: field(9)? & KERNEL_THREAD != 0,
        time: field(14)?.saturating_add(field(15)?),
        start: field(22)?,
    })
}

/// The pids of `cgroup.procs`, one a line. Processes of another pid namespace are 0 there, and left out.
pub fn pids(bytes: &[u8]) -> Result<Vec<u32>, ParseError> {
    const EXPECTED: &str = "one pid a line";
    let pid = |line: &str| digits(line).and_then(|pid| u32::try_from(pid).ok());
    let pids: Option<Vec<u32>> = text(bytes, EXPECTED)?.lines().map(pid).collect();
    let pids = pids.ok_or_else(|| ParseError::new(EXPECTED, bytes))?;
    Ok(pids.into_iter().filter(|pid| *pid != 0).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 4242 100 200 18446744073709551615";

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = process_stat(LINE.as_bytes()).expect("a process");
        assert_eq!(stat.comm, *b"a) b\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!((stat.is_kernel, stat.time, stat.start), (false, 56, 4242));
        let long = LINE.replace("a) b", "0123456789abcdefghij");
        assert_eq!(process_stat(long.as_bytes()).map(|stat| stat.comm), Ok(*b"0123456789abcdef"));
        let thread = LINE.replace("4194560", "2129984");
        assert_eq!(process_stat(thread.as_bytes()).map(|stat| stat.is_kernel), Ok(true));
        let [mut odd, name] = [LINE.as_bytes().to_vec(), vec![0xff, b'(', b'\n']];
        odd.splice(3..4, name);
        assert_eq!(process_stat(&odd).map(|stat| stat.time), Ok(56));
    }

    #[test]
    fn what_is_short_or_no_number_is_refused() {
        for bad in ["", "7", ")(", "7 (a", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 4194560 1 2 3 4 x 6 7 8 20 0 1 0 4242"] {
            assert!(process_stat(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn pids_are_one_a_line() {
        assert_eq!(pids(b""), Ok(vec![]));
        assert_eq!(pids(b"1\n0\n4194303\n"), Ok(vec![1, 4_194_303]));
        for bad in [&b"a\n"[..], b"1 2\n", b"-1\n", b"4294967296\n", b"\xff\n"] {
            assert!(pids(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop((process_stat(&bytes), pids(&bytes)));
        }
    }
}
