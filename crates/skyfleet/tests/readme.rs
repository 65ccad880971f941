//! The README's program, run for real on the simulated cloud.

#![allow(clippy::print_stdout, reason = "the program talks to a person")]

mod program {
    include!("../../../examples/first/main.rs");

    pub(super) fn run() -> skyfleet::core::Result<()> {
        main()
    }
}

const README: &str = include_str!("../../../README.md");

#[test]
fn the_readme_shows_what_runs_here() {
    let program = include_str!("../../../examples/first/main.rs");
    let config = include_str!("../../../examples/first/fleet.toml");
    for (language, file) in [("rust,no_run", program), ("toml", config)] {
        let (_comment, shown) = file.split_once('\n').unwrap();
        let shown = shown.trim_start();
        assert!(README.contains(&format!("```{language}\n{shown}```")), "change both: {shown}");
    }
}

/// It ends when the fleet has lived for its hour, and its last step proves that nothing is left.
#[test]
fn the_first_program_of_the_readme_runs_to_its_end() {
    std::env::set_current_dir("../../examples/first").unwrap();
    program::run().unwrap();
}
