use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::aws::creation::{new_id, tags_at_creation};
use crate::aws::error::{coded, invalid};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::state::State;
use crate::aws::xml::{Done, Items, Tag, tag_set};
use crate::aws::{ACCOUNT, Request};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The account's placement groups, by region and name.
#[derive(Debug, Default)]
pub(crate) struct PlacementGroups(BTreeMap<(String, String), PlacementGroup>);

#[derive(Debug)]
struct PlacementGroup {
    id: String,
    name: String,
    strategy: &'static str,
    partitions: Option<u32>,
    spread_level: Option<&'static str>,
}

/// The id of the group of this name, for a launch: its machines hold it.
///
/// # Errors
/// `InvalidPlacementGroup.Unknown`.
pub(crate) fn check<'a>(state: &'a State, region: &str, name: &str) -> Result<&'a str, Refusal> {
    let group = state.placement_groups.0.get(&(region.to_owned(), name.to_owned()));
    group.map(|group| group.id.as_str()).ok_or_else(|| unknown(name))
}

/// `CreatePlacementGroup`.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let name = root.required("GroupName")?;
    if name.chars().count() > 255 || !name.is_ascii() {
        return Err(invalid("GroupName", name, "at most 255 ASCII characters"));
    }
    let strategy = root.text("Strategy").unwrap_or("cluster");
    let Some(strategy) = ["cluster", "spread", "partition"].into_iter().find(|known| *known == strategy)
    else {
        return Err(invalid("Strategy", strategy, "cluster, spread or partition"));
    };
    let partitions = match (strategy, root.number("PartitionCount", 1..=7_u32)?) {
        // EC2 user guide, placement groups: two partitions unless asked otherwise, at most seven.
        ("partition", count) => Some(count.unwrap_or(2)),
        (_, None) => None,
        (_, Some(_)) => {
            let message = "The parameter PartitionCount is only valid with the partition strategy.";
            return Err(coded(400, "InvalidParameterCombination", message));
        }
    };
    let spread_level = match (strategy, root.text("SpreadLevel")) {
        ("spread", Some("host")) => Some("host"),
        ("spread", Some("rack") | None) => Some("rack"),
        (_, None) => None,
        (_, Some(level)) => return Err(invalid("SpreadLevel", level, "host or rack, of a spread group")),
    };
    let tags = tags_at_creation(&root, "placement-group")?;
    let told = request.call(0, |kernel, state| {
        let key = (region.to_owned(), name.to_owned());
        if state.placement_groups.0.contains_key(&key) {
            let message = format!("The Placement Group '{name}' already exists.");
            return Err(coded(400, "InvalidPlacementGroup.Duplicate", message));
        }
        let id = new_id(kernel, state, "pg");
        kernel.make_fixture(FixtureKind::PlacementGroup, id.as_str(), region, tags);
        let group = PlacementGroup { id, name: name.to_owned(), strategy, partitions, spread_level };
        let told = Seen::of(kernel, region, &group).told();
        state.placement_groups.0.insert(key, group);
        Ok(told)
    })?;
    request.answer(&One { placement_group: told })
}

/// `DeletePlacementGroup`.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let name = root.required("GroupName")?;
    request.call(0, |kernel, state| {
        let key = (request.region.to_owned(), name.to_owned());
        let group = state.placement_groups.0.get(&key).ok_or_else(|| unknown(name))?;
        kernel.delete_fixture(&group.id).map_err(|refusal| match refusal {
            Refusal::InUse { .. } => {
                let message = format!("The placement group '{name}' is in use and may not be deleted.");
                coded(400, "InvalidPlacementGroup.InUse", message)
            }
            other => other,
        })?;
        state.placement_groups.0.remove(&key);
        Ok(())
    })?;
    request.answer(&Done { done: true })
}

