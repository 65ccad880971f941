//! The port of AWS: scopes, envelopes, credentials, lost and slow answers.

#![cfg(feature = "server")]

mod wire;

use skyfleet_core::ErrorKind;
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions};
use wire::{Connection, call, ec2, get, options, scope, server};

#[test]
fn a_server_starts_from_anywhere_and_refuses_other_hosts() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let server = server();
        assert_eq!(ec2(&server.urls().aws, "").status, 400);
        server.stop();
    });
    let error = Server::start(ServerOptions { host: "0.0.0.0".into(), ..options() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
}

#[test]
fn the_ports_are_in_a_row_and_free_after_the_end() {
    let first = (20_000..60_000).step_by(97).find_map(|port| {
        Server::start(ServerOptions { port: Some(port), ..options() }).ok().map(|server| (port, server))
    });
    let (port, server) = first.unwrap();
    assert_eq!(server.urls().admin, format!("http://127.0.0.1:{port}"));
    assert_eq!(server.urls().azure, format!("http://127.0.0.1:{}", port + 3));
    drop(server);
    Server::start(ServerOptions { port: Some(port), ..options() }).unwrap();
}

#[test]
fn an_action_that_is_none_is_refused_in_ec2s_envelope() {
    let server = server();
    let answer = ec2(&server.urls().aws, "Action=LaunchRocket&Version=2016-11-15");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.element("Code"), "InvalidAction");
    assert_eq!(answer.header("x-amzn-requestid"), Some(answer.element("RequestID")));
    assert!(answer.header("content-type").unwrap().starts_with("text/xml"));
    assert_eq!(ec2(&server.urls().aws, "Version=2016-11-15").element("Code"), "MissingAction");
    assert_eq!(get(&format!("{}/?Action=LaunchRocket", server.urls().aws)).element("Code"), "InvalidAction");
}

#[test]
fn a_region_that_the_account_has_not_is_refused() {
    let server = server();
    let scope = scope("us-east-9", "ec2");
    let answer = call("POST", &server.urls().aws, &[("authorization", &scope)], "Action=DescribeRegions");
    assert_eq!((answer.status, answer.element("Code")), (401, "AuthFailure"));
}

#[test]
fn each_service_has_its_own_envelope() {
    let server = server();
    let sts = scope("us-east-1", "sts");
    let answer = call("POST", &server.urls().aws, &[("authorization", &sts)], "Action=LaunchRocket");
    assert!(
        answer.body.starts_with("<ErrorResponse") && answer.element("Code") == "InvalidAction",
        "{answer:?}"
    );
    let headers = [("x-amz-target", "NoSuchService.LaunchRocket")];
    let answer = call("POST", &server.urls().aws, &headers, "{}");
    assert_eq!(answer.status, 400);
    assert!(answer.json()["__type"].is_string() && answer.json()["message"].is_string());
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
}

#[test]
fn once_keys_are_set_no_others_are_let_in() {
    let key = Credential { cloud: Cloud::Aws, key_id: "AKIDKNOWN".into(), secret: "s".into() };
    assert!(!format!("{key:?}").contains("secret: "), "{key:?}");
    let server = Server::start(ServerOptions { credentials: vec![key], ..options() }).unwrap();
    let code = |key_id: &str| {
        let scope = scope("us-east-1", "ec2").replace("AKIA", key_id);
        let answer = call("POST", &server.urls().aws, &[("authorization", &scope)], "Action=DescribeRegions");
        (answer.status, answer.element("Code").to_owned())
    };
    assert_eq!(code("AKIDOTHER"), (401, "AuthFailure".to_owned()));
    assert_eq!(code("AKIDKNOWN"), (403, "SignatureDoesNotMatch".to_owned()));
    let answer = call("POST", &server.urls().aws, &[], "Action=DescribeRegions");
    assert_eq!(answer.element("Code"), "MissingAuthenticationToken");
}

/// Requests that botocore signed with `AKIDKNOWN` and `open/sesame+secret` for the host `sim`: in the
/// header, in the query, and by Signature Version 2.
#[test]
fn what_the_vendors_own_library_signed_is_let_in() {
    let key =
        Credential { cloud: Cloud::Aws, key_id: "AKIDKNOWN".into(), secret: "open/sesame+secret".into() };
    let server = Server::start(ServerOptions { credentials: vec![key], ..options() }).unwrap();
    let send = |method: &str, target: &str, headers: &[(&str, &str)], body: &str| {
        Connection::open(&server.urls().aws).send(method, target, headers, body).unwrap()
    };
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDKNOWN/20261122/us-east-1/ec2/aws4_request, \
                         SignedHeaders=content-type;host;x-amz-date, \
                         Signature=10ee4338d30766e1228875dc346f5830c22410ab27b218ddcaf6dac0ed23892a";
    let headers =
        [("content-type", form), ("x-amz-date", "20261122T210315Z"), ("authorization", authorization)];
    let body = "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=is-default&Filter.1.Value.1=true";
    assert_eq!(send("POST", "/", &headers, body).status, 200);
    let changed = body.replace("true", "false");
    assert_eq!(send("POST", "/", &headers, &changed).element("Code"), "SignatureDoesNotMatch");

    let asked = "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=tag%3Aa%20b&Filter.1.Value.1=%2A";
    let presigned = format!(
        "/?{asked}&X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIDKNOWN%2F20261122%2Feu-west-1%2Fec2%2Faws4_request&X-Amz-Date=20261122T210315Z\
         &X-Amz-Expires=60&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=eb8f209b7ddc51e3feb980d7f1d61464b6174d79c9e67a38c7e456691f53a9a2"
    );
    assert_eq!(send("GET", &presigned, &[], "").status, 200);
    assert_eq!(send("GET", &presigned.replace("DescribeVpcs", "DescribeSubnets"), &[], "").status, 403);

    let second = format!(
        "{asked}&AWSAccessKeyId=AKIDKNOWN&SignatureVersion=2&SignatureMethod=HmacSHA256\
         &Timestamp=2026-11-22T21%3A03%3A15Z&Signature=iXHDO%2FAJrdbtDgRz8dTohLirvwdAJz2pT7f2yh%2FFRkI%3D"
    );
    assert_eq!(send("POST", "/", &[], &second).status, 200);
    assert_eq!(send("POST", "/", &[], &second.replace("%3D", "A")).element("Code"), "SignatureDoesNotMatch");
}

#[test]
fn connections_are_kept_and_requests_have_different_ids() {
    let server = server();
    let mut connection = Connection::open(&server.urls().aws);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = connection.send("POST", "/", &[], "Action=LaunchRocket").unwrap();
        ids.push(answer.element("RequestID").to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn what_is_not_simulated_is_refused_in_the_clouds_own_envelope() {
    let server = server();
    let gcp = get(&format!("{}/compute/v1/projects/p/global/urlMaps", server.urls().gcp));
    assert_eq!((gcp.status, gcp.json()["error"]["code"].as_u64()), (501, Some(501)));
    let azure = get(&format!("{}/subscriptions/s/nothing?api-version=2022-12-01", server.urls().azure));
    assert_eq!((azure.status, azure.json()["error"]["code"].as_str()), (501, Some("NotImplemented")));
}
