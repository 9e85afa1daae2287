//! The walk from the root of a cgroup path to its leaf: who owns what stands below, component by component.

mod containers;
mod units;

use std::borrow::Cow;

use super::{
    Outer, PathIdentity, PathKind, Qos, Rule, Runtime, split_at, text,
    tokens::{self, Kubepods},
};

/// What was found so far, and the context that the next component needs.
pub(super) struct Walk<'a> {
    found: PathIdentity,
    /// The path began with `/..`: its first component is not below the hierarchy's root.
    relative: bool,
    /// Number of the component at hand.
    index: usize,
    /// The component above, unescaped.
    before: Cow<'a, str>,
    region: Region,
    /// Components down to the nearest thing that is a workload.
    exported: Option<usize>,
    ecs_task: Option<String>,
    podman_pod: Option<String>,
}

/// Who owns what stands below; decides what may still be found there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Nobody,
    /// A unit of the system manager.
    Unit,
    /// A user: names below are his choice.
    User,
    Pod,
    Container,
    Job,
    /// Nothing below is a workload.
    Closed,
}

/// A known parent directory above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    Open,
    Kubepods(Kubepods),
    Nomad,
    Ecs,
    Slurm,
}

impl Region {
    fn below(self, component: &str) -> Self {
        match (self, component) {
            (_, "kubepods") => Self::Kubepods(Kubepods(None)),
            (Self::Kubepods(_), "burstable") => Self::Kubepods(Kubepods(Some(Qos::Burstable))),
            (Self::Kubepods(_), "besteffort") => Self::Kubepods(Kubepods(Some(Qos::Besteffort))),
            (_, "nomad" | "nomad.slice") | (Self::Nomad, "share.slice" | "reserve.slice") => Self::Nomad,
            (_, "ecs" | "ecstasks.slice") | (Self::Ecs, _) => Self::Ecs,
            (Self::Slurm, uid) if uid.starts_with("uid_") => Self::Slurm,
            (_, root) if tokens::is_slurm_root(root) => Self::Slurm,
            (_, slice) => tokens::kubepods_slice(slice).map_or(Self::Open, Self::Kubepods),
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(relative: bool) -> Self {
        let (kind, rule) =
            if relative { (PathKind::RelativeRoot, Rule::RelativeRoot) } else { (PathKind::KernelOrRoot, Rule::Root) };
        Self {
            found: PathIdentity::empty(kind, rule),
            relative,
            index: 0,
            before: Cow::Borrowed(""),
            region: Region::Open,
            exported: None,
            ecs_task: None,
            podman_pod: None,
        }
    }

    /// Goes down one component, given as the path has it.
    pub(super) fn step(&mut self, raw: &'a str) {
        let c = tokens::unescape(raw);
        match self.owner() {
            Owner::Nobody => self.below_nobody(raw, &c),
            Owner::Unit => {
                let _: bool = self.pod(&c) || self.colon(&c) || self.tagged(&c) || self.nested(&c) || self.slurm(&c);
            }
            Owner::User => {
                let _: bool = self.tagged(&c) || self.lxc_of_user(&c) || self.podman_pod(&c) || self.user_unit(raw, &c);
            }
            Owner::Pod => {
                let _: bool = self.tagged(&c) || self.bare(&c) || self.kata(&c) || self.helper(&c) || self.mount(&c);
            }
            Owner::Container => {
                let _: bool = self.pod(&c)
                    || self.colon(&c)
                    || self.supervisor(&c)
                    || self.tagged(&c)
                    || self.nested(&c)
                    || self.lxc(&c);
            }
            Owner::Job => self.job_part(&c),
            Owner::Closed => {}
        }
        self.region = self.region.below(&c);
        self.before = c;
        self.index += 1;
    }

    /// What was found, for the path below any leading `/..`.
    pub(super) fn finish(mut self, path: &str) -> PathIdentity {
        let inner = split_at(path, self.found.depth).1.trim_matches('/');
        self.found.inner = (!inner.is_empty()).then(|| text::name(&format!("/{inner}")));
        if matches!(self.found.kind, PathKind::RuntimeHelper | PathKind::Aggregate | PathKind::Ignore) {
            self.found.charged = self.exported;
        }
        self.found
    }

    fn below_nobody(&mut self, raw: &str, c: &str) {
        let known = self.pod(c)
            || self.colon(c)
            || self.tagged(c)
            || self.kata(c)
            || self.bare(c)
            || self.helper(c)
            || self.machine(c)
            || self.lxc(c)
            || self.nested(c)
            || self.named(c)
            || self.slurm(c)
            || self.group(c)
            || self.unit(raw, c)
            || self.talos(c);
        if !known {
            self.claim(PathKind::Unknown, Rule::Plain);
        }
    }

    fn owner(&self) -> Owner {
        match self.found.kind {
            PathKind::KernelOrRoot | PathKind::RelativeRoot | PathKind::Unknown | PathKind::Aggregate => Owner::Nobody,
            PathKind::SystemdService | PathKind::SystemdScope => Owner::Unit,
            PathKind::UserUnit | PathKind::UserSession => Owner::User,
            PathKind::K8sPod => Owner::Pod,
            PathKind::K8sContainer | PathKind::Container => Owner::Container,
            PathKind::HpcJob => Owner::Job,
            PathKind::VmSandbox | PathKind::Vm | PathKind::RuntimeHelper | PathKind::Host | PathKind::Ignore => {
                Owner::Closed
            }
        }
    }

    /// The component at hand is `kind`, down to here.
    fn claim(&mut self, kind: PathKind, rule: Rule) -> bool {
        self.found.kind = kind;
        self.found.rule = rule;
        self.found.depth = self.index + 1;
        if !matches!(kind, PathKind::RuntimeHelper | PathKind::Aggregate | PathKind::Ignore | PathKind::Host) {
            self.exported = Some(self.found.depth);
        }
        true
    }

    fn claim_container(&mut self, runtime: Runtime, id: &str, rule: Rule) -> bool {
        let of_ecs = self.ecs_task.is_some() && self.owner() == Owner::Nobody;
        let in_pod = self.owner() == Owner::Pod || rule == Rule::Sibling;
        self.found.outer = self.around();
        self.found.unit = None;
        self.found.runtime = Some(if of_ecs { Runtime::Ecs } else { runtime });
        self.found.container_id = Some(text::name(id));
        let kind = if in_pod { PathKind::K8sContainer } else { PathKind::Container };
        self.claim(kind, if of_ecs { Rule::Ecs } else { rule })
    }

    fn claim_helper(&mut self, runtime: Runtime, id: Option<&str>) -> bool {
        self.found.unit = None;
        self.found.runtime = Some(runtime);
        self.found.container_id = id.map(text::name);
        self.claim(PathKind::RuntimeHelper, Rule::Helper)
    }

    fn claim_sandbox(&mut self, id: &str) -> bool {
        self.found.runtime = Some(Runtime::Kata);
        self.found.container_id = Some(text::name(id));
        self.claim(PathKind::VmSandbox, Rule::Kata)
    }

    /// What the owner so far is to a container below it.
    fn around(&self) -> Option<Outer> {
        let unit = || self.found.unit.clone().map(Outer::Unit);
        match self.owner() {
            Owner::Container => {
                self.found.runtime.zip(self.found.container_id.clone()).map(|(r, id)| Outer::Container(r, id))
            }
            Owner::Pod => self.found.outer.clone(),
            Owner::Unit => unit(),
            // A session's number says nothing that lasts.
            Owner::User if self.found.kind == PathKind::UserUnit => unit().or_else(|| self.group_around()),
            _ => self.group_around(),
        }
    }

    fn group_around(&self) -> Option<Outer> {
        let task = self.ecs_task.clone().map(Outer::EcsTask);
        task.or_else(|| self.podman_pod.clone().map(Outer::PodmanPod))
    }
}
