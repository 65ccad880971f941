use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, Market, Region, Result, TypeName, Zone};

use crate::catalog::{Catalog, Cloud, nearest};

/// Something that goes wrong on purpose. A scenario file and the admin face say it in the same
/// words; the world applies it.
///
/// `cloud` is which simulated cloud is meant; absent means the one that the world plays. Faults draw from the
/// world's seed: the same seed and the same calls get the same answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// At most `available` more instances of a type can start in a zone; `None` lifts it.
    Capacity {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// The zone, or a region alone for all of it (on Azure also launches without a zone).
        zone: Zone,
        /// The type; absent means every type of the zone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance_type: Option<TypeName>,
        /// Which markets.
        #[serde(default)]
        market: Markets,
        /// How many more can start; absent or null lifts.
        #[serde(default)]
        available: Option<u32>,
    },
    /// Calls above a rate get the cloud's own throttling answer.
    Throttle {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Calls per second; absent or null lifts.
        #[serde(default)]
        rps: Option<f64>,
        /// How many calls may come at once; at least 1.
        #[serde(default)]
        burst: Option<u32>,
        /// Only this API action; absent means all of them together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
    },
    /// Sets a quota, by the cloud's own name for it.
    Quota {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// In which region; `global` for a quota over all regions.
        region: Region,
        /// `L-34B43A08`, `PREEMPTIBLE_CPUS`, `lowPriorityCores`.
        name: String,
        /// In the quota's own unit; absent or null goes back to the catalogue's own limit.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Takes running spot instances back. Exactly one of `instance_id`, `nth` and `count` says
    /// which.
    Preempt {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// This one, by the cloud's own id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance_id: Option<String>,
        /// The nth-launched of the spot instances that run at that time, counted from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nth: Option<u32>,
        /// This many of them, drawn from the seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// The lead time in seconds; absent means the cloud's own.
        #[serde(default, alias = "notice_s", skip_serializing_if = "Option::is_none")]
        notice_seconds: Option<f64>,
    },
    /// A size may not be used by the subscription in a region (Azure).
    SkuRestriction {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Where.
        region: Region,
        /// Which size.
        instance_type: TypeName,
        /// False lifts.
        #[serde(default = "yes")]
        on: bool,
    },
    /// Answers fail.
    Error {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Only this API action; absent means every action.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// The chance that one answer fails, 0 to 1.
        #[serde(default = "always")]
        probability: f64,
        /// The HTTP status of the answer.
        #[serde(default = "service_unavailable")]
        status: u16,
        /// The cloud's error code in the answer; absent means its own code for an outage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Whether the cloud acted.
        #[serde(default)]
        when: When,
    },
    /// Answers are slow.
    Latency {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Only this API action; absent means every action.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// By how many milliseconds; 0 lifts.
        ms: u64,
    },
    /// Lists show the world as it was some time ago.
    Stale {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// How many seconds ago; 0 lifts.
        seconds: f64,
    },
}

/// Which markets a fault or a setting is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Markets {
    /// Both.
    #[default]
    All,
    /// Spot only.
    Spot,
    /// On-demand only.
    OnDemand,
}

impl Markets {
    /// Whether a market is meant.
    pub fn contains(self, market: Market) -> bool {
        match self {
            Self::All => true,
            Self::Spot => market == Market::Spot,
            Self::OnDemand => market == Market::OnDemand,
        }
    }
}

/// On which side of a failed answer the cloud acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The cloud refused before it did anything.
    #[default]
    Before,
    /// The cloud acted, and the answer was lost.
    After,
}

fn yes() -> bool {
    true
}

fn always() -> f64 {
    1.0
}

fn service_unavailable() -> u16 {
    503
}

impl Fault {
    /// Which cloud is meant; `None` is the one that the world plays.
    pub fn cloud(&self) -> Option<Cloud> {
        match self {
            Self::Capacity { cloud, .. }
            | Self::Throttle { cloud, .. }
            | Self::Quota { cloud, .. }
            | Self::Preempt { cloud, .. }
            | Self::SkuRestriction { cloud, .. }
            | Self::Error { cloud, .. }
            | Self::Latency { cloud, .. }
            | Self::Stale { cloud, .. } => *cloud,
        }
    }

