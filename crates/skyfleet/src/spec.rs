use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Arch, Error, ErrorKind, Region, Result, TypeName, Usd, UsdPerHour, Zone};

/// What the user wants, in neutral words: nothing in here knows a cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What each instance must be.
    pub need: Need,
    /// How many instances at most, and what the fleet grows back to.
    pub target: u32,
    /// Fewer than this and the launch failed.
    pub min: u32,
    /// What to do while the target is not reached.
    pub fulfilment: Fulfilment,
    /// How long a launch may try; `None` is one pass over all candidates.
    pub deadline: Option<Duration>,
    /// One zone, or as many as there are.
    pub zones: ZoneMode,
    /// Spot, on-demand, or both.
    pub market: MarketMix,
    /// What may be spent, and how long it may run.
    pub limits: Limits,
    /// The image: `debian-12`, `ubuntu-24.04`, or the cloud's own name for one.
    pub image: String,
    /// The script that each machine runs at its first boot; empty for none.
    pub user_data: String,
    /// The boot disk, in GiB.
    pub disk_gib: u32,
    /// Whether each instance gets a public address.
    pub public_ip: bool,
    /// TCP ports that the internet may reach.
    pub inbound_ports: Vec<u16>,
    /// The user's own labels.
    pub labels: BTreeMap<String, String>,
}

/// What each instance must be. What is not named does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Need {
    /// At least this many vCPUs.
    pub vcpus: Option<u32>,
    /// At least this much memory, in GiB.
    pub memory_gib: Option<u32>,
    /// This instruction set.
    pub arch: Option<Arch>,
    /// These accelerators.
    pub gpu: Option<GpuNeed>,
    /// At least this much local SSD, in GiB.
    pub local_ssd_gib: Option<u32>,
    /// Only these instance types.
    pub types: Vec<TypeName>,
    /// Only these regions.
    pub regions: Vec<Region>,
    /// Only these zones.
    pub zones: Vec<Zone>,
}

/// Which accelerators each instance must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GpuNeed {
    /// The model, without its vendor: `T4`, `A100`. Any when not named.
    pub model: Option<String>,
    /// At least this many.
    pub count: Option<u32>,
    /// At least this much memory on each, in GiB.
    pub memory_gib: Option<u32>,
}

/// What to do while the target is not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fulfilment {
    /// The whole target or nothing: what was bought of a partial fleet is given back.
    AllOrNothing,
    /// Try every candidate until the deadline; below `min`, give everything back.
    #[default]
    Greedy,
    /// Take what one pass over the candidates gives, even below `min`.
    BestEffort,
}

/// One zone, or as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneMode {
    /// All instances in one zone: low latency between them, no cross-zone traffic to pay.
    Single,
    /// Spread: one zone that goes dry takes few instances with it.
    #[default]
    Multi,
}

/// Which markets the instances come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarketMix {
    /// Spot only.
    Spot,
    /// On-demand only.
    OnDemand,
    /// Spot, with on-demand beside and behind it.
    Mixed {
        /// This share of the target is on-demand from the start, 0 to 1.
        on_demand_share: f64,
        /// Spot that is not there by then is bought on demand: zero is at once, `None` is never.
        on_demand_after: Option<Duration>,
    },
}

/// What may be spent, and how long it may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// All that this fleet may cost.
    pub budget: Option<Usd>,
    /// What the whole fleet may cost in an hour.
    pub usd_per_hour_max: Option<UsdPerHour>,
    /// What one instance may cost in an hour.
    pub price_max: Option<UsdPerHour>,
    /// The fleet ends itself after this long.
    pub lifetime_max: Option<Duration>,
    /// The fleet ends itself after this long without a sign of work.
    pub idle_max: Option<Duration>,
    /// Whether an offer without a known price may be bought.
    pub unknown_prices: bool,
}

