//! Components that are pods, containers, their helpers and virtual machines.

use super::{
    super::{
        PathKind, Rule, Runtime, text,
        tokens::{self, Part, Tagged},
    },
    Owner, Region, Walk,
};

impl Walk<'_> {
    pub(super) fn pod(&mut self, c: &str) -> bool {
        let by_directory = match self.region {
            Region::Kubepods(level) => tokens::pod_directory(c).zip(Some(Some(level.pod_class()))),
            _ if self.relative && self.index == 0 => tokens::pod_directory(c).zip(Some(None)),
            _ => None,
        };
        let Some((uid, qos)) = by_directory.or_else(|| tokens::pod_slice(c).map(|(uid, qos)| (uid, Some(qos)))) else {
            return false;
        };
        self.found.outer = self.around();
        self.found.unit = None;
        self.found.runtime = None;
        self.found.container_id = None;
        self.found.pod_uid = Some(uid);
        self.found.qos = qos;
        self.claim(PathKind::K8sPod, Rule::Pod)
    }

    pub(super) fn colon(&mut self, c: &str) -> bool {
        let Some((slice, container)) = tokens::colon_form(c) else {
            return false;
        };
        self.pod(slice);
        self.claim_container(container.runtime, container.id, Rule::ColonForm)
    }

    pub(super) fn tagged(&mut self, c: &str) -> bool {
        let Some(Tagged { runtime, id, cri, part }) = tokens::tagged(c) else {
            return false;
        };
        match part {
            Part::Conmon if self.owner() == Owner::Container => false,
            Part::Conmon => {
                self.found.outer = self.around();
                self.claim_helper(runtime, Some(id))
            }
            Part::Payload if self.found.unit.is_some() => {
                let unit = self.found.unit.take();
                self.claim_container(runtime, id, Rule::SplitPayload);
                self.found.outer = None;
                self.found.unit = unit;
                true
            }
            Part::Container if cri && self.relative && self.index == 0 => {
                self.claim_container(runtime, id, Rule::Sibling)
            }
            Part::Payload | Part::Container => self.claim_container(runtime, id, Rule::TaggedId),
        }
    }

    pub(super) fn kata(&mut self, c: &str) -> bool {
        let named = c.strip_prefix("kata_").filter(|id| tokens::is_id(id));
        let id = named.or_else(|| (self.before == "kata_overhead" && tokens::is_id(c)).then_some(c));
        id.is_some_and(|id| self.claim_sandbox(id))
    }

    /// An id without its runtime's name. Below somebody's container or unit it is `nested`.
    pub(super) fn bare(&mut self, c: &str) -> bool {
        if self.ecs_task.is_some() && tokens::is_fargate_id(c) {
            return self.claim_container(Runtime::Ecs, c, Rule::Ecs);
        }
        if !tokens::is_id(c) {
            return false;
        }
        if self.owner() == Owner::Pod {
            return self.claim_container(Runtime::Unknown, c, Rule::PodChild);
        }
        if self.before == "libpod_parent" {
            self.podman_pod = Some(c.to_owned());
            return self.claim(PathKind::Aggregate, Rule::Slice);
        }
        match self.runtime_above() {
            Some(runtime) => self.claim_container(runtime, c, Rule::RuntimeChild),
            None => self.claim_container(Runtime::Unknown, c, Rule::BareId),
        }
    }

    pub(super) fn runtime_above(&self) -> Option<Runtime> {
        // The owner's own name is not a directory of a runtime, whatever it is called.
        if self.found.depth == self.index && self.owner() != Owner::Nobody {
            return None;
        }
        let namespace = self.is_in_namespace().then_some(Runtime::Containerd);
        tokens::runtime_directory(&self.before).or(namespace)
    }

    pub(super) fn is_in_namespace(&self) -> bool {
        self.index == 1 && !self.relative && tokens::is_namespace(&self.before)
    }

    /// Shapes that name a container wherever their parent is known.
    pub(super) fn nested(&mut self, c: &str) -> bool {
        let found = match self.before.as_ref() {
            "mesos" if tokens::is_uuid(c) => Some((Runtime::Mesos, c, Rule::ParentedUuid)),
            "garden" if tokens::is_garden_handle(c) || tokens::is_uuid(c) => {
                Some((Runtime::Garden, c, Rule::ParentedUuid))
            }
            "uuid" if tokens::is_uuid(c) => Some((Runtime::Unknown, c, Rule::ParentedUuid)),
            "buildkit" if tokens::is_buildkit_id(c) => Some((Runtime::Buildkit, c, Rule::Buildkit)),
            _ if self.region == Region::Nomad => tokens::nomad_task(c).map(|id| (Runtime::Nomad, id, Rule::Nomad)),
            _ if tokens::is_id(c) => self.runtime_above().map(|runtime| (runtime, c, Rule::RuntimeChild)),
            _ => None,
        };
        found.is_some_and(|(runtime, id, rule)| self.claim_container(runtime, id, rule))
    }

    /// Names anybody may choose: believed only where nobody owns the directory yet.
    pub(super) fn named(&mut self, c: &str) -> bool {
        let nspawn = || tokens::between(c, "systemd-nspawn@", ".service").map(|id| (Runtime::Nspawn, id, Rule::Nspawn));
        let bpm = || tokens::between(c, "bpm-", ".scope").map(|id| (Runtime::Bpm, id, Rule::Bpm));
        let namespaced = self.is_in_namespace().then_some((Runtime::Containerd, c, Rule::Namespace));
        let found = nspawn().or_else(bpm).or(namespaced);
        found.is_some_and(|(runtime, id, rule)| self.claim_container(runtime, id, rule))
    }

    pub(super) fn lxc(&mut self, c: &str) -> bool {
        let is_child = matches!(self.before.as_ref(), "lxc" | "lxc.payload");
        let id = tokens::between(c, "lxc.payload.", "").or_else(|| is_child.then_some(c));
        id.is_some_and(|id| self.claim_container(Runtime::Lxc, id, Rule::Lxc))
    }

    pub(super) fn lxc_of_user(&mut self, c: &str) -> bool {
        if let Some(id) = tokens::between(c, "lxc.payload.", "") {
            return self.claim_container(Runtime::Lxc, id, Rule::Lxc);
        }
        tokens::between(c, "lxc.monitor.", "").is_some_and(|id| self.claim_helper(Runtime::Lxc, Some(id)))
    }

    pub(super) fn helper(&mut self, c: &str) -> bool {
        let monitored = tokens::between(c, "lxc.monitor.", "").or_else(|| (self.before == "lxc.monitor").then_some(c));
        if let Some(id) = monitored {
            return self.claim_helper(Runtime::Lxc, Some(id));
        }
        let runtime = if self.owner() == Owner::Pod { Runtime::Crio } else { Runtime::Podman };
        c == "conmon" && self.claim_helper(runtime, None)
    }

    pub(super) fn supervisor(&mut self, c: &str) -> bool {
        let beside = self.found.runtime == Some(Runtime::Nspawn) && self.found.depth == self.index;
        beside && c == "supervisor" && self.claim(PathKind::RuntimeHelper, Rule::Helper)
    }

    pub(super) fn machine(&mut self, c: &str) -> bool {
        let in_proxmox = self.before == "qemu.slice";
        let proxmox = c.strip_suffix(".scope").filter(|id| in_proxmox && tokens::number(id).is_some());
        let (runtime, name, rule) = match (tokens::libvirt(c), proxmox) {
            (Some((Runtime::LibvirtLxc, name)), _) => {
                return self.claim_container(Runtime::LibvirtLxc, name, Rule::Libvirt);
            }
            (Some((runtime, name)), _) => (runtime, name, Rule::Libvirt),
            (None, Some(id)) => (Runtime::ProxmoxQemu, id, Rule::Proxmox),
            (None, None) => return false,
        };
        self.found.runtime = Some(runtime);
        self.found.vm = Some(text::name(name));
        self.claim(PathKind::Vm, rule)
    }
}
