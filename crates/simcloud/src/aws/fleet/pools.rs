use std::collections::BTreeSet;
use std::sync::Arc;

use skyfleet_core::Market;

use crate::aws::blueprint::{Blueprint, Terms, draw, user_data};
use crate::aws::error::coded;
use crate::aws::fleet::allocation::{Candidate, Wish, allocate};
use crate::aws::fleet::request::{FleetRequest, FleetType, MarketTerms, Override, Unit};
use crate::aws::launched::Tags;
use crate::aws::network::{self, Subnet};
use crate::aws::purchase::{Buyer, Reserving, Short, buy, told};
use crate::aws::query::Node;
use crate::aws::shape::Given;
use crate::aws::state::State;
use crate::aws::templates::data::LaunchTemplateData;
use crate::aws::types::requirements;
use crate::aws::{images, templates};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// One pool of a fleet: a launch template with one override, in one zone.
#[derive(Clone, Debug)]
pub(crate) struct FleetPool {
    pub(crate) template_id: String,
    pub(crate) version: u64,
    /// The override, as answers tell it.
    pub(crate) told: Given,
    pub(crate) priority: Option<f64>,
    /// How many units of capacity an instance stands for.
    pub(crate) weight: u32,
    pub(crate) spot: Option<Blueprint>,
    pub(crate) on_demand: Option<Blueprint>,
}

/// Why a pool of a fleet gave too few, as `errorSet` tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FleetError {
    /// The pool's number.
    pub(crate) pool: usize,
    pub(crate) market: Market,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What one attempt of a fleet bought from one of its pools.
#[derive(Clone, Debug)]
pub(crate) struct FleetLaunch {
    pub(crate) pool: usize,
    pub(crate) market: Market,
    /// The number of the world's launch.
    pub(crate) launch: u32,
}

impl FleetPool {
    pub(crate) fn blueprint(&self, market: Market) -> Option<&Blueprint> {
        match market {
            Market::Spot => self.spot.as_ref(),
            Market::OnDemand => self.on_demand.as_ref(),
        }
    }
}

/// The markets that a fleet buys on.
pub(crate) fn markets(request: &FleetRequest) -> Vec<Market> {
    match request.kind {
        // A later target may have another split.
        FleetType::Maintain => vec![Market::OnDemand, Market::Spot],
        _ => {
            let wanted = [(Market::OnDemand, request.target.on_demand), (Market::Spot, request.target.spot)];
            wanted.into_iter().filter(|(_, units)| *units > 0).map(|(market, _)| market).collect()
        }
    }
}

/// All pools of a fleet, and what is wrong with those that can never give anything.
///
/// # Errors
/// EC2's for a launch template that does not exist, and for two subnets of one zone.
pub(crate) fn pools(
    kernel: &Kernel,
    state: &mut State,
    request: &FleetRequest,
    root: &Node<'_>,
    region: &str,
) -> Result<(Vec<FleetPool>, Vec<FleetError>), Refusal> {
    let subnets = network::subnets(kernel, region);
    one_subnet_per_zone(request, &subnets)?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for config in &request.configs {
        let template = templates::resolve(state, region, &root.node(&config.template))?;
        let mut data = template.data.clone();
        if let Some(text) = root.node(&config.template).text("LaunchTemplateSpecificationUserData") {
            data = Arc::new(LaunchTemplateData::of_user_data(text)?.over(&data));
        }
        // No override changes it.
        let script = user_data(&data)?;
        let whole_template = [Arc::new(Override::default())];
        let overrides = if config.overrides.is_empty() { &whole_template[..] } else { &config.overrides };
        for item in overrides {
            let merged = item.data.clone().over(&data);
            for name in type_names(kernel, region, item, &merged)? {
                for place in places(item, &merged, &subnets) {
                    let at = found.len();
                    let mut pool = FleetPool {
                        template_id: template.id.clone(),
                        version: template.version,
                        told: item.given.clone(),
                        priority: item.priority,
                        weight: 1,
                        spot: None,
                        on_demand: None,
                    };
                    for market in markets(request) {
                        let terms = Terms {
                            region,
                            subnets: &subnets,
                            user_data: &script,
                            instance_type: &name,
                            place: place.as_deref(),
                            market,
                            price_max: item.price_max,
                            persistent: request.interruption != "terminate",
                            interruption: request.interruption,
                            tags: &request.tags,
                        };
                        match draw(kernel, state, &merged, &terms) {
                            Ok(blueprint) => pool.take(market, blueprint, item, request.target.unit),
                            Err(refusal) => {
                                let fault = crate::aws::error::fault(kernel.rules(), refusal);
                                let (code, message) = (fault.code, fault.message);
                                errors.push(FleetError { pool: at, market, code, message });
                            }
                        }
                    }
                    found.push(pool);
                }
            }
        }
    }
    Ok((found, errors))
}

