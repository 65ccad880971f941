use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use rustix::process::{Pid, Signal, kill_process};

use super::{BURIAL, Ending, Shared, TICK, lock, now};

/// The variable by which a process of an instance is known, wherever it went: its folder.
pub(super) const FOLDER: &str = "SKYFLEET_FOLDER";

/// Sees the ending instances out, until the host lets go of it; then it kills the rest.
pub(super) fn reap(endings: &Receiver<Ending>, shared: &Shared) {
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
        let mut gone = Vec::new();
        for mut ending in std::mem::take(&mut left) {
            let now = now();
            if !ending.killed && (!open || ending.deadline <= now) {
                ending.machine.signal(Signal::KILL);
                (ending.deadline, ending.killed) = (now, true);
            }
            match ending.machine.is_gone(ending.killed && ending.deadline + BURIAL <= now) {
                true => gone.push(ending),
                false => left.push(ending),
            }
        }
        if !gone.is_empty() {
            sweep(&|folder| gone.iter().any(|ending| ending.machine.folder == folder));
        }
        for ending in gone {
            ending.machine.clear();
            let _ = shared.tell('-', ending.machine.group);
            let mut up = lock(&shared.up);
            // It may have been started again meanwhile.
            if up.get(&ending.id) == Some(&ending.machine.number) {
                up.remove(&ending.id);
                drop(up);
                shared.hooks.gone(&ending.id);
            }
        }
    }
}

/// Kills the processes of the instances whose folder is meant, also those that left their group:
/// they are known by their environment, where the system shows that.
pub(super) fn sweep(is_meant: &dyn Fn(&Path) -> bool) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some((pid, environ)) = pid.zip(fs::read(entry.path().join("environ")).ok()) else { continue };
        let folder = environ.split(|byte| *byte == 0).find_map(|variable| {
            variable.strip_prefix(FOLDER.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        });
        if folder.is_some_and(|folder| is_meant(Path::new(OsStr::from_bytes(folder)))) {
            // An error means that it has ended by now.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
