//! What a caller says of the machines that he wants: an `Instance` that is to be inserted, and
//! `instanceProperties` of templates and bulk inserts, which have the same members.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

/// Properties as they were given. Members that are told back as they came are in `told`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Properties {
    pub(crate) machine_type: Option<String>,
    pub(crate) disks: Vec<DiskSpec>,
    pub(crate) network_interfaces: Vec<InterfaceSpec>,
    pub(crate) scheduling: SchedulingSpec,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) metadata: MetadataSpec,
    pub(crate) tags: TagsSpec,
    pub(crate) service_accounts: Vec<AccountSpec>,
    pub(crate) guest_accelerators: Vec<AcceleratorSpec>,
    pub(crate) can_ip_forward: Option<bool>,
    pub(crate) description: Option<String>,
    pub(crate) min_cpu_platform: Option<String>,
    pub(crate) key_revocation_action_type: Option<String>,
    pub(crate) private_ipv6_google_access: Option<String>,
    pub(crate) resource_policies: Vec<String>,
    pub(crate) advanced_machine_features: Option<Map<String, Value>>,
    pub(crate) display_device: Option<Map<String, Value>>,
    pub(crate) confidential_instance_config: Option<Map<String, Value>>,
    pub(crate) network_performance_config: Option<Map<String, Value>>,
    pub(crate) reservation_affinity: Option<Map<String, Value>>,
    pub(crate) shielded_instance_config: Shielding,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DiskSpec {
    pub(crate) boot: bool,
    pub(crate) auto_delete: bool,
    pub(crate) device_name: Option<String>,
    pub(crate) disk_size_gb: Option<Int>,
    pub(crate) initialize_params: InitializeSpec,
    pub(crate) interface: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) source: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InitializeSpec {
    pub(crate) disk_name: Option<String>,
    pub(crate) disk_size_gb: Option<Int>,
    pub(crate) disk_type: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) source_image: Option<String>,
    pub(crate) source_snapshot: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InterfaceSpec {
    pub(crate) network: Option<String>,
    pub(crate) subnetwork: Option<String>,
    #[serde(rename = "networkIP")]
    pub(crate) network_ip: Option<String>,
    pub(crate) access_configs: Vec<AccessSpec>,
    pub(crate) nic_type: Option<String>,
    pub(crate) stack_type: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AccessSpec {
    pub(crate) name: Option<String>,
    #[serde(rename = "natIP")]
    pub(crate) nat_ip: Option<String>,
    pub(crate) network_tier: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SchedulingSpec {
    pub(crate) provisioning_model: Option<String>,
    pub(crate) preemptible: Option<bool>,
    pub(crate) automatic_restart: Option<bool>,
    pub(crate) on_host_maintenance: Option<String>,
    pub(crate) instance_termination_action: Option<String>,
    pub(crate) max_run_duration: Option<Span>,
    pub(crate) termination_time: Option<String>,
    pub(crate) preemption_notice_duration: Option<Span>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MetadataSpec {
    pub(crate) fingerprint: Option<String>,
    pub(crate) items: Vec<MetadataItem>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MetadataItem {
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TagsSpec {
    pub(crate) fingerprint: Option<String>,
    pub(crate) items: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AccountSpec {
    pub(crate) email: Option<String>,
    pub(crate) scopes: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AcceleratorSpec {
    pub(crate) accelerator_type: String,
    pub(crate) accelerator_count: Option<Int>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Shielding {
    pub(crate) enable_secure_boot: Option<bool>,
    pub(crate) enable_vtpm: Option<bool>,
    pub(crate) enable_integrity_monitoring: Option<bool>,
}

/// A `Duration` of the discovery document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Span {
    seconds: Int,
    nanos: u32,
}

impl Span {
    /// `None` for one that is negative or longer than a duration may be.
    pub(crate) fn time(self) -> Option<Duration> {
        let whole = u64::try_from(self.seconds.0).ok().filter(|seconds| *seconds <= 315_576_000_000)?;
        (self.nanos < 1_000_000_000).then(|| Duration::new(whole, self.nanos))
    }
}

/// A whole number. Compute Engine writes those of 64 bits as strings, and takes both forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Int(pub(crate) i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text
                .parse()
                .map(Self)
                .map_err(|_| de::Error::custom(format!("{text:?} is no whole number of 64 bits"))),
        }
    }
}

/// Lays some properties over others, as bulk inserts do with those of a template: JSON Merge Patch,
/// RFC 7396.
pub(crate) fn merge(under: Value, over: &Value) -> Value {
    let Value::Object(over) = over else { return over.clone() };
    let mut merged = match under {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in over {
        let old = merged.remove(name).unwrap_or_default();
        if !value.is_null() {
            merged.insert(name.clone(), merge(old, value));
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_taken_in_both_forms() {
        for written in [json!("12"), json!(12)] {
            assert_eq!(Int::deserialize(&written).unwrap(), Int(12));
        }
        assert!(Int::deserialize(&json!("twelve")).is_err());
        assert!(Int::deserialize(&json!(1.5)).is_err());
    }

    #[test]
    fn a_bulk_insert_lays_its_properties_over_those_of_the_template() {
        let template = json!({ "machineType": "n2-standard-2", "labels": { "a": "1", "b": "2" },
            "disks": [{ "boot": true }], "description": "old" });
        let over = json!({ "labels": { "b": "3" }, "disks": [{ "boot": false }], "description": null });
        let merged = merge(template, &over);
        let expected = json!({ "machineType": "n2-standard-2", "labels": { "a": "1", "b": "3" },
            "disks": [{ "boot": false }] });
        assert_eq!(merged, expected);
    }

    #[test]
    fn a_duration_is_not_negative() {
        let span = |written: Value| Span::deserialize(&written).unwrap().time();
        assert_eq!(span(json!({ "seconds": "120" })), Some(Duration::from_secs(120)));
        assert_eq!(span(json!({ "seconds": 1, "nanos": 500_000_000 })), Some(Duration::from_millis(1_500)));
        assert_eq!(span(json!({ "seconds": "-1" })), None);
    }
}
