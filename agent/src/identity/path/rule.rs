//! The rules by which a cgroup path was understood, by name and in words, for `identify`.

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A path without components.
    Root,
    /// Only `..` components.
    RelativeRoot,
    /// No usable line.
    NoPath,
    /// A directory of no known shape.
    Plain,
    /// A systemd slice.
    Slice,
    /// The kubelet's directories above pods.
    Kubepods,
    /// `.mount` and `.swap` units.
    Mount,
    /// `/init.scope`.
    InitScope,
    /// A service of the system manager.
    Service,
    /// A scope of the system manager.
    Scope,
    /// A login session.
    Session,
    /// `user@UID.service` itself.
    UserManager,
    /// A unit below `user@UID.service`.
    UserUnit,
    /// Talos' services.
    Talos,
    /// A pod's slice or directory.
    Pod,
    /// `SLICE:RUNTIME:ID`.
    ColonForm,
    /// `RUNTIME-ID[.scope]`.
    TaggedId,
    /// `RUNTIME-ID[.scope]` right beside us.
    Sibling,
    /// `libpod-payload-ID` in a service.
    SplitPayload,
    /// An id below a pod.
    PodChild,
    /// An id below a runtime's directory.
    RuntimeChild,
    /// An id alone.
    BareId,
    /// A Kata sandbox.
    Kata,
    /// LXC, LXD, Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// libvirt.
    Libvirt,
    /// Proxmox VE.
    Proxmox,
    /// Nomad.
    Nomad,
    /// ECS.
    Ecs,
    /// A UUID below `mesos`, `garden` or `uuid`.
    ParentedUuid,
    /// Cloud Foundry BPM.
    Bpm,
    /// `BuildKit`.
    Buildkit,
    /// containerd namespaces at the root.
    Namespace,
    /// A Slurm job.
    Slurm,
    /// A runtime's helper process.
    Helper,
}

impl Rule {
    /// Short and stable.
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// One sentence for people.
    pub const fn explanation(self) -> &'static str {
        self.words().1
    }

    #[rustfmt::skip] // a table
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Root => ("root", "The root cgroup holds kernel threads, and processes nobody put elsewhere."),
            Self::RelativeRoot => ("relative_root", "A path of .. alone is an ancestor's root, seen from a private cgroup namespace."),
            Self::NoPath => ("no_path", "No line has the form ID:CONTROLLERS:/PATH."),
            Self::Plain => ("plain", "The directory has no known shape, so it stands for itself."),
            Self::Slice => ("slice", "A slice groups units and is no workload of its own."),
            Self::Kubepods => ("kubepods", "The kubelet's directories above the pods group them and are no workload."),
            Self::Mount => ("mount", "Mount and swap units hold no workload, whatever id their name contains."),
            Self::InitScope => ("init_scope", "init.scope at the root is the host's process 1."),
            Self::Service => ("service", "The outermost service unit owns everything below it."),
            Self::Scope => ("scope", "The outermost scope unit owns everything below it."),
            Self::Session => ("session", "session-*.scope below user-UID.slice is a login session of that user."),
            Self::UserManager => ("user_manager", "user@UID.service is the user's own service manager."),
            Self::UserUnit => ("user_unit", "A unit below user@UID.service belongs to that user."),
            Self::Talos => ("talos", "Directories below /podruntime and /system are the services of Talos."),
            Self::Pod => ("pod", "A component ending in pod and a pod's UID, below the kubelet's directories, is that pod."),
            Self::ColonForm => ("colon_form", "SLICE:RUNTIME:ID is how a runtime names a container when the cgroup drivers disagree."),
            Self::TaggedId => ("tagged_id", "The runtime's name, a dash and 64 hexadecimal digits are a container of that runtime; the deepest wins."),
            Self::Sibling => ("sibling", "A CRI container right below .. shares its parent with us, hence is in a pod."),
            Self::SplitPayload => ("split_payload", "libpod-payload-ID is the container of the service around it."),
            Self::PodChild => ("pod_child", "64 hexadecimal digits below a pod are one of its containers."),
            Self::RuntimeChild => ("runtime_child", "64 hexadecimal digits below a runtime's directory are a container of that runtime."),
            Self::BareId => ("bare_id", "64 hexadecimal digits alone are a container whose runtime the path does not tell."),
            Self::Kata => ("kata", "Kata's overhead directory or kata_ID holds the virtual machine of a pod's sandbox."),
            Self::Lxc => ("lxc", "lxc.payload.NAME, lxc.payload/NAME and lxc/NAME are LXC containers."),
            Self::Nspawn => ("nspawn", "systemd-nspawn@NAME.service is the container of that name."),
            Self::Libvirt => ("libvirt", "machine-DRIVER-NUMBER-NAME.scope and NAME.libvirt-DRIVER are libvirt's machines."),
            Self::Proxmox => ("proxmox", "A numbered scope in qemu.slice is a virtual machine of Proxmox VE."),
            Self::Nomad => ("nomad", "ALLOCATION.TASK below Nomad's directories is a task of Nomad."),
            Self::Ecs => ("ecs", "A container below an ECS task's directory belongs to that task."),
            Self::ParentedUuid => ("parented_uuid", "A UUID directly below mesos, garden or uuid is a container."),
            Self::Bpm => ("bpm", "bpm-NAME.scope is a job of Cloud Foundry's BPM."),
            Self::Buildkit => ("buildkit", "A BuildKit id below buildkit is a build step."),
            Self::Namespace => ("namespace", "A name below a containerd namespace at the root is a container of that namespace."),
            Self::Slurm => ("slurm", "job_N below Slurm's scope or directory is that job, with its step and task."),
            Self::Helper => ("helper", "A process a runtime keeps beside its containers is charged to what it serves."),
        }
    }
}
