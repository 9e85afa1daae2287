//! What the parts of a test run said: counts, wall times, and the one line at the end.

use std::{fmt, num::NonZero, time::Duration};

use anyhow::{Result, anyhow};

use crate::{
    failures,
    shell::{self, say},
};

/// How a test says that it could not run; the rest of the line is the reason.
pub const SKIPPED: &str = "SKIPPED: ";
/// How the reason starts when a tool is not installed. In CI, where setup has run, that is a failure.
pub const MISSING_TOOL: &str = "missing tool";

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ran and held.
    pub passed: usize,
    /// Ran and did not hold, or could not even start.
    pub failed: usize,
    /// Could not run, with a reason.
    pub skipped: usize,
}

impl Counts {
    /// One check that held or did not.
    pub fn one(held: bool) -> Self {
        Self { passed: usize::from(held), failed: usize::from(!held), skipped: 0 }
    }

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// What one part left to report: how its command ended and what it printed.
pub struct Outcome {
    /// Whether the command succeeded.
    pub succeeded: bool,
    /// Its standard output.
    pub output: String,
}

/// The run so far.
pub struct Report {
    in_ci: bool,
    parts: Vec<(String, Counts, Duration)>,
    /// What failed, and what it said.
    failures: Vec<String>,
}

impl Report {
    /// A run that has not begun; `in_ci` makes a missing tool a failure.
    pub fn new(in_ci: bool) -> Self {
        Self { in_ci, parts: Vec::new(), failures: Vec::new() }
    }

    /// Runs a part that is one check.
    pub fn check(&mut self, name: &str, work: impl FnOnce() -> Result<bool>) {
        self.part(name, || work().map(|held| (Counts::one(held), Vec::new())));
    }

    /// Runs a part that is a run of test programs.
    pub fn tests(&mut self, name: &str, work: impl FnOnce() -> Result<Outcome>) {
        let in_ci = self.in_ci;
        self.part(name, || work().map(|outcome| judged(&outcome, in_ci)));
    }

    /// Runs parts that are runs of test programs, as many at a time as there are CPUs: each must be content with one. What
    /// they print is mixed.
    pub fn tests_side_by_side<Work>(&mut self, parts: Vec<(String, Work)>)
    where
        Work: FnOnce() -> Result<Outcome> + Send,
    {
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut waiting = parts.into_iter().peekable();
        while waiting.peek().is_some() {
            let some: Vec<_> = waiting.by_ref().take(at_once).collect();
            std::thread::scope(|scope| {
                let started = some.into_iter().map(|(name, work)| {
                    say(format_args!("== {name}"));
                    (name, scope.spawn(|| shell::timed(work)))
                });
                for (name, running) in started.collect::<Vec<_>>() {
                    let (outcome, wall) =
                        running.join().unwrap_or_else(|_| (Err(anyhow!("it panicked")), Duration::ZERO));
                    let judged = outcome.map(|outcome| judged(&outcome, self.in_ci));
                    self.add(&name, judged, wall);
                }
            });
        }
    }

    /// Notes a part that cannot run here, and why.
    pub fn skip(&mut self, name: &str, reason: &str) {
        println!("{SKIPPED}{reason}");
        let outcome = Outcome { succeeded: true, output: format!("{SKIPPED}{reason}\n") };
        self.parts.push((name.to_owned(), count(&outcome, self.in_ci), Duration::ZERO));
    }

    fn part(&mut self, name: &str, work: impl FnOnce() -> Result<Judged>) {
        say(format_args!("== {name}"));
        let (judged, wall) = shell::timed(work);
        self.add(name, judged, wall);
    }

    fn add(&mut self, name: &str, judged: Result<Judged>, wall: Duration) {
        let (counts, failures) = judged.unwrap_or_else(|error| {
            eprintln!("xtask: {name}: {error:#}");
            (Counts::one(false), vec![format!("{error:#}")])
        });
        self.failures.extend(failures.into_iter().map(|failure| format!("{name}: {failure}")));
        self.parts.push((name.to_owned(), counts, wall));
    }

    /// The sum over all parts.
    pub fn total(&self) -> Counts {
        self.parts.iter().fold(Counts::default(), |sum, (_, counts, _)| sum.add(*counts))
    }

