use crate::arm::Arm;
use crate::case::Case;
use crate::contract_text;
use crate::runner::Stack;

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
