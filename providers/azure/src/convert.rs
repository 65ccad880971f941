//! Azure's words and ours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use azure_mgmt_compute::models::{HardwareProfile, VirtualMachine, VirtualMachineInstanceView};
use serde::Serialize;
use serde_json::Value;
use skyfleet_core::{
    Arch, FleetName, Instance, InstanceId, InstanceState, Market, OfferId, Owner, Price, Timestamp, Token,
    TypeName, UsdPerHour, tag,
};

use crate::names::{Machine, region_of, zone_of};

/// The tag that tells apart two requests under one token: a digest of the request.
pub(crate) const REQUEST: &str = "skyfleet-request";
/// The tag with the hourly prices at launch, in millionths of a dollar: `D2s_v5=38500 D4s_v5=77000`.
/// Prices change, and the machine does not say what it was bought for.
pub(crate) const PRICES: &str = "skyfleet-prices";

/// Whether a tag is a user's own: neither ours nor one that Azure's tools put there. Azure keeps
/// these beginnings for itself (Azure documentation, "Tag limitations").
pub(crate) fn is_label(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !["skyfleet-", "hidden-", "azure", "microsoft", "windows"].iter().any(|own| key.starts_with(own))
}

/// The tags of a resource, in order.
pub(crate) fn tags(tags: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = tags.and_then(Value::as_object).into_iter().flatten();
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    pairs.filter_map(pair).collect()
}

/// What a machine's tags say, read once for all machines that have the same.
#[derive(Clone, Debug)]
pub(crate) struct Tags {
    pub(crate) owner: Owner,
    pub(crate) fleet: FleetName,
    pub(crate) token: Token,
    expires: Option<Timestamp>,
    labels: Arc<BTreeMap<String, String>>,
    prices: BTreeMap<String, UsdPerHour>,
}

impl Tags {
    /// `None` for what no fleet of ours launched.
    fn read(tags: &BTreeMap<String, String>) -> Option<Self> {
        let own = tags.iter().filter(|(key, _)| is_label(key));
        Some(Self {
            owner: Owner::parse(tags.get(tag::OWNER)?).ok()?,
            fleet: FleetName::parse(tags.get(tag::FLEET)?).ok()?,
            token: Token::parse(tags.get(tag::TOKEN)?)?,
            expires: tag::expires(tags),
            labels: Arc::new(own.map(|(key, value)| (key.clone(), value.clone())).collect()),
            prices: tags.get(PRICES).map(|text| read_prices(text)).unwrap_or_default(),
        })
    }
}

/// The most that the value of a tag holds (Azure documentation, "Tag limitations").
const TAG_MAX: usize = 256;

/// What the types of a launch cost, as a tag holds it. Types that do not fit are left out.
pub(crate) fn write_prices<'a>(prices: impl IntoIterator<Item = (&'a TypeName, UsdPerHour)>) -> String {
    let mut text = String::new();
    for (name, price) in prices {
        let name = name.as_str();
        let word = format!("{}={}", name.strip_prefix(STANDARD).unwrap_or(name), price.micros());
        if text.len() + word.len() < TAG_MAX {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word);
        }
    }
    text
}

const STANDARD: &str = "Standard_";

fn read_prices(text: &str) -> BTreeMap<String, UsdPerHour> {
    let pair = |word: &str| {
        let (name, micros) = word.split_once('=')?;
        Some((name.to_ascii_lowercase(), UsdPerHour::from_micros(micros.parse().ok()?)))
    };
    text.split_whitespace().filter_map(pair).collect()
}

/// The addresses of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) private: Option<IpAddr>,
    pub(crate) public: Option<IpAddr>,
}

/// Reads machines. Those of one launch come one after the other and share what their tags say.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    last: Option<(Value, Option<Tags>)>,
}

impl Reader {
    /// What the tags of a machine say; `None` for one that no fleet of ours launched.
    pub(crate) fn tags(&mut self, machine: &VirtualMachine) -> Option<Tags> {
        let given = machine.resource.tags.as_ref()?;
        match &self.last {
            Some((last, read)) if last == given => read.clone(),
            _ => {
                let read = Tags::read(&tags(Some(given)));
                self.last = Some((given.clone(), read.clone()));
                read
            }
        }
    }

