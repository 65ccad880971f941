//! A Compute Engine for tests: a world whose clock stands still until it is moved, asked through the
//! methods of the discovery document.

pub(crate) mod acceptance;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skyfleet_core::{ManualClock, Timestamp};

use crate::catalog::Cloud;
use crate::gcp::error::fault;
use crate::gcp::{Answer, Face, Request, method};
use crate::refusal::Refusal;
use crate::world::{World, WorldOptions};

pub(crate) struct Trial {
    pub(crate) face: Face,
    pub(crate) clock: ManualClock,
}

impl Trial {
    /// In the middle of January 2027, so that there is a past to ask about.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
        let options = WorldOptions::new(Arc::new(clock.clone())).playing(Cloud::Gcp);
        Self { face: Face::new(World::new(options).unwrap()), clock }
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.face.world.inject(serde_json::from_value(fault).unwrap()).unwrap();
    }

    /// The status and the body of the answer to `GET /compute/v1/...?filter=...`. A call that is held
    /// back gets its answer when its time has come.
    pub(crate) fn ask(&self, verb: &str, target: &str, body: Value) -> (u16, Value) {
        match self.answer(verb, target, &body) {
            Ok(Answer::Now(text)) => (200, serde_json::from_str(&text).unwrap()),
            Ok(_) => (204, Value::Null),
            Err(refusal) => {
                let fault = fault(refusal);
                (fault.status, serde_json::json!({ "reason": fault.reason, "message": fault.message }))
            }
        }
    }

    fn answer(&self, verb: &str, target: &str, body: &Value) -> Result<Answer, Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let found = method::find(verb, path);
        let (method, parts) = found.unwrap_or_else(|| panic!("no method answers {verb} {path}"));
        let mut request = Request::new(&self.face, method.id, parts, &query, body);
        let answered = (method.answer)(&request);
        let Ok(Answer::Later(until)) = answered else { return answered };
        let left = until.duration_since(skyfleet_core::Clock::now(&self.clock));
        self.clock.advance(Duration::try_from(left).unwrap_or_default());
        request.waited = true;
        (method.answer)(&request)
    }

    /// Asks for something in the project `p`, by its path there; it must succeed.
    pub(crate) fn in_project(&self, verb: &str, path: &str, body: Value) -> Value {
        let target = format!("/compute/v1/projects/p/{path}");
        let (status, shown) = self.ask(verb, &target, body);
        assert!(status < 300, "{verb} {path}: {status} {shown}");
        shown
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.in_project("GET", path, Value::Null)
    }

    /// Asks for a change in the project `p`, and waits until its operation is done.
    pub(crate) fn change(&self, verb: &str, path: &str, body: Value) -> Value {
        let operation = self.in_project(verb, path, body);
        let link = operation["selfLink"].as_str().expect("an operation");
        let (_, path) = link.split_once("/projects/p/").unwrap();
        let done = self.in_project("POST", &format!("{path}/wait"), Value::Null);
        assert_eq!(done["status"], "DONE", "{done}");
        done
    }

    /// The status and the reason of what Compute Engine refuses in the project `p`.
    pub(crate) fn refusal(&self, verb: &str, path: &str, body: Value) -> (u16, String) {
        let (status, shown) = self.ask(verb, &format!("/compute/v1/projects/p/{path}"), body);
        assert!(status >= 400, "{verb} {path}: {shown}");
        (status, shown["reason"].as_str().unwrap().to_owned())
    }

    /// The names of a list in the project `p`, in its order.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let page = self.get(path);
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }
}
