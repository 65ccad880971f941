//! Compute Engine's words and ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use google_cloud_compute_v1::model::Instance as GceInstance;
use google_cloud_compute_v1::model::instance::Status;
use google_cloud_compute_v1::model::scheduling::ProvisioningModel;
use skyfleet_core::{
    Arch, FleetName, Instance, InstanceId, InstanceState, Market, OfferId, Owner, Price, Timestamp, Token,
    TypeName, UsdPerHour, tag,
};

use crate::catalog::{Attached, join};
use crate::whereabouts::{last, region_of};

/// The label that tells apart two requests under one token: a digest of the request.
pub(crate) const REQUEST: &str = "skyfleet-request";
/// The metadata entry with the hourly prices at launch, by machine type, in millionths of a
/// dollar: prices change, and no question finds an old one again.
pub(crate) const PRICES: &str = "skyfleet-prices";

/// Whether a label is a user's own: neither ours nor one that Google's tools put there.
pub(crate) fn is_label(key: &str) -> bool {
    !key.starts_with("skyfleet-") && !key.starts_with("goog-")
}

/// Reads instances. Those of one launch come one after the other and share what their labels say.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    last: Option<(BTreeMap<String, String>, Option<Labels>)>,
}

/// What an instance's labels say.
#[derive(Clone, Debug)]
struct Labels {
    owner: Owner,
    fleet: FleetName,
    token: Token,
    expires: Option<Timestamp>,
    labels: Arc<BTreeMap<String, String>>,
}

impl Labels {
    /// `None` for what no fleet of ours launched.
    fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        let own = labels.iter().filter(|(key, _)| is_label(key));
        Some(Self {
            owner: Owner::parse(labels.get(tag::OWNER)?).ok()?,
            fleet: FleetName::parse(labels.get(tag::FLEET)?).ok()?,
            token: Token::parse(labels.get(tag::TOKEN)?)?,
            expires: tag::expires(labels),
            labels: Arc::new(own.map(|(key, value)| (key.clone(), value.clone())).collect()),
        })
    }
}

impl Reader {
    /// `None` for an instance that no fleet of ours launched.
    pub(crate) fn instance(&mut self, instance: &GceInstance) -> Option<Instance> {
        let Labels { owner, fleet, token, expires, labels } = self.labels(instance)?;
        let zone = last(instance.zone.as_deref()?);
        let offer = offer(instance, zone)?;
        let interface = instance.network_interfaces.first();
        let nat = interface.and_then(|interface| interface.access_configs.first());
        let address = |text: Option<&String>| text.and_then(|text| text.parse().ok());
        Some(Instance {
            id: id(zone, instance.name.as_deref()?),
            owner,
            fleet,
            token,
            region: region_of(zone),
            state: instance.status.as_ref().map_or(InstanceState::Pending, state),
            price: price(instance, &offer.instance_type),
            offer,
            launched: instance.creation_timestamp.as_deref()?.parse().ok()?,
            labels,
            expires,
            private_ip: address(interface.and_then(|interface| interface.network_ip.as_ref())),
            public_ip: address(nat.and_then(|nat| nat.nat_ip.as_ref())),
        })
    }

    fn labels(&mut self, instance: &GceInstance) -> Option<Labels> {
        let labels = map(instance.labels.iter());
        match &self.last {
            Some((last, read)) if *last == labels => read.clone(),
            _ => {
                let read = Labels::read(&labels);
                self.last = Some((labels, read.clone()));
                read
            }
        }
    }
}

/// The id of an instance.
pub(crate) fn id(zone: &str, name: &str) -> InstanceId {
    InstanceId::from(format!("zones/{zone}/instances/{name}"))
}

