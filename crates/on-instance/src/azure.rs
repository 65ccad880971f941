//! Azure's Instance Metadata Service. Azure documentation, "Azure Instance Metadata Service for
//! virtual machines" and "Scheduled Events for Linux VMs".

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use skyfleet_core::{Clock, MachineNotice, Market, PreemptionKind, Result, Timestamp, tag};

use crate::Cloud;
use crate::http::{ANSWER, Question, Service, strange};
use crate::identity::{About, Identity, fleet, owner, word};

/// How often to look, as Azure advises.
const LOOK: Duration = Duration::from_secs(1);
/// How long the first question after scheduled events may take: it switches them on, which takes up
/// to two minutes.
const EVENTS_ANSWER: Duration = Duration::from_secs(125);

const COMPUTE: &str = "metadata/instance/compute?api-version=2021-02-01";
const EVENTS: &str = "metadata/scheduledevents?api-version=2020-07-01";

/// The service.
pub(crate) struct Metadata {
    service: Service,
    clock: Arc<dyn Clock>,
}

/// What the machine is told about its end.
pub(crate) struct Watch {
    metadata: Metadata,
    /// The machine's own, once it is known.
    name: Option<String>,
    over: bool,
}

/// What the service tells of the machine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compute {
    name: String,
    resource_id: String,
    location: String,
    #[serde(default)]
    zone: String,
    vm_size: String,
    #[serde(default)]
    priority: String,
    #[serde(default)]
    tags_list: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
struct Tag {
    name: String,
    value: String,
}

/// The scheduled events.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Events {
    events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Event {
    event_type: String,
    resources: Vec<String>,
    not_before: String,
}

impl Metadata {
    pub(crate) fn new(service: Service, clock: Arc<dyn Clock>) -> Self {
        Self { service, clock }
    }

    pub(crate) async fn about(&self) -> Result<About> {
        Compute::read(&self.get(COMPUTE, ANSWER).await?)?.about()
    }

    async fn get(&self, what: &str, within: Duration) -> Result<String> {
        let _hold = self.clock.hold();
        let question = Question { within, ..Question::get(what, &[("metadata", "true")]) };
        self.service.ask(&question).await?.text()
    }
}

impl Watch {
    pub(crate) fn new(metadata: Metadata) -> Self {
        Self { metadata, name: None, over: false }
    }

    pub(crate) async fn next(&mut self) -> Option<MachineNotice> {
        while !self.over {
            match self.look().await {
                Ok(Some(at)) => {
                    self.over = true;
                    return Some(MachineNotice { kind: PreemptionKind::Notice, at });
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the metadata service does not answer"),
            }
            self.metadata.clock.sleep(LOOK).await;
        }
        None
    }

    async fn look(&mut self) -> Result<Option<Timestamp>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let told = Compute::read(&self.metadata.get(COMPUTE, ANSWER).await?)?;
                self.name.insert(word("name", &told.name)?.to_owned()).clone()
            }
        };
        let events = Events::read(&self.metadata.get(EVENTS, EVENTS_ANSWER).await?)?;
        Ok(events.end_of(&name, self.metadata.clock.now()))
    }
}

impl Compute {
    fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| strange("what Azure gives is no description of a machine").because(error))
    }

    fn about(&self) -> Result<About> {
        let region = word("region", &self.location)?.to_ascii_lowercase();
        let zone = match self.zone.trim() {
            "" => region.clone(),
            number => format!("{region}-{}", word("zone", number)?),
        };
        let identity = Identity {
            cloud: Cloud::Azure,
            id: id(&self.resource_id)?.into(),
            region: region.into(),
            zone: zone.into(),
            instance_type: word("type", &self.vm_size)?.into(),
            // `Low` is what Spot was called; `SpotPlus` is a Spot that lasts longer.
            market: match self.priority.trim() {
                "Spot" | "SpotPlus" | "Low" => Market::Spot,
                _ => Market::OnDemand,
            },
        };
        let tag = |name: &str| {
            let own = self.tags_list.iter().find(|tag| tag.name.eq_ignore_ascii_case(name));
            own.map(|tag| tag.value.as_str())
        };
        Ok(About { identity, owner: owner(tag(tag::OWNER)), fleet: fleet(tag(tag::FLEET)) })
    }
}

/// The id of a virtual machine, as skyfleet's provider writes it: Azure keeps the case of names and
/// does not tell them apart by it, so ours are in small letters.
fn id(text: &str) -> Result<String> {
    let text = text.trim().to_ascii_lowercase();
    let parts: Vec<&str> = text.split('/').collect();
    let [
        "",
        "subscriptions",
        subscription,
        "resourcegroups",
        group,
        "providers",
        "microsoft.compute",
        "virtualmachines",
        name,
    ] = parts[..]
    else {
        return Err(strange("what Azure calls the machine's id is none of a virtual machine"));
    };
    let (subscription, group, name) = (word("id", subscription)?, word("id", group)?, word("id", name)?);
    Ok(format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}"
    ))
}

impl Events {
    fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| strange("what Azure gives are no scheduled events").because(error))
    }

    /// When the machine of this name ends, if it does: now, where no time is told, for an event that
    /// has begun has none. They are told to all machines that are managed together.
    fn end_of(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let ends: Vec<Timestamp> =
            self.events.iter().filter(|event| event.ends(name)).map(|event| event.at(now)).collect();
        ends.into_iter().min()
    }
}

