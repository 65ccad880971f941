//! One bulk insert as Compute Engine takes it.

use std::collections::BTreeMap;

use google_cloud_compute_v1::model::access_config::Type as AccessType;
use google_cloud_compute_v1::model::location_policy::TargetShape;
use google_cloud_compute_v1::model::location_policy_location::Preference;
use google_cloud_compute_v1::model::metadata::Items;
use google_cloud_compute_v1::model::scheduling::{
    InstanceTerminationAction, OnHostMaintenance, ProvisioningModel,
};
use google_cloud_compute_v1::model::{
    AcceleratorConfig, AccessConfig, AttachedDisk, AttachedDiskInitializeParams, BulkInsertInstanceResource,
    BulkInsertInstanceResourcePerInstanceProperties, CustomerEncryptionKey, InstanceFlexibilityPolicy,
    InstanceFlexibilityPolicyInstanceSelection, InstanceProperties, LocationPolicy, LocationPolicyLocation,
    Metadata, NetworkInterface, Scheduling, ServiceAccount, ShieldedInstanceConfig, Tags,
};
use skyfleet_core::{Arch, Market, Spread, Timestamp, TypeName, UsdPerHour, tag};

use super::order::{Machine, Order, Part};
use crate::config::Settings;
use crate::names::InstanceName;
use crate::{convert, user_data};

/// The longest that a machine may be told to run (Compute Engine documentation, "Limit the run time
/// of a VM"): 120 days. An end that is further away is left to the sweep.
const RUN_SECONDS_MAX: i64 = 120 * 86_400;

/// A service account's machines may do what its roles allow (Compute Engine documentation, "Service
/// accounts": the scope that does not restrict them).
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What a call of a launch is made from.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) order: &'a Order<'a>,
    pub(super) part: &'a Part<'a>,
    pub(super) settings: &'a Settings,
    /// The prices of the types, where they are known.
    pub(super) prices: &'a BTreeMap<&'a TypeName, UsdPerHour>,
    /// The number of the call in its launch.
    pub(super) number: u8,
    pub(super) count: u32,
    pub(super) now: Timestamp,
}

