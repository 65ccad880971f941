//! An Azure for tests: a world whose clock stands still until it is moved, asked by the paths of
//! Resource Manager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::{ManualClock, Timestamp};

use crate::azure::error::{envelope, fault};
use crate::azure::request::Head;
use crate::azure::{Answer, Face, Request, method};
use crate::catalog::Cloud;
use crate::world::{World, WorldOptions};

/// The subscription of the tests.
pub(crate) const SUBSCRIPTION: &str = "/subscriptions/00000000-0000-4000-8000-000000000001";

pub(crate) struct Trial {
    pub(crate) face: Face,
    clock: ManualClock,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: BTreeMap<&'static str, String>,
}

impl Trial {
    /// In the middle of January 2027, so that there is a past to ask about.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
        let options = WorldOptions::new(Arc::new(clock.clone())).playing(Cloud::Azure);
        Self { face: Face::new(World::new(options).unwrap()), clock }
    }

    /// One that has the resource group `g` in `eastus`.
    pub(crate) fn with_group() -> Self {
        let trial = Self::new();
        trial.done("PUT", "/resourceGroups/g", json!({ "location": "eastus" }));
        trial
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.face.world.inject(serde_json::from_value(fault).unwrap()).unwrap();
    }

    /// The answer to `GET /subscriptions?$top=…`; refusals in their envelope.
    pub(crate) fn ask(&self, verb: &str, target: &str, body: Value) -> Said {
        let target = target.strip_prefix("http://sim").unwrap_or(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        let head = Head {
            base: "http://sim".to_owned(),
            path: path.to_owned(),
            query: pairs.map(|(name, value)| (name.to_lowercase(), value)).collect(),
            only_new: false,
        };
        let found = method::find(verb, path);
        let (method, values) = found.unwrap_or_else(|| panic!("no method answers {verb} {path}"));
        let request = Request::new(&self.face, method.id, &head, values, &body);
        match (method.answer)(&request) {
            Ok(Answer { status, body, headers }) => {
                let body = body.map_or(Value::Null, |body| serde_json::from_str(&body).unwrap());
                Said { status, body, headers: headers.into_iter().collect() }
            }
            Err(refusal) => {
                let fault = fault(refusal);
                Said { status: fault.status, body: envelope(&fault.told), headers: BTreeMap::new() }
            }
        }
    }

    /// Asks in the subscription of the tests for what must succeed, and waits until it is done.
    pub(crate) fn done(&self, verb: &str, path: &str, body: Value) -> Value {
        let said = self.ask(verb, &format!("{SUBSCRIPTION}{path}"), body);
        assert!(said.status < 300, "{verb} {path}: {said:?}");
        let Some(link) = said.headers.get("Azure-AsyncOperation").or_else(|| said.headers.get("Location"))
        else {
            return said.body;
        };
        for _ in 0..100 {
            let polled = self.ask("GET", link, Value::Null);
            if polled.status == 200 && polled.body["status"] != "InProgress" {
                assert_ne!(polled.body["status"], "Failed", "{polled:?}");
                return said.body;
            }
            assert!(polled.status < 300, "{polled:?}");
            self.wait(5);
        }
        panic!("{verb} {path} never ended");
    }

    /// What the operation of an answer comes to.
    pub(crate) fn outcome(&self, said: &Said) -> Value {
        let link = &said.headers["Azure-AsyncOperation"];
        for _ in 0..60 {
            let polled = self.ask("GET", link, Value::Null).body;
            if polled["status"] != "InProgress" {
                return polled;
            }
            self.wait(5);
        }
        panic!("it never ended");
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.done("GET", path, Value::Null)
    }

    /// The status and the code of what is refused in the subscription of the tests.
    pub(crate) fn refusal(&self, verb: &str, path: &str, body: Value) -> (u16, String) {
        let said = self.ask(verb, &format!("{SUBSCRIPTION}{path}"), body);
        assert!(said.status >= 400, "{verb} {path}: {said:?}");
        (said.status, said.body["error"]["code"].as_str().unwrap().to_owned())
    }

    /// The names of a list, in its order.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let page = self.get(path);
        let items = page["value"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    /// What the ledger says goes on, of an owner.
    pub(crate) fn live(&self, owner: &str) -> usize {
        self.face.look(|kernel, _| kernel.ledger(Some(owner)).live.len())
    }
}
