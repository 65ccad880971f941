use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use skyfleet_core::{Market, Offer, Timestamp};

use crate::aws::Request;
use crate::aws::error::{coded, invalid, missing};
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::shape::Given;
use crate::aws::types::requirements::{self, ARCHITECTURES, check_each};
use crate::aws::types::sold;
use crate::aws::xml::Items;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::seed::digest;

/// The configurations that were scored in the last day, and when first.
#[derive(Debug, Default)]
pub(crate) struct Scored(BTreeMap<u64, Timestamp>);

/// How many new configurations an account may ask for in 24 hours. EC2 user guide, "Spot placement
/// score": there is a limit, and no figure; this one is ours.
const NEW_A_DAY: usize = 50;

/// The best so many regions or zones are told: the same page.
const TOLD: usize = 10;

/// The same page: fewer types than this are always scored low.
const TYPES_MIN: usize = 3;
const LOW: u32 = 3;

/// `GetSpotPlacementScores`: how likely a spot request succeeds, 1 to 10, by region or by zone.
pub(crate) fn scores(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let page = Page::read(&root, 10..=1_000, 1_000)?;
    let asked = Asked::read(&root)?;
    let (scores, next_token) = request.call(0, |kernel, state| {
        state.scored.count(asked.configuration, kernel.now())?;
        let regions = asked.regions(kernel)?;
        let mut scores = Vec::new();
        let mut limit = 0;
        let mut needed = u64::MAX;
        for region in &regions {
            let types = asked.types(kernel, region)?;
            let catalog = std::sync::Arc::clone(kernel.catalog());
            let mut places: BTreeMap<Option<&str>, f64> = BTreeMap::new();
            for spec in catalog.zones().iter().filter(|spec| spec.region.as_str() == region) {
                let place = asked.single_zone.then_some(&*spec.id);
                let share = places.entry(place).or_default();
                let offers = catalog.offers().iter().filter(|offer| {
                    offer.zone == spec.zone
                        && offer.market == Market::Spot
                        && types.contains(offer.instance_type.name.as_str())
                });
                for offer in offers {
                    let machines = asked.machines(offer);
                    *share += f64::from(kernel.room_of(&offer.id())) / machines as f64;
                    needed = needed.min(machines.saturating_mul(u64::from(offer.instance_type.vcpus)));
                    let quotas = offer.draws().filter_map(|(quota, _)| kernel.quota(quota.as_str()));
                    limit = quotas.map(|(limit, _)| u64::from(limit)).max().unwrap_or(0).max(limit);
                }
            }
            let few = types.len() < TYPES_MIN;
            scores.extend(places.into_iter().map(|(zone, share)| Score {
                region: region.clone(),
                availability_zone_id: zone.map(str::to_owned),
                score: score(share, few),
            }));
        }
        if needed != u64::MAX && needed > limit {
            let message = format!("The target capacity exceeds the limit of the account: {needed} vCPUs are needed, {limit} may be used.");
            return Err(coded(400, "TargetCapacityLimitExceededException", message));
        }
        scores.sort_by(|a, b| {
            b.score.cmp(&a.score).then_with(|| (&a.region, &a.availability_zone_id).cmp(&(&b.region, &b.availability_zone_id)))
        });
        scores.truncate(TOLD);
        let (page, next) = page.cut(scores);
        Ok((page.into_iter().collect(), next))
    })?;
    request.answer(&Scores { spot_placement_score_set: scores, next_token })
}

/// Ten when the pools hold twice what is wanted.
fn score(share: f64, few_types: bool) -> u32 {
    let score = (share * 5.0).ceil().clamp(1.0, 10.0) as u32;
    if few_types { score.min(LOW) } else { score }
}

impl Scored {
    /// Counts a configuration, if it is new.
    fn count(&mut self, configuration: u64, now: Timestamp) -> Result<(), Refusal> {
        let day = Duration::from_secs(86_400);
        self.0.retain(|_, first| *first + day > now);
        if self.0.contains_key(&configuration) {
            return Ok(());
        }
        if self.0.len() >= NEW_A_DAY {
            let message = "You have exceeded your maximum allowed Spot placement configurations. You can retry configurations that you used within the last 24 hours, or wait for 24 hours before specifying a new configuration.";
            return Err(coded(400, "MaxConfigLimitExceededException", message));
        }
        self.0.insert(configuration, now);
        Ok(())
    }
}

