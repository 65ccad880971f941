use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::arm::Arm;
use crate::case::Case;
use crate::contract_text::{self, Clause};
use crate::runner::{Outcome, Stack};

/// The name of a case as the test harness shows it: `aws::LAUNCH-3 a_token_buys_once`, and
/// `aws+layers::…` under the layers, `aws+faults::…` under layers and faults.
pub(crate) fn trial_name(arm: &Arm, case: &Case, stack: Stack) -> String {
    let prefix = match (arm.name(), stack) {
        ("", Stack::Bare) => String::new(),
        ("", stack) => format!("{stack}::"),
        (name, Stack::Bare) => format!("{name}::"),
        (name, stack) => format!("{name}+{stack}::"),
    };
    format!("{prefix}{} {}", case.clause, case.name)
}

/// What a failed case prints: the clause, its sentence, what happened, and how to see it again.
pub(crate) fn failure(arm: &Arm, case: &Case, stack: Stack, seed: u64, faults: &[String]) -> String {
    format!(
        "{clause}: {sentence}\n  what happened: {what}\n  seed: {seed} (again: {var}={seed} cargo test --test conformance -- --exact '{trial}')\n",
        clause = case.clause,
        sentence = contract_text::sentence(case.clause),
        what = faults.join("\n  and then: "),
        var = crate::SEED_VARIABLE,
        trial = trial_name(arm, case, stack),
    )
}

/// How cases ended, by arm, stack and case.
pub(crate) type Verdicts = BTreeMap<(&'static str, Stack, &'static str), Outcome>;

const OPEN: &str = "<!-- conformance -->";
const CLOSE: &str = "<!-- /conformance -->";

/// Every clause with its sentence and what each arm made of it.
pub(crate) fn table(arms: &[&'static str], verdicts: &Verdicts) -> String {
    let mut text = format!("# Conformance\n\n{}", summary(arms, verdicts));
    for (chapter, clauses) in chapters() {
        text += &format!("\n## {chapter}\n\n{}", header("| clause | demand |", "|---|---|", arms));
        for clause in clauses {
            text += &format!("| {} | {} |", clause.id, clause.sentence);
            for arm in arms {
                text += &format!(" {} |", word(&of_clause(arm, clause.id, verdicts)));
            }
            text.push('\n');
        }
    }
    text
}

/// What an arm made of all cases of a clause.
fn of_clause(arm: &'static str, clause: &str, verdicts: &Verdicts) -> Outcome {
    let outcomes = cases_of(clause).map(|case| over_stacks(arm, case, verdicts));
    outcomes.reduce(worse).unwrap_or(Outcome::Passed)
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "pass",
        Outcome::Failed(_) => "FAIL",
        Outcome::Ignored(_) => "not applicable",
        Outcome::KnownGap(_) => "known gap",
    }
}

/// What some arms did not have to pass, each with the reason, and with the arms where it is not all.
fn exceptions(arms: &[&'static str], verdicts: &Verdicts) -> String {
    let mut reasons: BTreeMap<String, (BTreeSet<&str>, BTreeSet<&'static str>)> = BTreeMap::new();
    for arm in arms {
        for case in crate::cases() {
            let outcome = over_stacks(arm, case, verdicts);
            if let Outcome::Ignored(reason) | Outcome::KnownGap(reason) = &outcome {
                let (clauses, of) = reasons.entry(format!("{}: {reason}", word(&outcome))).or_default();
                clauses.insert(case.clause);
                of.insert(shown(arm));
            }
        }
    }
    let mut text = String::new();
    for (reason, (clauses, of)) in reasons {
        let clauses: Vec<_> = clauses.into_iter().collect();
        let some = of.len() < arms.len();
        let of = if some { format!(": {}", Vec::from_iter(of).join(", ")) } else { String::new() };
        text += &format!("- {reason} ({}){of}\n", clauses.join(", "));
    }
    text
}

/// How many cases of each chapter each arm passed.
pub(crate) fn summary(arms: &[&'static str], verdicts: &Verdicts) -> String {
    let all = crate::cases().count();
    let mut text = format!(
        "{} clauses, {all} cases, each on the bare provider, under the layers, and under the layers while calls fail.\n\
         Cases by arm: passed / not applicable / known gaps.\n\n{}",
        contract_text::clauses(contract_text::TEXT).len(),
        header("| chapter | clauses | cases |", "|---|---|---|", arms)
    );
    for (chapter, clauses) in chapters() {
        let cases: Vec<_> = clauses.iter().flat_map(|clause| cases_of(clause.id)).collect();
        text += &format!("| {chapter} | {} | {} |", clauses.len(), cases.len());
        for arm in arms {
            let (mut passed, mut ignored, mut gaps, mut failed) = (0, 0, 0, 0);
            for case in &cases {
                *match over_stacks(arm, case, verdicts) {
                    Outcome::Passed => &mut passed,
                    Outcome::Ignored(_) => &mut ignored,
                    Outcome::KnownGap(_) => &mut gaps,
                    Outcome::Failed(_) => &mut failed,
                } += 1;
            }
            text += &format!(" {passed} / {ignored} / {gaps}");
            text += &if failed > 0 { format!(", {failed} FAILED |") } else { " |".to_owned() };
        }
        text.push('\n');
    }
    match exceptions(arms, verdicts) {
        none if none.is_empty() => text,
        exceptions => format!("{text}\n{exceptions}"),
    }
}

/// Fails when the file does not hold this summary between its marks.
pub(crate) fn check_summary(file: &Path, expected: &str) -> Result<(), String> {
    let text = read(file)?;
    let (_, current, _) = split(file, &text)?;
    if current.trim() == expected.trim() {
        return Ok(());
    }
    Err(format!(
        "the summary in {} is out of date; cargo test --test conformance -- --report conformance.md writes\n\n{expected}",
        file.display()
    ))
}

/// Writes the summary between the marks of the file.
pub(crate) fn write_summary(file: &Path, summary: &str) -> Result<(), String> {
    let text = read(file)?;
    let (before, _, after) = split(file, &text)?;
    let text = format!("{before}{OPEN}\n{}\n{CLOSE}{after}", summary.trim());
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// What stands before, between and after the marks.
fn split<'a>(file: &Path, text: &'a str) -> Result<(&'a str, &'a str, &'a str), String> {
    let parts = text
        .split_once(OPEN)
        .and_then(|(before, rest)| rest.split_once(CLOSE).map(|(between, after)| (before, between, after)));
    parts.ok_or_else(|| format!("{} has no lines {OPEN} and {CLOSE}", file.display()))
}

/// The chapters of the contract, in their order.
fn chapters() -> Vec<(&'static str, Vec<Clause<'static>>)> {
    let mut chapters: Vec<(&str, Vec<_>)> = Vec::new();
    for clause in contract_text::clauses(contract_text::TEXT) {
        let chapter = clause.id.split_once('-').map_or(clause.id, |(chapter, _)| chapter);
        match chapters.last_mut() {
            Some((last, clauses)) if *last == chapter => clauses.push(clause),
            _ => chapters.push((chapter, vec![clause])),
        }
    }
    chapters
}

fn cases_of(clause: &str) -> impl Iterator<Item = &'static Case> {
    crate::cases().filter(move |case| case.clause == clause)
}

/// What a case shows of an arm, taken together: it passed where it passed on every stack on which
/// it applies. A case of which nothing is known is one that is yet to run, and taken as passed:
/// should it not, then its own test fails.
fn over_stacks(arm: &'static str, case: &Case, verdicts: &Verdicts) -> Outcome {
    let outcome = |stack| verdicts.get(&(arm, stack, case.name)).cloned().unwrap_or(Outcome::Passed);
    Stack::ALL.map(outcome).into_iter().reduce(worse).unwrap_or(Outcome::Passed)
}

/// The one of two outcomes that says more against the arm; what does not apply says nothing.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::Ignored(_) => 0,
        Outcome::Passed => 1,
        Outcome::KnownGap(_) => 2,
        Outcome::Failed(_) => 3,
    };
    if weight(&other) > weight(&one) { other } else { one }
}

