//! The metadata service of EC2 instances.

#![cfg(feature = "server")]

mod wire;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::Market;
use skyfleet_simcloud::{Cloud, MachineSpec, Server, ServerOptions};
use wire::{Answer, buy, call, ec2, options, pass, post, server};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

/// An instance that is up, and its service.
struct Guest {
    server: Server,
    id: String,
}

impl Guest {
    fn new(market: Market, spec: MachineSpec) -> Self {
        let server = server();
        let id = buy(&server, Cloud::Aws, market, 1, spec).remove(0);
        pass(&server, 300);
        Self { server, id }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/imds/aws/{}{path}", self.server.urls().admin, self.id)
    }

    fn token(&self, ttl: &str) -> Answer {
        call("PUT", &self.url("/latest/api/token"), &[(TTL, ttl)], "")
    }

    fn ask(&self, path: &str) -> Answer {
        let token = self.token("21600").body;
        call("GET", &self.url(path), &[(TOKEN, &token)], "")
    }

    fn text(&self, path: &str) -> String {
        let answer = self.ask(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }
}

#[test]
fn nothing_is_told_outside_of_a_session() {
    let guest = Guest::new(Market::OnDemand, MachineSpec::default());
    let path = guest.url("/latest/meta-data/instance-id");
    assert_eq!(call("GET", &path, &[], "").status, 401);
    assert_eq!(call("GET", &path, &[(TOKEN, "nonsense")], "").status, 401);
    for ttl in ["0", "21601", "-1", "soon", ""] {
        assert_eq!(guest.token(ttl).status, 400, "{ttl:?}");
    }
    assert_eq!(call("PUT", &guest.url("/latest/api/token"), &[], "").status, 400);
    let proxied = [(TTL, "60"), ("x-forwarded-for", "10.0.0.1")];
    assert_eq!(call("PUT", &guest.url("/latest/api/token"), &proxied, "").status, 403);
    assert_eq!(call("POST", &path, &[], "").status, 405);

    let answer = guest.token("60");
    assert_eq!((answer.status, answer.header(TTL)), (200, Some("60")));
    let session = [(TOKEN, answer.body.as_str())];
    assert_eq!(call("GET", &path, &session, "").body, guest.id);
    pass(&guest.server, 59);
    assert_eq!(call("GET", &path, &session, "").status, 200);
    pass(&guest.server, 1);
    assert_eq!(call("GET", &path, &session, "").status, 401);
}

#[test]
fn an_instance_learns_what_it_is() {
    let script = "#!/bin/sh\necho hello\n";
    let spec = MachineSpec { user_data: script.into(), public_ip: true, ..MachineSpec::default() };
    let guest = Guest::new(Market::Spot, spec);
    let listed = guest.server.world(Cloud::Aws).instances().remove(0);
    let data = |name: &str| guest.text(&format!("/latest/meta-data/{name}"));
    assert_eq!(data("instance-id"), *listed.id);
    assert_eq!(data("instance-type"), listed.offer.instance_type.as_str());
    assert_eq!(data("placement/availability-zone"), listed.offer.zone.as_str());
    assert_eq!(data("placement/region"), listed.region.as_str());
    assert!(data("placement/availability-zone-id").contains("-az"));
    assert_eq!(data("instance-life-cycle"), "spot");
    assert_eq!(data("ami-launch-index"), "0");
    assert_eq!(data("local-ipv4"), listed.private_ip.unwrap().to_string());
    assert_eq!(data("public-ipv4"), listed.public_ip.unwrap().to_string());
    assert!(data("hostname").starts_with("ip-10-"));
    assert_eq!(guest.text("/latest/user-data"), script);
    assert_eq!(guest.text("/2021-03-23/user-data"), script);

    let document: Value =
        serde_json::from_str(&guest.text("/latest/dynamic/instance-identity/document")).unwrap();
    assert_eq!(document["instanceId"], guest.id.as_str());
    assert_eq!(document["accountId"], "123456789012");
    assert_eq!(document["region"], listed.region.as_str());
    assert_eq!(document["pendingTime"], "2027-01-15T08:00:00Z");
}

#[test]
fn lists_name_what_is_below() {
    let guest = Guest::new(Market::OnDemand, MachineSpec::default());
    let root = guest.text("/latest/meta-data/");
    assert_eq!(root, guest.text("/latest/meta-data"));
    let names: Vec<&str> = root.lines().collect();
    assert!(names.contains(&"instance-id") && names.contains(&"placement/"), "{names:?}");
    assert!(!names.contains(&"spot/"), "{names:?}");
    assert_eq!(guest.text("/latest/meta-data/placement/"), "availability-zone\navailability-zone-id\nregion");
    assert_eq!(guest.text("/latest/"), "dynamic\nmeta-data");
    assert!(guest.text("/").lines().any(|version| version == "latest"));
    for nothing in [
        "/latest/user-data",
        "/latest/meta-data/public-ipv4",
        "/latest/meta-data/tags/instance",
        "/latest/meta-data/tags/instance/Name",
        "/latest/meta-data/spot/instance-action",
        "/latest/meta-data/instance-i",
        "/latest/meta-data/events/recommendations/rebalance",
        "/newest/meta-data/instance-id",
    ] {
        assert_eq!(guest.ask(nothing).status, 404, "{nothing}");
    }
}

#[test]
fn a_notice_is_told_until_the_instance_goes() {
    let guest = Guest::new(Market::Spot, MachineSpec::default());
    let fault = json!({ "kind": "preempt", "cloud": "aws", "instance_id": guest.id, "notice_seconds": 120 });
    assert_eq!(post(&format!("{}/v1/faults", guest.server.urls().admin), &fault).status, 200);
    let action: Value = serde_json::from_str(&guest.text("/latest/meta-data/spot/instance-action")).unwrap();
    assert_eq!(action, json!({ "action": "terminate", "time": "2027-01-15T08:07:00Z" }));
    assert_eq!(guest.text("/latest/meta-data/spot/termination-time"), "2027-01-15T08:07:00Z");
    assert!(guest.text("/latest/meta-data/").lines().any(|name| name == "spot/"));
    pass(&guest.server, 600);
    assert_eq!(guest.token("60").status, 404);
}

#[test]
fn who_is_not_up_has_no_service() {
    let server = server();
    let id = buy(&server, Cloud::Aws, Market::OnDemand, 1, MachineSpec::default()).remove(0);
    let token = |id: &str| {
        call("PUT", &format!("{}/imds/aws/{id}/latest/api/token", server.urls().admin), &[(TTL, "60")], "")
            .status
    };
    assert_eq!(token(&id), 404);
    assert_eq!(token("i-0123"), 404);
    pass(&server, 300);
    assert_eq!(token(&id), 200);
}

#[test]
fn an_instance_that_is_a_process_has_an_address_of_its_own_until_it_ends() {
    let server = Server::start(ServerOptions { processes: true, ..options() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let script = format!("#!/bin/sh\nenv > {0}.draft && mv {0}.draft {0}\nsleep 300\n", file.display());
    let spec = MachineSpec { user_data: script.into(), ..MachineSpec::default() };
    let ids = buy(&server, Cloud::Aws, Market::OnDemand, 2, spec);
    pass(&server, 300);
    let wait = |what: &str, so: &mut dyn FnMut() -> bool| {
        for _ in 0..400 {
            if so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("waited in vain: {what}");
    };
    wait("the user data run", &mut || file.exists());
    let env = std::fs::read_to_string(&file).unwrap();
    let value = |name: &str| {
        let line = env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is not set: {env}")).to_owned()
    };
    let url = value("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    assert!(url.starts_with("http://127."), "{url}");
    assert_eq!(value("AWS_REGION"), value("SKYFLEET_REGION"));
    assert_eq!(value("AWS_DEFAULT_REGION"), value("SKYFLEET_REGION"));
    let token = call("PUT", &format!("{url}/latest/api/token"), &[(TTL, "60")], "").body;
    let id = call("GET", &format!("{url}/latest/meta-data/instance-id"), &[(TOKEN, &token)], "").body;
    assert_eq!(id, value("SKYFLEET_INSTANCE_ID"));
    assert!(ids.contains(&id));

    server.world(Cloud::Aws).look(|kernel| kernel.terminate(&id));
    pass(&server, 300);
    let address = url.strip_prefix("http://").unwrap();
    wait("the service ends", &mut || TcpStream::connect(address).is_err());
}

/// Launches an instance through EC2 with further parameters; its id.
fn run_instances(server: &Server, more: &str) -> String {
    let url = &server.urls().aws;
    let images =
        ec2(url, "Action=DescribeImages&Owner.1=amazon&Filter.1.Name=architecture&Filter.1.Value.1=arm64");
    let image = images.element("imageId");
    let form =
        format!("Action=RunInstances&ImageId={image}&InstanceType=m7g.large&MinCount=1&MaxCount=1&{more}");
    let answer = ec2(url, &form);
    assert_eq!(answer.status, 200, "{answer:?}");
    pass(server, 300);
    answer.element("instanceId").to_owned()
}

#[test]
fn a_launch_says_how_the_service_answers() {
    let guest = |more: &str| {
        let server = server();
        let id = run_instances(&server, more);
        Guest { server, id }
    };
    let tags = "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=w";

    let open = guest(&format!(
        "MetadataOptions.HttpTokens=optional&MetadataOptions.InstanceMetadataTags=enabled&{tags}&UserData=aGVsbG8%3D"
    ));
    let v1 = |guest: &Guest, path: &str| call("GET", &guest.url(path), &[], "");
    assert_eq!(v1(&open, "/latest/meta-data/instance-id").body, open.id);
    assert_eq!(v1(&open, "/latest/user-data").body, "hello");
    assert!(v1(&open, "/latest/meta-data/ami-id").body.starts_with("ami-"));
    assert_eq!(v1(&open, "/latest/meta-data/security-groups").body, "default");
    assert_eq!(v1(&open, "/latest/meta-data/tags/instance").body, "Name");
    assert_eq!(v1(&open, "/latest/meta-data/tags/instance/Name").body, "w");
    assert_eq!(v1(&open, "/latest/meta-data/tags/instance/Color").status, 404);
    let wrong = [(TOKEN, "nonsense")];
    assert_eq!(call("GET", &open.url("/latest/meta-data/"), &wrong, "").status, 401);

    let closed = guest(&format!("MetadataOptions.HttpTokens=required&{tags}"));
    assert_eq!(v1(&closed, "/latest/meta-data/instance-id").status, 401);
    assert_eq!(closed.text("/latest/meta-data/instance-id"), closed.id);
    assert_eq!(closed.ask("/latest/meta-data/tags/instance/Name").status, 404);

    let off = guest("MetadataOptions.HttpEndpoint=disabled");
    assert_eq!(off.token("60").status, 403);
}
