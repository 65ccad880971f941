use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a command in an instance asked of the instance's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// Off, after this long.
    OffIn(Duration),
    /// Off, at this second of the day, in UTC.
    OffAt(u32),
    /// Not off after all.
    Stay,
    /// Down and up again: not simulated.
    Reboot,
}

/// The commands that would end, or outlive, a machine. In an instance each of them is the shim.
const COMMANDS: [&str; 13] = [
    "shutdown",
    "poweroff",
    "halt",
    "reboot",
    "init",
    "telinit",
    "systemctl",
    "systemd-run",
    "at",
    "batch",
    "crontab",
    "sudo",
    "doas",
];

/// Stands first in the `PATH` of an instance, under the name of each of the commands, so that what
/// is meant for the instance never reaches this computer. `sudo` runs its command as it is: user
/// data are root's on a real machine, and in here nobody gains rights.
const SHIM: &str = r#"
name=${0##*/}
tell() {
    printf '%s %s\n' "$instance" "$*" >"$power"
    echo "skyfleet: $name: this instance's power: $*" >&2
    exit 0
}
refuse() {
    echo "skyfleet: $name: $1 is not simulated, and never done on this computer" >&2
    exit 1
}
case $name in
sudo | doas)
    while [ $# -gt 0 ]; do
        case $1 in
        -[CDghpRrTtUu]) [ $# -gt 1 ] && shift ;;
        --) shift; break ;;
        -*) ;;
        [A-Za-z_]*=*) export "$1" ;;
        *) break ;;
        esac
        shift
    done
    [ $# -gt 0 ] || exit 0
    case ${1##*/} in
    shutdown | poweroff | halt | reboot | init | telinit | systemctl | systemd-run | at | batch | crontab)
        command=${1##*/}
        shift
        exec "${0%/*}/$command" "$@"
        ;;
    esac
    exec "$@"
    ;;
shutdown)
    verb=off when=
    while [ $# -gt 0 ]; do
        case $1 in
        --reboot) verb=reboot ;;
        --help | --version | --show) exit 0 ;;
        --*) ;;
        -t) [ $# -gt 1 ] && shift ;;
        -*c*) verb=stay ;;
        -*r*) verb=reboot ;;
        -*k*) exit 0 ;;
        -*) ;;
        *) when=$1; break ;;
        esac
        shift
    done
    [ "$verb" = off ] && tell off "${when:-+1}"
    tell "$verb"
    ;;
poweroff | halt | reboot)
    verb=off
    [ "$name" = reboot ] && verb=reboot
    for word; do
        case $word in
        -w | --wtmp-only | --help) exit 0 ;;
        -p | --poweroff | --halt) verb=off ;;
        --reboot) verb=reboot ;;
        esac
    done
    [ "$verb" = off ] && tell off now
    tell "$verb"
    ;;
init | telinit)
    case ${1-} in
    0) tell off now ;;
    6) tell reboot ;;
    *) refuse "run level ${1-}" ;;
    esac
    ;;
systemctl)
    for word; do
        case $word in
        -*) ;;
        poweroff | halt) tell off now ;;
        reboot | kexec | soft-reboot) tell reboot ;;
        *) refuse "$word" ;;
        esac
    done
    refuse "it"
    ;;
*) refuse "what would outlive its instance" ;;
esac
"#;

/// The line by which the shims of all instances reach the host: a named pipe, held open at both
/// ends so that it never ends by itself.
#[derive(Debug)]
pub(super) struct Line {
    path: PathBuf,
    pipe: File,
}

/// The word that ends the reading.
const HANG_UP: &str = "hang-up";

impl Line {
    pub(super) fn new(root: &Path) -> std::io::Result<Self> {
        let path = root.join("power");
        let made = Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !made.success() {
            return Err(std::io::Error::other(format!("mkfifo ended with {made}")));
        }
        let pipe = File::options().read(true).write(true).open(&path)?;
        Ok(Self { path, pipe })
    }

    /// Puts the shims of an instance into a folder.
    pub(super) fn put_shims(&self, folder: &Path, instance: u64) -> std::io::Result<()> {
        fs::create_dir(folder)?;
        let shim = folder.join(COMMANDS[0]);
        let power = self.path.display().to_string().replace('\'', r"'\''");
        fs::write(&shim, format!("#!/bin/sh\npower='{power}' instance={instance}\n{SHIM}"))?;
        fs::set_permissions(&shim, fs::Permissions::from_mode(0o700))?;
        COMMANDS[1..].iter().try_for_each(|name| symlink(COMMANDS[0], folder.join(name)))
    }

