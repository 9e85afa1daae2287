//! Its processes, told apart.

use wattrace_common::{process::ExitReason, sched::WorkKey};

use super::{Example, HOSTILE, entry};
use crate::{
    attribution::{by_process::by_process, ledger::Account},
    identity::Kind,
    samples::lives::{End, Lived, ProcessId, Seen},
    units::Nanos,
};

impl Example {
    /// Processes of the first two workloads: two of the first and a rest, and one of the second, which says more than that one does.
    /// `lost` ends are missing, or, with `None`, all of them.
    pub(crate) fn told_apart(&mut self, lost: Option<u64>) {
        let lived = |pid, millis, comm: &[u8; 16], end| {
            let id = ProcessId { pid, start: Nanos::from_millis(90_120) };
            Lived { seen: Seen { id, comm: *comm, cpu: Nanos::from_millis(millis), key: WorkKey::NOBODY }, end }
        };
        let end = |reason, status| Some(End { reason: Some(reason), status });
        let failed = end(ExitReason::Error, 3 << 8).filter(|_| lost.is_some());
        let processes = [
            ("ssh.service", lived(812, 700, b"sshd\0\0\0\0\0\0\0\0\0\0\0\0", None)),
            ("ssh.service", lived(4_194_303, 400, b"\x1b[2J\n\xe2\x80\xaegpj \xff\0\0\0", failed)),
            (HOSTILE, lived(7, 600, b"\0old name\0\0\0\0\0\0\0", end(ExitReason::Signal, 9))),
        ];
        let workload = |name: &str| entry(Kind::SystemdUnit, name, 0, 0.0).workload;
        let processes = processes.into_iter().map(|(name, lived)| (workload(name), lived)).collect();
        let accounts: Vec<&Account> = self.ledger.accounts().collect();
        self.by_process = Some((by_process(&accounts, processes), lost.is_some(), lost.unwrap_or(0)));
    }
}