impl FleetPool {
    fn take(&mut self, market: Market, blueprint: Blueprint, item: &Override, unit: Unit) {
        let spec = &blueprint.instance_type;
        self.weight = match (item.weight, unit) {
            (Some(weight), _) => (weight.round() as u32).max(1),
            (None, Unit::Units) => 1,
            (None, Unit::Vcpus) => spec.vcpus.max(1),
            (None, Unit::MemoryMib) => spec.memory_mib.max(1),
        };
        // Answers name the type and the zone, wherever they were said.
        let place =
            [("instanceType", spec.name.as_str()), ("availabilityZone", blueprint.subnet.zone.as_str())];
        self.told = Given::of(&place).over(&self.told);
        match market {
            Market::Spot => self.spot = Some(blueprint),
            Market::OnDemand => self.on_demand = Some(blueprint),
        }
    }
}

/// EC2 user guide, "Fleet request": not two subnets of one Availability Zone.
fn one_subnet_per_zone(request: &FleetRequest, subnets: &[Subnet]) -> Result<(), Refusal> {
    let mut zones: BTreeSet<(&str, &str)> = BTreeSet::new();
    for id in request.configs.iter().flat_map(|config| &config.overrides).flat_map(|item| &item.places) {
        if let Some(subnet) = subnets.iter().find(|subnet| subnet.id == *id) {
            zones.insert((&subnet.zone, id));
        }
    }
    let ids: Vec<&str> = zones.iter().map(|(zone, _)| *zone).collect();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let message = format!("A fleet must not use two subnets of one Availability Zone ({}).", pair[0]);
            Err(coded(400, "InvalidFleetConfig", message))
        }
    }
}

/// The types that an override stands for. Attributes stand for all types that have them and can
/// run the image.
fn type_names(
    kernel: &Kernel,
    region: &str,
    item: &Override,
    merged: &LaunchTemplateData,
) -> Result<Vec<String>, Refusal> {
    if let Some(name) = &item.instance_type {
        return Ok(vec![name.clone()]);
    }
    if let Some(wanted) = item.requirements.as_ref().or(merged.requirements.as_ref()) {
        let image = merged.image_id.as_deref().map(|image| images::find(region, image)).transpose()?;
        let architecture = image.map(|image| images::arch_name(image.architecture));
        let fitting = requirements::types(kernel, region, wanted, architecture.as_slice());
        if fitting.is_empty() {
            let message = "No instance type has the attributes that the instance requirements ask for.";
            return Err(coded(400, "InvalidParameterValue", message));
        }
        return Ok(fitting.iter().map(|sold| sold.spec.name.to_string()).collect());
    }
    merged.instance_type.clone().map(|name| vec![name]).ok_or_else(|| {
        let message =
            "The launch template or an override must say an instance type or instance requirements.";
        coded(400, "MissingParameter", message)
    })
}