    /// What failed, the parts with their wall time, and the sum on a line of its own at the end.
    pub fn print(&self) {
        for failure in &self.failures {
            println!("\nFAILED {failure}");
        }
        println!("\n{:<24}{:>8}{:>8}{:>9}{:>11}", "part", "passed", "failed", "skipped", "wall");
        for (name, counts, wall) in &self.parts {
            let Counts { passed, failed, skipped } = counts;
            println!("{name:<24}{passed:>8}{failed:>8}{skipped:>9}{:>9.1} s", wall.as_secs_f64());
        }
        println!("{}", self.total());
    }
}

/// Counts, and what failed.
type Judged = (Counts, Vec<String>);

fn judged(outcome: &Outcome, in_ci: bool) -> Judged {
    (count(outcome, in_ci), failures::of(&outcome.output))
}

/// Counts a run of test programs. A test that skips itself returns normally, so the test program calls
/// it passed; it is counted as skipped alone.
fn count(outcome: &Outcome, in_ci: bool) -> Counts {
    let said = outcome.output.lines().filter_map(result_line).fold(Counts::default(), Counts::add);
    let reasons: Vec<&str> = outcome.output.lines().filter_map(reason).collect();
    let missing = reasons.iter().filter(|reason| in_ci && reason.starts_with(MISSING_TOOL)).count();
    let failed = said.failed + missing;
    Counts {
        passed: said.passed.saturating_sub(reasons.len()),
        // A build that fails, or a test program that dies, says no count of its own.
        failed: if outcome.succeeded { failed } else { failed.max(1) },
        skipped: said.skipped + reasons.len() - missing,
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
fn result_line(line: &str) -> Option<Counts> {
    let counts = line.strip_prefix("test result: ")?;
    let value = |name: &str| {
        let part = counts.split([';', '.']).map(str::trim).find(|part| part.ends_with(name))?;
        part.split(' ').next()?.parse().ok()
    };
    Some(Counts { passed: value(" passed")?, failed: value(" failed")?, skipped: value(" ignored")? })
}

/// The reason of a skip. With `--nocapture` the line starts with the test's name.
fn reason(line: &str) -> Option<&str> {
    let at = line.find(SKIPPED)?;
    let before = line.get(..at)?;
    let is_said = before.is_empty() || (before.starts_with("test ") && before.ends_with(" ... "));
    if is_said { line.get(at + SKIPPED.len()..) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(succeeded: bool, output: &str, in_ci: bool) -> Counts {
        count(&Outcome { succeeded, output: output.to_owned() }, in_ci)
    }

    const TWO: &str = "running 3 tests\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s\n\
        test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";

    #[test]
    fn results_of_all_test_programs_are_summed() {
        assert_eq!(counted(false, TWO, false), Counts { passed: 15, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_death_without_a_count_is_a_failure() {
        assert_eq!(counted(false, "", false), Counts { passed: 0, failed: 1, skipped: 0 });
        let died_later = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counted(false, died_later, false), Counts { passed: 2, failed: 1, skipped: 0 });
    }

    #[test]
    fn a_test_that_skips_itself_has_not_passed() {
        let output = "test a ... SKIPPED: no meter\nok\nSKIPPED: missing tool: bpftool\nlog: SKIPPED: not a skip\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counted(true, output, false), Counts { passed: 1, failed: 0, skipped: 2 });
        assert_eq!(counted(true, output, true), Counts { passed: 1, failed: 1, skipped: 1 });
    }

    #[test]
    fn the_sum_has_its_plain_form() {
        let mut report = Report::new(true);
        report.check("holds", || Ok(true));
        report.check("does not", || Ok(false));
        report.check("cannot", || anyhow::bail!("no"));
        report.tests("tests", || {
            let output = "failures:\n    a::b\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n".to_owned();
            Ok(Outcome { succeeded: false, output })
        });
        assert_eq!(report.failures, ["cannot: no", "tests: a::b"]);
        report.skip("elsewhere", "no kernel types");
        report.skip("tool", "missing tool: bpftool");
        assert_eq!(report.total().to_string(), "1 passed, 4 failed, 1 skipped");
    }
}
