use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use skyfleet_core::{Error, ErrorKind, Result};

mod power;
mod reap;
mod user_data;

use power::Line;
pub(crate) use power::Power;
use reap::{FOLDER, reap, sweep};
use user_data::UserData;

/// Runs the user data of instances as real local processes, as cloud-init would: a script, or a
/// MIME multipart archive of scripts, one after the other.
///
/// Each instance gets a folder of its own, in which its script runs with the output going to
/// `console.log`, and a process group of its own, by which it is ended with everything that it
/// started. It stays up when its script ends, as a machine does, until it is stopped. At its end
/// its files are removed except for the console.
///
/// Nothing survives the host: not its drop, and not the death of the whole program by SIGKILL. A
/// second process, the watcher, knows the groups and reads from a pipe that only this program can
/// write to; when the pipe ends, it kills them. A process that leaves its group by `setsid` is known
/// by its environment, where the system shows that (`/proc`).
///
/// The environment of a script is not that of this program: `HOME` and `TMPDIR` are the instance's
/// folder, and the rest is what the caller gives. First in its `PATH` stand shims for `shutdown`,
/// `poweroff` and their like, which end the instance and never this computer; `reboot` does
/// nothing. (By its whole path, `/sbin/shutdown`, a script still reaches the computer's own.)
#[derive(Debug)]
pub struct ProcessHost {
    root: tempfile::TempDir,
    machines: BTreeMap<String, Machine>,
    /// How many were ever started: folders are numbered.
    started: u64,
    shared: Arc<Shared>,
    power: Line,
    /// Reads what the shims ask for; `None` only while the host is dropped.
    reader: Option<JoinHandle<()>>,
    watcher: Child,
    /// `None` only while the host is dropped.
    reaper: Option<(Sender<Ending>, JoinHandle<()>)>,
}

/// What the host and its reaper thread both touch.
#[derive(Debug)]
struct Shared {
    /// The watcher's end of life line; `None` once it was let go.
    line: Mutex<Option<ChildStdin>>,
    /// The instances that are up or going down, each with the number of its newest folder: one that
    /// is started again may be up while its earlier processes still go down.
    up: Mutex<BTreeMap<String, u64>>,
    /// Every instance that ever was, by the number of its folder.
    numbers: Mutex<BTreeMap<u64, String>>,
    /// The output of every instance that ever was.
    consoles: Mutex<BTreeMap<String, PathBuf>>,
    hooks: Arc<dyn Hooks>,
}

/// What a host tells of its instances, from threads of its own.
pub(crate) trait Hooks: Send + Sync + std::fmt::Debug {
    /// A command in the instance asked for this.
    fn power(&self, instance: &str, power: Power);

    /// The instance's last process has ended.
    fn gone(&self, instance: &str);
}

/// Nobody listens.
#[derive(Debug)]
struct Deaf;

impl Hooks for Deaf {
    fn power(&self, _: &str, _: Power) {}

    fn gone(&self, _: &str) {}
}

/// Reads what instances wrote to their console, past the host itself.
#[derive(Clone, Debug)]
pub(crate) struct Consoles(Arc<Shared>);

impl Consoles {
    /// What an instance wrote so far, also after its end; `None` for one that never ran.
    pub(crate) fn read(&self, instance_id: &str) -> Option<Vec<u8>> {
        let path = lock(&self.0.consoles).get(instance_id)?.clone();
        fs::read(path).ok()
    }
}

#[derive(Debug)]
struct Machine {
    child: Child,
    group: Pid,
    folder: PathBuf,
    /// The number of its folder.
    number: u64,
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
/// everybody. Then it looks for those that left their group, and the folder goes last.
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
for file in $(grep -l -s -F -- "SKYFLEET_FOLDER=$1/" /proc/[0-9]*/environ); do
    file=${file#/proc/}
    kill -s KILL "${file%/environ}"
done
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

/// Waits until the watcher knows the group, and then becomes the script. When this program dies
/// before that, the input ends and nothing is run.
const GATE: &str = r#"read -r go || exit 1; exec "$@" </dev/null"#;

/// The folder of an instance's shims, and the file with its output, in its own folder.
const BIN: &str = "bin";
const CONSOLE: &str = "console.log";

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
        Self::with_hooks(Arc::new(Deaf))
    }