    /// The instance, without its addresses; `None` for one that no fleet of ours launched, and for
    /// one that never came up: that is no instance, only something to delete.
    pub(crate) fn instance(
        &mut self,
        machine: &VirtualMachine,
        power: Option<InstanceState>,
    ) -> Option<Instance> {
        let Tags { owner, fleet, token, expires, labels, prices } = self.tags(machine)?;
        let id = id(machine)?;
        let offer = offer(machine)?;
        let properties = machine.properties.as_ref()?;
        let launched = properties.time_created?;
        let nanos = i32::try_from(launched.nanosecond()).ok()?;
        let name = offer.instance_type.as_str();
        let short = name.strip_prefix(STANDARD).unwrap_or(name).to_ascii_lowercase();
        Some(Instance {
            id,
            owner,
            fleet,
            token,
            region: region_of(&offer.zone),
            state: state(properties.provisioning_state.as_deref(), power)?,
            price: prices.get(&short).map_or(Price::Unknown, |price| Price::Known(*price)),
            offer,
            launched: Timestamp::new(launched.unix_timestamp(), nanos).ok()?,
            labels,
            expires,
            private_ip: None,
            public_ip: None,
        })
    }
}

/// The id of a machine, as we write it.
pub(crate) fn id(machine: &VirtualMachine) -> Option<InstanceId> {
    Some(Machine::parse(machine.resource.id.as_deref()?)?.id())
}

pub(crate) fn offer(machine: &VirtualMachine) -> Option<OfferId> {
    let properties = machine.properties.as_ref()?;
    let size = properties.hardware_profile.as_ref().and_then(size)?;
    let priority = properties.priority.as_ref().map(word).unwrap_or_default();
    Some(OfferId {
        zone: zone_of(&machine.resource.location, machine.zones.first().map(String::as_str)),
        instance_type: size.into(),
        market: market(&priority),
    })
}

/// `SpotPlus` is spot too, and `Low` is how it was called first; what else there may come is paid for
/// in full.
pub(crate) fn market(priority: &str) -> Market {
    match priority.to_ascii_lowercase().as_str() {
        "spot" | "spotplus" | "low" => Market::Spot,
        _ => Market::OnDemand,
    }
}

fn size(hardware: &HardwareProfile) -> Option<String> {
    hardware.vm_size.as_ref().map(word).filter(|word| !word.is_empty())
}

/// The word that a value is on the wire.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The power state among the statuses of a machine.
pub(crate) fn power(view: &VirtualMachineInstanceView) -> Option<InstanceState> {
    let codes = view.statuses.iter().filter_map(|status| status.code.as_deref());
    let power = codes.filter_map(|code| code.strip_prefix("PowerState/")).next_back()?;
    Some(match power.to_ascii_lowercase().as_str() {
        "creating" | "starting" => InstanceState::Pending,
        "stopping" | "deallocating" => InstanceState::Stopping,
        // A stopped one still costs what a running one does; it is as little wanted.
        "stopped" | "deallocated" => InstanceState::Stopped,
        // Running; and whatever else there may be would be there, and cost.
        _ => InstanceState::Running,
    })
}

/// `None` for a machine that could not be made.
fn state(provisioning: Option<&str>, power: Option<InstanceState>) -> Option<InstanceState> {
    match (provisioning.unwrap_or_default().to_ascii_lowercase().as_str(), power) {
        ("deleting", _) => Some(InstanceState::Stopping),
        ("failed" | "canceled", None) => None,
        (_, Some(power)) => Some(power),
        (_, None) => Some(InstanceState::Pending),
    }
}

