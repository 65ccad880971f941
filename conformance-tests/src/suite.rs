use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

use crate::arm::Arm;
use crate::report::{self, Verdicts};
use crate::runner::{self, Outcome, Stack};

/// The environment variable with the seed of all randomness; without it the seed is always the
/// same.
pub const SEED_VARIABLE: &str = "SKYFLEET_CONFORMANCE_SEED";

pub(crate) const SEED: u64 = 20_261_122;

/// Arms that run in one test binary, and what is written about them.
#[derive(Debug)]
pub struct Suite {
    arms: Vec<Arm>,
    summary: Option<PathBuf>,
}

impl Suite {
    /// The suite on these arms.
    pub fn of(arms: impl IntoIterator<Item = Arm>) -> Self {
        Self { arms: arms.into_iter().collect(), summary: None }
    }

    /// This file, whose path is relative to the crate under test, shows a summary of the arms
    /// between the lines `<!-- conformance -->` and `<!-- /conformance -->`. One more test fails
    /// when it is out of date; a run with `--report` writes it anew.
    #[must_use]
    pub fn summarised_in(mut self, file: impl AsRef<Path>) -> Self {
        let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        self.summary = Some(root.join(file));
        self
    }

    /// Runs what the command line asks for, as the `main` of a test without harness. The options
    /// are those of every test binary, and `--report <file>`, which writes the table of clauses
    /// and arms; it needs a whole run.
    pub fn run(self) -> ExitCode {
        let (report, arguments) = match take_report(std::env::args().collect()) {
            Ok((report, arguments)) => (report, arguments),
            Err(message) => return fail(&Arguments::default(), "report", message),
        };
        let mut arguments = Arguments::from_iter(arguments);
        let seed = match seed() {
            Ok(seed) => seed,
            Err(message) => return fail(&arguments, "seed", message),
        };
        // What costs money is bought by one case at a time.
        if self.arms.iter().any(Arm::spends) {
            arguments.test_threads = Some(1);
        }
        let verdicts = Arc::new(Mutex::new(self.foreseen(seed)));
        let mut trials: Vec<_> = self.arms.iter().flat_map(|arm| trials(arm, seed, &verdicts)).collect();
        if let (Some(file), None) = (self.summary.clone(), &report) {
            let expected = self.summary_text(&verdicts.lock().unwrap_or_else(PoisonError::into_inner));
            trials.push(Trial::test("the summary is current", move || {
                Ok(report::check_summary(&file, &expected)?)
            }));
        }
        let conclusion = libtest_mimic::run(&arguments, trials);
        let Some(report) = report else { return conclusion.exit_code() };
        let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        match self.write(&report, &verdicts, &conclusion) {
            Ok(()) => conclusion.exit_code(),
            Err(message) => fail(&Arguments::default(), "report", message),
        }
    }

    /// What is known before any case runs: what does not apply and what is a known gap.
    fn foreseen(&self, seed: u64) -> Verdicts {
        let mut verdicts = Verdicts::new();
        for arm in &self.arms {
            for stack in Stack::ALL {
                // An arm that cannot be connected has no exceptions: each case fails and says why.
                let Ok(exceptions) = runner::exceptions(arm, crate::cases(), stack, seed) else { continue };
                for (case, outcome) in crate::cases().zip(exceptions) {
                    if let Some(outcome) = outcome {
                        verdicts.insert((arm.name(), stack, case.name), outcome);
                    }
                }
            }
        }
        verdicts
    }

    fn summary_text(&self, verdicts: &Verdicts) -> String {
        report::summary(&self.names(), verdicts)
    }

    fn names(&self) -> Vec<&'static str> {
        self.arms.iter().map(Arm::name).collect()
    }

    fn write(&self, file: &Path, verdicts: &Verdicts, conclusion: &Conclusion) -> Result<(), String> {
        if conclusion.num_filtered_out > 0 {
            return Err("a report needs a whole run: leave the filter out".to_owned());
        }
        let text = report::table(&self.names(), verdicts);
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        match &self.summary {
            Some(summary) if conclusion.num_failed == 0 => {
                report::write_summary(summary, &self.summary_text(verdicts))
            }
            _ => Ok(()),
        }
    }
}

/// Shows a failure as that of a test, since a test binary is what people look at here.
fn fail(arguments: &Arguments, name: &str, message: String) -> ExitCode {
    let arguments = Arguments { filter: None, ..arguments.clone() };
    libtest_mimic::run(&arguments, vec![Trial::test(name, || Err(Failed::from(message)))]).exit_code()
}

/// Takes `--report <file>` or `--report=<file>` out of the arguments.
fn take_report(arguments: Vec<String>) -> Result<(Option<PathBuf>, Vec<String>), String> {
    let (mut report, mut others) = (None, Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--report" {
            let file = arguments.next().ok_or("--report needs a file: --report conformance.md")?;
            report = Some(PathBuf::from(file));
        } else if let Some(file) = argument.strip_prefix("--report=") {
            report = Some(PathBuf::from(file));
        } else {
            others.push(argument);
        }
    }
    Ok((report, others))
}

fn seed() -> Result<u64, String> {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().map_err(|_| format!("{SEED_VARIABLE}={text:?} is no number from 0 on")),
        Err(_) => Ok(SEED),
    }
}

fn trials(arm: &Arm, seed: u64, verdicts: &Arc<Mutex<Verdicts>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for gap in arm.gaps() {
        let (arm, gap) = (arm.clone(), *gap);
        let name = format!("{} {} is still a known gap", arm.name(), gap.0);
        trials.push(Trial::test(name.trim_start(), move || Ok(runner::stale_gap(&arm, gap, seed)?)));
    }
    let foreseen: BTreeMap<_, _> = verdicts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for stack in Stack::ALL {
        for case in crate::cases() {
            let (arm, verdicts) = (arm.clone(), verdicts.clone());
            let name = report::trial_name(&arm, case, stack);
            let exception = foreseen.get(&(arm.name(), stack, case.name));
            let kind = if let Some(Outcome::KnownGap(_)) = exception { "known gap" } else { "" };
            // Both the flag and the answer at run time: the flag alone would let
            // `--include-ignored` run what does not apply; the answer alone is shown as passed by
            // runners that run one process per test.
            let trial = Trial::ignorable_test(name, move || {
                let outcome = runner::run(&arm, case, stack, seed);
                let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
                verdicts.insert((arm.name(), stack, case.name), outcome.clone());
                match outcome {
                    Outcome::Passed => Ok(Completion::Completed),
                    Outcome::Failed(text) => Err(Failed::from(text)),
                    Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
                    Outcome::KnownGap(reason) => Ok(Completion::ignored_with(format!("known gap: {reason}"))),
                }
            });
            trials.push(trial.with_kind(kind).with_ignored_flag(exception.is_some()));
        }
    }
    trials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_option_leaves_the_other_arguments_as_they_were() {
        let take = |text: &str| take_report(text.split(' ').map(str::to_owned).collect());
        let (report, others) = take("bin --report r.md LAUNCH-3 --exact").unwrap();
        assert_eq!((report, others.join(" ").as_str()), (Some("r.md".into()), "bin LAUNCH-3 --exact"));
        assert_eq!(take("bin --report=r.md").unwrap().0, Some("r.md".into()));
        assert_eq!(take("bin").unwrap().0, None);
        assert!(take("bin --report").unwrap_err().contains("needs a file"));
    }
}
