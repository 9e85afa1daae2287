//! The edge to the kernel programs: offsets from BTF, loading, and copying maps into plain vectors.

pub mod btf;
mod entries;
mod events;
pub mod layout;
mod load;
mod mapped;
mod reclaim;
mod slot;
mod times;
mod visit;

pub use events::{CgroupChange, CgroupEvents, ChangeKind};
pub use load::{LoadError, Machine, Me, Programs, load};
pub use times::{CpuTotals, Loss, TimeMaps, TimesReading};
