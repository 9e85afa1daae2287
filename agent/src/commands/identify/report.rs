//! The answer of `identify`: a small table for people, one object for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::Found;
use crate::identity::{self, Job, Qos, Runtime};

/// One answer. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    asked: String,
    kind: Option<&'static str>,
    name: Option<String>,
    service_namespace: Option<String>,
    service_name: Option<String>,
    service_instance_id: Option<String>,
    path_kind: &'static str,
    runtime: Option<&'static str>,
    container_id: Option<String>,
    pod_uid: Option<String>,
    qos: Option<&'static str>,
    unit: Option<String>,
    vm: Option<String>,
    job: Option<String>,
    user_uid: Option<u32>,
    outer: Option<String>,
    inner: Option<String>,
    stale: bool,
    cgroup_id: Option<u64>,
    cgroup: Option<String>,
    rule: &'static str,
    explanation: &'static str,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(asked: &str, found: &Found, cgroup_id: Option<u64>) -> Self {
        let (identity, workload) = (&found.identity, found.workload.as_ref());
        let shown = |text: &str| identity::bounded(text, identity::PATH_MAX);
        Self {
            asked: shown(asked),
            kind: workload.map(|workload| workload.kind.name()),
            name: workload.map(|workload| workload.name.clone()),
            service_namespace: workload.map(|workload| workload.id.namespace.clone()),
            service_name: workload.map(|workload| workload.id.name.clone()),
            service_instance_id: workload.map(|workload| workload.id.instance.clone()),
            path_kind: identity.kind.name(),
            runtime: identity.runtime.map(Runtime::name),
            container_id: identity.container_id.clone(),
            pod_uid: identity.pod_uid.clone(),
            qos: identity.qos.map(Qos::name),
            unit: identity.unit.clone(),
            vm: identity.vm.clone(),
            job: identity.job.as_ref().map(Job::to_string),
            user_uid: identity.user_uid,
            outer: identity.outer.as_ref().map(ToString::to_string),
            inner: identity.inner.clone(),
            stale: identity.stale,
            cgroup_id,
            cgroup: found.path.as_deref().map(shown),
            rule: identity.rule.name(),
            explanation: identity.rule.explanation(),
            notes: found.notes.clone(),
        }
    }

    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Lines `LABEL  VALUE`; what is not known has none.
    pub(super) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<(&str, String)> =
            self.rows().into_iter().filter_map(|(label, value)| Some((label, value?))).collect();
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
        rows.iter().try_for_each(|(label, value)| writeln!(out, "{label:width$}  {value}"))
    }

    fn rows(&self) -> Vec<(&'static str, Option<String>)> {
        let triplet =
            self.service_namespace.as_ref().zip(self.service_name.as_ref()).zip(self.service_instance_id.as_ref());
        let mut rows = vec![
            ("asked", Some(self.asked.clone())),
            ("kind", self.kind.map(str::to_owned)),
            ("name", self.name.clone()),
            ("triplet", triplet.map(|((namespace, name), instance)| format!("{namespace} / {name} / {instance}"))),
            ("path kind", Some(self.path_kind.to_owned())),
            ("runtime", self.runtime.map(str::to_owned)),
            ("container id", self.container_id.clone()),
            ("pod uid", self.pod_uid.clone()),
            ("qos", self.qos.map(str::to_owned)),
            ("unit", self.unit.clone()),
            ("vm", self.vm.clone()),
            ("job", self.job.clone()),
            ("user", self.user_uid.map(|uid| uid.to_string())),
            ("outer", self.outer.clone()),
            ("inner", self.inner.clone()),
            ("stale", self.stale.then(|| "the cgroup was removed".to_owned())),
            ("cgroup id", self.cgroup_id.map(|id| id.to_string())),
            ("cgroup", self.cgroup.clone()),
            ("rule", Some(format!("{}: {}", self.rule, self.explanation))),
        ];
        rows.extend(self.notes.iter().map(|note| ("note", Some(note.clone()))));
        rows
    }
}
