//! A provider that nobody here knows: a crate outside the workspace, with the dependencies that
//! CONTRIBUTING.md names, is built and proves itself.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// What a stranger writes, with paths in place of versions. The profile is that of the workspace,
/// so that what is built for it here can be used.
fn manifest(root: &Path) -> String {
    let path = |folder: &str| toml::Value::from(root.join(folder).display().to_string());
    format!(
        r#"[package]
name = "cellar"
version = "0.1.0"
edition = "2024"

[dependencies]
async-trait = "0.1"
skyfleet-core = {{ path = {core} }}
toml = "1"

[dev-dependencies]
skyfleet-conformance = {{ path = {suite} }}

[[test]]
name = "conformance"
harness = false

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false

[workspace]
"#,
        core = path("crates/core"),
        suite = path("conformance-tests"),
    )
}

#[test]
fn the_ten_lines_of_contributing_are_the_ones_that_are_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lines = fs::read_to_string(root.join("examples/cellar/conformance.rs")).unwrap();
    let contributing = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let shown: Vec<_> = contributing.lines().map(str::trim_start).collect();
    let built: Vec<_> = lines.lines().map(str::trim_start).collect();
    assert!(shown.windows(built.len()).any(|window| window == built), "{lines}");
}

#[test]
fn a_crate_outside_the_workspace_proves_itself_with_ten_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let Some(cargo) = env::var_os("CARGO") else {
        #[allow(clippy::print_stderr, reason = "a skipped test says why")]
        {
            eprintln!("skipped: no cargo runs this test, and so none can build another crate");
        }
        return;
    };
    let stranger = tempfile::tempdir().unwrap();
    let house = root.join("examples/cellar");
    fs::create_dir(stranger.path().join("src")).unwrap();
    fs::create_dir(stranger.path().join("tests")).unwrap();
    for (from, to) in [
        (house.join("cellar.rs"), "src/lib.rs"),
        (house.join("conformance.rs"), "tests/conformance.rs"),
        (house.join("capability.toml"), "tests/capability.toml"),
        // The versions that are there already: nothing is downloaded.
        (root.join("Cargo.lock"), "Cargo.lock"),
    ] {
        fs::copy(from, stranger.path().join(to)).unwrap();
    }
    fs::write(stranger.path().join("Cargo.toml"), manifest(root)).unwrap();

    // The folder in which this test was built: target/debug/deps/third_party-….
    let target = env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut command = Command::new(cargo);
    command.args(["test", "--offline", "--quiet", "--test", "conformance"]);
    command.current_dir(stranger.path()).env("CARGO_TARGET_DIR", target);
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let passed = text.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(passed.is_some_and(|passed: u32| passed > 100), "{text}");
}
