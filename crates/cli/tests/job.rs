//! `skyfleet run`: real processes, real files.

mod skyfleet;

use skyfleet::{Home, read};

#[test]
fn results_come_back_in_the_order_of_the_files() {
    let home = Home::new();
    for (name, text) in [("a.txt", "one"), ("b/c.txt", "one two"), ("d e.txt", "one two three")] {
        home.write(&format!("in/{name}"), text);
    }
    let ended = home.run(&["run", "--input", "in", "-n", "2", "--", "wc -w < \"$SKYFLEET_INPUT\""]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let counts: Vec<_> = ended.out.split_whitespace().collect();
    assert_eq!(counts, ["1", "2", "3"], "{ended:?}");
    assert!(ended.err.contains("simulated cloud"), "{ended:?}");
    assert!(ended.err.contains("3 tasks done") && ended.err.contains("leftovers: 0"), "{ended:?}");
    assert!(!ended.err.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn words_after_the_dashes_are_a_command_too() {
    let ended = Home::new().run(&["run", "--tasks", "1", "--", "printf", "%s|", "a b", "it's"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "a b|it's|"), "{ended:?}");
}

#[test]
fn a_task_that_fails_for_good_fails_the_job_and_the_others_count() {
    let home = Home::new();
    let script = "echo $SKYFLEET_TASK_INDEX; echo oops >&2; test $SKYFLEET_TASK_INDEX != 1";
    let ended = home.run(&["run", "--tasks", "3", "--retries", "1", "-n", "2", "--json", "--", script]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["succeeded"], false);
    assert_eq!(report["exit_code"], 1);
    let tasks = report["tasks"].as_array().unwrap();
    let states: Vec<_> = tasks.iter().map(|task| task["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "failed", "done"], "{report}");
    assert_eq!(tasks[1]["attempts"], 2, "{report}");
    assert_eq!(tasks[1]["exit_code"], 1, "{report}");
    assert_eq!((&tasks[2]["stdout"], &tasks[2]["stderr"]), (&"2\n".into(), &"oops\n".into()), "{report}");
    assert_eq!(report["ledger"]["live"].as_array().unwrap().len(), 0, "{report}");
    assert!(ended.err.contains("task 1"), "{ended:?}");
}

#[test]
fn an_output_folder_and_a_picture_are_written() {
    let home = Home::new();
    home.write("in/x.txt", "hello");
    let command = "tr a-z A-Z < \"$SKYFLEET_INPUT\" > \"$SKYFLEET_OUTPUT\"; echo said";
    let ended = home.run(&["run", "--input", "in", "--output", "out", "--timeline", "t.svg", "--", command]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
    assert_eq!(read(&home.path("out/x.txt/output")), "HELLO");
    assert_eq!(read(&home.path("out/x.txt/stdout")), "said\n");
    assert_eq!(read(&home.path("out/x.txt/stderr")), "");
    let picture = read(&home.path("t.svg"));
    assert!(picture.contains("<svg") && picture.contains("</svg>"), "{picture}");
}

#[test]
fn a_named_store_keeps_the_results() {
    let home = Home::new();
    let ended = home.run(&["run", "--tasks", "2", "--store", "kept", "--", "echo $SKYFLEET_TASK_INDEX"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "0\n1\n"), "{ended:?}");
    assert!(home.path("kept").is_dir());
}

#[test]
fn a_preempted_job_ends_with_the_right_results() {
    let home = Home::new();
    home.write("scenario.toml", "[[event]]\nat_s = 60\nkind = \"preempt\"\ncount = 1\nnotice_seconds = 0\n");
    home.write(
        "fleet.toml",
        "provider = \"sim\"\n[need]\nvcpus = 2\n[fleet]\ntarget = 2\n[providers.sim]\nclock = \"scaled:30\"\nscenario = \"scenario.toml\"\n",
    );
    let ended = home.run(&["run", "--tasks", "6", "--json", "--", "sleep 1.5; echo $SKYFLEET_TASK_INDEX"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["preemptions"], 1, "{report}");
    let said: String =
        report["tasks"].as_array().unwrap().iter().map(|t| t["stdout"].as_str().unwrap()).collect();
    assert_eq!(said, "0\n1\n2\n3\n4\n5\n");
    assert_eq!(report["ledger"]["live"].as_array().unwrap().len(), 0, "{report}");
}
