//! The keys of a config, as serde reads them, and what becomes of them. The table for people is at
//! [`Config`](crate::Config); a test holds the two together.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use skyfleet_core::{Error, ErrorKind, Result, Usd, UsdPerHour};

use crate::{Fulfilment, Limits, MarketMix, Need, Spec, ZoneMode};

/// All of a config.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) provider: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) need: Need,
    pub(crate) fleet: FleetKeys,
    pub(crate) limits: LimitKeys,
    pub(crate) providers: toml::Table,
}

/// `[fleet]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FleetKeys {
    target: Option<u32>,
    min: Option<u32>,
    fulfilment: Option<Fulfilment>,
    deadline: Option<Time>,
    zones: Option<ZoneMode>,
    market: Option<MarketKey>,
    on_demand_share: Option<f64>,
    on_demand_after: Option<Time>,
    image: Option<String>,
    disk_gib: Option<u32>,
    user_data: Option<String>,
    user_data_file: Option<PathBuf>,
    public_ip: Option<bool>,
    inbound_ports: Option<Vec<u16>>,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MarketKey {
    Spot,
    OnDemand,
    Mixed,
}

/// `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitKeys {
    budget_usd: Option<Dollars>,
    usd_per_hour_max: Option<Dollars>,
    price_max_usd: Option<Dollars>,
    lifetime_max: Option<Time>,
    idle_max: Option<Time>,
    unknown_prices: Option<bool>,
}

impl Keys {
    /// What is wanted; a `user_data_file` is looked for in `folder`.
    pub(crate) fn spec(&self, folder: &Path) -> Result<Spec> {
        let fleet = &self.fleet;
        let plain = Spec::new(fleet.target.unwrap_or(1));
        let fulfilment = fleet.fulfilment.unwrap_or_default();
        let min = match fulfilment {
            Fulfilment::AllOrNothing => plain.target,
            _ => plain.min,
        };
        let spec = Spec {
            need: self.need.clone(),
            min: fleet.min.unwrap_or(min),
            fulfilment,
            deadline: fleet.deadline.map(|t| t.0),
            zones: fleet.zones.unwrap_or_default(),
            market: fleet.market_mix()?,
            limits: self.limits.limits(),
            image: fleet.image.clone().unwrap_or(plain.image),
            user_data: fleet.user_data(folder)?,
            disk_gib: fleet.disk_gib.unwrap_or(plain.disk_gib),
            public_ip: fleet.public_ip.unwrap_or(plain.public_ip),
            inbound_ports: fleet.inbound_ports.clone().unwrap_or_default(),
            labels: fleet.labels.clone(),
            target: plain.target,
        };
        spec.check().map(|()| spec)
    }
}

impl FleetKeys {
    fn market_mix(&self) -> Result<MarketMix> {
        let market = self.market.unwrap_or(MarketKey::Spot);
        if market == MarketKey::Mixed {
            return Ok(MarketMix::Mixed {
                on_demand_share: self.on_demand_share.unwrap_or(0.0),
                on_demand_after: self.on_demand_after.map(|t| t.0),
            });
        }
        for (key, set) in [
            ("fleet.on_demand_share", self.on_demand_share.is_some()),
            ("fleet.on_demand_after", self.on_demand_after.is_some()),
        ] {
            if set {
                return Err(wrong(key, "needs fleet.market = \"mixed\": set it, or leave this key out"));
            }
        }
        Ok(if market == MarketKey::Spot { MarketMix::Spot } else { MarketMix::OnDemand })
    }

    fn user_data(&self, folder: &Path) -> Result<String> {
        match (&self.user_data, &self.user_data_file) {
            (Some(_), Some(_)) => {
                Err(wrong("fleet.user_data_file", "and fleet.user_data are both set: keep one of them"))
            }
            (Some(text), None) => Ok(text.clone()),
            (None, Some(file)) => {
                let path = folder.join(file);
                std::fs::read_to_string(&path).map_err(|error| {
                    wrong(
                        "fleet.user_data_file",
                        format!(
                            "cannot be read: {}: {error}; a path is taken from the folder of the config file",
                            path.display()
                        ),
                    )
                })
            }
            (None, None) => Ok(String::new()),
        }
    }
}

impl LimitKeys {
    fn limits(&self) -> Limits {
        let price = |dollars: Option<Dollars>| dollars.map(|d| UsdPerHour::from_micros(d.0.micros()));
        Limits {
            budget: self.budget_usd.map(|d| d.0),
            usd_per_hour_max: price(self.usd_per_hour_max),
            price_max: price(self.price_max_usd),
            lifetime_max: self.lifetime_max.map(|t| t.0),
            idle_max: self.idle_max.map(|t| t.0),
            unknown_prices: self.unknown_prices.unwrap_or(false),
        }
    }
}

fn wrong(key: &'static str, text: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("{key} {text}")).with("key", key)
}

/// An amount of dollars, as an integer or with decimals. Whether it makes sense is checked later.
#[derive(Clone, Copy, Debug)]
struct Dollars(Usd);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        input.deserialize_any(DollarsVisitor)
    }
}

struct DollarsVisitor;

impl Visitor<'_> for DollarsVisitor {
    type Value = Dollars;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount of dollars such as 1.50")
    }

    fn visit_i64<E: serde::de::Error>(self, dollars: i64) -> std::result::Result<Dollars, E> {
        self.visit_f64(dollars as f64)
    }

    fn visit_u64<E: serde::de::Error>(self, dollars: u64) -> std::result::Result<Dollars, E> {
        self.visit_f64(dollars as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, dollars: f64) -> std::result::Result<Dollars, E> {
        // A thousand million dollars: more than that is a slip.
        let usd = Usd::from_dollars(dollars).filter(|_| dollars.abs() <= 1e9);
        usd.map(Dollars).ok_or_else(|| E::custom(format!("{dollars} is no amount of dollars")))
    }
}

/// A time such as `90s`, `5m`, `2h 30m` or `1d`.
#[derive(Clone, Copy, Debug)]
struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        input.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"90s\", \"5m\" or \"2h 30m\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Time, E> {
        let time = text.parse::<jiff::Span>().ok().and_then(|span| {
            let days_are_24_hours = jiff::SpanRelativeTo::days_are_24_hours();
            Duration::try_from(span.to_duration(days_are_24_hours).ok()?).ok()
        });
        time.map(Time)
            .ok_or_else(|| E::custom(format!("{text:?} is no time such as \"90s\", \"5m\" or \"2h 30m\"")))
    }
}
