//! `skyfleet sim`: serves the simulated clouds until it is asked to end.

mod skyfleet;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use skyfleet::{Home, Running, lives, until};

/// A server, and the URLs of its ready line.
fn served(home: &Home, args: &[&str]) -> (Running, Value) {
    let mut running = home.start(&[&["sim"], args].concat());
    let mut line = String::new();
    let out = running.child().stdout.as_mut().unwrap();
    // One byte at a time: nothing of what may follow is swallowed.
    let mut byte = [0];
    while out.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(char::from(byte[0]));
    }
    let urls = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    (running, urls)
}

/// The status of an answer and its body.
fn ask(url: &Value, request: &str) -> (u16, String) {
    let address = url.as_str().unwrap().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let (line, body) = request.split_once('\n').unwrap_or((request, ""));
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn all_faces_answer_once_the_ready_line_is_there() {
    let home = Home::new();
    let (mut running, urls) = served(&home, &["--clock", "manual", "--seed", "7"]);
    assert_eq!(urls.as_object().unwrap().len(), 4, "{urls}");
    assert_eq!(ask(&urls["admin"], "GET /healthz").0, 200);
    assert_eq!(ask(&urls["aws"], "POST /\nAction=Nothing").0, 400);
    assert_eq!(ask(&urls["gcp"], "GET /compute/v1/projects/p/zones").0, 200);
    assert_eq!(ask(&urls["gcp"], "GET /compute/v1/projects/p/nothing").0, 501);
    assert_eq!(ask(&urls["azure"], "GET /subscriptions?api-version=2022-12-01").0, 200);
    assert_eq!(ask(&urls["azure"], "GET /nothing?api-version=2022-12-01").0, 501);
    let (status, clock) = ask(&urls["admin"], "POST /v1/clock\n{\"advance_s\":60}");
    assert_eq!(status, 200, "{clock}");
    assert!(clock.contains("2026-01-01T00:01:00Z"), "{clock}");
    kill_process(Pid::from_child(running.child()), Signal::TERM).unwrap();
    let ended = running.ended(&["sim"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
    // What is not simulated is logged, each call in a line.
    assert_eq!(ended.err.matches("not simulated").count(), 3, "{ended:?}");
}

#[test]
fn ctrl_c_is_a_clean_end() {
    let home = Home::new();
    let (mut running, _) = served(&home, &[]);
    kill_process(Pid::from_child(running.child()), Signal::INT).unwrap();
    assert_eq!(running.ended(&["sim"]).code, 0);
}

#[test]
fn it_ends_with_its_parent_when_asked_to() {
    let home = Home::new();
    let mut command = home.command(&["sim", "--exit-with-parent"]);
    command.stdin(Stdio::piped());
    let mut running = Running::of(command);
    let mut line = String::new();
    BufReader::new(running.child().stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pid = running.child().id();
    assert!(line.starts_with('{') && lives(pid), "{line}");
    drop(running.child().stdin.take());
    until("it ends", || !lives(pid));
    assert_eq!(running.ended(&["sim"]).code, 0);
}

#[test]
fn a_closed_input_alone_does_not_end_it() {
    let home = Home::new();
    // The input of these tests is empty from the start.
    let (mut running, urls) = served(&home, &[]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(ask(&urls["admin"], "GET /healthz").0, 200);
    assert!(running.child().try_wait().unwrap().is_none());
}

#[test]
fn the_environment_can_be_evaluated_by_a_shell() {
    let home = Home::new();
    let scenario = "[[credentials]]\ncloud = \"aws\"\nkey_id = \"AKIAKNOWN\"\nsecret = \"open 'sesame' $HOME\"\n\
         [[credentials]]\ncloud = \"gcp\"\nkey_id = \"batch-474711\"\nsecret = \"ya29.barley\"\n";
    home.write("keys.toml", scenario);
    let script = format!(
        "'{}' sim --env --scenario keys.toml --clock scaled:60 > env & sim=$!\n\
         while ! grep -q SIMCLOUD_CLOCK env; do sleep 0.05; done\n\
         eval \"$(cat env)\"\nenv\nkill $sim\nwait $sim\necho ended $?\n",
        env!("CARGO_BIN_EXE_skyfleet")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path(""))
        .current_dir(home.path(""))
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is not set: {out}")).to_owned()
    };
    assert_eq!(value("AWS_ENDPOINT_URL"), value("AWS_ENDPOINT_URL_EC2"));
    assert_eq!(value("AWS_ACCESS_KEY_ID"), "AKIAKNOWN");
    assert_eq!(value("AWS_SECRET_ACCESS_KEY"), "open 'sesame' $HOME");
    assert_eq!((value("AWS_REGION"), value("AWS_DEFAULT_REGION")), ("us-east-1".into(), "us-east-1".into()));
    assert!(value("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE").ends_with("/compute/v1/"));
    assert!(value("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING").starts_with("http://127.0.0.1:"));
    assert_eq!(value("GOOGLE_CLOUD_PROJECT"), "batch-474711");
    assert_eq!(value("CLOUDSDK_CORE_PROJECT"), "batch-474711");
    assert_eq!(value("CLOUDSDK_AUTH_ACCESS_TOKEN"), "ya29.barley");
    for name in ["AZURE_SUBSCRIPTION_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_ID"] {
        assert!(!value(name).is_empty());
    }
    assert!(value("AZURE_AUTHORITY_HOST").starts_with("http://127.0.0.1:"));
    assert!(value("SIMCLOUD_ADMIN").starts_with("http://127.0.0.1:"));
    assert!(value("SIMCLOUD_CLOCK").starts_with("60@"));
    assert!(out.ends_with("ended 0\n"), "{out}");
}

#[test]
fn what_cannot_be_served_is_refused_in_one_clear_line() {
    let home = Home::new();
    home.write(
        "wrong.toml",
        "[[event]]\nat_s = 1\nkind = \"capacity\"\nzone = \"us-east-1z\"\navailable = 0\n",
    );
    home.write("broken.toml", "[market\n");
    let cases: &[(&[&str], &[&str])] = &[
        (&["--host", "0.0.0.0"], &["0.0.0.0", "loopback"]),
        (&["--host", "example.com"], &["example.com", "127.0.0.1"]),
        (&["--port", "65533"], &["65533", "four ports"]),
        (&["--port", "0"], &["port 0"]),
        (&["--port", "many"], &["many", "--port"]),
        (&["--clock", "fast"], &["fast", "scaled:K"]),
        (&["--clock", "scaled:0"], &["scaled:0"]),
        (&["--seed", "-1"], &["-1"]),
        (&["--scenario", "missing.toml"], &["missing.toml"]),
        (&["--scenario", "broken.toml"], &["broken.toml", "line 1"]),
        (&["--scenario", "wrong.toml"], &["us-east-1z", "us-east-1a"]),
        (&["--processes", "ledger"], &["without a command"]),
    ];
    for (args, words) in cases {
        home.run(&[&["sim"], *args].concat()).refused(2, words);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let home = Home::new();
    let (_running, urls) = served(&home, &[]);
    let port = urls["azure"].as_str().unwrap().rsplit(':').next().unwrap();
    home.run(&["sim", "--port", port]).refused(1, &[port, "cannot be listened on"]);
}

#[test]
fn the_processes_of_instances_end_with_it() {
    let home = Home::new();
    let (mut running, urls) = served(&home, &["--processes", "--clock", "scaled:600"]);
    let ec2 = |form: &str| {
        let (status, body) = ask(&urls["aws"], &format!("POST /\n{form}"));
        assert_eq!(status, 200, "{body}");
        body
    };
    let image = ec2("Action=DescribeImages&Owner.1=amazon&Filter.1.Name=architecture&Filter.1.Value.1=arm64");
    let image = image.split("<imageId>").nth(1).unwrap().split('<').next().unwrap();
    // echo $$ > "$HOME/../../pid"; sleep 300: the folder of all instances is in the home of the test.
    let script = "IyEvYmluL3NoCmVjaG8gJCQgPiAiJEhPTUUvLi4vLi4vcGlkIgpzbGVlcCAzMDAK";
    ec2(&format!(
        "Action=RunInstances&ImageId={image}&InstanceType=m7g.large&MinCount=1&MaxCount=1&UserData={script}"
    ));
    let file = home.path("pid");
    let pid = || std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    until("the user data run", || pid().is_some());
    let pid: u32 = pid().unwrap();
    assert!(lives(pid));
    kill_process(Pid::from_child(running.child()), Signal::TERM).unwrap();
    let ended = running.ended(&["sim"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!lives(pid));
}
