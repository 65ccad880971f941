//! A server of simulated clouds, and the smallest client that can talk to it.

#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::{ManualClock, Market, PoolBid, Spread, Timestamp, tag};
use skyfleet_simcloud::{Call, Cloud, MachineSpec, Order, Server, ServerOptions};

/// A server by a clock that stands still until it is moved.
pub(crate) fn server() -> Server {
    Server::start(options()).unwrap()
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions::manual(ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap()))
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The text of the first XML element of this name.
    pub(crate) fn element(&self, name: &str) -> &str {
        let (_, rest) = self
            .body
            .split_once(&format!("<{name}>"))
            .unwrap_or_else(|| panic!("there is no <{name}> in {self:?}"));
        rest.split_once('<').map_or(rest, |(text, _)| text)
    }
}

/// A connection that is kept.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a request and reads the answer; `None` when the connection ends without one.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let mut line = String::new();
        if self.0.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, headers: Vec::new(), body: String::new() };
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            answer.headers.push((name.to_lowercase(), value.to_owned()));
        }
        if method != "HEAD" {
            let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).ok()?;
            answer.body = String::from_utf8(body).unwrap();
        }
        Some(answer)
    }
}

/// One request on a connection of its own.
pub(crate) fn call(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let target = url.strip_prefix("http://").unwrap().split_once('/').map_or("", |(_, path)| path);
    Connection::open(url)
        .send(method, &format!("/{target}"), headers, body)
        .unwrap_or_else(|| panic!("{method} {url}: no answer"))
}

pub(crate) fn get(url: &str) -> Answer {
    call("GET", url, &[], "")
}

pub(crate) fn post(url: &str, body: &Value) -> Answer {
    call("POST", url, &[("content-type", "application/json")], &body.to_string())
}

/// The header that scopes a request to a region and a service. Nobody checks the signature.
pub(crate) fn scope(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIA/20270115/{region}/{service}/aws4_request, SignedHeaders=host, \
         Signature=00"
    )
}

/// An EC2 Query call in us-east-1.
pub(crate) fn ec2(url: &str, form: &str) -> Answer {
    let scope = scope("us-east-1", "ec2");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", scope.as_str())];
    call("POST", url, &headers, form)
}

/// Lets time pass.
pub(crate) fn pass(server: &Server, seconds: u64) {
    let answer = post(&format!("{}/v1/clock", server.urls().admin), &json!({ "advance_s": seconds }));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Buys machines of `ada` in one cloud, past its face; their ids.
pub(crate) fn buy(
    server: &Server,
    cloud: Cloud,
    market: Market,
    count: u32,
    spec: MachineSpec,
) -> Vec<String> {
    let world = server.world(cloud);
    let mut offers = world.look(|kernel| kernel.offers(|offer| offer.market == market));
    offers.sort_by_key(|offer| (offer.instance_type.vcpus, offer.id()));
    let offer = &offers[0];
    let tags = Arc::new(BTreeMap::from([
        (tag::OWNER.to_owned(), "ada".to_owned()),
        ("Name".to_owned(), "worker".to_owned()),
    ]));
    let order = Order {
        token: None,
        region: offer.region.clone(),
        market,
        pools: vec![PoolBid { offer: offer.id(), price_max: None }],
        count,
        count_min: count,
        spread: Spread::default(),
        spec,
        tags: tags.clone(),
        disk_tags: tags.clone(),
        interface_tags: tags,
        native_expiry: None,
        name_prefix: "w".to_owned(),
        names: Vec::new(),
    };
    let call = Call::write("Test", order.region.as_str(), count);
    let bought = world.call(call, |kernel| kernel.launch(&order)).unwrap();
    bought.machines.iter().map(|machine| machine.id.to_string()).collect()
}
