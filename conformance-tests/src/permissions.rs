use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// What the clouds of this run were asked for.
static CALLED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

const BEGIN: &str = "<!-- policy -->\n";
const END: &str = "<!-- /policy -->";

/// Notes what one cloud was asked for.
pub fn note(actions: impl IntoIterator<Item = String>) {
    CALLED.lock().unwrap_or_else(PoisonError::into_inner).extend(actions);
}

/// Compares what stands in the README of the package `package` between the marks of a policy with
/// what `text` makes of all noted actions, or writes it there when a report is written too.
pub fn check(readme: &Path, package: &str, text: impl FnOnce(&BTreeSet<String>) -> String) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let writes = arguments.iter().any(|argument| argument == "--report");
    // A run of some cases proves nothing about all calls.
    if !writes && !arguments.is_empty() {
        return ExitCode::SUCCESS;
    }
    let called = CALLED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match put(readme, package, &text(&called), writes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            #[expect(clippy::print_stderr, reason = "this is the outcome of a test run")]
            {
                eprintln!("{why}");
            }
            ExitCode::FAILURE
        }
    }
}

fn put(readme: &Path, package: &str, policy: &str, writes: bool) -> Result<(), String> {
    let name = readme.display();
    let text = std::fs::read_to_string(readme).map_err(|error| format!("{name}: {error}"))?;
    let parts = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?)));
    let Some((head, (written, tail))) = parts else {
        return Err(format!("{name}: there is no policy between its marks"));
    };
    if written == policy {
        return Ok(());
    }
    if writes {
        let text = format!("{head}{BEGIN}{policy}{END}{tail}");
        return std::fs::write(readme, text).map_err(|error| format!("{name}: {error}"));
    }
    Err(format!(
        "the policy in {name} is not what the suite called; write it with\n  cargo test -p {package} --test \
         conformance -- --report target/conformance.md\nit would be\n{policy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_compared_and_written() {
        let file = std::env::temp_dir().join(format!("skyfleet-policy-{}.md", std::process::id()));
        std::fs::write(&file, "# A\n<!-- policy -->\nold\n<!-- /policy -->\nb\n").unwrap();
        assert_eq!(put(&file, "p", "old\n", false), Ok(()));
        let why = put(&file, "p", "new\n", false).unwrap_err();
        assert!(why.contains("cargo test -p p") && why.ends_with("new\n"), "{why}");
        assert_eq!(put(&file, "p", "new\n", true), Ok(()));
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "# A\n<!-- policy -->\nnew\n<!-- /policy -->\nb\n"
        );
        std::fs::write(&file, "# A\n").unwrap();
        assert!(put(&file, "p", "new\n", true).unwrap_err().contains("marks"));
        std::fs::remove_file(&file).unwrap();
    }
}
