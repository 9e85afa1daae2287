//! Processes: how they end, whose they are, and the rows in which the kernel programs count them.

use crate::events::Limiter;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum ExitReason {
    /// By itself, with status 0.
    Normal = 0,
    /// By itself, with another status.
    Error = 1,
    /// By a signal.
    Signal = 2,
    /// By the kernel, for want of memory.
    Oom = 3,
}

/// All reasons, in the order of their figures.
pub const EXIT_REASONS: [ExitReason; 4] = [ExitReason::Normal, ExitReason::Error, ExitReason::Signal, ExitReason::Oom];

impl ExitReason {
    /// The name metrics, events and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Error => "error",
            Self::Signal => "signal",
            Self::Oom => "oom",
        }
    }

    /// Of a status as `wait` tells it, and of whether the kernel chose the process to free memory.
    #[inline]
    pub const fn of_status(status: u32, is_oom_victim: bool) -> Self {
        const SIGKILL: u32 = 9;
        match status & 0x7f {
            0 if status & 0xff00 == 0 => Self::Normal,
            0 => Self::Error,
            SIGKILL if is_oom_victim => Self::Oom,
            _ => Self::Signal,
        }
    }
}

/// A `comm`, as two words, without what stands behind its end: older kernels leave there what is left of a longer name
/// before it, and one name would be many.
#[inline]
pub const fn until_nul([first, rest]: [u64; 2]) -> [u64; 2] {
    let (first, has_ended) = word_until_nul(u64::from_le(first));
    let (rest, _) = word_until_nul(u64::from_le(rest));
    [first.to_le(), if has_ended { 0 } else { rest.to_le() }]
}

/// The bytes before the first that is zero, counted from the lowest, and whether there is one.
#[inline]
const fn word_until_nul(word: u64) -> (u64, bool) {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // The highest bit of each byte that is zero, and, it may be, of some beyond the first.
    let zeros = word.wrapping_sub(LOW) & !word & LOW << 7;
    let first = zeros & zeros.wrapping_neg();
    // All bits below that byte; all there are where there is none.
    (word & (first >> 7).wrapping_sub(1), zeros != 0)
}

/// Lives shorter than this are short: nanoseconds.
pub const SHORT_LIFE: u64 = 1_000_000_000;

/// Whose a process is, packed in 64 bits: the id of a cgroup, or one of the special ones, or, for processes of the root
/// cgroup, their name: each by itself would take a row, and many live for milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct ActorKey(pub u64);

impl ActorKey {
    /// Kernel threads of the root cgroup.
    pub const KERNEL: Self = Self(1 << 63 | 1);
    /// No cgroup can be told, or there was no room for it, which is counted as a loss.
    pub const NOBODY: Self = Self(1 << 63 | 2);

    /// The key of a cgroup id, or [`ActorKey::NOBODY`] for an id no kernel gives.
    #[inline]
    pub const fn cgroup(id: u64) -> Self {
        if id == 0 || id >> 63 == 1 { Self::NOBODY } else { Self(id) }
    }

    /// The key of processes of the root cgroup whose `comm`, as two words, is this.
    #[inline]
    pub const fn named(comm: [u64; 2]) -> Self {
        // The multipliers of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
        const FIRST: u64 = 0xbf58_476d_1ce4_e5b9;
        const SECOND: u64 = 0x94d0_49bb_1331_11eb;
        let mixed = comm[0].wrapping_mul(FIRST);
        let mixed = (mixed ^ mixed >> 30 ^ comm[1]).wrapping_mul(SECOND);
        Self(3 << 62 | (mixed ^ mixed >> 31) >> 2)
    }

    /// Whose it is.
    pub const fn decode(self) -> Actor {
        match self {
            Self::KERNEL => Actor::Kernel,
            Self(id) if id >> 63 == 0 && id != 0 => Actor::Cgroup(id),
            Self(named) if named >> 62 == 3 => Actor::Named,
            _ => Actor::Nobody,
        }
    }
}

/// [`ActorKey`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// It cannot be told.
    Nobody,
    /// The kernel.
    Kernel,
    /// A cgroup that is not the root.
    Cgroup(u64),
    /// Processes of the root cgroup of one name, which stands in [`ProcessRow::comm`].
    Named,
}

