use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use skyfleet_core::{Error, ErrorKind, Result};

/// Runs the user data of instances as real local processes.
///
/// Each instance gets a folder of its own, in which its script runs with the output going to
/// `console.log`, and a process group of its own, by which it is ended with everything that it
/// started. It stays up when its script ends, as a machine does, until it is stopped. At its end
/// its files are removed except for the console.
///
/// Nothing survives the host: not its drop, and not the death of the whole program by SIGKILL. A
/// second process, the watcher, knows the groups and reads from a pipe that only this program can
/// write to; when the pipe ends, it kills them. (A process that leaves its group on purpose, by
/// `setsid`, is out of reach.)
///
/// The environment of a script is not that of this program: `PATH` is, `HOME` and `TMPDIR` are the
/// instance's folder, and the rest is what the caller gives.
#[derive(Debug)]
pub struct ProcessHost {
    root: tempfile::TempDir,
    machines: BTreeMap<String, Machine>,
    /// How many were ever started: folders are numbered.
    started: u64,
    shared: Arc<Shared>,
    watcher: Child,
    /// `None` only while the host is dropped.
    reaper: Option<(Sender<Ending>, JoinHandle<()>)>,
}

/// What the host and its reaper thread both touch.
#[derive(Debug)]
struct Shared {
    /// The watcher's end of life line; `None` once it was let go.
    line: Mutex<Option<ChildStdin>>,
    /// The instances that are up or going down.
    up: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct Machine {
    child: Child,
    group: Pid,
    folder: PathBuf,
}

/// A machine that was told to end.
#[derive(Debug)]
struct Ending {
    id: String,
    machine: Machine,
    /// When it is killed, or was.
    deadline: Instant,
    killed: bool,
}

/// Kills the groups that it knows when its input ends. It is told of a group by `+ GROUP` and
/// forgets it by `- GROUP`. It ignores the signals that a terminal or a supervisor sends to
/// everybody, and the folder goes last.
const WATCH: &str = r#"
trap '' HUP INT TERM
groups=
while read -r verb group; do
    kept=
    for known in $groups; do
        [ "$known" = "$group" ] || kept="$kept $known"
    done
    groups=$kept
    [ "$verb" = + ] && groups="$groups $group"
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

/// Waits until the watcher knows the group, and then becomes the script. When this program dies
/// before that, the input ends and nothing is run.
const GATE: &str = r#"read -r go || exit 1; exec "$@" </dev/null"#;

/// How often the reaper looks at the groups that are ending.
const TICK: Duration = Duration::from_millis(10);

/// How long after SIGKILL a group may still seem to be there: its dead count until the system's
/// first process has waited for them, and in some containers that one never does.
const BURIAL: Duration = Duration::from_millis(500);

impl ProcessHost {
    /// A host that keeps the instances' folders in a new temporary folder.
    ///
    /// # Errors
    /// `Unavailable` when the folder or the watcher cannot be made.
    pub fn new() -> Result<Self> {
        let root = tempfile::Builder::new()
            .prefix("skyfleet-sim-")
            .tempdir()
            .map_err(|e| failed("no folder for the instances could be made", e))?;
        let mut watcher = Command::new("/bin/sh")
            .args(["-c", WATCH, "skyfleet-watcher"])
            .arg(root.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| failed("the watcher of the instances did not start", e))?;
        let line = Mutex::new(watcher.stdin.take());
        let shared = Arc::new(Shared { line, up: Mutex::default() });
        let (sender, receiver) = channel();
        let reaper = std::thread::Builder::new()
            .name("skyfleet-reaper".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || reap(&receiver, &shared)
            })
            .map_err(|e| failed("the reaper of the instances did not start", e))?;
        let machines = BTreeMap::new();
        Ok(Self { root, machines, started: 0, shared, watcher, reaper: Some((sender, reaper)) })
    }

    /// Runs a script as the user data of an instance. Returns at once.
    ///
    /// # Errors
    /// `InvalidRequest` when the user data is no script (its first line must name an interpreter
    /// that this machine has), `Conflict` when the instance is up already, `Unavailable` when this
    /// machine cannot start it.
    pub fn start(&mut self, instance_id: &str, user_data: &str, env: &[(&str, &str)]) -> Result<()> {
        let interpreter = interpreter(user_data).map_err(|e| e.with("instance", instance_id))?;
        if lock(&self.shared.up).contains(instance_id) {
            return Err(
                Error::new(ErrorKind::Conflict, "the instance is up already").with("instance", instance_id)
            );
        }
        let folder = self.root.path().join(format!("{:06}-{}", self.started + 1, file_name(instance_id)));
        let machine = Machine::start(folder, &interpreter, user_data, env, &self.shared)
            .map_err(|e| failed("the user data did not start", e).with("instance", instance_id))?;
        self.started += 1;
        lock(&self.shared.up).insert(instance_id.to_owned());
        self.machines.insert(instance_id.to_owned(), machine);
        Ok(())
    }

    /// Ends an instance: SIGTERM to all its processes now, SIGKILL to those that are left after
    /// `grace` of real time. Returns at once; unknown ids are fine.
    pub fn stop(&mut self, instance_id: &str, grace: Duration) {
        let Some(machine) = self.machines.remove(instance_id) else { return };
        let killed = grace.is_zero();
        machine.signal(if killed { Signal::KILL } else { Signal::TERM });
        if let Some((sender, _)) = &self.reaper {
            let ending = Ending { id: instance_id.to_owned(), machine, deadline: now() + grace, killed };
            // The reaper lives as long as the host.
            let _ = sender.send(ending);
        }
    }

