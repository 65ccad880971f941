//! A job over the remote path: signed URLs, `curl`, and a store that speaks S3 on the loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use skyfleet::{Config, Spec};
use skyfleet_core::{FleetName, Owner};
use skyfleet_sim::SimProvider;

use crate::{Job, Store, Tasks};

/// As much of S3 as a job needs. What is not signed is refused.
struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Requests by method and by how they were signed.
    requests: Mutex<BTreeMap<String, u32>>,
}

impl Bucket {
    fn serve() -> (Arc<Self>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bucket = Arc::new(Self { objects: Mutex::default(), requests: Mutex::default() });
        let shared = Arc::clone(&bucket);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let bucket = Arc::clone(&shared);
                std::thread::spawn(move || bucket.talk(stream.unwrap()));
            }
        });
        (bucket, port)
    }

    fn talk(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap_or("/").to_owned());
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((key, value)) = line.trim().split_once(':') else { break };
            headers.insert(key.to_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |n| n.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let (status, length, answer) = self.answer(&method, &target, &headers, body);
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nETag: \"e\"\r\nConnection: close\r\n\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer)).ok();
    }

    fn answer(
        &self,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> (u16, usize, Vec<u8>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = decoded(path).trim_start_matches("/bucket").trim_start_matches('/').to_owned();
        let query: BTreeMap<String, String> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(k, v)| (decoded(k), decoded(v)))
            .collect();
        let signed = match (headers.contains_key("authorization"), query.contains_key("X-Amz-Signature")) {
            (true, _) => "header",
            (_, true) => "url",
            _ => return sized(403, Vec::new()),
        };
        *self.requests.lock().unwrap().entry(format!("{method} {signed}")).or_default() += 1;
        let mut objects = self.objects.lock().unwrap();
        match method {
            "PUT" => {
                let source = headers.get("x-amz-copy-source").map(|source| decoded(source));
                let bytes = match &source {
                    None => Some(body),
                    Some(source) => objects
                        .get(source.trim_start_matches("/bucket/").trim_start_matches("bucket/"))
                        .cloned(),
                };
                let Some(bytes) = bytes else { return missing() };
                objects.insert(key, bytes);
                let answer = source.map_or("", |_| "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>");
                sized(200, answer.into())
            }
            "GET" if query.contains_key("list-type") => sized(200, list(&objects, &query).into_bytes()),
            "GET" => objects.get(&key).map_or_else(missing, |bytes| sized(200, bytes.clone())),
            "HEAD" => objects.get(&key).map_or((404, 0, Vec::new()), |bytes| (200, bytes.len(), Vec::new())),
            "DELETE" => {
                objects.remove(&key);
                sized(204, Vec::new())
            }
            "POST" if query.contains_key("delete") => {
                let text = String::from_utf8(body).unwrap();
                let keys = text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap());
                let mut answer = String::new();
                for key in keys {
                    objects.remove(key);
                    answer += &format!("<Deleted><Key>{key}</Key></Deleted>");
                }
                sized(200, format!("<DeleteResult>{answer}</DeleteResult>").into_bytes())
            }
            _ => sized(400, Vec::new()),
        }
    }

    fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

fn sized(status: u16, answer: Vec<u8>) -> (u16, usize, Vec<u8>) {
    (status, answer.len(), answer)
}

