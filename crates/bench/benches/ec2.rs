//! The simulated EC2 over its own protocol: instances launched in bulk, and a list of 10,000 of
//! them in pages. What is measured is the processor time of the server, without this client's.

mod cpu;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use cpu::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skyfleet_bench::usage;
use skyfleet_core::{ManualClock, Timestamp};
use skyfleet_simcloud::{Cloud, Fault, Server, ServerOptions};

/// How many instances one call launches: what EC2 lets go in a burst.
const BURST: u32 = 1_000;

/// How many instances are listed, and how many to a page.
const LISTED: u32 = 10_000;
const PAGE: u32 = 1_000;

/// A server by a clock that stands still, and a connection to its EC2.
struct Ec2 {
    /// Serves as long as it is held.
    _server: Server,
    clock: ManualClock,
    connection: BufReader<TcpStream>,
}

impl Ec2 {
    fn start() -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).expect("a time"));
        let server = Server::start(ServerOptions::manual(clock.clone())).expect("a server");
        for quota in ["L-1216C47A", "L-34B43A08"] {
            let fault = Fault::Quota {
                cloud: Some(Cloud::Aws),
                region: "us-east-1".into(),
                name: quota.to_owned(),
                limit: Some(1_000_000),
            };
            server.world(Cloud::Aws).inject(fault).expect("a quota");
        }
        let address = server.urls().aws.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let mut ec2 = Self { _server: server, clock, connection: BufReader::new(stream) };
        let images = ec2.ask("Action=DescribeImages&Filter.1.Name=architecture&Filter.1.Value.1=arm64");
        let image = element(&images, "imageId").to_owned();
        ec2.ask(&format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName=bench&LaunchTemplateData.ImageId={image}"
        ));
        ec2
    }

    fn ask(&mut self, form: &str) -> String {
        let scope = "AWS4-HMAC-SHA256 Credential=AKIA/20270115/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=00";
        let head = format!(
            "POST / HTTP/1.1\r\nhost: sim\r\nauthorization: {scope}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
            form.len()
        );
        let stream = self.connection.get_mut();
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(form.as_bytes()))
            .expect("a request");
        let (mut status, mut length) = (String::new(), 0);
        self.connection.read_line(&mut status).expect("an answer");
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().expect("a length");
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).expect("a body");
        let body = String::from_utf8(body).expect("a text");
        assert!(status.contains(" 200 "), "{:.80}: {status}{body}", form);
        body
    }

    /// Lets the buckets fill up again.
    fn rest(&self) {
        self.clock.advance(Duration::from_secs(600));
    }

    /// Ends everything that runs and lets it fade.
    fn end_all(&mut self, answer: &str) {
        self.clock.advance(Duration::from_secs(5));
        let ids = answer.split(">i-0").skip(1).map(|rest| &rest[..16]);
        let ids: std::collections::BTreeSet<&str> = ids.collect();
        let form: String =
            ids.iter().enumerate().map(|(i, id)| format!("&InstanceId.{}=i-0{id}", i + 1)).collect();
        self.ask(&format!("Action=TerminateInstances{form}"));
        self.rest();
    }
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no <{name}> in {xml}"));
    rest.split('<').next().unwrap_or_default()
}

fn run(name: &str, zone: &str) -> String {
    format!(
        "Action=RunInstances&LaunchTemplate.LaunchTemplateName=bench&InstanceType={name}\
         &Placement.AvailabilityZone={zone}&MinCount={BURST}&MaxCount={BURST}"
    )
}

const FLEET: &str = "Action=CreateFleet&Type=instant\
    &TargetCapacitySpecification.TotalTargetCapacity=1000\
    &TargetCapacitySpecification.DefaultTargetCapacityType=on-demand\
    &LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=bench\
    &LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version=1\
    &LaunchTemplateConfigs.1.Overrides.1.InstanceType=m7g.large\
    &LaunchTemplateConfigs.1.Overrides.2.InstanceType=m6g.large";

fn launches(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ec2/launch");
    group.throughput(Throughput::Elements(u64::from(BURST))).sample_size(10);
    for (name, form) in [("RunInstances", run("m7g.large", "us-east-1a")), ("CreateFleet", FLEET.to_owned())]
    {
        group.bench_function(name, |bencher| {
            let mut ec2 = Ec2::start();
            bencher.iter_custom(|times| {
                let mut sum = Duration::ZERO;
                for _ in 0..times {
                    let begin = server_cpu();
                    let answer = ec2.ask(&form);
                    sum += server_cpu().saturating_sub(begin);
                    ec2.end_all(&answer);
                }
                sum
            });
        });
    }
    group.finish();
}

fn lists(criterion: &mut Criterion<CpuTime>) {
    let mut ec2 = Ec2::start();
    let before = resident();
    for zone in ["a", "b", "c", "d", "f"] {
        // A pool holds little more than a thousand.
        for name in ["m7g.large", "m6g.large"] {
            ec2.ask(&run(name, &format!("us-east-1{zone}")));
            ec2.rest();
        }
    }
    let each = resident().saturating_sub(before) / u64::from(LISTED);
    tell(&format!("memory per instance, {LISTED} of them: {each} bytes"));
    let mut group = criterion.benchmark_group("ec2/list");
    group.throughput(Throughput::Elements(u64::from(LISTED))).sample_size(20);
    group.bench_function("DescribeInstances", |bencher| {
        bencher.iter_custom(|times| {
            let begin = server_cpu();
            (0..times).for_each(|_| assert_eq!(pages(&mut ec2), LISTED / PAGE));
            server_cpu().saturating_sub(begin)
        });
    });
    group.finish();
}

/// Reads the whole list, and says how many pages it had.
fn pages(ec2: &mut Ec2) -> u32 {
    let (mut token, mut count) = (String::new(), 0);
    loop {
        // One bucket of calls is for all: time goes by between two lists.
        ec2.clock.advance(Duration::from_secs(1));
        let answer = ec2.ask(&format!("Action=DescribeInstances&MaxResults={PAGE}{token}"));
        count += 1;
        if !answer.contains("<nextToken>") {
            return count;
        }
        token = format!("&NextToken={}", element(&answer, "nextToken").replace('=', "%3D"));
    }
}

/// The processor time of all threads but this one, which is the client's.
fn server_cpu() -> Duration {
    usage::cpu_of_process().saturating_sub(usage::cpu())
}

/// The memory of this process, server and all.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

#[expect(clippy::print_stdout, reason = "a figure that criterion has no place for")]
fn tell(text: &str) {
    println!("{text}");
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).measurement_time(Duration::from_secs(3));
    targets = lists, launches
}
criterion_main!(benches);
