//! What Scaphandre tells in its JSON reports, as energy. Text in, figures out: nothing is started or read here.
//!
//! It writes one object for each step, one right after the other, in blocks: it is ended while it writes, so the last one
//! may be cut. A step without energy, or with less than nothing, has no report at all.

use serde_json::{Deserializer, Value};

/// A step is missing where two reports are so many times as far from each other as usual.
const GAP: f64 = 1.75;

/// One step: powers in microwatts.
#[derive(Debug, PartialEq)]
struct Report {
    /// Seconds since the epoch, at the step's end.
    at: f64,
    host: f64,
    /// By socket id.
    sockets: Vec<(u32, f64)>,
    /// By command line, whose words it writes without anything between them.
    processes: Vec<(String, f64)>,
}

/// Everything it told. The first report only says where the second one begins: its own beginning is not told.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    reports: Vec<Report>,
}

impl Told {
    /// Reads the file that it writes, up to where it is cut or makes no sense.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let objects = Deserializer::from_slice(bytes).into_iter::<Value>().map_while(Result::ok);
        Self { reports: objects.map_while(|object| Report::of(&object)).collect() }
    }

    /// Seconds since the epoch of its first and its last report.
    #[must_use]
    pub fn span(&self) -> Option<(f64, f64)> {
        Some((self.reports.first()?.at, self.reports.last()?.at))
    }

    /// Microjoules of all processes whose command line ends with `label`.
    #[must_use]
    pub fn labelled(&self, label: &str) -> i64 {
        self.energy(|report| report.labelled(label))
    }

    /// The same if each step's energy of the host went to its processes in full, in proportion to what it says of them.
    #[must_use]
    pub fn scaled(&self, label: &str) -> i64 {
        self.energy(|report| {
            let (part, all) = (report.labelled(label), sum(&report.processes));
            if all > 0.0 { report.host * part / all } else { 0.0 }
        })
    }

    /// Microjoules of all processes.
    #[must_use]
    pub fn processes(&self) -> i64 {
        self.energy(|report| sum(&report.processes))
    }

    /// Microjoules of the host.
    #[must_use]
    pub fn host(&self) -> i64 {
        self.energy(|report| report.host)
    }

    /// Microjoules by socket, for those it tells of.
    #[must_use]
    pub fn sockets(&self) -> Vec<(u32, i64)> {
        let mut ids: Vec<u32> = self.reports.iter().flat_map(|report| &report.sockets).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        let of = |id| self.energy(|report| sum(report.sockets.iter().filter(|socket| socket.0 == id)));
        ids.into_iter().map(|id| (id, of(id))).collect()
    }

    fn energy(&self, power: impl Fn(&Report) -> f64) -> i64 {
        microjoules(self.reports.iter().skip(1).zip(self.steps()).map(|(report, step)| power(report) * step).sum())
    }

    /// Seconds for which each report but the first holds: since the one before. Where a step between them has no report, that
    /// is not known; it is as long as steps usually are.
    fn steps(&self) -> impl Iterator<Item = f64> {
        let since =
            || self.reports.iter().zip(self.reports.iter().skip(1)).map(|(before, report)| report.at - before.at);
        let mut all: Vec<f64> = since().filter(|step| *step > 0.0).collect();
        all.sort_unstable_by(f64::total_cmp);
        let usual = all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
        since().map(move |step| if step > GAP * usual { usual } else { step }.max(0.0))
    }
}

impl Report {
    fn of(object: &Value) -> Option<Self> {
        let list = |key: &str| object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // What is not a number is written as null.
        let power = |value: &Value| value.get("consumption").and_then(Value::as_f64).unwrap_or(0.0);
        let host = object.get("host")?;
        let line = |process: &Value| Some(process.get("cmdline")?.as_str()?.to_owned());
        Some(Self {
            at: host.get("timestamp")?.as_f64()?,
            host: power(host),
            sockets: list("sockets")
                .iter()
                .filter_map(|socket| Some((socket.get("id")?.as_u64()?.try_into().ok()?, power(socket))))
                .collect(),
            processes: list("consumers").iter().filter_map(|process| Some((line(process)?, power(process)))).collect(),
        })
    }

    fn labelled(&self, label: &str) -> f64 {
        sum(self.processes.iter().filter(|(line, _)| line.ends_with(label)))
    }
}