fn header(names: &str, rule: &str, arms: &[&'static str]) -> String {
    let names = arms.iter().fold(names.to_owned(), |line, arm| format!("{line} {} |", shown(arm)));
    format!("{names}\n{rule}{}\n", "---|".repeat(arms.len()))
}

fn shown(arm: &'static str) -> &'static str {
    if arm.is_empty() { "provider" } else { arm }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(outcomes: &[(Stack, &'static str, Outcome)]) -> Verdicts {
        outcomes.iter().map(|(stack, case, outcome)| (("x", *stack, *case), outcome.clone())).collect()
    }

    #[test]
    fn a_gap_is_shown_as_a_gap_and_never_as_a_pass() {
        let gap = Outcome::KnownGap("not built".to_owned());
        let verdicts = verdicts(&Stack::ALL.map(|stack| (stack, "states_only_move_forward", gap.clone())));
        assert!(summary(&["x"], &verdicts).contains("| LIST | 7 | 8 | 7 / 0 / 1 |"));
        let table = table(&["x"], &verdicts);
        assert!(table.lines().any(|line| line.starts_with("| LIST-6 |") && line.ends_with("| known gap |")));
        assert!(table.contains("- known gap: not built (LIST-6)"), "{table}");
    }

    #[test]
    fn one_failure_on_one_stack_is_a_failure() {
        let failed = Outcome::Failed("broken".to_owned());
        let verdicts = verdicts(&[(Stack::Faults, "states_only_move_forward", failed)]);
        assert!(summary(&["x"], &verdicts).contains("| LIST | 7 | 8 | 7 / 0 / 0, 1 FAILED |"));
        assert!(table(&["x"], &verdicts).contains("| FAIL |"));
    }

    #[test]
    fn what_applies_on_no_stack_is_not_applicable() {
        let none = Outcome::Ignored("no spot".to_owned());
        let case = "a_foreign_cursor_is_refused";
        let text = |stacks: &[Stack]| {
            let outcomes: Vec<_> = stacks.iter().map(|stack| (*stack, case, none.clone())).collect();
            table(&["x"], &verdicts(&outcomes))
        };
        assert!(text(&Stack::ALL).contains("- not applicable: no spot (PREEMPT-6)"));
        assert!(!text(&[Stack::Faults]).contains("| not applicable |"));
    }

    #[test]
    fn a_summary_that_is_out_of_date_is_found_out_and_written_anew() {
        let file = std::env::temp_dir().join(format!("skyfleet-summary-{}.md", std::process::id()));
        std::fs::write(&file, format!("before\n{OPEN}\nold\n{CLOSE}\nafter\n")).unwrap();
        assert!(check_summary(&file, "new").unwrap_err().contains("out of date"));
        write_summary(&file, "new").unwrap();
        assert_eq!(check_summary(&file, "new"), Ok(()));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("\nafter\n"), "{text}");
        std::fs::write(&file, "no marks").unwrap();
        assert!(check_summary(&file, "new").unwrap_err().contains("has no lines"));
        std::fs::remove_file(&file).unwrap();
    }
}