    /// The reading end, for a thread of its own.
    pub(super) fn reader(&self) -> std::io::Result<File> {
        self.pipe.try_clone()
    }

    /// Ends the reading.
    pub(super) fn hang_up(&self) {
        let _ = (&self.pipe).write_all(format!("{HANG_UP}\n").as_bytes());
    }
}

/// Tells each request that comes, with the instance's number, until the line hangs up.
pub(super) fn listen(pipe: File, tell: impl Fn(u64, Power)) {
    for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
        if line == HANG_UP {
            return;
        }
        match read(&line) {
            Some((instance, power)) => tell(instance, power),
            None => tracing::warn!(line, "an instance asked for something that is no power request"),
        }
    }
}

/// `7 off now`, `7 off +5`, `7 off 23:30`, `7 stay`, `7 reboot`.
fn read(line: &str) -> Option<(u64, Power)> {
    let mut words = line.split_whitespace();
    let instance = words.next()?.parse().ok()?;
    let power = match (words.next()?, words.next()) {
        ("off", Some("now")) => Power::OffIn(Duration::ZERO),
        ("off", Some(when)) => match when.split_once(':') {
            Some((hour, minute)) => {
                let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
                (hour < 24 && minute < 60).then_some(Power::OffAt(hour * 3_600 + minute * 60))?
            }
            None => Power::OffIn(Duration::from_secs(
                when.trim_start_matches('+').parse::<u32>().ok().map(u64::from)? * 60,
            )),
        },
        ("stay", None) => Power::Stay,
        ("reboot", None) => Power::Reboot,
        _ => return None,
    };
    Some((instance, power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_shims_say_what_is_meant_for_the_instance_and_refuse_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let line = Line::new(root.path()).unwrap();
        let bin = root.path().join("bin");
        line.put_shims(&bin, 7).unwrap();
        let (sender, told) = channel();
        let reader = line.reader().unwrap();
        let thread = std::thread::spawn(move || {
            listen(reader, |instance, power| sender.send((instance, power)).unwrap())
        });
        let minutes = |n: u64| Some(Power::OffIn(Duration::from_secs(n * 60)));
        for (command, means) in [
            ("shutdown -h now", minutes(0)),
            ("shutdown now", minutes(0)),
            ("shutdown -P +5", minutes(5)),
            ("shutdown -h 90 good bye", minutes(90)),
            ("shutdown", minutes(1)),
            ("shutdown -h 23:30", Some(Power::OffAt(84_600))),
            ("shutdown -c", Some(Power::Stay)),
            ("shutdown -r now", Some(Power::Reboot)),
            ("shutdown --reboot", Some(Power::Reboot)),
            ("shutdown -k now", None),
            ("poweroff", minutes(0)),
            ("halt -p", minutes(0)),
            ("reboot", Some(Power::Reboot)),
            ("reboot -f", Some(Power::Reboot)),
            ("reboot -p", minutes(0)),
            ("init 0", minutes(0)),
            ("telinit 6", Some(Power::Reboot)),
            ("systemctl --no-wall poweroff", minutes(0)),
            ("systemctl reboot", Some(Power::Reboot)),
            ("sudo -n shutdown -h now", minutes(0)),
            ("sudo -u root FOO=bar /sbin/poweroff", minutes(0)),
            ("sudo sh -c true", None),
        ] {
            let mut words = command.split(' ');
            // By its whole path: a test never asks this computer's own commands.
            let status = Command::new(bin.join(words.next().unwrap()))
                .args(words)
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success(), "{command}");
            let said =
                told.recv_timeout(Duration::from_millis(if means.is_some() { 10_000 } else { 50 })).ok();
            assert_eq!(said, means.map(|power| (7, power)), "{command}");
        }
        for command in
            ["systemctl start poweroff.target", "systemd-run shutdown", "at now", "init 3", "crontab"]
        {
            let mut words = command.split(' ');
            let shim = Command::new(bin.join(words.next().unwrap())).args(words).output().unwrap();
            assert!(!shim.status.success(), "{command}");
            assert!(
                String::from_utf8_lossy(&shim.stderr).contains("never done on this computer"),
                "{command}"
            );
        }
        line.hang_up();
        thread.join().unwrap();
    }

    #[test]
    fn what_is_no_request_is_none() {
        for line in
            ["", "x off now", "7", "7 off", "7 off soon", "7 off 25:00", "7 off -3", "7 dance", "7 stay here"]
        {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