/// `DescribePlacementGroups`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let filters = Filters::read(&root, FILTERS)?;
    let (names, ids) = (root.texts("GroupName"), root.texts("GroupId"));
    let groups = request.call(0, |kernel, state| {
        let groups: Vec<&PlacementGroup> = state
            .placement_groups
            .0
            .iter()
            .filter(|((of, _), _)| of == region)
            .map(|(_, group)| group)
            .collect();
        if let Some(name) = names.iter().find(|name| groups.iter().all(|group| group.name != **name)) {
            return Err(unknown(name));
        }
        if let Some(id) = ids.iter().find(|id| groups.iter().all(|group| group.id != **id)) {
            let message = format!("The Placement Group '{id}' does not exist.");
            return Err(coded(400, "InvalidPlacementGroupId.Unknown", message));
        }
        let wanted = |group: &&PlacementGroup| {
            names.is_empty() && ids.is_empty()
                || names.contains(&group.name.as_str())
                || ids.contains(&group.id.as_str())
        };
        let seen = groups.into_iter().filter(wanted).map(|group| Seen::of(kernel, region, group));
        Ok(seen.filter(|seen| filters.matches(seen)).map(|seen| seen.told()).collect())
    })?;
    request.answer(&Many { placement_group_set: groups })
}

fn unknown(name: &str) -> Refusal {
    coded(400, "InvalidPlacementGroup.Unknown", format!("The Placement Group '{name}' is unknown."))
}

/// EC2 API, `DescribePlacementGroups`, filters.
const FILTERS: &[&str] = &["group-arn", "group-name", "spread-level", "state", "strategy"];

struct Seen<'a> {
    group: &'a PlacementGroup,
    arn: String,
    tags: Arc<BTreeMap<String, String>>,
}

impl<'a> Seen<'a> {
    fn of(kernel: &Kernel, region: &str, group: &'a PlacementGroup) -> Self {
        let fixture = kernel.fixture(&group.id);
        Self {
            group,
            arn: format!("arn:aws:ec2:{region}:{ACCOUNT}:placement-group/{}", group.name),
            tags: fixture.map(|fixture| Arc::clone(&fixture.tags)).unwrap_or_default(),
        }
    }

    fn told(&self) -> Told {
        Told {
            group_name: self.group.name.clone(),
            state: "available",
            strategy: self.group.strategy,
            partition_count: self.group.partitions,
            group_id: self.group.id.clone(),
            tag_set: tag_set(&self.tags),
            group_arn: self.arn.clone(),
            spread_level: self.group.spread_level,
        }
    }
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value = match filter {
            "group-arn" => self.arn.as_str(),
            "group-name" => self.group.name.as_str(),
            "spread-level" => self.group.spread_level?,
            "state" => "available",
            "strategy" => self.group.strategy,
            _ => return None,
        };
        Some(vec![value.into()])
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    placement_group: Told,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    placement_group_set: Items<Told>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    group_name: String,
    state: &'static str,
    strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_count: Option<u32>,
    group_id: String,
    tag_set: Items<Tag>,
    group_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spread_level: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::Trial;

    #[test]
    fn a_placement_group_is_there_until_it_is_deleted() {
        let trial = Trial::new();
        let made = "GroupName=pg&Strategy=partition";
        assert_eq!(trial.get("CreatePlacementGroup", made, "partitionCount"), "2");
        assert_eq!(trial.refusal("CreatePlacementGroup", made), "InvalidPlacementGroup.Duplicate");
        assert_eq!(
            trial.refusal("CreatePlacementGroup", "GroupName=x&Strategy=near"),
            "InvalidParameterValue"
        );
        assert_eq!(
            trial.refusal("CreatePlacementGroup", "GroupName=x&PartitionCount=2"),
            "InvalidParameterCombination"
        );
        let filter = "Filter.1.Name=strategy&Filter.1.Value.1=part*";
        assert_eq!(trial.get("DescribePlacementGroups", filter, "groupName"), "pg");
        trial.ask("DeletePlacementGroup", "GroupName=pg").unwrap();
        assert_eq!(trial.refusal("DeletePlacementGroup", "GroupName=pg"), "InvalidPlacementGroup.Unknown");
        assert!(trial.face.world.ledger().proves_empty());
    }
}
