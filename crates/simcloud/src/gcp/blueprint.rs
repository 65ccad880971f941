//! What the instances of one launch are made of: checked, with all defaults of Compute Engine.

pub(crate) mod disks;
pub(crate) mod interfaces;
pub(crate) mod properties;
pub(crate) mod scheduling;
pub(crate) mod shape;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use skyfleet_core::{InstanceType, Market, Region, Timestamp, Zone};

use crate::gcp::blueprint::properties::{MetadataSpec, Properties};
use crate::gcp::error::invalid;
use crate::gcp::launched::{Details, Metadata};
use crate::gcp::projects::ACCOUNT;
use crate::gcp::state::State;
use crate::gcp::{accelerator_types, labels};
use crate::kernel::Kernel;
use crate::order::{MachineSpec, OnReclaim, OnShutdown};
use crate::refusal::Refusal;
use crate::tags::Tags;

/// The longest value of metadata, and the most of all together. Compute Engine documentation, "About
/// VM metadata".
const VALUE_BYTES_MAX: usize = 256 * 1_024;
const METADATA_BYTES_MAX: usize = 512 * 1_024;

/// Instances of one type, wherever in a region.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub(crate) machine: Arc<InstanceType>,
    pub(crate) market: Market,
    pub(crate) spec: MachineSpec,
    pub(crate) details: Arc<Details>,
    pub(crate) labels: Arc<Tags>,
    pub(crate) disk_labels: Arc<Tags>,
    /// When they end, or stop, wherever they are in their lives.
    pub(crate) termination: Option<Timestamp>,
}

/// For whom and where a blueprint is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    pub(crate) region: &'a Region,
    /// The zone, or any of the region.
    pub(crate) zone: &'a Zone,
}

/// Makes the blueprint of instances of a type.
///
/// # Errors
/// Compute Engine's for what does not exist, does not go together or cannot be had here.
pub(crate) fn draw(
    kernel: &Kernel,
    state: &mut State,
    place: Place<'_>,
    machine: Arc<InstanceType>,
    properties: &Properties,
) -> Result<Blueprint, Refusal> {
    let terms = scheduling::read(&properties.scheduling, machine.gpu.is_some(), kernel.now())?;
    let disks = disks::read(kernel, state, place, &machine, &properties.disks)?;
    let interfaces = interfaces::read(kernel, state, place, &properties.network_interfaces)?;
    let metadata = metadata(&properties.metadata)?;
    labels::check(&properties.labels, "resource.labels")?;
    let holds = interfaces.iter().flat_map(|nic| [nic.network.as_str(), nic.subnetwork.as_str()]);
    let holds = holds.filter(|path| kernel.fixture(path).is_some()).map(Into::into).collect();
    let spot = terms.preemptible;
    let spec = MachineSpec {
        user_data: metadata.get("startup-script").unwrap_or_default().into(),
        disk_gib: disks.gib,
        public_ip: interfaces.first().is_some_and(|nic| nic.access.is_some()),
        delete_with_instance: disks.boot.auto_delete,
        holds,
        each_boot: true,
        on_reclaim: match terms.action {
            Some("DELETE") => OnReclaim::Terminate,
            _ => OnReclaim::Stop,
        },
        on_shutdown: OnShutdown::Stop,
        notice: terms.notice.filter(|notice| spot && !notice.is_zero()),
        max_run: terms.max_run,
        ..MachineSpec::default()
    };
    let accelerator = machine.gpu.as_ref().and_then(|gpu| Some((accelerator_types::name(gpu)?, gpu.count)));
    let shielding = properties.shielded_instance_config;
    let accounts = properties.service_accounts.iter().map(|account| {
        let email = account.email.as_deref().filter(|email| *email != "default");
        (email.unwrap_or(ACCOUNT).to_owned(), account.scopes.clone())
    });
    let termination = terms.termination;
    let details = Details {
        project: place.project.to_owned(),
        boot: disks.boot,
        scratch: disks.scratch,
        interfaces,
        scheduling: terms,
        metadata: Arc::new(metadata),
        tags: Arc::new(properties.tags.items.clone()),
        accounts: accounts.collect(),
        accelerator,
        // Compute Engine documentation, "Modify Shielded VM options": these are on, secure boot is not.
        shielded: [
            shielding.enable_secure_boot.unwrap_or(false),
            shielding.enable_vtpm.unwrap_or(true),
            shielding.enable_integrity_monitoring.unwrap_or(true),
        ],
        deletion_protection: false,
        told: told(properties),
    };
    Ok(Blueprint {
        machine,
        market: if spot { Market::Spot } else { Market::OnDemand },
        spec,
        details: Arc::new(details),
        labels: Arc::new(properties.labels.clone()),
        disk_labels: Arc::new(disks.labels),
        termination,
    })
}

