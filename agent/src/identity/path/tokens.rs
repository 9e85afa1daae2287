//! The shapes of one component of a cgroup path. No context: `walk.rs` knows what stands above.

use std::borrow::Cow;

use super::{Qos, Runtime};

/// Replaces systemd's `\xNN` by the byte it stands for.
pub(super) fn unescape(component: &str) -> Cow<'_, str> {
    if !component.contains("\\x") {
        return Cow::Borrowed(component);
    }
    let mut bytes = Vec::with_capacity(component.len());
    let mut rest = component.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = match rest {
            [b'\\', b'x', high, low, ..] => hex_digit(*high).zip(hex_digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { rest.get(4..).unwrap_or_default() } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn is_lower_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A container id as the OCI runtimes give it.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

/// 32 hexadecimal digits: a UUID without dashes.
pub(crate) fn is_hex32(text: &str) -> bool {
    text.len() == 32 && is_lower_hex(text)
}

/// A decimal number that fits the kernel's user ids.
pub(crate) fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn has_groups(text: &str, dash: char, groups: [usize; 5]) -> bool {
    let mut parts = text.split(dash);
    groups.iter().all(|len| parts.next().is_some_and(|part| part.len() == *len && is_lower_hex(part)))
        && parts.next().is_none()
}

/// 8-4-4-4-12.
pub(crate) fn is_uuid(text: &str) -> bool {
    has_groups(text, '-', [8, 4, 4, 4, 12])
}

/// 8-4-4-4-4, the handles of Garden.
pub(super) fn is_garden_handle(text: &str) -> bool {
    has_groups(text, '-', [8, 4, 4, 4, 4])
}

/// The id of a `BuildKit` step: 25 digits of base 36.
pub(super) fn is_buildkit_id(text: &str) -> bool {
    text.len() == 25 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
}

/// `TASK-NUMBER`, TASK as in [`is_hex32`].
pub(super) fn is_fargate_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, number)| is_hex32(task) && is_digits(number))
}

/// `ALLOCATION.TASK[.scope]`, without the suffix.
pub(super) fn nomad_task(component: &str) -> Option<&str> {
    let id = component.strip_suffix(".scope").unwrap_or(component);
    let (allocation, task) = id.split_once('.')?;
    (is_uuid(allocation) && !task.is_empty()).then_some(id)
}

/// A pod's UID in the form of the API: with dashes, or 32 digits for a static pod.
fn pod_uid(text: &str) -> Option<String> {
    if is_uuid(text) || is_hex32(text) {
        return Some(text.to_owned());
    }
    has_groups(text, '_', [8, 4, 4, 4, 12]).then(|| text.replace('_', "-"))
}

/// `podUID`, the directory of the kubelet's cgroupfs driver.
pub(super) fn pod_directory(component: &str) -> Option<String> {
    pod_uid(component.strip_prefix("pod")?)
}

/// `[…-]kubepods[-QOS]-podUID.slice`, the slice of the kubelet's systemd driver.
pub(super) fn pod_slice(component: &str) -> Option<(String, Qos)> {
    let (above, uid) = component.strip_suffix(".slice")?.rsplit_once("-pod")?;
    Some((pod_uid(uid)?, kubepods_stem(above)?.pod_class()))
}

/// How deep in the kubelet's directories: above the classes of service, or in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kubepods(pub(super) Option<Qos>);

impl Kubepods {
    /// The class of a pod right below: only the guaranteed ones have no directory of their class.
    pub(super) fn pod_class(self) -> Qos {
        self.0.unwrap_or(Qos::Guaranteed)
    }
}

/// `[…-]kubepods[-QOS].slice`: what groups pods in the systemd driver.
pub(super) fn kubepods_slice(component: &str) -> Option<Kubepods> {
    kubepods_stem(component.strip_suffix(".slice")?)
}

fn kubepods_stem(stem: &str) -> Option<Kubepods> {
    let (above, qos) = match stem.rsplit_once('-') {
        Some((above, "burstable")) => (above, Some(Qos::Burstable)),
        Some((above, "besteffort")) => (above, Some(Qos::Besteffort)),
        _ => (stem, None),
    };
    (above == "kubepods" || above.ends_with("-kubepods")).then_some(Kubepods(qos))
}

/// What runtimes put before an id.
fn tag(text: &str) -> Option<Runtime> {
    match text {
        "cri-containerd" | "nerdctl" | "containerd" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::Crio),
        "docker" => Some(Runtime::Docker),
        "libpod" => Some(Runtime::Podman),
        _ => None,
    }
}

/// A container id with its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    pub(super) runtime: Runtime,
    pub(super) id: &'a str,
    /// Written by a CRI runtime: only pods have it.
    pub(super) cri: bool,
    /// What it is to the container.
    pub(super) part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Container,
    /// Podman's half of a split service.
    Payload,
    Conmon,
}