    /// The same, telling somebody what becomes of the instances.
    pub(crate) fn with_hooks(hooks: Arc<dyn Hooks>) -> Result<Self> {
        let root = tempfile::Builder::new()
            .prefix("skyfleet-sim-")
            .tempdir()
            .map_err(|e| failed("no folder for the instances could be made", e))?;
        let power =
            Line::new(root.path()).map_err(|e| failed("the line of the power shims was not made", e))?;
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
        let (up, numbers, consoles) = (Mutex::default(), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { line, up, numbers, consoles, hooks });
        let told = Arc::clone(&shared);
        let reader = power
            .reader()
            .and_then(|pipe| {
                let thread = std::thread::Builder::new().name("skyfleet-power".to_owned());
                thread.spawn(move || power::listen(pipe, |number, power| told.asked(number, power)))
            })
            .map_err(|e| failed("the reader of the power shims did not start", e))?;
        let (sender, receiver) = channel();
        let reaper = std::thread::Builder::new()
            .name("skyfleet-reaper".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || reap(&receiver, &shared)
            })
            .map_err(|e| failed("the reaper of the instances did not start", e))?;
        let (machines, reader, reaper) = (BTreeMap::new(), Some(reader), Some((sender, reaper)));
        Ok(Self { root, machines, started: 0, shared, power, reader, watcher, reaper })
    }

    /// Runs the user data of an instance. Returns at once.
    ///
    /// # Errors
    /// `InvalidRequest` when there is no script in the user data (its first line must name an
    /// interpreter that this machine has), `Conflict` when the instance is up already, `Unavailable` when this
    /// machine cannot start it.
    pub fn start(&mut self, instance_id: &str, user_data: &str, env: &[(&str, &str)]) -> Result<()> {
        let user_data = UserData::read(user_data).map_err(|e| e.with("instance", instance_id))?;
        if self.machines.contains_key(instance_id) {
            return Err(
                Error::new(ErrorKind::Conflict, "the instance is up already").with("instance", instance_id)
            );
        }
        for skipped in &user_data.skipped {
            tracing::warn!(instance = instance_id, skipped, "a part of the user data is not run");
        }
        self.started += 1;
        let number = self.started;
        let folder = self.root.path().join(format!("{number:06}-{}", file_name(instance_id)));
        lock(&self.shared.numbers).insert(number, instance_id.to_owned());
        let start = |e| failed("the user data did not start", e).with("instance", instance_id);
        fs::create_dir(&folder).map_err(start)?;
        self.power.put_shims(&folder.join(BIN), number).map_err(start)?;
        lock(&self.shared.consoles).insert(instance_id.to_owned(), folder.join(CONSOLE));
        let machine = Machine::start(folder, number, &user_data, env, &self.shared).map_err(start)?;
        lock(&self.shared.up).insert(instance_id.to_owned(), number);
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
        lock(&self.shared.up).keys().cloned().collect()
    }

    /// The folder of an instance that is up.
    pub fn folder(&self, instance_id: &str) -> Option<&Path> {
        self.machines.get(instance_id).map(|machine| machine.folder.as_path())
    }

    /// What the instances write, for whoever may not wait for the host.
    pub(crate) fn consoles(&self) -> Consoles {
        Consoles(Arc::clone(&self.shared))
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
        sweep(&|folder| folder.starts_with(self.root.path()));
        self.power.hang_up();
        if let Some(reader) = self.reader.take() {
            // The last to hold the world may be the reader itself, in the middle of a request.
            if reader.thread().id() != std::thread::current().id() {
                let _ = reader.join();
            }
        }
        for id in self.machines.keys() {
            self.shared.hooks.gone(id);
        }
        // Last: the watcher, which kills whatever it still knows.
        drop(lock(&self.shared.line).take());
        let _ = self.watcher.wait();
    }
}

impl Machine {
    fn start(
        folder: PathBuf,
        number: u64,
        user_data: &UserData,
        env: &[(&str, &str)],
        shared: &Shared,
    ) -> std::io::Result<Self> {
        let mut console = File::create(folder.join(CONSOLE))?;
        for skipped in &user_data.skipped {
            writeln!(console, "skyfleet: {skipped}")?;
        }
        let command = write_scripts(&folder, user_data)?;
        let paths = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let paths = std::iter::once(folder.join(BIN)).chain(std::env::split_paths(&paths));
        let paths = std::env::join_paths(paths).map_err(std::io::Error::other)?;
        // The interpreter is named rather than left to the kernel: a script that was written just
        // now may be "busy" while another thread of this program starts a process.
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "skyfleet-instance"])
            .args(command)
            .env_clear()
            .env("PATH", paths)
            .env(FOLDER, &folder)
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
        Ok(Self { child, group, folder, number })
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
            if entry.file_name() != CONSOLE {
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

/// Writes the scripts and gives the command that runs them: the only one itself, several one after
/// the other, whatever each of them says (cloud-init).
fn write_scripts(folder: &Path, user_data: &UserData) -> std::io::Result<Vec<String>> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok::<_, std::io::Error>(path.display().to_string())
    };
    if let [only] = user_data.scripts.as_slice() {
        let path = write("user-data", &only.text)?;
        return Ok(only.interpreter.iter().cloned().chain([path]).collect());
    }
    let mut all = String::new();
    for (number, script) in (1..).zip(&user_data.scripts) {
        let path = write(&format!("part-{number:03}"), &script.text)?;
        let words = script.interpreter.iter().chain([&path]);
        let quoted: Vec<String> = words.map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        all.push_str(&quoted.join(" "));
        all.push('\n');
    }
    Ok(vec!["/bin/sh".to_owned(), write("user-data", &all)?])
}

impl Shared {
    /// A shim asked for something.
    fn asked(&self, number: u64, power: Power) {
        let Some(id) = lock(&self.numbers).get(&number).cloned() else { return };
        match power {
            Power::Reboot => tracing::info!(instance = id, "a reboot is not simulated: the instance runs on"),
            _ => self.hooks.power(&id, power),
        }
    }

    fn tell(&self, verb: char, group: Pid) -> std::io::Result<()> {
        match &mut *lock(&self.line) {
            Some(line) => line.write_all(format!("{verb} {}\n", group.as_raw_nonzero()).as_bytes()),
            None => Ok(()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "processes live in real time, whatever the world's clock says")]
fn now() -> Instant {
    Instant::now()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