/// Rows that are never given away, in the order of their numbers. The first takes what there is no room for.
pub const FIXED_ACTORS: [ActorKey; 2] = [ActorKey::NOBODY, ActorKey::KERNEL];

/// Processes of one owner. 192 bytes: what a fork, an exec or an exit adds to is in one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ProcessRow {
    /// [`ActorKey`]; 0 = the row is free.
    pub key: u64,
    /// Processes that were made, by who made them.
    pub forks: u64,
    /// Programs that were started.
    pub execs: u64,
    /// Processes that ended, by [`ExitReason`].
    pub exits: [u64; EXIT_REASONS.len()],
    /// Of them, those that lived shorter than [`SHORT_LIFE`].
    pub short_lived: u64,
    /// Nanoseconds on the CPU of threads that ended.
    pub cpu: u64,
    /// `comm` where the owner is a name.
    pub comm: [u8; 16],
    /// Of events of programs that were started.
    pub exec_limiter: Limiter,
    /// Of events of processes that ended.
    pub exit_limiter: Limiter,
    /// Zero.
    pub reserved: [u64; 7],
}

/// A process that has, or had, more than one thread. 72 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ThreadGroup {
    /// When the process was made, nanoseconds of boot time: its id may be given again.
    pub start: u64,
    /// Threads that were made and did not leave their CPU for good.
    pub there: u64,
    /// 1 once the first thread did; then the last three fields are its.
    pub has_first_left: u64,
    /// Nanoseconds on the CPU of threads that left.
    pub cpu: u64,
    /// Bytes they read from storage.
    pub read: u64,
    /// Bytes they had written to storage.
    pub written: u64,
    /// Id of the parent.
    pub parent: u32,
    /// Status of the first thread.
    pub status: u32,
    /// `comm` of the first thread.
    pub comm: [u64; 2],
}

const _: () = assert!(size_of::<ThreadGroup>() == 72);
const _: () = assert!(size_of::<ProcessRow>() == 192);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_the_order_of_their_numbers() {
        assert!(EXIT_REASONS.iter().enumerate().all(|(at, reason)| at == *reason as usize));
    }

    #[test]
    fn a_status_has_its_reason() {
        let of = |status| ExitReason::of_status(status, false).name();
        assert_eq!([0, 0x100, 0xff00, 9, 0x8b].map(of), ["normal", "error", "error", "signal", "signal"]);
        assert_eq!(ExitReason::of_status(9, true), ExitReason::Oom);
        assert_eq!(ExitReason::of_status(15, true), ExitReason::Signal, "another signal was faster");
    }

    #[test]
    fn a_name_ends_at_its_first_nul() {
        let words = |comm: &[u8; 16]| {
            let half = |at: usize| u64::from_ne_bytes(comm[at..at + 8].try_into().unwrap());
            [half(0), half(8)]
        };
        for (comm, name) in [
            (b"sleep\0s::exits:\0", b"sleep\0\0\0\0\0\0\0\0\0\0\0"),
            (b"eight888\0s left\0", b"eight888\0\0\0\0\0\0\0\0"),
            (b"a longer\x01\0\x01\0name", b"a longer\x01\0\0\0\0\0\0\0"),
            (b"fifteen letters\0", b"fifteen letters\0"),
            (b"\xff\x80\x01\0\x01\0\0\x01ends her", b"\xff\x80\x01\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            (b"\0nothing before\0", &[0; 16]),
            (b"no end, sixteen!", b"no end, sixteen!"),
        ] {
            assert_eq!(until_nul(words(comm)), words(name), "{comm:?}");
        }
    }

    #[test]
    fn keys_come_back_as_they_went_in() {
        assert_eq!(ActorKey::cgroup(4711).decode(), Actor::Cgroup(4711));
        assert_eq!(ActorKey::cgroup(u64::MAX), ActorKey::NOBODY);
        assert_eq!(ActorKey::KERNEL.decode(), Actor::Kernel);
        assert_eq!(ActorKey::NOBODY.decode(), Actor::Nobody);
        let names = [[0, 0], [1, 0], [0, 1], [1, 1], [u64::MAX, u64::MAX], [0x6873, 0]].map(ActorKey::named);
        assert!(names.iter().all(|key| key.decode() == Actor::Named));
        for (at, key) in names.iter().enumerate() {
            assert!(names.iter().skip(at + 1).all(|other| other != key));
        }
    }
}
