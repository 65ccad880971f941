//! Help, man pages, completions and exit codes.

mod skyfleet;

use skyfleet::Home;

const COMMANDS: [&str; 9] = ["offers", "plan", "up", "ps", "down", "run", "sim", "completions", "man"];

#[test]
fn every_commands_help_has_examples_and_the_exit_codes() {
    let home = Home::new();
    for command in COMMANDS {
        let ended = home.run(&[command, "--help"]);
        assert_eq!(ended.code, 0, "{command}: {ended:?}");
        for part in ["Usage:", "Examples:", "Exit codes:", "  130  ", "SKYFLEET_LOG"] {
            assert!(ended.out.contains(part), "{command} --help has no {part:?}: {}", ended.out);
        }
        assert!(ended.err.is_empty(), "{command}: {}", ended.err);
    }
}

#[test]
fn no_command_at_all_shows_the_help_and_is_a_mistake() {
    let ended = Home::new().run(&[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("Usage:"), "{ended:?}");
    assert!(ended.out.is_empty(), "{ended:?}");
}

#[test]
fn the_version_is_the_crates() {
    let ended = Home::new().run(&["--version"]);
    assert_eq!((ended.code, ended.out.trim()), (0, concat!("skyfleet ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_man_page_per_command_is_written() {
    let home = Home::new();
    let ended = home.run(&["man"]);
    assert_eq!(ended.code, 0);
    assert!(ended.out.contains(".TH skyfleet 1"), "{}", ended.out);
    assert!(ended.out.contains("Exit codes"), "{}", ended.out);
    assert_eq!(home.run(&["man", "--dir", "pages"]).code, 0);
    for command in COMMANDS {
        let page = skyfleet::read(&home.path(&format!("pages/skyfleet-{command}.1")));
        assert!(page.contains("Exit codes"), "{command}");
    }
}

#[test]
fn completions_know_the_commands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = home.run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(ended.out.contains("offers") && ended.out.contains("timeline"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    use std::io::Read;
    let home = Home::new();
    for args in
        [&["offers", "--limit", "0"][..], &["completions", "bash"], &["offers", "--json", "--limit", "0"]]
    {
        let mut running = home.start(args);
        let mut first = [0; 16];
        running.child().stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ended = running.ended(args);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(!ended.err.contains("error"), "{ended:?}");
    }
}