    /// Ends an instance at once, with SIGKILL. Unknown ids are fine.
    pub fn kill(&mut self, instance_id: &str) {
        self.stop(instance_id, Duration::ZERO);
    }

    /// The instances that were started and are not gone yet, in order: those that are going down
    /// are among them until their last process has ended.
    pub fn running(&self) -> Vec<String> {
        lock(&self.shared.up).iter().cloned().collect()
    }

    /// The folder of an instance that is up.
    pub fn folder(&self, instance_id: &str) -> Option<&Path> {
        self.machines.get(instance_id).map(|machine| machine.folder.as_path())
    }

    /// The folder that holds all of them; it goes with the host.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Drop for ProcessHost {
    fn drop(&mut self) {
        for machine in self.machines.values() {
            machine.signal(Signal::KILL);
        }
        for machine in self.machines.values_mut() {
            let _ = machine.child.wait();
        }
        if let Some((sender, reaper)) = self.reaper.take() {
            drop(sender);
            let _ = reaper.join();
        }
        // Last: the watcher, which kills whatever it still knows.
        drop(lock(&self.shared.line).take());
        let _ = self.watcher.wait();
    }
}

impl Machine {
    fn start(
        folder: PathBuf,
        interpreter: &[String],
        user_data: &str,
        env: &[(&str, &str)],
        shared: &Shared,
    ) -> std::io::Result<Self> {
        fs::create_dir(&folder)?;
        let script = folder.join("user-data");
        fs::write(&script, user_data)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        let console = File::create(folder.join("console.log"))?;
        // The interpreter is named rather than left to the kernel: a script that was written just
        // now may be "busy" while another thread of this program starts a process.
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "skyfleet-instance"])
            .args(interpreter)
            .arg(&script)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", &folder)
            .env("TMPDIR", &folder)
            .envs(env.iter().copied())
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(console.try_clone()?)
            .stderr(console)
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&child);
        let gate = child.stdin.take();
        let opened = shared.tell('+', group).and_then(|()| match gate {
            Some(mut gate) => gate.write_all(b"go\n"),
            None => Ok(()),
        });
        // Without its line through the gate, the shell ends by itself.
        opened.inspect_err(|_| {
            let _ = child.wait();
        })?;
        Ok(Self { child, group, folder })
    }

    fn signal(&self, signal: Signal) {
        // An error means that there is nobody left to signal.
        let _ = kill_process_group(self.group, signal);
    }

    /// Whether its last process has ended. The first one is waited for here and nowhere earlier:
    /// until then the system does not give its number, which is the group's, to anybody else.
    /// With `patience_over` the dead that nobody waits for no longer count.
    fn is_gone(&mut self, patience_over: bool) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
            && (patience_over || test_kill_process_group(self.group).is_err())
    }

    /// Removes its files except for the console, which stays for whoever looks at it later.
    fn clear(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name() != "console.log" {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                if let Err(error) = removed {
                    tracing::debug!(%error, folder = %self.folder.display(), "a file of an ended instance stays");
                }
            }
        }
    }
}

impl Shared {
    fn tell(&self, verb: char, group: Pid) -> std::io::Result<()> {
        match &mut *lock(&self.line) {
            Some(line) => line.write_all(format!("{verb} {}\n", group.as_raw_nonzero()).as_bytes()),
            None => Ok(()),
        }
    }
}

/// Sees the ending instances out, until the host lets go of it; then it kills the rest.
fn reap(endings: &Receiver<Ending>, shared: &Shared) {
    let mut left: Vec<Ending> = Vec::new();
    let mut open = true;
    while open || !left.is_empty() {
        let next = match left.is_empty() {
            true => endings.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => endings.recv_timeout(TICK),
        };
        match next {
            Ok(ending) => {
                left.push(ending);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if open => open = false,
            // The channel no longer waits for us.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        left.retain_mut(|ending| {
            let now = now();
            if !ending.killed && (!open || ending.deadline <= now) {
                ending.machine.signal(Signal::KILL);
                (ending.deadline, ending.killed) = (now, true);
            }
            let gone = ending.machine.is_gone(ending.killed && ending.deadline + BURIAL <= now);
            if gone {
                ending.machine.clear();
                let _ = shared.tell('-', ending.machine.group);
                lock(&shared.up).remove(&ending.id);
            }
            !gone
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "processes live in real time, whatever the world's clock says")]
fn now() -> Instant {
    Instant::now()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command that a script's first line names.
fn interpreter(user_data: &str) -> Result<Vec<String>> {
    let bad = |what: &str| Err(Error::new(ErrorKind::InvalidRequest, what).with("key", "user_data"));
    let first = user_data.lines().next().unwrap_or_default();
    let Some(line) = first.strip_prefix("#!") else {
        return bad(&format!(
            "the user data is no script: a process-backed instance needs a first line like #!/bin/sh, this \
             one begins with {:?}",
            first.chars().take(40).collect::<String>()
        ));
    };
    let mut words = line.trim().splitn(2, char::is_whitespace).map(str::trim);
    let program = words.next().unwrap_or_default();
    if !Path::new(program).is_file() {
        return bad(&format!(
            "the user data asks for the interpreter {program:?}, which this machine has not"
        ));
    }
    Ok([program].into_iter().chain(words).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// The last part of an id, as a file name.
fn file_name(instance_id: &str) -> String {
    let last = instance_id.rsplit('/').next().unwrap_or_default();
    last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect()
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: {error}")).because(error)
}

#[cfg(test)]
mod tests {
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
        let script =
            "#!/bin/sh -e\necho \"$WHO in $(pwd), home $HOME, ${CARGO_PKG_NAME:-clean}\"\ntouch made\n";
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
}