impl Event {
    /// Whether it ends this machine. A freeze, a reboot and a move to another host do not.
    fn ends(&self, name: &str) -> bool {
        matches!(self.event_type.as_str(), "Preempt" | "Terminate")
            && self.resources.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// `Mon, 19 Sep 2026 18:29:47 GMT`.
    fn at(&self, now: Timestamp) -> Timestamp {
        let text = self.not_before.trim().replace("GMT", "+0000");
        jiff::fmt::rfc2822::parse(&text).map_or(now, |at| at.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MACHINE: &str = r#"{"name":"words-3-a_7","location":"EastUS","zone":"2","vmSize":"Standard_D2s_v5",
        "priority":"Spot","resourceId":"/subscriptions/0-1/resourceGroups/Words/providers/Microsoft.Compute/virtualMachines/Words-3-a_7",
        "tags":"skyfleet-fleet:words","tagsList":[{"name":"Skyfleet-Fleet","value":"words"},{"name":"skyfleet-owner","value":"ada"}],
        "userData":"","vmId":"1"}"#;

    #[test]
    fn the_description_of_a_machine_is_read() {
        let read = Compute::read(MACHINE).unwrap().about().unwrap();
        let identity = read.identity;
        assert_eq!(
            identity.id.as_str(),
            "/subscriptions/0-1/resourceGroups/words/providers/Microsoft.Compute/virtualMachines/words-3-a_7"
        );
        assert_eq!((identity.region.as_str(), identity.zone.as_str()), ("eastus", "eastus-2"));
        assert_eq!(identity.market, Market::Spot);
        assert_eq!((read.owner.unwrap().as_str(), read.fleet.unwrap().as_str()), ("ada", "words"));
        let regular = MACHINE.replace("Spot", "Regular").replace(r#""zone":"2""#, r#""zone":"""#);
        let regular = regular.replace("\"ada\"", "\"Nobody!\"");
        let read = Compute::read(&regular).unwrap().about().unwrap();
        assert_eq!((read.identity.market, read.identity.zone.as_str()), (Market::OnDemand, "eastus"));
        assert!(read.owner.is_none() && read.fleet.is_some());
    }

    #[test]
    fn another_description_is_refused() {
        let wrong = |text: &str| Compute::read(text).and_then(|told| told.about()).is_err();
        assert!(wrong("{}") && wrong("") && wrong("[]"));
        assert!(wrong(&MACHINE.replace("virtualMachines/", "disks/")));
        assert!(wrong(&MACHINE.replace("/resourceGroups/Words", "/resourceGroups/..")));
        assert!(wrong(&MACHINE.replace("Standard_D2s_v5", "")));
        assert!(wrong(&MACHINE.replace("EastUS", "East US/..")));
    }

    #[test]
    fn only_an_end_of_this_machine_counts() {
        let told = r#"{"DocumentIncarnation":2,"Events":[
            {"EventId":"a","EventType":"Preempt","ResourceType":"VirtualMachine","Resources":["other"],
             "EventStatus":"Scheduled","NotBefore":"Sat, 19 Sep 2026 18:29:47 GMT"},
            {"EventId":"b","EventType":"Freeze","Resources":["mine"],"NotBefore":""},
            {"EventId":"c","EventType":"Preempt","Resources":["other","Mine"],"EventStatus":"Scheduled",
             "NotBefore":"Sat, 19 Sep 2026 18:30:17 GMT","DurationInSeconds":-1}]}"#;
        let events = Events::read(told).unwrap();
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        assert_eq!(events.end_of("mine", now).unwrap().to_string(), "2026-09-19T18:30:17Z");
        assert_eq!(events.end_of("nobody", now), None);
        let begun = told.replace("Sat, 19 Sep 2026 18:30:17 GMT", "");
        assert_eq!(Events::read(&begun).unwrap().end_of("mine", now), Some(now), "it has begun");
    }

    #[test]
    fn events_of_another_shape_tell_nothing() {
        for text in ["{}", r#"{"Events":[]}"#, r#"{"Events":[{}]}"#] {
            let told = Events::read(text).unwrap();
            assert_eq!(told.end_of("mine", Timestamp::UNIX_EPOCH), None, "{text}");
        }
        assert!(Events::read("[1]").is_err() && Events::read("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(text in "\\PC{0,80}", time in "[A-Za-z]{0,4}[-+0-9A-Za-z:, ]{0,40}") {
            let _ = (Compute::read(&text), Events::read(&text), id(&text));
            let now = Timestamp::UNIX_EPOCH;
            let events = Events {
                events: vec![Event { event_type: "Preempt".into(), resources: vec!["m".into()], not_before: time }],
            };
            prop_assert!(events.end_of("m", now).is_some());
        }

        #[test]
        fn no_description_brings_it_down(
            name in "\\PC{0,20}", path in "/subscriptions/\\PC{0,30}", place in "\\PC{0,20}", tag in "\\PC{0,20}",
        ) {
            let compute = Compute {
                name, resource_id: path, location: place.clone(), zone: place.clone(), vm_size: place.clone(),
                priority: place, tags_list: vec![Tag { name: tag::FLEET.to_owned(), value: tag }],
            };
            let _ = compute.about();
        }
    }
}