/// Where an override launches: `None` lets the launch data say it; all zones when nothing does.
fn places(item: &Override, merged: &LaunchTemplateData, subnets: &[Subnet]) -> Vec<Option<String>> {
    if !item.places.is_empty() {
        return item.places.iter().cloned().map(Some).collect();
    }
    let of_interface =
        merged.network_interfaces.first().is_some_and(|interface| interface.subnet_id.is_some());
    if of_interface || merged.zone.is_some() || merged.zone_id.is_some() {
        return vec![None];
    }
    subnets.iter().map(|subnet| Some(subnet.zone.clone())).collect()
}

/// One launch of an attempt, with its instances.
pub(crate) type Obtained = (FleetLaunch, Vec<MachineView>);

/// One attempt to get units of capacity on one market.
pub(crate) fn attempt(
    kernel: &mut Kernel,
    state: &mut State,
    pools: &[FleetPool],
    (market, units): (Market, u32),
    terms: &MarketTerms,
    buyer: &Buyer,
) -> Result<(Vec<Obtained>, Vec<FleetError>), Refusal> {
    let open: Vec<(usize, &FleetPool, &Blueprint)> = pools
        .iter()
        .enumerate()
        .filter_map(|(at, pool)| pool.blueprint(market).map(|blueprint| (at, pool, blueprint)))
        .collect();
    let weighed = open.iter().map(|(_, pool, blueprint)| (*blueprint, pool.weight));
    let mut reserving = Reserving::new(kernel, weighed, terms.purse);
    let candidates = candidates(&open, &reserving);
    let wish = Wish {
        units,
        strategy: terms.strategy,
        pools: terms.pools.unwrap_or(1),
        single_type: terms.single_type,
        single_zone: terms.single_zone,
    };
    allocate(wish, &candidates, &mut reserving);
    let (got, short) = reserving.release();
    let total: u32 = got.iter().zip(&open).map(|(got, (_, pool, _))| got * pool.weight).sum();
    let errors = |kernel: &Kernel, (index, short): (&usize, &Short)| {
        let (pool, _, blueprint) = open[*index];
        let (_, code, message) = told(kernel, blueprint, short);
        FleetError { pool, market, code: code.to_owned(), message }
    };
    let errors: Vec<FleetError> = short.iter().map(|short| errors(kernel, short)).collect();
    if terms.least.is_some_and(|least| total < least) {
        return Ok((Vec::new(), errors));
    }
    let mut launches = Vec::new();
    for (got, (index, pool, blueprint)) in got.iter().zip(&open).filter(|(got, _)| **got > 0) {
        let mut buyer = buyer.clone();
        buyer.own_tags.extend(template_tags(pool));
        for (launch, views) in buy(kernel, state, blueprint, *got, &buyer)? {
            launches.push((FleetLaunch { pool: *index, market, launch }, views));
        }
    }
    Ok((launches, errors))
}

/// EC2 user guide, launch templates: the tags that instances of one get.
fn template_tags(pool: &FleetPool) -> Tags {
    let tag = |key: &str, value: String| (format!("aws:ec2launchtemplate:{key}"), value);
    Tags::from([tag("id", pool.template_id.clone()), tag("version", pool.version.to_string())])
}

fn candidates(open: &[(usize, &FleetPool, &Blueprint)], reserving: &Reserving<'_>) -> Vec<Candidate> {
    let number = |of: &dyn Fn(&Blueprint) -> &str, blueprint: &Blueprint| {
        open.iter().position(|(_, _, other)| of(other) == of(blueprint)).unwrap_or(0)
    };
    let candidate = |(index, (_, pool, blueprint)): (usize, &(usize, &FleetPool, &Blueprint))| {
        let (room, unit_price) = reserving.offered(index, 1_000_000);
        Candidate {
            instance_type: number(&|blueprint| blueprint.instance_type.name.as_str(), blueprint),
            zone: number(&|blueprint| blueprint.subnet.zone.as_str(), blueprint),
            unit_price,
            priority: pool.priority,
            room,
        }
    };
    open.iter().enumerate().map(candidate).collect()
}