fn missing() -> (u16, usize, Vec<u8>) {
    sized(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>".to_vec())
}

fn list(objects: &BTreeMap<String, Vec<u8>>, query: &BTreeMap<String, String>) -> String {
    let (prefix, delimiter) = (&query["prefix"], query.get("delimiter").filter(|d| !d.is_empty()));
    let (mut files, mut folders) = (String::new(), BTreeSet::new());
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(prefix.as_str())) {
        let rest = &key[prefix.len()..];
        match delimiter.and_then(|d| rest.find(d.as_str())) {
            Some(end) => drop(folders.insert(format!("{prefix}{}", &rest[..=end]))),
            None => {
                let at = "2026-01-01T00:00:00.000Z";
                files += &format!(
                    "<Contents><Key>{key}</Key><LastModified>{at}</LastModified><ETag>\"e\"</ETag>\
                     <Size>{}</Size></Contents>",
                    bytes.len()
                );
            }
        }
    }
    let folders: String =
        folders.iter().map(|f| format!("<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>")).collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{files}{folders}</ListBucketResult>")
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [a, b, tail @ ..]) => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&[*a, *b]).unwrap(), 16).unwrap());
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Credentials come from the environment only, and a test must not change its own: it runs itself
/// again, with some.
#[test]
#[expect(clippy::print_stderr, reason = "says why it does nothing")]
fn a_job_over_a_remote_store_needs_no_credential_on_its_machines() {
    if Command::new("curl").arg("-V").output().is_err() {
        eprintln!("skipped: there is no curl here");
        return;
    }
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "run::remote_tests::with_credentials", "--ignored", "--nocapture"])
        .env("AWS_ACCESS_KEY_ID", "known-to-the-controller")
        .env("AWS_SECRET_ACCESS_KEY", "hush")
        .output()
        .unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
    assert!(!told.contains("hush"), "{told}");
}

#[tokio::test]
#[ignore = "is run by another test, with credentials"]
async fn with_credentials() {
    let (bucket, port) = Bucket::serve();
    let url = |prefix: &str| {
        format!("s3://bucket/{prefix}?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A{port}")
    };
    let inputs = tempfile::tempdir().unwrap();
    fs::create_dir(inputs.path().join("deep")).unwrap();
    fs::write(inputs.path().join("deep/two words.txt"), "12345").unwrap();
    fs::write(inputs.path().join("a"), "1").unwrap();

    let (owner, name) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
    let mut config = Config::new("sim", owner, name, Spec::new(2));
    config.providers.insert("sim".to_owned(), "clock = \"scaled:60\"".parse::<toml::Table>().unwrap().into());
    // The command fails at first, so that a retry is seen too.
    let command =
        "[ $SKYFLEET_TASK_ATTEMPT = 2 ] || exit 1; wc -c <\"$SKYFLEET_INPUT\"; env >\"$SKYFLEET_OUTPUT\"";
    let run = Job::new("test", command)
        .tasks(Tasks::Objects(inputs.path().to_str().unwrap().to_owned()))
        .store(Store::open(&url("results")).unwrap())
        .open(config)
        .await
        .unwrap();
    let world = run.fleet().provider_as::<SimProvider>().unwrap().world().clone();
    let report = run.run(std::future::pending(), |_| {}).await.unwrap();

    assert!(report.succeeded(), "{report:?}");
    for (task, size) in report.tasks.iter().zip(["1", "5"]) {
        assert_eq!(String::from_utf8(report.stdout(task).await.unwrap()).unwrap().trim(), size);
        assert_eq!((task.attempts, task.counted), (2, Some(2)));
        let environment = String::from_utf8(report.output(task).await.unwrap()).unwrap();
        assert!(!environment.contains("AWS_") && !environment.contains("hush"), "{environment}");
    }
    assert!(world.ledger().proves_empty());
    let keys = bucket.keys();
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("results/test/results/")), "{keys:?}");
    assert!(keys.contains(&"results/test/results/deep/two words.txt/stdout".to_owned()), "{keys:?}");
    let requests = bucket.requests.lock().unwrap().clone();
    // Of the machines: 2 hellos; 4 runs with stdout, stderr and status each, 2 of them with an output.
    assert_eq!(requests["PUT url"], 2 + 4 * 3 + 2, "{requests:?}");

    // The same objects as inputs: they are read where they are.
    let listed = Tasks::Objects(url("results/test/results/deep")).list().await.unwrap();
    assert_eq!(listed.names.len(), 4, "{listed:?}");
}
