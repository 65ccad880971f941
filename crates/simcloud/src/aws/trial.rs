//! EC2 by a clock that stands still, for the tests of the actions.

pub(crate) mod acceptance;
pub(crate) mod bed;
pub(crate) mod things;

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{ManualClock, Timestamp};

use crate::aws::error::fault;
use crate::aws::query::Query;
use crate::aws::{Face, Request, action};
use crate::catalog::Cloud;
use crate::rules::Rules;
use crate::world::{World, WorldOptions};

pub(crate) struct Trial {
    pub(crate) face: Face,
    clock: ManualClock,
}

impl Trial {
    /// In the middle of January 2027, so that there is a past to ask about.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
        let options = WorldOptions::new(Arc::new(clock.clone())).playing(Cloud::Aws);
        Self { face: Face::new(World::new(options).unwrap()), clock }
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The answer to an action in us-east-1, or the code of what EC2 says instead.
    pub(crate) fn ask(&self, action: &str, form: &str) -> Result<String, String> {
        self.ask_in("us-east-1", action, form)
    }

    pub(crate) fn ask_in(&self, region: &str, action: &str, form: &str) -> Result<String, String> {
        let query = Query::parse(form.as_bytes());
        let request = Request::new(&self.face, action, region, &query);
        action::answer(&request).map_err(|refusal| fault(&Rules::of(Cloud::Aws), refusal).code)
    }

    /// The first text of this name in the answer to an action that succeeds.
    pub(crate) fn get(&self, action: &str, form: &str, element: &str) -> String {
        let answer = self.ask(action, form).unwrap_or_else(|code| panic!("{action} {form}: {code}"));
        let all = texts(&answer, element);
        all.first().unwrap_or_else(|| panic!("no {element} in {answer}")).clone()
    }

    /// The code of what EC2 says to an action that it refuses.
    pub(crate) fn refusal(&self, action: &str, form: &str) -> String {
        match self.ask(action, form) {
            Ok(answer) => panic!("{action} {form}: {answer}"),
            Err(code) => code,
        }
    }
}

/// The texts of all elements of a name, in order.
pub(crate) fn texts(xml: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let parts = xml.split(&open).skip(1);
    parts.filter_map(|part| part.split_once(&close)).map(|(text, _)| text.to_owned()).collect()
}
