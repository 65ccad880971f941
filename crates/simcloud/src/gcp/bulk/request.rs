//! What a bulk insert asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use skyfleet_core::{InstanceType, Region, Spread, Zone};

use crate::gcp::blueprint::properties::{Int, Properties, merge};
use crate::gcp::blueprint::shape;
use crate::gcp::error::{coded, invalid, required};
use crate::gcp::instances::insert::{of_template, read_properties};
use crate::gcp::request::Request;
use crate::gcp::state::State;
use crate::gcp::url::{self, Scope};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// Compute Engine publishes no figure; Slurm on Google Cloud asks for 5,000 at once.
const MOST: u32 = 5_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    count: Option<Int>,
    min_count: Option<Int>,
    name_pattern: Option<String>,
    per_instance_properties: BTreeMap<String, PerInstance>,
    instance_properties: Value,
    source_instance_template: Option<String>,
    location_policy: LocationPolicy,
    instance_flexibility_policy: Flexibility,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PerInstance {
    hostname: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LocationPolicy {
    locations: BTreeMap<String, Location>,
    target_shape: Option<String>,
    zones: Vec<ZoneChoice>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ZoneChoice {
    zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    preference: Option<String>,
    constraints: Constraints,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Constraints {
    max_count: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flexibility {
    instance_selections: BTreeMap<String, SelectionSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SelectionSpec {
    machine_types: Vec<String>,
    rank: Option<Int>,
    disks: Value,
    min_cpu_platform: Option<String>,
}

/// A bulk insert that was read.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) count: u32,
    pub(crate) count_min: u32,
    pub(crate) pattern: Option<String>,
    /// Names of the caller's own, and hostnames.
    pub(crate) named: Vec<(String, Option<String>)>,
    pub(crate) spread: Spread,
    properties: Value,
    template: Option<String>,
    policy: LocationPolicy,
    flexibility: Vec<(String, SelectionSpec)>,
}

/// A machine type that will do, and what instances of it are made of.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) rank: i64,
    pub(crate) machine: Arc<InstanceType>,
    pub(crate) properties: Properties,
}

impl Wanted {
    /// # Errors
    /// `required` and `invalid` for what is missing or none.
    pub(crate) fn read(request: &Request<'_>) -> Result<Self, Refusal> {
        let body: Body = request.read()?;
        let named: Vec<(String, Option<String>)> = body
            .per_instance_properties
            .into_iter()
            .map(|(key, own)| (own.name.filter(|name| !name.is_empty()).unwrap_or(key), own.hostname))
            .collect();
        let pattern = body.name_pattern.filter(|pattern| !pattern.is_empty());
        if pattern.is_none() && named.is_empty() {
            return Err(required("resource.namePattern"));
        }
        let count = match body.count {
            None if named.is_empty() => return Err(required("resource.count")),
            None => named.len() as u32,
            Some(count) => number("resource.count", count)?,
        };
        if named.len() > count as usize || pattern.is_none() && named.len() != count as usize {
            let why = format!("There are {} names in perInstanceProperties.", named.len());
            return Err(invalid("resource.count", &count.to_string(), &why));
        }
        let count_min = body.min_count.map_or(Ok(count), |least| number("resource.minCount", least))?;
        if count_min > count {
            let why = "It must not be above the count.";
            return Err(invalid("resource.minCount", &count_min.to_string(), why));
        }
        let spread = match body.location_policy.target_shape.as_deref() {
            // Discovery document, `LocationPolicy.targetShape`: the default of bulk inserts.
            None | Some("" | "ANY_SINGLE_ZONE") => Spread::SingleZone,
            Some("ANY") => Spread::Packed,
            Some("BALANCED") => Spread::Even,
            Some(other) => {
                let why = "It must be ANY, ANY_SINGLE_ZONE or BALANCED.";
                return Err(invalid("resource.locationPolicy.targetShape", other, why));
            }
        };
        if body.instance_properties.is_null() && body.source_instance_template.is_none() {
            return Err(required("resource.instanceProperties"));
        }
        let flexibility: Vec<_> = body.instance_flexibility_policy.instance_selections.into_iter().collect();
        if !flexibility.is_empty() && !request.part("zone").is_empty() {
            let why = "Only regional requests have one.";
            return Err(invalid("resource.instanceFlexibilityPolicy", "", why));
        }
        Ok(Self {
            count,
            count_min,
            pattern,
            named,
            spread,
            properties: body.instance_properties,
            template: body.source_instance_template,
            policy: body.location_policy,
            flexibility,
        })
    }

    /// The zones that the instances may lie in, and how many each may have.
    ///
    /// # Errors
    /// `invalid` for a place that is no zone of the region, and when none is left.
    pub(crate) fn zones(
        &self,
        kernel: &Kernel,
        scope: &Scope,
        region: &Region,
    ) -> Result<Vec<(Zone, u32)>, Refusal> {
        let all = kernel.zones(region.as_str());
        let field = "resource.locationPolicy.locations";
        let known = |name: &str| -> Result<Zone, Refusal> {
            let zone = url::after("zones", name).unwrap_or(name);
            let found = all.iter().find(|known| known.as_str() == zone);
            found
                .cloned()
                .ok_or_else(|| invalid(field, name, &format!("It is no zone of the region {region}.")))
        };
        if let Scope::Zone(zone) = scope {
            return Ok(vec![(zone.clone(), u32::MAX)]);
        }
        let mut terms: BTreeMap<Zone, (bool, u32)> = BTreeMap::new();
        for (name, location) in &self.policy.locations {
            let allowed = match location.preference.as_deref() {
                None | Some("" | "ALLOW" | "PREFERENCE_UNSPECIFIED") => true,
                Some("DENY") => false,
                Some(other) => return Err(invalid(field, other, "A preference is ALLOW or DENY.")),
            };
            let most = location.constraints.max_count.map(|most| number(field, most)).transpose()?;
            terms.insert(known(name)?, (allowed, most.unwrap_or(u32::MAX)));
        }
        let mut listed = Vec::new();
        for choice in &self.policy.zones {
            listed.push(known(&choice.zone)?);
        }
        let open = |zone: &Zone| {
            terms.get(zone).is_none_or(|(allowed, _)| *allowed)
                && (listed.is_empty() || listed.contains(zone))
        };
        let most = |zone: &Zone| terms.get(zone).map_or(u32::MAX, |(_, most)| *most);
        let zones: Vec<(Zone, u32)> =
            all.iter().filter(|zone| open(zone)).map(|zone| (zone.clone(), most(zone))).collect();
        match zones.is_empty() {
            true => Err(invalid(field, "", "No zone of the region is allowed.")),
            false => Ok(zones),
        }
    }

    /// The machine types that will do, best first.
    ///
    /// # Errors
    /// `required` without any, `invalid` for one that there is not; `internalError` for an address
    /// where only a name goes.
    pub(crate) fn selections(
        &self,
        kernel: &Kernel,
        state: &mut State,
        request: &Request<'_>,
    ) -> Result<Vec<Selection>, Refusal> {
        let mut given = match &self.template {
            None => self.properties.clone(),
            Some(template) => {
                let under = of_template(kernel, state, request.project(), template)?;
                if self.properties.is_null() { under } else { merge(under, &self.properties) }
            }
        };
        let field = "resource.instanceProperties";
        let read = |machine: &str, rank: i64, given: &Value| {
            let properties = read_properties(field, given)?;
            bare(machine)?;
            let field = format!("{field}.machineType");
            let machine = shape::find(kernel, &field, machine, &properties.guest_accelerators)?;
            Ok(Selection { rank, machine, properties })
        };
        if self.flexibility.is_empty() {
            let machine = given["machineType"].as_str().unwrap_or_default().to_owned();
            if machine.is_empty() {
                return Err(required(&format!("{field}.machineType")));
            }
            return Ok(vec![read(&machine, 0, &given)?]);
        }
        if given["machineType"].as_str().is_some_and(|machine| !machine.is_empty()) {
            let why = "It cannot be set together with instanceFlexibilityPolicy.";
            return Err(invalid(&format!("{field}.machineType"), "", why));
        }
        let mut selections = Vec::new();
        for (name, spec) in &self.flexibility {
            if spec.machine_types.is_empty() {
                let path =
                    format!("resource.instanceFlexibilityPolicy.instanceSelections[{name}].machineTypes");
                return Err(required(&path));
            }
            let mut own = json!({});
            if !spec.disks.is_null() {
                own["disks"] = spec.disks.clone();
            }
            if let Some(platform) = &spec.min_cpu_platform {
                own["minCpuPlatform"] = platform.as_str().into();
            }
            given = if given.is_null() { json!({}) } else { given };
            let given = merge(given.clone(), &own);
            for machine in &spec.machine_types {
                selections.push(read(machine, spec.rank.map_or(0, |rank| rank.0), &given)?);
            }
        }
        selections.sort_by_key(|selection| selection.rank);
        Ok(selections)
    }
}

/// Discovery document, `InstanceProperties.machineType`: an address makes the request fail with an
/// internal error.
fn bare(machine: &str) -> Result<(), Refusal> {
    match machine.contains('/') {
        true => {
            Err(coded(503, "internalError", "Internal error. Please try again or contact Google Support."))
        }
        false => Ok(()),
    }
}

fn number(field: &str, given: Int) -> Result<u32, Refusal> {
    let number = u32::try_from(given.0).ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| invalid(field, &given.0.to_string(), &format!("It must be between 1 and {MOST}.")))
}