/// The instruction set of a size, by its name: `p` among the letters behind the number of
/// processors means Arm (Azure documentation, "Naming conventions for Azure virtual machine sizes").
pub(crate) fn arch_of(instance_type: &str) -> Arch {
    let name = instance_type.strip_prefix(STANDARD).unwrap_or(instance_type);
    let first = name.split('_').next().unwrap_or_default();
    let letters = first.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    // `D16-4ps_v5`: some processors are switched off.
    let features = letters.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    if features.contains('p') { Arch::Arm64 } else { Arch::X86_64 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine(tags: Value, state: &str) -> VirtualMachine {
        serde_json::from_value(json!({
            "id": "/subscriptions/S/resourceGroups/WORDS/providers/Microsoft.Compute/virtualMachines/Words_1",
            "name": "Words_1",
            "location": "eastus",
            "zones": ["2"],
            "tags": tags,
            "properties": {
                "hardwareProfile": { "vmSize": "Standard_D2s_v5" },
                "priority": "Spot",
                "provisioningState": state,
                "timeCreated": "2026-01-01T00:00:07.5+00:00",
            },
        }))
        .unwrap()
    }

    fn ours() -> Value {
        json!({
            "skyfleet-owner": "ada", "skyfleet-fleet": "words", "skyfleet-token": "ada_words_3",
            "skyfleet-expires": "1767225700", "skyfleet-prices": "D2s_v5=38500 D4s_v5=77000", "team": "search",
        })
    }

    #[test]
    fn a_machine_is_read_and_labels_are_kept_apart_from_our_tags() {
        let read =
            Reader::default().instance(&machine(ours(), "Succeeded"), Some(InstanceState::Running)).unwrap();
        assert_eq!(
            read.id.as_str(),
            "/subscriptions/s/resourceGroups/words/providers/Microsoft.Compute/virtualMachines/words_1"
        );
        assert_eq!(read.offer.to_string(), "eastus-2 Standard_D2s_v5 spot");
        assert_eq!((read.region.as_str(), read.state), ("eastus", InstanceState::Running));
        assert_eq!(*read.labels, BTreeMap::from([("team".to_owned(), "search".to_owned())]));
        assert_eq!(read.price, Price::Known(UsdPerHour::from_micros(38_500)));
        assert_eq!(read.launched.as_millisecond(), 1_767_225_607_500);
        assert_eq!(read.expires, Timestamp::from_second(1_767_225_700).ok());
    }

    #[test]
    fn what_is_not_ours_is_no_instance_of_ours_nor_is_what_never_came_up() {
        let mut reader = Reader::default();
        for tags in [json!(null), json!({}), json!({ "skyfleet-owner": "ada" })] {
            assert_eq!(reader.instance(&machine(tags.clone(), "Succeeded"), None), None, "{tags}");
        }
        assert_eq!(reader.instance(&machine(ours(), "Failed"), None), None);
        let states = [("Creating", InstanceState::Pending), ("Deleting", InstanceState::Stopping)];
        for (provisioning, state) in states {
            assert_eq!(reader.instance(&machine(ours(), provisioning), None).unwrap().state, state);
        }
    }

    #[test]
    fn the_last_power_state_counts() {
        let view = |code: &str| -> VirtualMachineInstanceView {
            let statuses =
                json!([{ "code": "ProvisioningState/succeeded" }, { "code": format!("PowerState/{code}") }]);
            serde_json::from_value(json!({ "statuses": statuses })).unwrap()
        };
        for (code, state) in [
            ("starting", InstanceState::Pending),
            ("running", InstanceState::Running),
            ("deallocating", InstanceState::Stopping),
            ("stopped", InstanceState::Stopped),
            ("deallocated", InstanceState::Stopped),
        ] {
            assert_eq!(power(&view(code)), Some(state), "{code}");
        }
        assert_eq!(power(&VirtualMachineInstanceView::default()), None);
    }

    #[test]
    fn prices_that_do_not_fit_into_a_tag_are_left_out() {
        let names: Vec<TypeName> = (0..60).map(|n| TypeName::from(format!("Standard_D{n}s_v5"))).collect();
        let text = write_prices(names.iter().map(|name| (name, UsdPerHour::from_micros(123_456))));
        assert!(text.len() <= TAG_MAX && text.starts_with("D0s_v5=123456 D1s_v5="), "{text}");
        assert_eq!(read_prices(&text)["d1s_v5"], UsdPerHour::from_micros(123_456));
    }

    #[test]
    fn the_name_of_a_size_tells_its_instruction_set() {
        for arm in ["Standard_D2ps_v5", "Standard_E4pds_v6", "Standard_B2pts_v2", "Standard_D16-4ps_v5"] {
            assert_eq!(arch_of(arm), Arch::Arm64, "{arm}");
        }
        for x86 in [
            "Standard_D2s_v5",
            "Standard_NC4as_T4_v3",
            "Standard_NP10s",
            "Standard_D2ads_v5",
            "Standard_F2",
            "",
        ] {
            assert_eq!(arch_of(x86), Arch::X86_64, "{x86}");
        }
    }
}
