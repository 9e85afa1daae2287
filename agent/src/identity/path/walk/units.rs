//! Components that are batch jobs, systemd units, and the directories that group others.

use super::{
    super::{
        Job, PathKind, Rule, Runtime, text,
        tokens::{self, Unit},
    },
    Owner, Region, Walk,
};

impl Walk<'_> {
    pub(super) fn slurm(&mut self, c: &str) -> bool {
        if self.region != Region::Slurm {
            return false;
        }
        if let Some(id) = tokens::slurm_job(c) {
            self.found.unit = None;
            self.found.runtime = Some(Runtime::Slurm);
            self.found.job = Some(Job { id: text::name(id), step: None, task: None });
            return self.claim(PathKind::HpcJob, Rule::Slurm);
        }
        if let Some(uid) = c.strip_prefix("uid_").and_then(tokens::number) {
            self.found.user_uid = Some(uid);
            return self.claim(PathKind::Aggregate, Rule::Slurm);
        }
        matches!(c, "system" | "slurmd") && self.claim_helper(Runtime::Slurm, None)
    }

    pub(super) fn job_part(&mut self, c: &str) {
        let is_child = self.found.depth == self.index;
        let is_below_user = self.found.depth + 1 == self.index && self.before == "user";
        let Some(job) = self.found.job.as_mut() else { return };
        let claimed = match (job.step.is_some(), job.task.is_some()) {
            (false, _) if is_child => tokens::slurm_part(c, "step_").map(|step| job.step = Some(text::name(step))),
            (true, false) if is_child || is_below_user => {
                tokens::slurm_part(c, "task_").map(|task| job.task = Some(text::name(task)))
            }
            _ => None,
        };
        if claimed.is_some() {
            self.claim(PathKind::HpcJob, Rule::Slurm);
        }
    }

    /// Directories above pods, ECS tasks and Podman pods.
    pub(super) fn group(&mut self, c: &str) -> bool {
        let region = self.region.below(c);
        if let Region::Kubepods(level) = region {
            self.found.qos = level.0;
            return self.claim(PathKind::Aggregate, Rule::Kubepods);
        }
        if region == Region::Ecs && self.ecs_task.is_none() {
            let task = tokens::between(c, "ecstasks-", ".slice").unwrap_or(c);
            self.ecs_task = (tokens::is_hex32(task) || tokens::is_uuid(task)).then(|| task.to_owned());
        }
        self.podman_pod(c)
    }

    pub(super) fn podman_pod(&mut self, c: &str) -> bool {
        let Some(id) = tokens::podman_pod_slice(c) else {
            return false;
        };
        self.podman_pod = Some(id.to_owned());
        self.owner() != Owner::Nobody || self.claim(PathKind::Aggregate, Rule::Slice)
    }

    pub(super) fn unit(&mut self, raw: &str, c: &str) -> bool {
        if let Some(uid) = tokens::between(c, "user@", ".service").and_then(tokens::number) {
            self.found.user_uid = Some(uid);
            return self.claim(PathKind::UserUnit, Rule::UserManager);
        }
        let (kind, rule) = match tokens::unit(c) {
            Some(Unit::Service) => (PathKind::SystemdService, Rule::Service),
            Some(Unit::Scope) => self.scope(c),
            Some(Unit::Mount) => return self.mount(c),
            Some(Unit::Slice) => {
                let uid = tokens::between(c, "user-", ".slice").and_then(tokens::number);
                self.found.user_uid = uid.or(self.found.user_uid);
                return self.claim(PathKind::Aggregate, Rule::Slice);
            }
            None => return false,
        };
        self.found.unit = Some(text::name(raw));
        self.claim(kind, rule)
    }

    pub(super) fn scope(&self, c: &str) -> (PathKind, Rule) {
        if c == "init.scope" && self.index == 0 {
            (PathKind::Host, Rule::InitScope)
        } else if c.starts_with("session-") && self.found.user_uid.is_some() {
            (PathKind::UserSession, Rule::Session)
        } else {
            (PathKind::SystemdScope, Rule::Scope)
        }
    }

    pub(super) fn mount(&mut self, c: &str) -> bool {
        tokens::unit(c) == Some(Unit::Mount) && self.claim(PathKind::Ignore, Rule::Mount)
    }

    pub(super) fn user_unit(&mut self, raw: &str, c: &str) -> bool {
        let is_manager = self.found.kind == PathKind::UserUnit && self.found.unit.is_none();
        if !is_manager || !matches!(tokens::unit(c), Some(Unit::Service | Unit::Scope)) {
            return false;
        }
        self.found.unit = Some(text::name(raw));
        self.claim(PathKind::UserUnit, Rule::UserUnit)
    }

    pub(super) fn talos(&mut self, c: &str) -> bool {
        if self.index != 1 || self.relative || !matches!(self.before.as_ref(), "podruntime" | "system") {
            return false;
        }
        self.found.unit = Some(text::name(&format!("talos:{c}")));
        self.claim(PathKind::SystemdService, Rule::Talos)
    }
}