impl Call<'_> {
    /// The same for the same call, whenever it is made: a request id is of one request.
    pub(super) fn body(&self) -> BulkInsertInstanceResource {
        let request = self.order.request;
        let least = if self.order.takes_fewer() { 1 } else { request.count_min };
        let names = InstanceName::of_launch(&request.token, self.number, self.count);
        let plain = BulkInsertInstanceResourcePerInstanceProperties::new();
        let body = BulkInsertInstanceResource::new()
            .set_count(i64::from(self.count))
            .set_min_count(i64::from(least.min(self.count)))
            .set_per_instance_properties(names.map(|name| (name.to_string(), plain.clone())))
            .set_location_policy(self.location());
        match self.part.types.as_slice() {
            [only] => {
                let properties = self.properties(only).set_machine_type(only.machine);
                body.set_instance_properties(self.with_gpus(properties))
            }
            [first, ..] => body
                .set_instance_properties(self.properties(first))
                .set_instance_flexibility_policy(self.flexibility(first)),
            [] => body,
        }
    }

    /// The zones of the part and no other: whatever is not denied is allowed.
    fn location(&self) -> LocationPolicy {
        let shape = match self.order.request.spread {
            Spread::Packed => TargetShape::Any,
            Spread::Even => TargetShape::Balanced,
            Spread::SingleZone => TargetShape::AnySingleZone,
        };
        let locations = self.order.handle.zones.iter().map(|zone| {
            let wanted = self.part.zones.contains(zone);
            let preference = if wanted { Preference::Allow } else { Preference::Deny };
            (format!("zones/{zone}"), LocationPolicyLocation::new().set_preference(preference))
        });
        LocationPolicy::new().set_target_shape(shape).set_locations(locations)
    }

    /// Several types: in the order of the request, or, where they are to lie over many pools, all
    /// alike. On demand nobody takes machines back, and the order is that of the price.
    fn flexibility(&self, first: &Machine<'_>) -> InstanceFlexibilityPolicy {
        let alike = self.order.request.spread == Spread::Even && self.order.request.market == Market::Spot;
        let mut groups: Vec<(i64, Vec<&Machine<'_>>)> = Vec::new();
        for (rank, machine) in (0..).zip(&self.part.types) {
            let rank = if alike { 0 } else { rank };
            let same = |group: &&mut (i64, Vec<&Machine<'_>>)| {
                group.0 == rank && group.1.first().is_some_and(|known| kind(known) == kind(machine))
            };
            match groups.iter_mut().find(same) {
                Some((_, machines)) => machines.push(machine),
                None => groups.push((rank, vec![machine])),
            }
        }
        let selections = groups.into_iter().enumerate().map(|(number, (rank, machines))| {
            let mut selection = InstanceFlexibilityPolicyInstanceSelection::new()
                .set_rank(rank)
                .set_machine_types(machines.iter().map(|known| known.machine));
            // Another processor takes another image, another series another kind of disk.
            if let Some(machine) = machines.first().filter(|machine| kind(machine) != kind(first)) {
                selection = selection.set_disks([self.disk(machine)]);
            }
            (format!("s{number:02}"), selection)
        });
        InstanceFlexibilityPolicy::new().set_instance_selections(selections)
    }

    fn properties(&self, machine: &Machine<'_>) -> InstanceProperties {
        let Self { order, settings, .. } = self;
        let mut properties = InstanceProperties::new()
            .set_labels(self.labels())
            .set_metadata(self.metadata())
            .set_scheduling(self.scheduling())
            .set_disks([self.disk(machine)])
            .set_network_interfaces([self.interface()]);
        let tags: Vec<&String> = order.handle.tags.iter().chain(&settings.tags).collect();
        if !tags.is_empty() {
            properties = properties.set_tags(Tags::new().set_items(tags));
        }
        if let Some(account) = &settings.service_account {
            let account = ServiceAccount::new().set_email(account).set_scopes([SCOPE]);
            properties = properties.set_service_accounts([account]);
        }
        // An image of one's own may not be able to.
        if order.handle.neutral
            && self.part.types.iter().all(|known| convert::arch_of(known.machine) == Arch::X86_64)
        {
            // Drivers of GPUs are not signed by whom secure boot trusts.
            let shielded = ShieldedInstanceConfig::new().set_enable_secure_boot(!self.has_gpus());
            properties = properties.set_shielded_instance_config(
                shielded.set_enable_vtpm(true).set_enable_integrity_monitoring(true),
            );
        }
        properties
    }

    fn with_gpus(&self, properties: InstanceProperties) -> InstanceProperties {
        match self.part.attached {
            None => properties,
            Some(attached) => properties.set_guest_accelerators([AcceleratorConfig::new()
                .set_accelerator_type(attached.accelerator.name)
                .set_accelerator_count(i32::try_from(attached.count).unwrap_or(i32::MAX))]),
        }
    }

    /// Whether a machine of the part has GPUs, attached or its own.
    fn has_gpus(&self) -> bool {
        self.part.attached.is_some() || self.part.types.iter().any(|known| convert::has_gpus(known.machine))
    }

    /// What the machines and their disks are found by.
    fn labels(&self) -> BTreeMap<String, String> {
        let request = self.order.request;
        let mut labels = self.order.handle.labels.clone();
        labels.extend(tag::of_launch(&request.token, request.expires));
        labels.insert(convert::REQUEST.to_owned(), self.order.fingerprint());
        labels
    }

    fn metadata(&self) -> Metadata {
        let handle = self.order.handle;
        let token = &self.order.request.token;
        // Who may log in is said here, not by the project. Labels are not told to the machine: whose
        // it is, it learns here.
        let mut items = vec![
            ("block-project-ssh-keys", "TRUE".to_owned()),
            (tag::OWNER, token.owner().to_string()),
            (tag::FLEET, token.fleet().to_string()),
        ];
        if !handle.user_data.is_empty() {
            items.push((user_data::key(&handle.user_data), handle.user_data.clone()));
        }
        if let Some(key) = &self.settings.ssh_key {
            items.push(("ssh-keys", key.clone()));
        }
        let of_part = |known: &Machine<'_>| {
            Some((known.name.as_str().to_owned(), self.prices.get(known.name)?.micros()))
        };
        let prices: BTreeMap<String, i64> = self.part.types.iter().filter_map(of_part).collect();
        if !prices.is_empty() {
            items.push((convert::PRICES, serde_json::to_string(&prices).unwrap_or_default()));
        }
        Metadata::new()
            .set_items(items.into_iter().map(|(key, value)| Items::new().set_key(key).set_value(value)))
    }

    /// A spot machine that is taken back is deleted, and so is every machine at its expiry. Nothing
    /// starts again by itself: whoever supervises the fleet replaces what ended.
    fn scheduling(&self) -> Scheduling {
        let request = self.order.request;
        let (spot, expires) = (request.market == Market::Spot, self.expires());
        let model = if spot { ProvisioningModel::Spot } else { ProvisioningModel::Standard };
        // A machine with GPUs cannot be moved to another host (Compute Engine documentation, "Host
        // maintenance policy").
        let maintenance =
            if spot || self.has_gpus() { OnHostMaintenance::Terminate } else { OnHostMaintenance::Migrate };
        let mut scheduling = Scheduling::new()
            .set_provisioning_model(model)
            .set_on_host_maintenance(maintenance)
            .set_automatic_restart(false);
        if let Some(expires) = expires {
            scheduling = scheduling.set_termination_time(expires.to_string());
        }
        // On demand and without an end, Compute Engine refuses to be told what happens at the end.
        if spot || expires.is_some() {
            scheduling = scheduling.set_instance_termination_action(InstanceTerminationAction::Delete);
        }
        scheduling
    }

    fn expires(&self) -> Option<Timestamp> {
        let expires = self.order.request.expires?;
        (expires.as_second() - self.now.as_second() <= RUN_SECONDS_MAX).then_some(expires)
    }

    /// The boot disk goes with its machine, and is named after it.
    fn disk(&self, machine: &Machine<'_>) -> AttachedDisk {
        let handle = self.order.handle;
        let mut disk = AttachedDiskInitializeParams::new()
            .set_disk_type(convert::boot_disk_of(machine.machine))
            .set_labels(self.labels());
        if let Some(image) = handle.images.get(&convert::arch_of(machine.machine)) {
            disk = disk.set_source_image(image);
        }
        if handle.disk_gib > 0 {
            disk = disk.set_disk_size_gb(i64::from(handle.disk_gib));
        }
        let attached = AttachedDisk::new().set_boot(true).set_auto_delete(true).set_initialize_params(disk);
        match &self.settings.kms_key {
            None => attached,
            Some(key) => attached.set_disk_encryption_key(CustomerEncryptionKey::new().set_kms_key_name(key)),
        }
    }

    fn interface(&self) -> NetworkInterface {
        let handle = self.order.handle;
        let interface = NetworkInterface::new().set_network(&handle.network);
        let interface = match &handle.subnetwork {
            Some(subnetwork) => interface.set_subnetwork(subnetwork),
            None => interface,
        };
        if !handle.public_ip {
            return interface;
        }
        let nat = AccessConfig::new().set_type(AccessType::OneToOneNat).set_name("External NAT");
        interface.set_access_configs([nat])
    }
}