    /// The word of the key `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Capacity { .. } => "capacity",
            Self::Throttle { .. } => "throttle",
            Self::Quota { .. } => "quota",
            Self::Preempt { .. } => "preempt",
            Self::SkuRestriction { .. } => "sku-restriction",
            Self::Error { .. } => "error",
            Self::Latency { .. } => "latency",
            Self::Stale { .. } => "stale",
        }
    }

    /// Checks what the shape alone cannot say: numbers in range, one way to choose, and names that
    /// the catalogue has. A fault of another cloud than the catalogue's is checked for its numbers
    /// only.
    ///
    /// # Errors
    /// `InvalidRequest`, with the key and what would be right.
    pub fn check(&self, catalog: &Catalog) -> Result<()> {
        self.check_numbers()?;
        if self.cloud().is_some_and(|cloud| cloud != catalog.cloud()) {
            return Ok(());
        }
        match self {
            Self::Capacity { zone, instance_type, .. } => {
                if !catalog.has_region(zone.as_str()) {
                    known_zone(catalog, zone)?;
                }
                instance_type.as_ref().map_or(Ok(()), |name| known_type(catalog, name))
            }
            Self::SkuRestriction { region, instance_type, .. } => {
                known_region(catalog, region)?;
                known_type(catalog, instance_type)
            }
            Self::Quota { region, name, .. } => {
                let ids = || catalog.quotas().keys().filter_map(|id| id.as_str().split_once('/'));
                if region.as_str() != "global" {
                    known_region(catalog, region)?;
                }
                let here = || ids().filter(|(place, _)| *place == region.as_str()).map(|(_, name)| name);
                match here().any(|known| known == name) {
                    true => Ok(()),
                    false => Err(unknown("name", "quota", name, here())),
                }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_numbers(&self) -> Result<()> {
        let positive = |key, number: Option<f64>| match number {
            Some(number) if !(0.0..1e9).contains(&number) => {
                Err(bad(key, format!("{key} is {number}: it must be a number from 0 on")))
            }
            _ => Ok(()),
        };
        match self {
            Self::Throttle { rps, burst, .. } => {
                positive("rps", *rps)?;
                match burst {
                    Some(0) => Err(bad("burst", "burst is 0: at least one call must fit".to_owned())),
                    _ => Ok(()),
                }
            }
            Self::Preempt { instance_id, nth, count, notice_seconds, .. } => {
                positive("notice_seconds", *notice_seconds)?;
                let ways = [instance_id.is_some(), nth.is_some(), count.is_some()];
                if ways.iter().filter(|given| **given).count() != 1 {
                    let message = "exactly one of instance_id, nth and count must say which instances go";
                    return Err(bad("instance_id", message.to_owned()));
                }
                match (nth, count) {
                    (Some(0), _) => Err(bad("nth", "nth is 0: the first instance is 1".to_owned())),
                    (_, Some(0)) => Err(bad("count", "count is 0: at least one instance must go".to_owned())),
                    _ => Ok(()),
                }
            }
            Self::Error { probability, status, .. } => {
                if !(0.0..=1.0).contains(probability) {
                    return Err(bad("probability", format!("probability is {probability}, not from 0 to 1")));
                }
                match status {
                    400..=599 => Ok(()),
                    _ => Err(bad("status", format!("status is {status}: an error has 400 to 599"))),
                }
            }
            Self::Stale { seconds, .. } => positive("seconds", Some(*seconds)),
            _ => Ok(()),
        }
    }
}

fn bad(key: &'static str, message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message).with("key", key)
}

/// The error for a name that the catalogue does not have.
fn unknown<'a>(
    key: &'static str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    let near = nearest(name, known.clone());
    let hint = match near.is_empty() {
        true => format!("known: {}", known.take(20).collect::<Vec<_>>().join(", ")),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    bad(key, format!("there is no {what} {name:?}; {hint}"))
}

pub(crate) fn known_zone(catalog: &Catalog, zone: &Zone) -> Result<()> {
    match catalog.zone(zone.as_str()) {
        Some(_) => Ok(()),
        None => {
            let zones = catalog.zones().iter().map(|spec| spec.zone.as_str());
            Err(unknown("zone", "zone", zone.as_str(), zones))
        }
    }
}

pub(crate) fn known_type(catalog: &Catalog, name: &TypeName) -> Result<()> {
    match catalog.instance_type(name.as_str()) {
        Some(_) => Ok(()),
        None => {
            let types: Vec<_> = catalog.instance_types().map(|spec| spec.name.as_str()).collect();
            Err(unknown("instance_type", "instance type", name.as_str(), types.iter().copied()))
        }
    }
}

fn known_region(catalog: &Catalog, region: &Region) -> Result<()> {
    if catalog.has_region(region.as_str()) {
        return Ok(());
    }
    let regions: Vec<_> = catalog.regions().map(Region::as_str).collect();
    Err(unknown("region", "region", region.as_str(), regions.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> serde_json::Result<Fault> {
        serde_json::from_str(json)
    }

    fn refusal(cloud: Cloud, json: &str) -> String {
        parse(json).unwrap().check(&Catalog::of(cloud)).unwrap_err().to_string()
    }

    #[test]
    fn every_kind_is_read_as_the_admin_face_writes_it_and_written_back() {
        for (cloud, json) in [
            (
                Cloud::Aws,
                r#"{"kind":"capacity","cloud":"aws","zone":"us-east-1a","instance_type":"m7g.large","market":"on-demand","available":3}"#,
            ),
            (
                Cloud::Azure,
                r#"{"kind":"capacity","cloud":"azure","zone":"eastus","instance_type":"Standard_D2s_v5","market":"all","available":null}"#,
            ),
            (
                Cloud::Gcp,
                r#"{"kind":"throttle","cloud":"gcp","rps":2.5,"burst":4,"action":"instances.delete"}"#,
            ),
            (
                Cloud::Aws,
                r#"{"kind":"quota","cloud":"aws","region":"us-east-1","name":"L-34B43A08","limit":64}"#,
            ),
            (Cloud::Gcp, r#"{"kind":"quota","region":"global","name":"CPUS_ALL_REGIONS","limit":null}"#),
            (Cloud::Azure, r#"{"kind":"quota","region":"eastus","name":"lowPriorityCores","limit":8}"#),
            (Cloud::Aws, r#"{"kind":"preempt","cloud":"aws","instance_id":"i-0abc","notice_seconds":5.0}"#),
            (
                Cloud::Azure,
                r#"{"kind":"sku-restriction","cloud":"azure","region":"eastus","instance_type":"Standard_D2s_v5","on":true}"#,
            ),
            (
                Cloud::Aws,
                r#"{"kind":"error","cloud":"aws","action":"CreateFleet","probability":0.5,"status":500,"code":"X","when":"after"}"#,
            ),
            (Cloud::Gcp, r#"{"kind":"latency","cloud":"gcp","action":"instances.get","ms":200}"#),
            (Cloud::Aws, r#"{"kind":"stale","cloud":"aws","seconds":12.0}"#),
        ] {
            let fault = parse(json).unwrap();
            fault.check(&Catalog::of(cloud)).unwrap();
            let written = serde_json::to_string(&fault).unwrap();
            assert_eq!(parse(&written).unwrap(), fault);
            let (read, back): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(json).unwrap(), serde_json::from_str(&written).unwrap());
            assert_eq!(read, back, "the words are the same");
        }
    }

    #[test]
    fn an_unknown_kind_or_field_is_named() {
        for (json, part) in [
            (r#"{"kind":"meteor"}"#, "meteor"),
            (r#"{"kind":"latency","ms":1,"mss":2}"#, "mss"),
            (r#"{"kind":"latency"}"#, "`ms`"),
            (r#"{"kind":"stale","cloud":"ibm","seconds":1}"#, "ibm"),
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        use Cloud::*;
        for (cloud, json, part) in [
            (Aws, r#"{"kind":"capacity","zone":"us-east-1z","available":0}"#, "us-east-1a"),
            (
                Aws,
                r#"{"kind":"capacity","zone":"us-east-1a","instance_type":"m7g.larg","available":0}"#,
                "m7g.large",
            ),
            (
                Gcp,
                r#"{"kind":"quota","region":"us-east1","name":"PREEMPTABLE_CPUS","limit":1}"#,
                "PREEMPTIBLE_CPUS",
            ),
            (Aws, r#"{"kind":"throttle","rps":-1}"#, "rps"),
            (Aws, r#"{"kind":"throttle","rps":1,"burst":0}"#, "burst"),
            (Aws, r#"{"kind":"preempt"}"#, "exactly one"),
            (Aws, r#"{"kind":"preempt","nth":1,"count":1}"#, "exactly one"),
            (Aws, r#"{"kind":"preempt","nth":0}"#, "nth"),
            (Aws, r#"{"kind":"error","probability":1.5}"#, "probability"),
            (Aws, r#"{"kind":"error","status":200}"#, "status"),
            (Aws, r#"{"kind":"stale","seconds":-3}"#, "seconds"),
        ] {
            let error = refusal(cloud, json);
            assert!(error.contains(part) && error.contains("key: "), "{error}");
        }
    }
}
