//! An EC2 for tests: a world whose clock stands still until it is moved, asked through requests.

use std::time::Duration;

use skyfleet_core::{ManualClock, Timestamp};

use crate::Cloud;
use crate::aws::query::Query;
use crate::aws::{Face, Request, action, error, images};
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::world::{World, WorldOptions};

const REGION: &str = "us-east-1";

pub(crate) struct Ec2 {
    pub(crate) face: Face,
    pub(crate) clock: ManualClock,
}

impl Ec2 {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
        let options = WorldOptions::new(std::sync::Arc::new(clock.clone())).playing(Cloud::Aws);
        let ec2 = Self { face: Face::new(World::new(options).unwrap()), clock };
        ec2.ask(&format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName=fleet&LaunchTemplateData.ImageId={}\
             &LaunchTemplateData.InstanceInitiatedShutdownBehavior=terminate",
            image()
        ));
        ec2
    }

    pub(crate) fn try_ask(&self, form: &str) -> Result<String, Refusal> {
        let query = Query::parse(form.as_bytes());
        let name = query.root().text("Action").unwrap_or_default();
        action::answer(&Request::new(&self.face, name, REGION, &query))
    }

    pub(crate) fn ask(&self, form: &str) -> String {
        self.try_ask(form).unwrap_or_else(|refusal| panic!("{form}: {refusal:?}"))
    }

    /// The status and the code of a refusal.
    pub(crate) fn refused(&self, form: &str) -> (u16, String) {
        let refusal = self.try_ask(form).expect_err(form);
        let fault = error::fault(&Rules::of(Cloud::Aws), refusal);
        (fault.status, fault.code)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn fault(&self, json: &str) {
        let fault: Fault = serde_json::from_str(json).unwrap();
        self.face.world.inject(fault).unwrap();
    }

    pub(crate) fn alive(&self) -> Vec<String> {
        texts(
            &self.ask(
                "Action=DescribeInstances&MaxResults=1000&Filter.1.Name=instance-state-name\
                 &Filter.1.Value.1=pending&Filter.1.Value.2=running",
            ),
            "instanceId",
        )
    }

    /// Ends everything and proves that nothing is left that costs money or blocks a deletion.
    pub(crate) fn end(&self) {
        self.advance(10);
        let alive = self.alive();
        if !alive.is_empty() {
            self.ask(&numbered("Action=TerminateInstances", "InstanceId", &alive));
        }
        self.ask("Action=DeleteLaunchTemplate&LaunchTemplateName=fleet");
        self.advance(600);
        let ledger = self.face.world.ledger();
        assert!(ledger.live.is_empty() && ledger.blocking.is_empty(), "{ledger:?}");
    }
}

pub(crate) fn image() -> String {
    images::images(REGION).find(|image| image.architecture == skyfleet_core::Arch::Arm64).unwrap().id
}

pub(crate) fn numbered(form: &str, name: &str, values: &[String]) -> String {
    let values = values.iter().enumerate().map(|(i, value)| format!("&{name}.{}={value}", i + 1));
    form.to_owned() + &values.collect::<String>()
}

/// The texts of all elements of a name that hold nothing but text.
pub(crate) fn texts(xml: &str, name: &str) -> Vec<String> {
    let open = format!("<{name}>");
    xml.split(&open).skip(1).map(|rest| rest.split('<').next().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn text(xml: &str, name: &str) -> String {
    texts(xml, name).into_iter().next().unwrap_or_else(|| panic!("no <{name}> in {xml}"))
}

/// The ids of the instances that a fleet launched.
pub(crate) fn launched(xml: &str) -> Vec<String> {
    texts(xml, "item").into_iter().filter(|text| text.starts_with("i-")).collect()
}

pub(crate) fn run(count: u32) -> String {
    format!(
        "Action=RunInstances&ImageId={}&InstanceType=m7g.large&MinCount={count}&MaxCount={count}",
        image()
    )
}
