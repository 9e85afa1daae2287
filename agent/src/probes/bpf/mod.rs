//! The edge to the kernel programs: offsets from BTF, loading, and copying maps into plain vectors.

mod block;
pub mod btf;
mod cost;
mod entries;
mod events;
mod freeze;
mod globals;
pub mod layout;
mod load;
mod mapped;
mod maps;
mod memlock;
mod order;
mod own;
mod parts;
mod reclaim;
mod refusal;
mod slot;
mod threads;
mod times;
mod visit;
mod widened;

pub use block::BlockMaps;
pub use cost::Fill;
pub use events::{CgroupChange, CgroupEvents, ChangeKind};
pub use load::{BlockMode, Machine, Programs};
pub use order::{REORDERS, load};
pub use own::Me;
pub use refusal::LoadError;
pub use threads::ThreadMaps;
pub use times::{CpuTotals, Loss, TimeMaps, TimesReading};
