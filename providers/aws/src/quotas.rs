//! The account's limits in vCPUs, and what is used of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skyfleet_core::{ErrorKind, Market, QuotaId, Region, Result, Signal, TypeName};

use crate::client::Client;
use crate::client::market::InUse;

/// The limits of EC2, by the letters with which the names of their types begin. Source: Service
/// Quotas lists them as "Running On-Demand … instances" and "All … Spot Instance Requests"; the
/// EC2 user guide links to each by its code.
const FAMILIES: [Family; 10] = [
    Family { name: "Standard", on_demand: "L-1216C47A", spot: Some("L-34B43A08") },
    Family { name: "G and VT", on_demand: "L-DB2E81BA", spot: Some("L-3819A6DF") },
    Family { name: "P", on_demand: "L-417A185B", spot: Some("L-7212CCBC") },
    Family { name: "F", on_demand: "L-74FC7D96", spot: Some("L-88CF9481") },
    Family { name: "Inf", on_demand: "L-1945791B", spot: Some("L-B5D1601B") },
    Family { name: "DL", on_demand: "L-6E869C2A", spot: Some("L-85EED4F7") },
    Family { name: "Trn", on_demand: "L-2C3B7624", spot: Some("L-6B0D517C") },
    Family { name: "X", on_demand: "L-7295265B", spot: Some("L-E3A00192") },
    Family { name: "HPC", on_demand: "L-F7808C92", spot: None },
    Family { name: "High Memory", on_demand: "L-43DA4232", spot: None },
];

#[derive(Debug, PartialEq, Eq)]
struct Family {
    name: &'static str,
    on_demand: &'static str,
    spot: Option<&'static str>,
}

impl Family {
    /// Whose limits a type draws on; `None` for a family that is newer than this table.
    fn of(instance_type: &str) -> Option<&'static Self> {
        let letters = instance_type.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        let name = match letters {
            // `is4gen` and `im4gn` belong to I.
            "a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z" => "Standard",
            "g" | "gr" | "vt" => "G and VT",
            "p" => "P",
            "f" => "F",
            "inf" => "Inf",
            "dl" => "DL",
            "trn" => "Trn",
            "x" => "X",
            "hpc" => "HPC",
            "u" => "High Memory",
            _ => return None,
        };
        FAMILIES.iter().find(|family| family.name == name)
    }

    fn code(&self, market: Market) -> Option<&'static str> {
        match market {
            Market::Spot => self.spot,
            Market::OnDemand => Some(self.on_demand),
        }
    }
}

/// The quota that an instance of a type draws on; `None` when nobody knows its code.
pub(crate) fn quota_of(region: &Region, instance_type: &str, market: Market) -> Option<QuotaId> {
    let code = Family::of(instance_type)?.code(market)?;
    Some(QuotaId::from(format!("{region}/{code}")))
}

/// What a quota is called in Service Quotas: for reports.
pub(crate) fn quota_name(code: &str) -> Option<String> {
    FAMILIES.iter().find_map(|family| {
        let name = family.name;
        if family.on_demand == code {
            Some(format!("Running On-Demand {name} instances"))
        } else if family.spot == Some(code) {
            Some(format!("All {name} Spot Instance Requests"))
        } else {
            None
        }
    })
}

/// The region, code and market of an id that [`quota_of`] made.
pub(crate) fn parts(id: &QuotaId) -> Option<(Region, &'static str, Market)> {
    let (region, code) = id.as_str().split_once('/')?;
    FAMILIES.iter().find_map(|family| {
        [Market::Spot, Market::OnDemand]
            .into_iter()
            .find(|market| family.code(*market) == Some(code))
            .and_then(|market| Some((Region::from(region), family.code(market)?, market)))
    })
}

