//! The real programs on this kernel, against truth the tests make themselves. Needs root and BTF.
