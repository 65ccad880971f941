use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use skyfleet_core::InstanceId;

use super::*;
use crate::protocol::{self, Assignment, Place, Status, Trouble};

/// One worker, by `sh`, and the files through which it is spoken to.
struct Machine {
    folder: tempfile::TempDir,
    script: String,
    child: Option<Child>,
}

const CAPABILITY: Capability =
    Capability { instance_id_command: "echo i-1", ..skyfleet_core::mock::CAPABILITY };

fn worker<'a>(command: &'a str, roster: &'a str) -> Worker<'a> {
    Worker { command, tasks: 3, task_timeout: None, roster, upload_headers: &[], poll: Poll::Local }
}

impl Machine {
    /// A worker with this command whose roster and inbox are there; not started.
    fn new(command: &str, change: impl FnOnce(&mut Worker<'_>)) -> Self {
        let folder = tempfile::Builder::new().prefix("a store's folder ").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let roster = path("roster");
        let mut worker = worker(command, &roster);
        change(&mut worker);
        let script = worker.script(&CAPABILITY).unwrap();
        let place = Place { slot: 4, inbox: path("inbox"), hello: path("signs/hello.0") };
        let other = Place { slot: 5, inbox: path("not mine"), hello: path("signs/hello.1") };
        let (mine, others) = (InstanceId::from("i-1"), InstanceId::from("i-10"));
        fs::write(&roster, protocol::roster([(&others, &other), (&mine, &place)])).unwrap();
        fs::create_dir(folder.path().join("machine")).unwrap();
        Self { folder, script, child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn task(&self, serial: u64, index: u32, input: &str) -> Assignment {
        let path = |name: &str| self.path(&format!("{index}/{name}")).to_str().unwrap().to_owned();
        let input_path =
            if input.is_empty() { String::new() } else { self.path(input).to_str().unwrap().to_owned() };
        Assignment {
            serial,
            index,
            attempt: 1,
            name: input.to_owned(),
            input: input_path,
            stdout: path("stdout"),
            stderr: path("stderr"),
            output: path("output"),
            status: self.path(&format!("signs/{index}.1")).to_str().unwrap().to_owned(),
        }
    }

    fn deal(&self, text: &str) {
        fs::write(self.path("inbox.new"), text).unwrap();
        fs::rename(self.path("inbox.new"), self.path("inbox")).unwrap();
    }

    fn start(&mut self) {
        let child = Command::new("/bin/sh")
            .args(["-c", &self.script])
            .current_dir(self.path("machine"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn wait_for(&self, name: &str) -> String {
        wait_until(name, || fs::read_to_string(self.path(name)).ok())
    }

    fn status(&self, index: u32) -> Status {
        Status::parse(&self.wait_for(&format!("signs/{index}.1"))).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn wait_end(&mut self) -> std::process::ExitStatus {
        let child = self.child.as_mut().unwrap();
        wait_until("the worker's end", || child.try_wait().unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited 20 s for {what}");
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn alive(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_command_finds_its_input_and_leaves_its_result() {
    let command = r#"echo "$SKYFLEET_TASK_INDEX of $SKYFLEET_TASK_COUNT, try $SKYFLEET_TASK_ATTEMPT, $SKYFLEET_INPUT_NAME in slot $SKYFLEET_SLOT"
        echo "it's loud" >&2
        tr a-z A-Z <"$SKYFLEET_INPUT" >"$SKYFLEET_OUTPUT""#;
    let mut machine = Machine::new(command, |_| {});
    fs::write(machine.path("a word.txt"), "word").unwrap();
    machine.deal(&protocol::inbox([&machine.task(1, 2, "a word.txt")]));
    machine.start();
    let status = machine.status(2);
    assert_eq!((status.exit, status.trouble, status.has_output), (Some(0), None, true));
    assert_eq!(machine.read("2/stdout"), "2 of 3, try 1, a word.txt in slot 4\n");
    assert_eq!(machine.read("2/stderr"), "it's loud\n");
    assert_eq!(machine.read("2/output"), "WORD");
    assert_eq!(machine.read("signs/hello.0"), "i-1\n");
}

#[test]
fn each_assignment_is_done_once_and_in_order() {
    let mut machine = Machine::new(r#"echo "$SKYFLEET_TASK_INDEX" >>../../../ran"#, |_| {});
    let (first, second, third) = (machine.task(1, 0, ""), machine.task(2, 1, ""), machine.task(3, 2, ""));
    machine.deal(&protocol::inbox([&first, &second]));
    machine.start();
    machine.status(1);
    machine.deal(&protocol::inbox([&second, &third]));
    machine.status(2);
    machine.deal(protocol::STOP);
    assert!(machine.wait_end().success());
    assert_eq!(machine.read("machine/ran"), "0\n1\n2\n");
}

#[test]
fn a_failing_command_reports_its_code_and_its_words() {
    let mut machine = Machine::new("echo partial; echo 'no luck' >&2; exit 7", |_| {});
    machine.deal(&protocol::inbox([&machine.task(1, 0, "")]));
    machine.start();
    let status = machine.status(0);
    assert_eq!((status.exit, status.has_output), (Some(7), false));
    assert_eq!(
        (machine.read("0/stdout"), machine.read("0/stderr")),
        ("partial\n".into(), "no luck\n".into())
    );
}

#[test]
fn an_input_that_is_gone_fails_the_task_and_not_the_worker() {
    let mut machine = Machine::new("cat \"$SKYFLEET_INPUT\"", |_| {});
    machine.deal(&protocol::inbox([&machine.task(1, 0, "nowhere"), &machine.task(2, 1, "roster")]));
    machine.start();
    assert_eq!(machine.status(0).trouble, Some(Trouble::Input));
    assert_eq!(machine.status(1).exit, Some(0));
}

#[test]
fn half_an_inbox_is_not_acted_upon() {
    let mut machine = Machine::new("true", |_| {});
    let whole = protocol::inbox([&machine.task(1, 0, "")]);
    machine.deal(whole.strip_suffix("end\n").unwrap());
    machine.start();
    machine.wait_for("signs/hello.0");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!machine.path("signs/0.1").exists());
    machine.deal(&whole);
    machine.status(0);
}

#[test]
fn a_command_over_its_time_is_ended_with_all_that_it_started() {
    let mut machine = Machine::new("echo $$; sleep 300 & echo $!; wait", |worker| {
        worker.task_timeout = Some(Duration::from_millis(900));
    });
    machine.deal(&protocol::inbox([&machine.task(1, 0, "")]));
    machine.start();
    let status = machine.status(0);
    assert_eq!((status.trouble, status.exit), (Some(Trouble::Timeout), None));
    for pid in machine.read("0/stdout").lines() {
        assert!(!alive(pid), "{pid} still runs");
    }
}

#[test]
fn a_machine_that_goes_down_says_nothing_of_its_task() {
    let mut machine = Machine::new("echo $$ >../../../pid; sleep 300; true", |_| {});
    machine.deal(&protocol::inbox([&machine.task(1, 0, "")]));
    machine.start();
    let pid = wait_until("the command", || {
        fs::read_to_string(machine.path("machine/pid")).ok().filter(|p| p.ends_with('\n'))
    });
    signal(machine.child.as_ref().unwrap(), "-TERM");
    assert!(machine.wait_end().success());
    wait_until("the command's end", || (!alive(&pid)).then_some(()));
    assert!(!machine.path("signs/0.1").exists());
    assert_eq!(fs::read_dir(machine.path("machine")).unwrap().count(), 1, "only the pid file is left");
}

#[test]
fn a_command_that_does_not_fit_is_refused_before_anything_is_bought() {
    let error = worker(&"x".repeat(20_000), "/roster").script(&CAPABILITY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("20000 bytes"), "{error}");
    let small = Capability { user_data_bytes_max: 1_000, ..CAPABILITY };
    assert!(worker("true", "/roster").script(&small).is_err());
}

/// By request target.
type Objects = Vec<(String, Vec<u8>)>;

/// Objects behind HTTP, as behind signed URLs. A URL with `slow` fails at first, as stores do.
struct Server {
    url: String,
    objects: Arc<Mutex<Objects>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let objects = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&objects);
        std::thread::spawn(move || {
            let mut failed = Vec::new();
            for stream in listener.incoming() {
                Self::answer(stream.unwrap(), &shared, &mut failed);
            }
        });
        Self { url, objects }
    }

    fn answer(mut stream: TcpStream, objects: &Mutex<Objects>, failed: &mut Vec<String>) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let (method, target) = line.trim().trim_end_matches(" HTTP/1.1").split_once(' ').unwrap();
        let (method, target) = (method.to_owned(), target.to_owned());
        let (mut length, mut typed) = (0, false);
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            match line.trim().split_once(": ") {
                None => break,
                Some((key, value)) if key.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap()
                }
                Some((key, value)) => typed |= key == "x-ms-blob-type" && value == "BlockBlob",
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let signed = target.ends_with("?signature=a%2Bb");
        let slow = target.contains("slow") && !failed.contains(&target);
        let mut objects = objects.lock().unwrap();
        let found = objects.iter().find(|(name, _)| *name == target).map(|(_, body)| body.clone());
        let (code, answer) = match method.as_str() {
            _ if !signed => (403, None),
            _ if slow => (503, None),
            "PUT" if typed => {
                objects.retain(|(name, _)| *name != target);
                objects.push((target.clone(), body));
                (201, None)
            }
            "GET" if found.is_some() => (200, found),
            "GET" => (404, None),
            _ => (400, None),
        };
        failed.push(target);
        let answer = answer.unwrap_or_default();
        write!(stream, "HTTP/1.1 {code} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len())
            .unwrap();
        stream.write_all(&answer).unwrap();
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}?signature=a%2Bb", self.url)
    }

    fn put(&self, name: &str, body: &str) {
        self.objects.lock().unwrap().push((format!("/{name}?signature=a%2Bb"), body.into()));
    }

    fn wait_for(&self, name: &str) -> String {
        wait_until(name, || {
            let target = format!("/{name}?signature=a%2Bb");
            let objects = self.objects.lock().unwrap();
            let (_, body) = objects.iter().find(|(name, _)| *name == target)?;
            Some(String::from_utf8(body.clone()).unwrap())
        })
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "says why it does nothing")]
fn signed_urls_carry_a_task_there_and_back_through_a_store_that_stumbles() {
    if !Path::new("/usr/bin/curl").exists() && Command::new("curl").arg("-V").output().is_err() {
        eprintln!("skipped: there is no curl here");
        return;
    }
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let roster = server.url("roster");
    let headers = ["x-ms-blob-type: BlockBlob".to_owned()];
    let script = Worker {
        poll: Poll::Remote,
        upload_headers: &headers,
        ..worker("wc -c <\"$SKYFLEET_INPUT\"; basename \"$SKYFLEET_INPUT\"; : >\"$SKYFLEET_OUTPUT\"", &roster)
    }
    .script(&CAPABILITY)
    .unwrap();
    let assignment = Assignment {
        serial: 1,
        attempt: 1,
        name: "below/slow words.txt".to_owned(),
        input: server.url("slow-input"),
        stdout: server.url("slow-stdout"),
        stderr: server.url("stderr"),
        output: server.url("output"),
        status: server.url("status"),
        ..Assignment::default()
    };
    let place = Place { slot: 0, inbox: server.url("inbox"), hello: server.url("hello") };
    server.put("slow-input", "12345");
    server.put("inbox", &protocol::inbox([&assignment]));
    server.put("roster", &protocol::roster([(&InstanceId::from("i-1"), &place)]));
    let mut child = Command::new("/bin/sh").args(["-c", &script]).current_dir(folder.path()).spawn().unwrap();
    let status = Status::parse(&server.wait_for("status")).unwrap();
    signal(&child, "-TERM");
    child.wait().unwrap();
    assert_eq!((status.exit, status.trouble, status.has_output), (Some(0), None, true));
    assert_eq!(server.wait_for("slow-stdout"), "5\nslow words.txt\n");
    assert_eq!(server.wait_for("output"), "");
    assert_eq!(server.wait_for("hello"), "i-1\n");
}
