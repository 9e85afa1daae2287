//! A scenario's figures: kept for the host, printed, and judged.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    outcome::{Outcome, ZONES},
    scaphandre::{self, Beside},
    thresholds::{CONSERVATION, UNATTRIBUTED},
    world::SOCKETS,
};

/// What one scenario found.
pub struct Record {
    name: &'static str,
    title: String,
    rows: Vec<Value>,
    notes: Vec<String>,
    missed: Vec<String>,
    /// Scaphandre's figures, package and dram together.
    beside: Vec<Value>,
    /// Never empty where it ran.
    beside_notes: Vec<String>,
}

impl Record {
    /// `name` is the test's; `title` is for people.
    pub fn new(name: &'static str, title: &str) -> Self {
        Self {
            name,
            title: title.to_owned(),
            rows: Vec::new(),
            notes: Vec::new(),
            missed: Vec::new(),
            beside: Vec::new(),
            beside_notes: Vec::new(),
        }
    }

    /// Compares the energy of a cgroup, zone by zone.
    pub fn cgroup(&mut self, what: &str, outcome: &Outcome, path: &str, allowed: f64) {
        for zone in ZONES {
            self.row(what, zone, outcome.truth(path, zone), outcome.told(path, zone), Some(allowed));
        }
        self.beside(what, outcome, &[path]);
    }

    /// Compares cgroups of a kind: all of them together, and the one that is furthest from its truth.
    pub fn cgroups(&mut self, what: &str, outcome: &Outcome, paths: &[String], allowed: f64) {
        for zone in ZONES {
            for path in paths.iter().filter(|path| outcome.truth(path, zone) == 0) {
                self.holds(format!("{path} has no truth; without a path are {:?}", outcome.nameless()), false);
            }
            let pairs = || paths.iter().map(|path| (outcome.truth(path, zone), outcome.told(path, zone)));
            let sum = pairs().fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
            self.row(&format!("{what}, all {}", paths.len()), zone, sum.0, sum.1, Some(allowed));
            let worst = pairs().max_by(|a, b| error(*a).abs().total_cmp(&error(*b).abs())).unwrap();
            self.row(&format!("{what}, the worst"), zone, worst.0, worst.1, Some(allowed));
            let misplaced = pairs().map(|(truth, told)| (told - truth).abs()).sum::<i64>() as f64 / sum.0 as f64;
            self.note(format!("{zone}: {:.3} % is not where it belongs", 100.0 * misplaced));
        }
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        self.beside(&format!("{what}, all {}", paths.len()), outcome, &paths);
    }

    /// Shows what Scaphandre told of cgroups, all of them together, if it ran; it is held to nothing.
    pub fn beside(&mut self, what: &str, outcome: &Outcome, paths: &[&str]) {
        let Some(Beside { told, .. }) = &outcome.scaphandre else { return };
        let both = |energy: &dyn Fn(&str, &str) -> i64| -> i64 {
            paths.iter().flat_map(|path| ZONES.map(|zone| energy(path, zone))).sum()
        };
        let (truth, ours) =
            (both(&|path, zone| outcome.truth(path, zone)), both(&|path, zone| outcome.told(path, zone)));
        let theirs: i64 = paths.iter().map(|path| told.labelled(path)).sum();
        let scaled: i64 = paths.iter().map(|path| told.scaled(path)).sum();
        println!("{what}: {ours} µJ of package and dram, Scaphandre {theirs} µJ, scaled {scaled} µJ, truth {truth} µJ");
        self.beside.push(json!({
            "workload": what, "truth_uj": truth, "told_uj": ours, "scaphandre_uj": theirs, "scaled_uj": scaled
        }));
    }

    /// Compares two figures in microjoules; without a limit they are only shown.
    pub fn row(&mut self, what: &str, zone: &str, truth: i64, told: i64, allowed: Option<f64>) {
        let off = error((truth, told));
        let is_missed = allowed.is_some_and(|allowed| off.is_nan() || off.abs() > allowed);
        if is_missed {
            self.missed.push(format!("{what}, {zone}: {told} µJ, the truth is {truth} µJ"));
        }
        println!("{what}, {zone}: {told} µJ, truth {truth} µJ, {:+.3} %{}", 100.0 * off, mark(is_missed));
        self.rows
            .push(json!({ "workload": what, "zone": zone, "truth_uj": truth, "told_uj": told, "allowed": allowed }));
    }

    /// Something to know beside the figures.
    pub fn note(&mut self, what: String) {
        println!("{what}");
        self.notes.push(what);
    }

    /// Something that must hold besides.
    pub fn holds(&mut self, what: String, held: bool) {
        println!("{what}{}", mark(!held));
        if !held {
            self.missed.push(what.clone());
        }
        self.notes.push(what);
    }

    /// The books close, and nearly nothing is without an owner.
    pub fn books(&mut self, outcome: &Outcome) {
        self.closes(outcome);
        for zone in ZONES {
            let books = outcome.books(zone);
            let share = books.unattributed as f64 / books.workloads.max(1) as f64;
            let text = format!("{zone}: {} µJ without an owner, {:.4} %", books.unattributed, 100.0 * share);
            self.holds(text, share <= UNATTRIBUTED);
        }
    }

    /// What was measured is somebody's, nobody's or idle, to the microjoule.
    pub fn closes(&mut self, outcome: &Outcome) {
        self.beside_notes = outcome.scaphandre.as_ref().map(Beside::notes).unwrap_or_default();
        for zone in ZONES {
            let books = outcome.books(zone);
            let off = books.workloads + books.idle + books.residual - books.measured;
            let held = off.abs() <= CONSERVATION && books.residual == 0 && books.measured > 0;
            let text = format!(
                "{zone}: {} µJ measured; workloads, idle and residual ({} µJ) differ from that by {off} µJ",
                books.measured, books.residual
            );
            self.holds(text, held);
        }
    }

    /// Each meter was read in full: no wrap was missed, none invented.
    pub fn meters(&mut self, outcome: &Outcome) {
        (0..SOCKETS).for_each(|socket| self.meters_of(outcome, socket));
    }

    /// The same of one socket.
    pub fn meters_of(&mut self, outcome: &Outcome, socket: u32) {
        for zone in ZONES {
            let (told, [least, most]) = (outcome.measured(zone, socket), outcome.counted(zone, socket));
            let held = told >= least - CONSERVATION && told <= most + CONSERVATION;
            self.holds(format!("{zone}-{socket}: {told} µJ measured, {least} to {most} µJ counted"), held);
        }
    }

    /// Keeps everything, then fails if anything was missed; not where Scaphandre takes its part of an emulated machine.
    pub fn judge(self) {
        if let Some(folder) = std::env::var_os("WATTRACE_VM_OUT") {
            let ran = !self.beside_notes.is_empty();
            let beside = ran.then(|| json!({ "rows": self.beside, "notes": self.beside_notes }));
            let record = json!({
                "title": self.title, "rows": self.rows, "notes": self.notes, "missed": self.missed, "scaphandre": beside
            });
            fs::write(PathBuf::from(folder).join(format!("{}.json", self.name)), record.to_string()).unwrap();
        }
        let is_held = !scaphandre::is_here();
        assert!(!is_held || self.missed.is_empty(), "{}: {:#?}", self.title, self.missed);
    }
}

fn error((truth, told): (i64, i64)) -> f64 {
    (told - truth) as f64 / truth as f64
}

const fn mark(is_missed: bool) -> &'static str {
    if is_missed { " MISSED" } else { "" }
}