impl Spec {
    /// A spec for `target` spot instances of any kind, spread over zones, without public address.
    pub fn new(target: u32) -> Self {
        Self {
            need: Need::default(),
            target,
            min: 1,
            fulfilment: Fulfilment::default(),
            deadline: None,
            zones: ZoneMode::default(),
            market: MarketMix::Spot,
            limits: Limits::default(),
            image: "debian-12".to_owned(),
            user_data: String::new(),
            disk_gib: 10,
            public_ip: false,
            inbound_ports: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Checks that the values fit together. A [`Fleet`](crate::Fleet) does so when it is opened.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, what is wrong with it, and what would be right.
    pub fn check(&self) -> Result<()> {
        self.check_size()?;
        self.need.check()?;
        self.limits.check()?;
        if let MarketMix::Mixed { on_demand_share, .. } = self.market
            && !(0.0..=1.0).contains(&on_demand_share)
        {
            return wrong("fleet.on_demand_share", format!("is {on_demand_share}, must be from 0 to 1"));
        }
        if self.image.trim().is_empty() {
            return wrong("fleet.image", "is empty: name an image such as \"debian-12\"");
        }
        if !(1..=DISK_GIB_MAX).contains(&self.disk_gib) {
            let is = self.disk_gib;
            return wrong("fleet.disk_gib", format!("is {is}, must be from 1 to {DISK_GIB_MAX}"));
        }
        if self.inbound_ports.contains(&0) {
            return wrong("fleet.inbound_ports", "has port 0: list ports from 1 to 65535, or none");
        }
        self.labels.iter().try_for_each(|(key, value)| check_label(key, value))
    }

    fn check_size(&self) -> Result<()> {
        let (target, min) = (self.target, self.min);
        if !(1..=TARGET_MAX).contains(&target) {
            return wrong("fleet.target", format!("is {target}, must be from 1 to {TARGET_MAX}"));
        }
        if min == 0 || min > target {
            return wrong(
                "fleet.min",
                format!("is {min}, must be from 1 to fleet.target, which is {target}"),
            );
        }
        if self.fulfilment == Fulfilment::AllOrNothing && min != target {
            let text = format!(
                "is {min}, but fleet.fulfilment = \"all-or-nothing\" means all {target}: \
                 leave it out, or use fulfilment = \"greedy\""
            );
            return wrong("fleet.min", text);
        }
        not_zero("fleet.deadline", self.deadline)
    }
}

impl Need {
    fn check(&self) -> Result<()> {
        let gpu = self.gpu.clone().unwrap_or_default();
        for (key, value) in [
            ("need.vcpus", self.vcpus),
            ("need.memory_gib", self.memory_gib),
            ("need.local_ssd_gib", self.local_ssd_gib),
            ("need.gpu.count", gpu.count),
            ("need.gpu.memory_gib", gpu.memory_gib),
        ] {
            if value == Some(0) {
                return wrong(key, "is 0: leave it out where it does not matter");
            }
        }
        if gpu.model.is_some_and(|model| model.trim().is_empty()) {
            return wrong("need.gpu.model", "is empty: leave it out where any model will do");
        }
        Ok(())
    }
}

impl Limits {
    fn check(&self) -> Result<()> {
        for (key, micros) in [
            ("limits.budget_usd", self.budget.map(Usd::micros)),
            ("limits.usd_per_hour_max", self.usd_per_hour_max.map(UsdPerHour::micros)),
            ("limits.price_max_usd", self.price_max.map(UsdPerHour::micros)),
        ] {
            if micros.is_some_and(|micros| micros <= 0) {
                return wrong(key, "must be more than 0 dollars: leave it out for no limit");
            }
        }
        not_zero("limits.lifetime_max", self.lifetime_max)?;
        not_zero("limits.idle_max", self.idle_max)
    }
}

/// More than any account gets, and small enough that money times instances cannot overflow.
const TARGET_MAX: u32 = 1_000_000;
/// The largest boot disk of the three clouds.
const DISK_GIB_MAX: u32 = 65_536;

fn not_zero(key: &'static str, time: Option<Duration>) -> Result<()> {
    match time {
        Some(Duration::ZERO) => wrong(key, "is no time at all: give one such as \"5m\", or leave it out"),
        _ => Ok(()),
    }
}

/// Every cloud must accept a label as a tag, and ours must stay ours.
fn check_label(key: &str, value: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if key.is_empty() || !key.starts_with(|c: char| c.is_ascii_lowercase()) {
        return wrong(
            "fleet.labels",
            format!("has the name {key:?}: it must begin with a lower-case letter"),
        );
    }
    if key.starts_with("skyfleet") {
        return wrong(
            "fleet.labels",
            format!("has the name {key:?}: those that begin with \"skyfleet\" are ours"),
        );
    }
    for text in [key, value] {
        if text.len() > 63 || !text.chars().all(legal) {
            return wrong(
                "fleet.labels",
                format!(
                    "has {text:?}: only lower-case letters, digits, '-' and '_', at most 63, fit every cloud"
                ),
            );
        }
    }
    Ok(())
}

fn wrong(key: &'static str, text: impl std::fmt::Display) -> Result<()> {
    Err(Error::new(ErrorKind::InvalidConfig, format!("{key} {text}")).with("key", key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_spec_is_secure_and_fits_together() {
        let spec = Spec::new(20);
        spec.check().unwrap();
        assert!(!spec.public_ip && spec.inbound_ports.is_empty());
    }

    #[test]
    fn an_impossible_spec_names_its_key() {
        type Change = fn(&mut Spec);
        let cases: [(Change, &str); 16] = [
            (|s| s.target = 0, "fleet.target"),
            (|s| s.target = 2_000_000, "fleet.target"),
            (|s| s.min = 21, "fleet.min"),
            (|s| s.min = 0, "fleet.min"),
            (|s| s.fulfilment = Fulfilment::AllOrNothing, "fleet.min"),
            (|s| s.deadline = Some(Duration::ZERO), "fleet.deadline"),
            (
                |s| s.market = MarketMix::Mixed { on_demand_share: f64::NAN, on_demand_after: None },
                "fleet.on_demand_share",
            ),
            (
                |s| s.market = MarketMix::Mixed { on_demand_share: 1.1, on_demand_after: None },
                "fleet.on_demand_share",
            ),
            (|s| s.need.vcpus = Some(0), "need.vcpus"),
            (|s| s.need.gpu = Some(GpuNeed { count: Some(0), ..GpuNeed::default() }), "need.gpu.count"),
            (|s| s.limits.budget = Some(Usd::from_micros(-1)), "limits.budget_usd"),
            (|s| s.limits.price_max = Some(UsdPerHour::ZERO), "limits.price_max_usd"),
            (|s| s.image = " ".into(), "fleet.image"),
            (|s| s.disk_gib = 0, "fleet.disk_gib"),
            (|s| s.inbound_ports = vec![22, 0], "fleet.inbound_ports"),
            (|s| s.labels = [("skyfleet-owner".into(), "eve".into())].into(), "fleet.labels"),
        ];
        for (change, key) in cases {
            let mut spec = Spec::new(20);
            change(&mut spec);
            let error = spec.check().unwrap_err();
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidConfig, Some(key)), "{error}");
        }
    }
}
