//! The admin face of the simulated clouds, asked with the least that HTTP needs: none of it is measured.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::Result;

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) String);

impl Admin {
    /// How often EC2 was called so far, by action.
    pub(crate) fn calls(&self) -> Result<BTreeMap<String, u64>> {
        let told = self.ask("GET", "/v1/calls", None)?;
        let actions = told["aws"].as_object().ok_or("the admin face counts no calls of aws")?;
        let count = |(action, n): (&String, &Value)| Some((action.clone(), n["calls"].as_u64()?));
        Ok(actions.iter().filter_map(count).collect())
    }

    /// The instances that run now.
    pub(crate) fn running(&self) -> Result<Vec<String>> {
        let told = self.ask("GET", "/v1/instances", None)?;
        let all = told.as_array().or_else(|| told["instances"].as_array()).ok_or("no list of instances")?;
        let running = all.iter().filter(|instance| instance["state"] == "running");
        Ok(running.filter_map(|instance| instance["id"].as_str()).map(str::to_owned).collect())
    }

    /// Takes a spot instance back, with EC2's own notice.
    pub(crate) fn preempt(&self, instance: &str) -> Result<()> {
        let fault = serde_json::json!({ "kind": "preempt", "cloud": "aws", "instance_id": instance });
        self.ask("POST", "/v1/faults", Some(&fault)).map(drop)
    }

    /// Fails when anything is left that costs money, or is in the way.
    pub(crate) fn is_empty(&self) -> Result<()> {
        let ledger = self.ask("GET", "/v1/ledger", None)?;
        let none = |key: &str| ledger[key].as_array().is_some_and(Vec::is_empty);
        if none("live") && none("blocking") {
            return Ok(());
        }
        Err(format!("something was left: {} {}", ledger["live"], ledger["blocking"]).into())
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let host = self.0.strip_prefix("http://").ok_or("the admin face is not at an http address")?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(host)?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the admin face gave no answer")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            return Err(format!("{method} {path}: {status} {body}").into());
        }
        Ok(serde_json::from_str(body)?)
    }
}

/// How many calls there were in between, in all and by action.
pub(crate) fn since(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let new = |(action, n): (&String, &u64)| (action.clone(), n - before.get(action).copied().unwrap_or(0));
    after.iter().map(new).filter(|(_, n)| *n > 0).collect()
}