/// What a disk depends on.
fn kind(machine: &Machine<'_>) -> (Arch, &'static str) {
    (convert::arch_of(machine.machine), convert::boot_disk_of(machine.machine))
}

#[cfg(test)]
mod tests {
    use skyfleet_core::LaunchRequest;

    use super::super::order::Handle;
    use super::super::order::tests::{handle, request};
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

    fn body(request: &LaunchRequest, handle: &Handle, settings: &Settings) -> BulkInsertInstanceResource {
        let order = Order::new(request, handle).unwrap();
        let prices = order.parts[0].types.iter().map(|known| (known.name, UsdPerHour::from_micros(31_000)));
        let prices = prices.collect();
        let part = &order.parts[0];
        Call { order: &order, part, settings, prices: &prices, number: 0, count: request.count, now: NOW }
            .body()
    }

    fn of(market: Market, pools: &[(&str, &str)]) -> BulkInsertInstanceResource {
        body(&request(market, pools), &handle(), &Settings::default())
    }

    #[test]
    fn a_machine_is_closed_labelled_and_leaves_nothing() {
        let body = of(Market::Spot, &[("a", "n2-standard-2")]);
        assert_eq!((body.count, body.min_count, body.per_instance_properties.len()), (Some(10), Some(1), 10));
        let given = body.instance_properties.unwrap();
        assert_eq!(given.machine_type.as_deref(), Some("n2-standard-2"));
        assert_eq!(given.labels["skyfleet-token"], "ada_words_3");
        assert_eq!(given.labels["team"], "search");
        let disk = &given.disks[0];
        assert_eq!((disk.auto_delete, disk.boot), (Some(true), Some(true)));
        assert_eq!(disk.initialize_params.as_ref().unwrap().labels, given.labels);
        assert!(given.network_interfaces[0].access_configs.is_empty());
        assert!(given.service_accounts.is_empty() && given.tags.is_none());
        assert_eq!(given.shielded_instance_config.unwrap().enable_secure_boot, Some(true));
        let scheduling = given.scheduling.unwrap();
        assert_eq!(scheduling.provisioning_model, Some(ProvisioningModel::Spot));
        assert_eq!(scheduling.instance_termination_action, Some(InstanceTerminationAction::Delete));
        assert_eq!(scheduling.on_host_maintenance, Some(OnHostMaintenance::Terminate));
        let items = given.metadata.unwrap().items;
        let item = |key: &str| {
            items.iter().find(|item| item.key.as_deref() == Some(key)).and_then(|i| i.value.clone())
        };
        assert_eq!(item("startup-script").as_deref(), Some("#!/bin/sh\n"));
        assert_eq!(item(convert::PRICES).as_deref(), Some(r#"{"n2-standard-2":31000}"#));
    }

    #[test]
    fn zones_that_are_not_wanted_are_denied() {
        let policy =
            of(Market::Spot, &[("a", "n2-standard-2"), ("b", "n2-standard-2")]).location_policy.unwrap();
        assert_eq!(policy.target_shape, Some(TargetShape::Balanced));
        let denied = |letter: &str| {
            policy.locations[&format!("zones/us-central1-{letter}")].preference == Some(Preference::Deny)
        };
        assert_eq!(["a", "b", "c", "f"].map(denied), [false, false, true, true]);
        let alone =
            LaunchRequest { spread: Spread::SingleZone, ..request(Market::Spot, &[("a", "n2-standard-2")]) };
        let policy = body(&alone, &handle(), &Settings::default()).location_policy.unwrap();
        assert_eq!(policy.target_shape, Some(TargetShape::AnySingleZone));
    }

    #[test]
    fn on_demand_types_are_ranked_and_spot_types_alike() {
        let pools = [("a", "n2-standard-2"), ("a", "e2-standard-2"), ("a", "n4-standard-2")];
        let ranks = |market| {
            let body = of(market, &pools);
            assert_eq!(body.instance_properties.unwrap().machine_type, None);
            let selections = body.instance_flexibility_policy.unwrap().instance_selections;
            let selections: BTreeMap<_, _> = selections.into_iter().collect();
            let told = selections.into_values();
            told.map(|s| (s.rank.unwrap(), s.machine_types, s.disks.len())).collect::<Vec<_>>()
        };
        let types = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            ranks(Market::OnDemand),
            [
                (0, types(&["n2-standard-2"]), 0),
                (1, types(&["e2-standard-2"]), 0),
                (2, types(&["n4-standard-2"]), 1)
            ]
        );
        assert_eq!(
            ranks(Market::Spot),
            [(0, types(&["n2-standard-2", "e2-standard-2"]), 0), (0, types(&["n4-standard-2"]), 1)]
        );
    }

    #[test]
    fn on_demand_says_what_happens_at_the_end_only_where_there_is_one() {
        let pools = [("a", "n2-standard-2")];
        let scheduling = |request: &LaunchRequest| {
            body(request, &handle(), &Settings::default()).instance_properties.unwrap().scheduling.unwrap()
        };
        let endless = scheduling(&request(Market::OnDemand, &pools));
        assert_eq!((endless.instance_termination_action, endless.termination_time), (None, None));
        assert_eq!(endless.on_host_maintenance, Some(OnHostMaintenance::Migrate));
        let ends = |seconds| {
            let expires = Timestamp::from_second(NOW.as_second() + seconds).ok();
            scheduling(&LaunchRequest { expires, ..request(Market::OnDemand, &pools) })
        };
        let soon = ends(3_600);
        assert_eq!(soon.termination_time.as_deref(), Some("2026-01-01T01:00:00Z"));
        assert_eq!(soon.instance_termination_action, Some(InstanceTerminationAction::Delete));
        assert_eq!(ends(RUN_SECONDS_MAX + 1).termination_time, None);
    }

    #[test]
    fn what_is_asked_for_is_given() {
        let settings = Settings {
            service_account: Some("worker@p.iam.gserviceaccount.com".to_owned()),
            tags: vec!["egress-only".to_owned()],
            ssh_key: Some("ada:ssh-ed25519 AAAA".to_owned()),
            kms_key: Some("projects/p/locations/l/keyRings/r/cryptoKeys/k".to_owned()),
            ..Settings::default()
        };
        let handle = Handle {
            public_ip: true,
            tags: vec!["skyfleet-x".to_owned()],
            subnetwork: Some("regions/us-central1/subnetworks/workers".to_owned()),
            neutral: false,
            ..handle()
        };
        let request =
            LaunchRequest { count_min: 10, ..request(Market::OnDemand, &[("a", "n1-standard-4+T4")]) };
        let body = body(&request, &handle, &settings);
        assert_eq!(body.min_count, Some(10));
        let given = body.instance_properties.unwrap();
        assert_eq!(given.machine_type.as_deref(), Some("n1-standard-4"));
        assert_eq!(given.guest_accelerators[0].accelerator_type.as_deref(), Some("nvidia-tesla-t4"));
        assert_eq!(given.scheduling.unwrap().on_host_maintenance, Some(OnHostMaintenance::Terminate));
        assert_eq!(given.tags.unwrap().items, ["skyfleet-x", "egress-only"]);
        assert_eq!(given.service_accounts[0].scopes, [SCOPE]);
        assert_eq!(given.network_interfaces[0].access_configs.len(), 1);
        assert_eq!(
            given.network_interfaces[0].subnetwork.as_deref(),
            Some("regions/us-central1/subnetworks/workers")
        );
        assert!(given.disks[0].disk_encryption_key.is_some());
        assert_eq!(given.shielded_instance_config, None);
    }
}
