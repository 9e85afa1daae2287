//! Names that come from outside, made safe to show and to keep: escaped and bounded.
//!
//! Tenants choose the names of cgroups, containers and processes. A name is data: it may not move a
//! terminal's cursor, reorder a line of text, or grow a label without limit.

/// Longest name that leaves the agent, in bytes.
pub const NAME_MAX: usize = 256;

/// Longest cgroup path kept for display, in bytes: what a kernel event carries.
pub const PATH_MAX: usize = wattrace_common::limits::CGROUP_PATH_MAX;

/// `~` and sixteen hexadecimal digits.
const TAIL: usize = 17;

/// A name of at most [`NAME_MAX`] bytes.
pub(crate) fn name(raw: &str) -> String {
    bounded(raw, NAME_MAX)
}

/// `raw` without characters that act on a terminal, at most `max` bytes long.
///
/// A longer text keeps its beginning and ends in `~` and a hash of the whole, so that two long names with the
/// same beginning stay two names. The hash is not cryptographic: whoever makes two names collide shares their
/// first bytes, hence merges only what is below a directory of his own.
pub fn bounded(raw: &str, max: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(max));
    for c in raw.chars() {
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        if out.len() > max {
            return shortened(out, raw, max);
        }
    }
    out
}

fn shortened(mut out: String, raw: &str, max: usize) -> String {
    let mut end = max.saturating_sub(TAIL);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out + &format!("~{:016x}", fnv1a(raw.as_bytes()))
}

/// Control characters, and those that are invisible or change the direction of text (Unicode general category
/// Cf, as far as terminals act on it; U+2028 and U+2029 break lines).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// FNV-1a, 64 bits: stable across versions of the standard library, which its own hasher is not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for raw in ["", "ssh.service", r"system-serial\x2dgetty.slice", "größe.service", &"x".repeat(NAME_MAX)] {
            assert_eq!(name(raw), raw);
        }
    }

    #[test]
    fn what_moves_the_cursor_is_escaped() {
        assert_eq!(name("a\u{1b}[2J\nb"), r"a\u{1b}[2J\u{a}b");
        assert_eq!(name("evil\u{202e}gpj"), r"evil\u{202e}gpj");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (one, two) = ("é".repeat(500) + "1", "é".repeat(500) + "2");
        let (cut_one, cut_two) = (name(&one), name(&two));
        assert!(cut_one.len() <= NAME_MAX && cut_one.len() > NAME_MAX - 4);
        assert_ne!(cut_one, cut_two);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
