//! Ctrl-C: the first gives everything back, the second leaves at once.

mod skyfleet;

use rustix::process::{Pid, Signal, kill_process};
use skyfleet::{Ended, Home, lives, until};

/// A job whose tasks write down their process and then take their time.
const ARGS: [&str; 8] = [
    "run",
    "--tasks",
    "2",
    "-n",
    "2",
    "--json",
    "--",
    "echo $$ > \"$HOME/pid-$SKYFLEET_TASK_INDEX\"; sleep 300",
];

fn signal(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until a task runs; its process.
fn working(home: &Home) -> u32 {
    let file = home.path("pid-0");
    let pid = || std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    until("the first task runs", || pid().is_some());
    pid().unwrap()
}

#[test]
fn ctrl_c_and_sigterm_give_the_fleet_back_and_leave_no_process() {
    for which in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let child = home.start(&ARGS);
        let task = working(&home);
        assert!(lives(task));
        signal(&child, which);
        let ended = Ended::of(child, &ARGS);
        assert_eq!(ended.code, 130, "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(report["outcome"], "cancelled", "{report}");
        assert_eq!(report["ledger"]["live"].as_array().unwrap().len(), 0, "{report}");
        assert_eq!(report["teardown"]["leftovers"].as_array().unwrap().len(), 0, "{report}");
        assert!(ended.err.contains("giving the fleet back") && ended.err.contains("leftovers: 0"), "{ended:?}");
        until("the task's process ends", || !lives(task));
    }
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_says_how_to_sweep() {
    let home = Home::new();
    // A teardown that takes long, so that the second signal meets it.
    home.write("scenario.toml", "[[event]]\nfrom = \"start\"\nat_s = 1\nfault = { kind = \"latency\", ms = 36000000 }\n");
    let child = home.start(&ARGS);
    let task = working(&home);
    signal(&child, Signal::INT);
    signal(&child, Signal::INT);
    // Two signals of one kind at once may arrive as one: then this is the second.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let ended = Ended::of(child, &ARGS);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(
        ended.err.contains("skyfleet down --all") && ended.err.contains("--owner ada"),
        "no way to sweep is said: {ended:?}"
    );
    until("the task's process ends", || !lives(task));
}

#[test]
fn ctrl_c_before_the_launch_buys_nothing() {
    let home = Home::new();
    let child = home.start(&ARGS);
    signal(&child, Signal::INT);
    let ended = child.wait_with_output().unwrap();
    // Before the signals are taken, the shell's own rule holds: ended by the signal.
    assert!(ended.status.code() == Some(130) || ended.status.code().is_none(), "{ended:?}");
}