/// The SDK's labels in order.
pub(crate) fn map<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, String> {
    labels.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn offer(instance: &GceInstance, zone: &str) -> Option<OfferId> {
    let machine = last(instance.machine_type.as_deref()?);
    let is_spot = instance.scheduling.as_ref().is_some_and(|scheduling| {
        // `preemptible` is how it was said before there was a provisioning model.
        scheduling.provisioning_model == Some(ProvisioningModel::Spot) || scheduling.preemptible == Some(true)
    });
    Some(OfferId {
        zone: zone.into(),
        instance_type: type_name(instance, machine),
        market: if is_spot { Market::Spot } else { Market::OnDemand },
    })
}

/// The machine type, with what is attached to it where it has none of its own.
fn type_name(instance: &GceInstance, machine: &str) -> TypeName {
    let attached = match instance.guest_accelerators.as_slice() {
        [one] if machine.starts_with("n1-") => {
            let count = one.accelerator_count.and_then(|count| u32::try_from(count).ok());
            count
                .zip(one.accelerator_type.as_deref())
                .and_then(|(count, name)| Attached::of(last(name), count))
        }
        _ => None,
    };
    attached.map_or_else(|| TypeName::from(machine), |attached| join(machine, attached))
}

fn price(instance: &GceInstance, name: &TypeName) -> Price {
    let read = || {
        let items = &instance.metadata.as_ref()?.items;
        let item = items.iter().find(|item| item.key.as_deref() == Some(PRICES))?;
        let prices: BTreeMap<String, i64> = serde_json::from_str(item.value.as_deref()?).ok()?;
        prices.get(name.as_str()).map(|micros| UsdPerHour::from_micros(*micros))
    };
    read().map_or(Price::Unknown, Price::Known)
}

/// Compute Engine documentation, "VM instance lifecycle". What is `TERMINATED` there has stopped:
/// it can be started again, and its disk costs. What has ended for good is not there any more.
fn state(status: &Status) -> InstanceState {
    match status {
        Status::Pending | Status::Provisioning | Status::Staging => InstanceState::Pending,
        Status::PendingStop | Status::Stopping | Status::Suspending | Status::Deprovisioning => {
            InstanceState::Stopping
        }
        Status::Stopped | Status::Terminated | Status::Suspended => InstanceState::Stopped,
        // `REPAIRING` comes up again by itself; what is new would be there, and cost.
        _ => InstanceState::Running,
    }
}

/// The instruction set of a machine type, by its series (Compute Engine documentation, "Machine
/// families"): T2A, C4A, N4A and A4X have Arm processors.
pub(crate) fn arch_of(machine: &str) -> Arch {
    match series(machine) {
        "t2a" | "c4a" | "n4a" | "a4x" => Arch::Arm64,
        _ => Arch::X86_64,
    }
}

/// The kind of boot disk that a machine type takes (Compute Engine documentation, "About
/// Hyperdisk"): the newest series take no Persistent Disk.
pub(crate) fn boot_disk_of(machine: &str) -> &'static str {
    match series(machine) {
        "c4" | "c4a" | "c4d" | "n4" | "n4a" | "n4d" | "x4" | "m4" | "h4d" | "z4" | "a4" | "a4x" | "g4" => {
            "hyperdisk-balanced"
        }
        _ => "pd-balanced",
    }
}

/// Whether a machine type comes with GPUs (Compute Engine documentation, "GPU machine types").
pub(crate) fn has_gpus(machine: &str) -> bool {
    matches!(series(machine), "a2" | "a3" | "a4" | "a4x" | "g2" | "g4")
}