/// `TAG-ID[.scope]`.
pub(super) fn tagged(component: &str) -> Option<Tagged<'_>> {
    let (tag_text, id) = component.strip_suffix(".scope").unwrap_or(component).rsplit_once('-')?;
    let (name, part) = match tag_text {
        "libpod-payload" => ("libpod", Part::Payload),
        "libpod-conmon" => ("libpod", Part::Conmon),
        "crio-conmon" => ("crio", Part::Conmon),
        other => (other, Part::Container),
    };
    let runtime = tag(name).filter(|_| is_id(id))?;
    Some(Tagged { runtime, id, cri: matches!(tag_text, "cri-containerd" | "crio"), part })
}

/// `SLICE.slice:TAG:ID`, as its slice and its container.
pub(super) fn colon_form(component: &str) -> Option<(&str, Tagged<'_>)> {
    let (rest, id) = component.rsplit_once(':')?;
    let (slice, tag_text) = rest.rsplit_once(':')?;
    let runtime = tag(tag_text).filter(|_| is_id(id) && unit(slice) == Some(Unit::Slice))?;
    Some((slice, Tagged { runtime, id, cri: matches!(tag_text, "cri-containerd" | "crio"), part: Part::Container }))
}

/// The runtime whose directory holds bare ids.
pub(super) fn runtime_directory(component: &str) -> Option<Runtime> {
    match component {
        "docker" => Some(Runtime::Docker),
        "containerd" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::Crio),
        _ => None,
    }
}

/// Namespaces of containerd that are certain to be some: of `ctr`, of Docker and of the CRI plugin.
pub(super) fn is_namespace(component: &str) -> bool {
    matches!(component, "default" | "moby" | "k8s.io")
}

/// The id of a Podman pod from its slice.
pub(super) fn podman_pod_slice(component: &str) -> Option<&str> {
    let (_, id) = component.strip_suffix(".slice")?.rsplit_once("-libpod_pod_")?;
    is_id(id).then_some(id)
}

/// The machine of libvirt: its driver and name, without the number libvirt gives each start.
pub(super) fn libvirt(component: &str) -> Option<(Runtime, &str)> {
    let scope = component.strip_suffix(".scope").and_then(|stem| stem.strip_prefix("machine-"));
    let (runtime, name) = if let Some(stem) = scope {
        let (driver, rest) = stem.split_once('-')?;
        let (number, name) = rest.split_once('-')?;
        (libvirt_driver(driver).filter(|_| is_digits(number))?, name)
    } else {
        let (stem, suffix) = component.rsplit_once(".libvirt-")?;
        (libvirt_driver(suffix)?, without_number(stem, suffix))
    };
    (!name.is_empty()).then_some((runtime, name))
}

fn libvirt_driver(driver: &str) -> Option<Runtime> {
    match driver {
        "qemu" => Some(Runtime::LibvirtQemu),
        "lxc" => Some(Runtime::LibvirtLxc),
        _ => None,
    }
}

/// `DRIVER-NUMBER-NAME` as newer libvirt writes it, `NAME` as older did.
fn without_number<'a>(stem: &'a str, driver: &str) -> &'a str {
    let numbered = stem.strip_prefix(driver).and_then(|rest| rest.strip_prefix('-'));
    match numbered.and_then(|rest| rest.split_once('-')) {
        Some((number, name)) if is_digits(number) => name,
        _ => stem,
    }
}

/// `PREFIX NAME SUFFIX` with something between.
pub(crate) fn between<'a>(component: &'a str, prefix: &str, suffix: &str) -> Option<&'a str> {
    component.strip_prefix(prefix)?.strip_suffix(suffix).filter(|name| !name.is_empty())
}

/// Whether this is Slurm's own scope (cgroup v2) or directory (v1), alone or one of several on a node.
pub(super) fn is_slurm_root(component: &str) -> bool {
    let scope = component.strip_suffix("slurmstepd.scope").is_some_and(|node| node.is_empty() || node.ends_with('_'));
    scope || component == "slurm" || component.starts_with("slurm_")
}

/// `PREFIX_WORD`, a part of a Slurm job.
pub(super) fn slurm_part<'a>(component: &'a str, prefix: &str) -> Option<&'a str> {
    let word = between(component, prefix, "")?;
    word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'.')).then_some(word)
}

/// The number of a Slurm job.
pub(super) fn slurm_job(component: &str) -> Option<&str> {
    component.strip_prefix("job_").filter(|job| is_digits(job))
}

/// What a systemd unit's suffix says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Service,
    Scope,
    Slice,
    Mount,
}

/// The type of a unit, by its suffix. Sockets run commands of their own as services do.
pub(super) fn unit(component: &str) -> Option<Unit> {
    let (stem, suffix) = component.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    match suffix {
        "service" | "socket" => Some(Unit::Service),
        "scope" => Some(Unit::Scope),
        "slice" => Some(Unit::Slice),
        "mount" | "swap" => Some(Unit::Mount),
        _ => None,
    }
}
