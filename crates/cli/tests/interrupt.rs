//! Ctrl-C: the first gives everything back, the second leaves at once.

mod skyfleet;

use rustix::process::{Pid, Signal, kill_process};
use skyfleet::{Home, Running, lives, until};

/// A job whose tasks write down their process and then take their time.
fn job(home: &Home) -> (Running, Vec<String>) {
    let command = format!("echo $$ > '{}'-$SKYFLEET_TASK_INDEX; sleep 300", home.path("pid").display());
    let args: Vec<String> =
        ["run", "--tasks", "2", "-n", "2", "--json", "--", &command].map(str::to_owned).to_vec();
    (home.start(&words(&args)), args)
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn signal(running: &mut Running, signal: Signal) {
    kill_process(Pid::from_child(running.child()), signal).unwrap();
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
        let (mut running, args) = job(&home);
        let task = working(&home);
        assert!(lives(task));
        signal(&mut running, which);
        let ended = running.ended(&words(&args));
        assert_eq!(ended.code, 130, "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(report["outcome"], "cancelled", "{report}");
        assert_eq!(report["ledger"]["live"].as_array().unwrap().len(), 0, "{report}");
        assert_eq!(report["teardown"]["leftovers"].as_array().unwrap().len(), 0, "{report}");
        assert!(
            ended.err.contains("giving the fleet back") && ended.err.contains("leftovers: 0"),
            "{ended:?}"
        );
        until("the task's process ends", || !lives(task));
    }
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_says_how_to_sweep() {
    let home = Home::new();
    let (mut running, args) = job(&home);
    let task = working(&home);
    signal(&mut running, Signal::INT);
    // Two of one kind at once may arrive as one: the second is of the other kind.
    signal(&mut running, Signal::TERM);
    let ended = running.ended(&words(&args));
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(
        ended.err.contains("skyfleet down --all") && ended.err.contains("--owner ada"),
        "no way to sweep is said: {ended:?}"
    );
    until("the task's process ends", || !lives(task));
}

#[test]
fn a_signal_before_the_launch_buys_nothing() {
    let home = Home::new();
    let (mut running, args) = job(&home);
    // Not SIGINT: a shell without job control starts what runs behind it with that ignored, and so
    // it is until the command takes it.
    signal(&mut running, Signal::TERM);
    let ended = running.ended(&words(&args));
    // Before the signals are taken, the system's own rule holds: ended by the signal, no code.
    assert!([130, -1].contains(&ended.code), "{ended:?}");
    assert!(!home.path("pid-0").exists());
}