fn series(machine: &str) -> &str {
    machine.split('-').next().unwrap_or(machine)
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::metadata::Items;
    use google_cloud_compute_v1::model::{
        AcceleratorConfig, AccessConfig, Metadata, NetworkInterface, Scheduling,
    };

    use super::*;

    const ZONE: &str = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a";

    fn gce(labels: &[(&str, &str)]) -> GceInstance {
        let nat = AccessConfig::new().set_nat_ip("203.0.113.7");
        let interface = NetworkInterface::new().set_network_ip("10.0.0.7").set_access_configs([nat]);
        let prices = Items::new().set_key(PRICES).set_value(r#"{"n2-standard-2":31000}"#);
        GceInstance::new()
            .set_name("words-0123456789-3-a0001")
            .set_zone(ZONE)
            .set_machine_type(format!("{ZONE}/machineTypes/n2-standard-2"))
            .set_status(Status::Staging)
            .set_creation_timestamp("2026-01-01T00:00:00.000-08:00")
            .set_scheduling(Scheduling::new().set_provisioning_model(ProvisioningModel::Spot))
            .set_network_interfaces([interface])
            .set_metadata(Metadata::new().set_items([prices]))
            .set_labels(labels.iter().copied())
    }

    fn ours() -> GceInstance {
        gce(&[
            ("skyfleet-owner", "ada"),
            ("skyfleet-fleet", "words"),
            ("skyfleet-token", "ada_words_3"),
            ("skyfleet-expires", "1767225700"),
            ("skyfleet-request", "0f"),
            ("goog-ops-agent", "v2"),
            ("team", "search"),
        ])
    }

    #[test]
    fn an_instance_is_read_whole() {
        let read = Reader::default().instance(&ours()).unwrap();
        assert_eq!(read.id.as_str(), "zones/us-central1-a/instances/words-0123456789-3-a0001");
        assert_eq!(read.offer.to_string(), "us-central1-a n2-standard-2 spot");
        assert_eq!((read.region.as_str(), read.token.to_string().as_str()), ("us-central1", "ada_words_3"));
        assert_eq!(*read.labels, BTreeMap::from([("team".to_owned(), "search".to_owned())]));
        assert_eq!(read.price, Price::Known(UsdPerHour::from_micros(31_000)));
        assert_eq!(read.launched, Timestamp::from_second(1_767_254_400).unwrap());
        assert_eq!(read.expires, Timestamp::from_second(1_767_225_700).ok());
        assert_eq!(read.state, InstanceState::Pending);
        assert_eq!(read.public_ip, "203.0.113.7".parse().ok());
        assert_eq!(read.private_ip, "10.0.0.7".parse().ok());
    }

    #[test]
    fn what_is_attached_is_part_of_the_type() {
        let gpus = AcceleratorConfig::new()
            .set_accelerator_type(format!("{ZONE}/acceleratorTypes/nvidia-tesla-t4"))
            .set_accelerator_count(2);
        let with = ours().set_machine_type("n1-standard-8").set_guest_accelerators([gpus.clone()]);
        let read = Reader::default().instance(&with).unwrap();
        assert_eq!(read.offer.instance_type.as_str(), "n1-standard-8+2xT4");
        assert_eq!(read.price, Price::Unknown, "no price was noted for it");
        // GPUs that come with a type are not told again.
        let own = ours().set_machine_type("g2-standard-4").set_guest_accelerators([gpus]);
        let read = Reader::default().instance(&own).unwrap();
        assert_eq!(read.offer.instance_type.as_str(), "g2-standard-4");
    }

    #[test]
    fn what_is_not_ours_is_no_instance_of_ours() {
        let mut reader = Reader::default();
        for labels in [
            &[][..],
            &[("skyfleet-owner", "ada")],
            &[("skyfleet-owner", "ada"), ("skyfleet-fleet", "w"), ("skyfleet-token", "?")],
        ] {
            assert_eq!(reader.instance(&gce(labels)), None, "{labels:?}");
        }
    }

    #[test]
    fn a_series_tells_processor_and_disk() {
        for (machine, arch, disk) in [
            ("t2a-standard-4", Arch::Arm64, "pd-balanced"),
            ("c4a-standard-4", Arch::Arm64, "hyperdisk-balanced"),
            ("n2-standard-4", Arch::X86_64, "pd-balanced"),
            ("n4-standard-4", Arch::X86_64, "hyperdisk-balanced"),
            ("a3-highgpu-8g", Arch::X86_64, "pd-balanced"),
        ] {
            assert_eq!((arch_of(machine), boot_disk_of(machine)), (arch, disk), "{machine}");
        }
    }
}