fn sum<'a, T: 'a>(powers: impl IntoIterator<Item = &'a (T, f64)>) -> f64 {
    powers.into_iter().map(|(_, power)| power).sum()
}

#[expect(clippy::cast_possible_truncation, reason = "some kilojoules")]
fn microjoules(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = r#"{"consumption":2000000.0,"timestamp":100.0,"components":{"disks":[]}}"#;

    /// A report `at` that instant, in W.
    fn report(at: f64, host: f64, processes: &[(&str, f64)]) -> String {
        let process = |(line, watts): &(&str, f64)| {
            let microwatts = watts * 1e6;
            format!(
                r#"{{"exe":"/b","cmdline":"{line}","pid":7,"resources_usage":null,"consumption":{microwatts:?},"timestamp":{at:?},"container":null}}"#
            )
        };
        let consumers = processes.iter().map(process).collect::<Vec<_>>().join(",");
        let microwatts = host * 1e6;
        format!(
            r#"{{"host":{{"consumption":{microwatts:?},"timestamp":{at:?},"components":{{"disks":[]}}}},"consumers":[{consumers}],"sockets":[{{"id":0,"consumption":{microwatts:?},"domains":[],"timestamp":{at:?}}}]}}"#
        )
    }

    #[test]
    fn power_holds_since_the_report_before_or_for_a_step() {
        let text = [
            report(100.0, 50.0, &[("/bspin4/a-1", 40.0)]),
            report(101.5, 10.0, &[("/bspin4/a-1", 2.0), ("/bspin4/a-11", 4.0), ("", 1.0)]),
            report(102.5, 0.0, &[]),
            // A step without a report lies before this one.
            report(104.5, 4.0, &[("/bnowspin2/a-1", 0.5), ("/bstorm9/a-1", 0.25)]),
            report(105.5, 0.0, &[]),
        ];
        let told = Told::read(text.concat().as_bytes());
        assert_eq!(told.span(), Some((100.0, 105.5)));
        assert_eq!(told.labelled("/a-1"), 3_000_000 + 750_000);
        assert_eq!(told.labelled("/a-11"), 6_000_000);
        assert_eq!(told.labelled("/a-2"), 0);
        assert_eq!(told.scaled("/a-1"), 15_000_000 * 2 / 7 + 4_000_000);
        assert_eq!(told.scaled("/a-2"), 0);
        assert_eq!(told.processes(), 10_500_000 + 750_000);
        assert_eq!(told.host(), 15_000_000 + 4_000_000);
        assert_eq!(told.sockets(), [(0, 19_000_000)]);
    }

    #[test]
    fn what_is_cut_anywhere_keeps_what_came_before() {
        let whole = report(1.0, 1.0, &[("/a", 1.0)]) + &report(2.0, 3.0, &[("/a", 3.0)]);
        let last = report(3.0, 5.0, &[("/a", 5.0), ("ä", 1.0)]);
        let text = whole.clone() + &last;
        for length in whole.len()..text.len() {
            assert_eq!(Told::read(&text.as_bytes()[..length]).host(), 3_000_000, "{length}");
        }
        assert_eq!(Told::read(text.as_bytes()).host(), 8_000_000);
    }

    #[test]
    fn nothing_is_made_of_what_makes_no_sense() {
        for text in ["", "{", "null", "[]", "{}", r#"{"host":{}}"#, r#"{"host":{"timestamp":null}}"#, "\u{fffd}\0"] {
            let told = Told::read(text.as_bytes());
            assert_eq!(
                (told.span(), told.host(), told.processes(), told.sockets()),
                (None, 0, 0, Vec::new()),
                "{text}"
            );
        }
        let odd = format!(
            r#"{{"host":{HOST}}}{{"host":{{"consumption":null,"timestamp":102}},"consumers":[{{"cmdline":"/a","consumption":null}},{{}},7],"sockets":[{{}},{{"id":1}}]}}"#
        );
        let told = Told::read(odd.as_bytes());
        assert_eq!((told.span(), told.host(), told.labelled("/a")), (Some((100.0, 102.0)), 0, 0));
        assert_eq!(told.sockets(), [(1, 0)]);
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_away() {
        let text = [report(5.0, 1.0, &[]), report(4.0, 9.0, &[]), report(6.0, 1.0, &[])];
        assert_eq!(Told::read(text.concat().as_bytes()).host(), 2_000_000);
    }
}