/// The metadata of an instance.
///
/// # Errors
/// `invalid` for a key that is none or is there twice, and for values that are too long.
pub(crate) fn metadata(spec: &MetadataSpec) -> Result<Metadata, Refusal> {
    let mut seen = BTreeMap::new();
    let mut bytes = 0;
    for item in &spec.items {
        let is_key = !item.key.is_empty()
            && item.key.len() <= 128
            && item.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_key {
            let why = "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'";
            return Err(invalid("resource.metadata.items.key", &item.key, why));
        }
        if seen.insert(&item.key, ()).is_some() {
            return Err(invalid("resource.metadata.items.key", &item.key, "The key is there twice."));
        }
        bytes += item.key.len() + item.value.len();
        if item.value.len() > VALUE_BYTES_MAX || bytes > METADATA_BYTES_MAX {
            let why = format!(
                "A value has at most {VALUE_BYTES_MAX} bytes, and all of the metadata {METADATA_BYTES_MAX}."
            );
            return Err(invalid("resource.metadata.items.value", &item.key, &why));
        }
    }
    let items = spec.items.iter().map(|item| (item.key.clone(), item.value.clone()));
    Ok(Metadata::new(items.collect()))
}

/// Members that are told as they were given.
fn told(properties: &Properties) -> Map<String, Value> {
    let mut told = Map::new();
    let mut tell = |name: &str, value: Option<Value>| {
        told.extend(value.map(|value| (name.to_owned(), value)));
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let part = |part: &Option<Map<String, Value>>| part.clone().map(Value::from);
    tell("canIpForward", Some(properties.can_ip_forward.unwrap_or(false).into()));
    tell("description", text(&properties.description));
    tell("minCpuPlatform", text(&properties.min_cpu_platform));
    tell("keyRevocationActionType", text(&properties.key_revocation_action_type));
    tell("privateIpv6GoogleAccess", text(&properties.private_ipv6_google_access));
    let policies = &properties.resource_policies;
    tell("resourcePolicies", (!policies.is_empty()).then(|| json!(policies)));
    tell("advancedMachineFeatures", part(&properties.advanced_machine_features));
    tell("displayDevice", part(&properties.display_device));
    tell("confidentialInstanceConfig", part(&properties.confidential_instance_config));
    tell("networkPerformanceConfig", part(&properties.network_performance_config));
    tell("reservationAffinity", part(&properties.reservation_affinity));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_have_each_key_once() {
        let items = |keys: &[&str]| {
            let spec: MetadataSpec = serde_json::from_value(json!({
                "items": keys.iter().map(|key| json!({ "key": key, "value": "v" })).collect::<Vec<_>>(),
            }))
            .unwrap();
            metadata(&spec).map(|metadata| metadata.items.len()).ok()
        };
        assert_eq!(items(&["a", "startup-script"]), Some(2));
        assert_eq!(items(&["a", "a"]), None);
        assert_eq!(items(&["a b"]), None);
    }
}
