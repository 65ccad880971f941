use super::*;

/// A script that starts a child, which starts a child, and writes down the numbers of all
/// three.
const FAMILY: &str = r#"#!/bin/sh
sh -c 'sleep 300 & echo $! >>"$OUT"; echo $$ >>"$OUT"; wait' &
echo $$ >>"$OUT"
wait
"#;

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited ten seconds in vain for: {what}");
}

/// Reads numbers of processes that a script wrote down.
fn family(path: &Path, size: usize) -> Vec<i32> {
    let read = || -> Vec<i32> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    until("all processes to have started", || read().len() == size);
    read()
}

/// Whether a process runs. A dead one that nobody has waited for does not.
fn runs(pid: i32) -> bool {
    if Path::new("/proc/self/stat").exists() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        return stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    }
    rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

#[test]
fn a_stop_ends_children_and_grandchildren() {
    let mut host = ProcessHost::new().unwrap();
    let out = host.root().join("out");
    host.start("zones/z/instances/a", FAMILY, &[("OUT", out.to_str().unwrap())]).unwrap();
    let pids = family(&out, 3);
    assert!(pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    assert_eq!(host.running(), ["zones/z/instances/a"]);
    host.stop("zones/z/instances/a", Duration::from_secs(60));
    until("the family to end", || !pids.iter().any(|pid| runs(*pid)));
    until("the instance to be gone", || host.running().is_empty());
}

#[test]
fn what_ignores_sigterm_is_killed_after_its_grace() {
    let mut host = ProcessHost::new().unwrap();
    let out = host.root().join("out");
    let script = "#!/bin/sh\ntrap 'echo asked' TERM\necho $$ >\"$OUT\"\nwhile :; do sleep 0.05; done\n";
    host.start("a", script, &[("OUT", out.to_str().unwrap())]).unwrap();
    let console = host.folder("a").unwrap().join("console.log");
    let pid = family(&out, 1)[0];
    host.stop("a", Duration::from_millis(400));
    until("the signal to arrive", || fs::read_to_string(&console).unwrap().contains("asked"));
    assert!(runs(pid), "it has a grace");
    until("the kill", || host.running().is_empty());
    assert!(!runs(pid));
}

#[test]
fn an_instance_can_start_again_while_its_earlier_processes_go_down() {
    let mut host = ProcessHost::new().unwrap();
    let out = host.root().join("out");
    let slow = "#!/bin/sh\ntrap 'sleep 0.3; exit 0' TERM\necho $$ >>\"$OUT\"\nwhile :; do sleep 0.02; done\n";
    host.start("a", slow, &[("OUT", out.to_str().unwrap())]).unwrap();
    let first = family(&out, 1)[0];
    host.stop("a", Duration::from_secs(60));
    host.start("a", slow, &[("OUT", out.to_str().unwrap())]).unwrap();
    let second = family(&out, 2)[1];
    until("the first to end", || !runs(first));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(host.running(), ["a"], "the end of the first is not the end of the second");
    assert!(runs(second));
    host.stop("a", Duration::from_secs(60));
    until("the instance to be gone", || host.running().is_empty());
}

#[test]
fn a_dropped_host_leaves_no_process_and_no_folder() {
    let mut host = ProcessHost::new().unwrap();
    let (root, outside) = (host.root().to_owned(), tempfile::tempdir().unwrap());
    let out = outside.path().join("out");
    let stubborn = "#!/bin/sh\ntrap '' TERM\necho $$ >>\"$OUT\"\nwhile :; do sleep 0.05; done\n";
    host.start("a", FAMILY, &[("OUT", out.to_str().unwrap())]).unwrap();
    host.start("b", stubborn, &[("OUT", out.to_str().unwrap())]).unwrap();
    let pids = family(&out, 4);
    host.stop("b", Duration::from_secs(600));
    drop(host);
    until("all to end", || !pids.iter().any(|pid| runs(*pid)));
    assert!(!root.exists());
}

/// Not a test by itself: the program that the next test kills.
#[test]
#[ignore = "the parent that a_killed_program_leaves_no_process starts and kills"]
fn parent_that_is_killed() {
    let Ok(out) = std::env::var("SKYFLEET_TEST_OUT") else { return };
    let mut host = ProcessHost::new().unwrap();
    fs::write(format!("{out}.root"), host.root().to_str().unwrap()).unwrap();
    host.start("a", FAMILY, &[("OUT", &out)]).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn a_killed_program_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let module = module_path!().split_once("::").unwrap().1;
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([&format!("{module}::parent_that_is_killed"), "--exact", "--ignored"])
        .env("SKYFLEET_TEST_OUT", &out)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pids = family(&out, 3);
    let root = PathBuf::from(fs::read_to_string(format!("{}.root", out.display())).unwrap());
    assert!(root.exists() && pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    parent.kill().unwrap();
    parent.wait().unwrap();
    until("all to end", || !pids.iter().any(|pid| runs(*pid)));
    until("the folder to go", || !root.exists());
}

#[test]
fn a_script_has_a_folder_of_its_own_and_not_our_environment() {
    let mut host = ProcessHost::new().unwrap();
    let script = "#!/bin/sh -e\necho \"$WHO in $(pwd), home $HOME, ${CARGO_PKG_NAME:-clean}\"\ntouch made\n";
    host.start("i-1", script, &[("WHO", "me")]).unwrap();
    host.start("i-2", script, &[("WHO", "you")]).unwrap();
    let folder = host.folder("i-1").unwrap().to_owned();
    until("the script to end", || folder.join("made").exists());
    let console = || fs::read_to_string(folder.join("console.log")).unwrap();
    let folder_text = folder.canonicalize().unwrap().display().to_string();
    assert!(console().starts_with(&format!("me in {folder_text}, home ")), "{}", console());
    assert!(console().ends_with("clean\n"), "{}", console());
    assert_eq!(host.running(), ["i-1", "i-2"], "a machine stays up when its script ends");
    host.kill("i-1");
    until("the instance to be gone", || host.running() == ["i-2"]);
    assert!(!folder.join("made").exists() && folder.join("console.log").exists());
}

#[test]
fn what_is_no_script_is_refused_by_name() {
    let mut host = ProcessHost::new().unwrap();
    for (user_data, part) in [
        ("", "no script"),
        ("#cloud-config\npackages: []", "#cloud-config"),
        ("#!/no/such/shell\n", "/no/such/shell"),
        ("#!\n", "interpreter"),
    ] {
        let error = host.start("a", user_data, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{user_data:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(host.running().is_empty());
    host.start("a", "#!/usr/bin/env sh\n", &[]).unwrap();
    assert_eq!(host.start("a", "#!/bin/sh\n", &[]).unwrap_err().kind(), ErrorKind::Conflict);
    host.stop("unknown", Duration::ZERO);
}

#[test]
fn the_parts_of_an_archive_run_one_after_the_other_whatever_each_says() {
    let mut host = ProcessHost::new().unwrap();
    let part = |kind: &str, text: &str| format!("--b\nContent-Type: {kind}\n\n{text}\n");
    let archive = format!(
        "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n{}{}{}--b--\n",
        part("text/x-shellscript", "#!/bin/sh\nsleep 0.1\necho first\nexit 3"),
        part("text/cloud-config", "#cloud-config\n"),
        part("text/x-shellscript", "#!/bin/sh -e\necho second"),
    );
    host.start("a", &archive, &[]).unwrap();
    let read = || String::from_utf8(host.consoles().read("a").unwrap()).unwrap();
    until("both to have run", || read().ends_with("second\n"));
    let console = read();
    let lines: Vec<&str> = console.lines().collect();
    assert!(lines[0].contains("text/cloud-config") && lines[0].contains("not run"), "{lines:?}");
    assert_eq!(lines[1..], ["first", "second"]);
}

#[test]
fn what_leaves_its_group_ends_with_its_instance() {
    if !Path::new("/proc/self/environ").exists() {
        return;
    }
    let mut host = ProcessHost::new().unwrap();
    let out = host.root().join("out");
    let script = "#!/bin/sh\nsetsid sh -c 'echo $$ >>\"$OUT\"; sleep 300' &\nwait\n";
    for id in ["a", "b"] {
        host.start(id, script, &[("OUT", out.to_str().unwrap())]).unwrap();
        family(&out, if id == "a" { 1 } else { 2 });
    }
    let pids = family(&out, 2);
    host.stop("a", Duration::from_millis(50));
    until("the first to be swept", || !runs(pids[0]));
    assert!(runs(pids[1]), "the other instance goes on");
    drop(host);
    until("the second to be swept", || !runs(pids[1]));
}