/// What a request asks for.
struct Asked<'a> {
    types: Vec<&'a str>,
    requirements: Option<Given>,
    architectures: Vec<&'a str>,
    regions: Vec<&'a str>,
    capacity: u64,
    unit: &'a str,
    single_zone: bool,
    /// Everything that makes it another configuration, which the capacity and the page do not.
    configuration: u64,
}

impl<'a> Asked<'a> {
    fn read(root: &Node<'a>) -> Result<Self, Refusal> {
        let capacity = root.number("TargetCapacity", 1..=2_000_000_000_u64)?;
        let capacity = capacity.ok_or_else(|| missing("TargetCapacity"))?;
        let unit = root.text("TargetCapacityUnitType").unwrap_or("units");
        check_each("TargetCapacityUnitType", &[unit], &["units", "vcpu", "memory-mib"])?;
        let single_zone = root.flag("SingleAvailabilityZone")?.unwrap_or(false);
        let (types, regions) = (root.texts("InstanceType"), root.texts("RegionName"));
        if types.len() > 1_000 {
            return Err(invalid("InstanceType", &types.len().to_string(), "at most 1000 types"));
        }
        if regions.len() > 10 {
            return Err(invalid("RegionName", &regions.len().to_string(), "at most 10 regions"));
        }
        let metadata = root.node("InstanceRequirementsWithMetadata");
        let architectures = metadata.texts("ArchitectureType");
        check_each("ArchitectureType", &architectures, ARCHITECTURES)?;
        let requirements = match (types.is_empty(), metadata.is_given()) {
            (true, true) => Some(requirements::read(&metadata.node("InstanceRequirements"))?),
            (false, false) => None,
            (true, false) => return Err(missing("InstanceType")),
            (false, true) => {
                let message = "InstanceTypes and InstanceRequirementsWithMetadata cannot be used together.";
                return Err(coded(400, "InvalidParameterCombination", message));
            }
        };
        let sorted = |list: &[&str]| {
            list.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
        };
        let parts = [
            sorted(&types),
            sorted(&regions),
            sorted(&architectures),
            unit.to_owned(),
            single_zone.to_string(),
            format!("{requirements:?}"),
        ];
        let parts: Vec<&[u8]> = parts.iter().flat_map(|part| [part.as_bytes(), b";"]).collect();
        let configuration = digest(&parts);
        Ok(Self { types, requirements, architectures, regions, capacity, unit, single_zone, configuration })
    }

    fn regions(&self, kernel: &Kernel) -> Result<Vec<String>, Refusal> {
        let all: Vec<String> = kernel.regions().iter().map(|region| region.as_str().to_owned()).collect();
        if let Some(unknown) = self.regions.iter().find(|name| all.iter().all(|known| known != *name)) {
            return Err(invalid("RegionName", unknown, &format!("one of {}", all.join(", "))));
        }
        let wanted = |region: &String| self.regions.is_empty() || self.regions.contains(&region.as_str());
        Ok(all.into_iter().filter(wanted).collect())
    }

    /// The types that count in a region.
    fn types(&self, kernel: &Kernel, region: &str) -> Result<BTreeSet<String>, Refusal> {
        if let Some(given) = &self.requirements {
            let found = requirements::types(kernel, region, given, &self.architectures);
            return Ok(requirements::names(&found).into_iter().map(str::to_owned).collect());
        }
        if let Some(unknown) = self.types.iter().find(|name| kernel.catalog().instance_type(name).is_none()) {
            return Err(invalid("InstanceType", unknown, "an instance type"));
        }
        let sold = sold(kernel, region);
        Ok(self
            .types
            .iter()
            .filter(|name| sold.contains_key(**name))
            .map(|name| (*name).to_owned())
            .collect())
    }

