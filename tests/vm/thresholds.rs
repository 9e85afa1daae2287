//! How far a figure may be from the truth: a share of the truth, for the workloads named.

/// A workload of a CPU-second or more.
pub const STEADY: f64 = 0.01;
/// Workloads that live some milliseconds, or cgroups that do.
pub const SHORT_LIVED: f64 = 0.03;
/// Active energy that has no owner, as a share of all of it.
pub const UNATTRIBUTED: f64 = 0.001;
/// Microjoules by which workloads, idle and residual together may differ from what the meter counted.
pub const CONSERVATION: i64 = 1;
/// Seconds of an interval of the agent, with what it may be late by on an emulated machine.
pub const INTERVAL: f64 = 1.1;