/// What the account may have of these quotas, and what it has; a few calls for each region, all at
/// once.
///
/// # Errors
/// Those of the calls; a limit that the account may not ask for is unknown, and no error.
pub(crate) async fn signals(
    client: &Client,
    quotas: &BTreeSet<QuotaId>,
    vcpus: impl Fn(&TypeName) -> Option<u32>,
) -> Result<Vec<Signal>> {
    let mut asked: BTreeMap<Region, Vec<(&QuotaId, &'static str, Market)>> = BTreeMap::new();
    for id in quotas {
        if let Some((region, code, market)) = parts(id) {
            asked.entry(region).or_default().push((id, code, market));
        }
    }
    let vcpus = Arc::new(vcpus);
    let regions = asked.iter().map(|(region, quotas)| {
        let vcpus = Arc::clone(&vcpus);
        async move {
            let spot_only = quotas.iter().all(|(_, _, market)| *market == Market::Spot);
            let limits = quotas.iter().map(|(_, code, _)| limit(client, region, code));
            let in_use = client.in_use(region, spot_only.then_some(Market::Spot));
            let (used, limits) = futures::try_join!(in_use, futures::future::try_join_all(limits))?;
            let told = quotas.iter().zip(limits).map(|((id, code, market), limit)| Signal::Quota {
                id: (*id).clone(),
                limit,
                used: used_of(&used, code, *market, &*vcpus),
            });
            Ok::<_, skyfleet_core::Error>(told.collect::<Vec<_>>())
        }
    });
    Ok(futures::future::try_join_all(regions).await?.into_iter().flatten().collect())
}

/// One limit; `None` when the service does not know it, or may not be asked.
pub(crate) async fn limit(client: &Client, region: &Region, code: &str) -> Result<Option<u32>> {
    match client.quota(region, code).await {
        Ok(value) => Ok(value.and_then(whole)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::Unsupported
            ) =>
        {
            tracing::warn!(%region, code, %error, "a quota is unknown");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A limit is a number with decimals in the answer, and whole by its meaning.
fn whole(value: f64) -> Option<u32> {
    (value.is_finite() && value >= 0.0).then(|| value.min(f64::from(u32::MAX)) as u32)
}

fn used_of(
    used: &BTreeMap<(TypeName, Market), InUse>,
    code: &str,
    market: Market,
    vcpus: &impl Fn(&TypeName) -> Option<u32>,
) -> u32 {
    let drawn = used.iter().filter(|((name, bought), _)| {
        *bought == market && Family::of(name.as_str()).and_then(|family| family.code(market)) == Some(code)
    });
    // The limits count the vCPUs that the type has, also where an instance was launched with fewer
    // (EC2 user guide, "Optimize CPU options").
    drawn
        .map(|((name, _), in_use)| vcpus(name).unwrap_or(in_use.vcpus).saturating_mul(in_use.instances))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_draws_on_the_quota_of_its_family_and_market() {
        let region = Region::from("us-east-1");
        for (name, spot, on_demand) in [
            ("m7g.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("c7i-flex.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("t4g.nano", Some("L-34B43A08"), Some("L-1216C47A")),
            ("im4gn.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("is4gen.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("d3en.xlarge", Some("L-34B43A08"), Some("L-1216C47A")),
            ("g6.xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("gr6.4xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("vt1.3xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("p5.48xlarge", Some("L-7212CCBC"), Some("L-417A185B")),
            ("p4de.24xlarge", Some("L-7212CCBC"), Some("L-417A185B")),
            ("f2.6xlarge", Some("L-88CF9481"), Some("L-74FC7D96")),
            ("inf2.xlarge", Some("L-B5D1601B"), Some("L-1945791B")),
            ("dl1.24xlarge", Some("L-85EED4F7"), Some("L-6E869C2A")),
            ("trn1.2xlarge", Some("L-6B0D517C"), Some("L-2C3B7624")),
            ("x2idn.16xlarge", Some("L-E3A00192"), Some("L-7295265B")),
            ("hpc7g.4xlarge", None, Some("L-F7808C92")),
            ("u-6tb1.56xlarge", None, Some("L-43DA4232")),
            ("u7i-12tb.224xlarge", None, Some("L-43DA4232")),
            ("mac2.metal", None, None),
            ("quantum.42xlarge", None, None),
            ("", None, None),
        ] {
            for (market, code) in [(Market::Spot, spot), (Market::OnDemand, on_demand)] {
                let expected = code.map(|code| QuotaId::from(format!("us-east-1/{code}")));
                assert_eq!(quota_of(&region, name, market), expected, "{name} {market}");
                if let Some(id) = expected {
                    assert_eq!(parts(&id), Some((region.clone(), code.unwrap(), market)));
                    assert!(quota_name(code.unwrap()).is_some());
                }
            }
        }
        assert_eq!(parts(&"us-east-1/L-0263D0A3".into()), None);
        assert_eq!(parts(&"L-34B43A08".into()), None);
    }

    #[test]
    fn what_is_used_is_counted_by_family_and_market_in_the_types_own_vcpus() {
        let used = BTreeMap::from([
            ((TypeName::from("m7g.large"), Market::Spot), InUse { instances: 10, vcpus: 1 }),
            ((TypeName::from("m7g.large"), Market::OnDemand), InUse { instances: 3, vcpus: 2 }),
            ((TypeName::from("c6i.large"), Market::Spot), InUse { instances: 2, vcpus: 2 }),
            ((TypeName::from("g6.xlarge"), Market::Spot), InUse { instances: 5, vcpus: 4 }),
        ]);
        let vcpus = |name: &TypeName| (name.as_str() == "m7g.large").then_some(2);
        let of = |code, market| used_of(&used, code, market, &vcpus);
        assert_eq!(of("L-34B43A08", Market::Spot), 24);
        assert_eq!(of("L-1216C47A", Market::OnDemand), 6);
        assert_eq!(of("L-3819A6DF", Market::Spot), 20);
        assert_eq!(of("L-DB2E81BA", Market::OnDemand), 0);
    }

    #[test]
    fn a_limit_that_is_no_number_is_unknown() {
        assert_eq!(whole(5.0), Some(5));
        assert_eq!(whole(0.0), Some(0));
        assert_eq!(whole(1e12), Some(u32::MAX));
        assert_eq!(whole(f64::NAN), None);
        assert_eq!(whole(-1.0), None);
    }
}