    /// How many machines of an offer the capacity is.
    fn machines(&self, offer: &Offer) -> u64 {
        let spec = &offer.instance_type;
        let weight = match self.unit {
            "vcpu" => spec.vcpus,
            "memory-mib" => spec.memory_mib,
            _ => 1,
        };
        self.capacity.div_ceil(u64::from(weight.max(1)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Scores {
    spot_placement_score_set: Items<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Score {
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone_id: Option<String>,
    score: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::trial::{Trial, texts};

    const TYPES: &str = "InstanceType.1=m7g.large&InstanceType.2=m6g.large&InstanceType.3=c7g.large";

    #[test]
    fn plenty_scores_high_few_types_and_scarcity_low() {
        let trial = Trial::new();
        let scores = |form: &str| -> Vec<u32> {
            let answer = trial.ask("GetSpotPlacementScores", form).unwrap();
            texts(&answer, "score").iter().map(|score| score.parse().unwrap()).collect()
        };
        assert_eq!(scores(&format!("{TYPES}&TargetCapacity=10")), [10; 6]);
        assert!(scores("InstanceType.1=m7g.large&TargetCapacity=10").iter().all(|score| *score <= LOW));
        let scarce = "InstanceType.1=p5.48xlarge&InstanceType.2=p4d.24xlarge&InstanceType.3=g6e.xlarge&TargetCapacity=20";
        assert!(scores(scarce).iter().any(|score| *score < 10));
        let zones = trial
            .ask("GetSpotPlacementScores", &format!("{TYPES}&TargetCapacity=10&SingleAvailabilityZone=true"))
            .unwrap();
        assert_eq!(texts(&zones, "availabilityZoneId").len(), TOLD);
    }

    #[test]
    fn a_fault_that_empties_the_pools_shows() {
        let trial = Trial::new();
        let form = format!("{TYPES}&TargetCapacity=10&RegionName.1=us-east-2");
        assert_eq!(trial.get("GetSpotPlacementScores", &form, "score"), "10");
        for zone in ["us-east-2a", "us-east-2b", "us-east-2c"] {
            let fault = format!(r#"{{"kind":"capacity","zone":"{zone}","market":"spot","available":0}}"#);
            trial.face.world.inject(serde_json::from_str(&fault).unwrap()).unwrap();
        }
        assert_eq!(trial.get("GetSpotPlacementScores", &form, "score"), "1");
    }

    #[test]
    fn new_configurations_run_out_for_a_day() {
        let trial = Trial::new();
        let form = |n: usize| {
            format!(
                "{TYPES}&RegionName.1=us-east-1&TargetCapacity=10&TargetCapacityUnitType={}&SingleAvailabilityZone={}&InstanceType.{}=r7g.large&InstanceType.{}={}",
                ["units", "vcpu"][n % 2],
                (n / 2).is_multiple_of(2),
                4,
                5,
                [
                    "m8g.large",
                    "c8g.large",
                    "r8g.large",
                    "m6i.large",
                    "m6a.large",
                    "m7i.large",
                    "m7a.large",
                    "c6g.large",
                    "c7i.large",
                    "c7a.large",
                    "r6g.large",
                    "r7i.large",
                    "i4g.large"
                ][n / 4]
            )
        };
        for n in 0..NEW_A_DAY {
            trial.ask("GetSpotPlacementScores", &form(n)).unwrap();
            trial.wait(1);
        }
        assert_eq!(
            trial.refusal("GetSpotPlacementScores", &form(NEW_A_DAY)),
            "MaxConfigLimitExceededException"
        );
        // Those that were asked before go on, with another capacity too.
        trial.ask("GetSpotPlacementScores", &form(0).replace("Capacity=10", "Capacity=20")).unwrap();
        trial.wait(86_400);
        trial.ask("GetSpotPlacementScores", &form(NEW_A_DAY)).unwrap();
        let huge = format!("{TYPES}&TargetCapacity=2000000000");
        assert_eq!(trial.refusal("GetSpotPlacementScores", &huge), "TargetCapacityLimitExceededException");
    }
}
