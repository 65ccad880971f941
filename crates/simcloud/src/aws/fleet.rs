pub(crate) mod actions;
pub(crate) mod allocation;
pub(crate) mod pools;
pub(crate) mod request;
pub(crate) mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{Market, Timestamp};

use crate::aws::Request;
use crate::aws::creation::{Tokens, new_id};
use crate::aws::error::coded;
use crate::aws::fleet::pools::{FleetError, FleetLaunch, FleetPool, attempt, pools};
use crate::aws::fleet::request::{FleetRequest, FleetType};
use crate::aws::launched::Tags;
use crate::aws::purchase::Buyer;
use crate::aws::shape::Given;
use crate::aws::state::State;
use crate::aws::xml::Items;
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The account's fleets, of all regions.
#[derive(Debug, Default)]
pub(crate) struct Fleets {
    pub(crate) by_id: BTreeMap<Arc<str>, Fleet>,
    pub(crate) tokens: Tokens,
}

/// One fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) id: Arc<str>,
    pub(crate) region: String,
    pub(crate) created: Timestamp,
    pub(crate) request: FleetRequest,
    pub(crate) pools: Vec<FleetPool>,
    pub(crate) launches: Vec<FleetLaunch>,
    pub(crate) errors: Vec<FleetError>,
    pub(crate) tags: Arc<Tags>,
    pub(crate) client_token: Option<String>,
    /// When it was deleted, and whether its instances went with it.
    pub(crate) deleted: Option<(Timestamp, bool)>,
    /// Not before this is capacity tried again that was not there.
    pub(crate) next_attempt: Timestamp,
    /// How many events the world had when the fleet last looked at its instances.
    pub(crate) looked_at: usize,
    pub(crate) history: Vec<FleetEvent>,
}

/// One line of `DescribeFleetHistory`.
#[derive(Clone, Debug)]
pub(crate) struct FleetEvent {
    pub(crate) at: Timestamp,
    /// `instance-change`, `fleet-change` or `service-error`.
    pub(crate) kind: &'static str,
    pub(crate) sub_type: String,
    pub(crate) description: String,
    pub(crate) instance: Option<Arc<str>>,
}

impl Fleet {
    /// The machines that it launched, of those that the world still knows.
    pub(crate) fn machines<'a>(&'a self, kernel: &'a Kernel) -> impl Iterator<Item = (&'a FleetLaunch, u32)> {
        self.launches.iter().flat_map(|launch| {
            kernel.lots[launch.launch as usize].machines().map(move |machine| (launch, machine))
        })
    }

    /// How many units of capacity it has now on each market: pending or running.
    pub(crate) fn fulfilled(&self, kernel: &Kernel) -> (u32, u32) {
        let (mut on_demand, mut spot) = (0, 0);
        for (launch, machine) in self.machines(kernel) {
            if kernel.machines[machine as usize].state_at(kernel.now()).is_alive() {
                let weight = self.pools[launch.pool].weight;
                match launch.market {
                    Market::OnDemand => on_demand += weight,
                    Market::Spot => spot += weight,
                }
            }
        }
        (on_demand, spot)
    }

    /// Whether EC2 still looks after it.
    pub(crate) fn is_active(&self) -> bool {
        self.deleted.is_none()
    }

    /// Tries to get so many units on a market, and remembers what came of it.
    pub(crate) fn buy(
        &mut self,
        kernel: &mut Kernel,
        state: &mut State,
        market: Market,
        units: u32,
    ) -> Result<(), Refusal> {
        let buyer = Buyer {
            client_token: None,
            fleet: Some(self.id.clone()),
            own_tags: Tags::from([("aws:ec2:fleet-id".to_owned(), self.id.to_string())]),
        };
        let terms = match market {
            Market::Spot => self.request.spot,
            Market::OnDemand => self.request.on_demand,
        };
        let (launches, errors) = attempt(kernel, state, &self.pools, (market, units), &terms, &buyer)?;
        let at = kernel.now();
        for (launch, views) in launches {
            if self.request.kind != FleetType::Instant {
                self.history.extend(views.iter().map(|view| FleetEvent {
                    at,
                    kind: "instance-change",
                    sub_type: "launched".to_owned(),
                    description: format!("{} {}", view.offer.instance_type, view.offer.zone),
                    instance: Some(view.id.clone()),
                }));
            }
            self.launches.push(launch);
        }
        if self.request.kind != FleetType::Instant {
            self.history.extend(errors.iter().map(|error| FleetEvent {
                at,
                kind: "service-error",
                sub_type: error.code.clone(),
                description: error.message.clone(),
                instance: None,
            }));
        }
        self.errors.extend(errors);
        Ok(())
    }
}

/// `CreateFleet`.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let wanted = FleetRequest::read(&root)?;
    let (instant, total) = (wanted.kind == FleetType::Instant, wanted.target.total);
    if instant && total == 0 {
        let message = "The target capacity of a fleet of type instant must be at least 1.";
        return Err(coded(400, "InvalidParameterValue", message));
    }
    let (token, digest) = (root.text("ClientToken"), request.query.digest());
    // Whether fleets draw on the bucket of RunInstances is not documented: those that launch in
    // the call itself do here.
    let made = request.call(if instant { total } else { 0 }, |kernel, state| {
        if let Some(id) = state.fleets.tokens.known(request.region, token, digest)? {
            return repeated(kernel, state, id, token);
        }
        let id = make(kernel, state, request, wanted)?;
        state.fleets.tokens.keep(request.region, token, digest, &id);
        Ok(state.fleets.by_id.get(&id).map(|fleet| Created::of(kernel, fleet)))
    })?;
    request.answer(&made)
}

/// The answer to a token that is known. EC2 developer guide, "Ensuring idempotency": not when its
/// instances are all gone.
fn repeated(
    kernel: &Kernel,
    state: &State,
    id: &str,
    token: Option<&str>,
) -> Result<Option<Created>, Refusal> {
    let Some(fleet) = state.fleets.by_id.get(id) else { return Err(spent(token)) };
    let alive = |(_, machine): (&FleetLaunch, u32)| {
        kernel.machines[machine as usize].state_at(kernel.now()).is_alive()
    };
    let bought = !fleet.launches.is_empty() && fleet.request.kind == FleetType::Instant;
    if bought && !fleet.machines(kernel).any(alive) {
        return Err(spent(token));
    }
    Ok(Some(Created::of(kernel, fleet)))
}

fn spent(token: Option<&str>) -> Refusal {
    Refusal::TokenSpent { token: token.unwrap_or_default().to_owned() }
}

fn make(
    kernel: &mut Kernel,
    state: &mut State,
    request: &Request<'_>,
    wanted: FleetRequest,
) -> Result<Arc<str>, Refusal> {
    let (now, region) = (kernel.now(), request.region);
    let (pools, errors) = pools(kernel, state, &wanted, &request.root(), region)?;
    let id: Arc<str> = fleet_id(&new_id(kernel, state, "fleet")).into();
    let tags = Arc::new(wanted.tags.get("fleet").cloned().unwrap_or_default());
    let mut fleet = Fleet {
        id: id.clone(),
        region: region.to_owned(),
        created: now,
        pools,
        launches: Vec::new(),
        errors,
        tags: tags.clone(),
        client_token: request.root().text("ClientToken").map(str::to_owned),
        deleted: None,
        next_attempt: now,
        looked_at: usize::MAX,
        history: Vec::new(),
        request: wanted,
    };
    if fleet.request.kind == FleetType::Instant {
        let target = fleet.request.target;
        for (market, units) in [(Market::OnDemand, target.on_demand), (Market::Spot, target.spot)] {
            if units > 0 {
                fleet.buy(kernel, state, market, units)?;
            }
        }
    } else {
        fleet.change(now, "submitted");
        kernel.make_fixture(FixtureKind::Fleet, id.clone(), region, tags);
    }
    state.fleets.by_id.insert(id.clone(), fleet);
    crate::aws::fleet::upkeep::tend(kernel, state);
    Ok(id)
}

impl Fleet {
    /// Writes a change of the fleet itself into its history.
    pub(crate) fn change(&mut self, at: Timestamp, what: &str) {
        let (sub_type, description) = (what.to_owned(), String::new());
        self.history.push(FleetEvent { at, kind: "fleet-change", sub_type, description, instance: None });
    }
}

/// EC2's fleets have ids of 36 characters: `fleet-12a34b55-67cd-8ef9-ba9b-9208dEXAMPLE`.
fn fleet_id(id: &str) -> String {
    let digits = id.trim_start_matches("fleet-0");
    let (a, b) = digits.split_at(digits.len().min(8));
    let (b, c) = b.split_at(b.len().min(4));
    format!("fleet-{a}-{b}-{c}-8000-{digits:0>12.12}")
}

/// The answer to `CreateFleet`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    fleet_id: String,
    error_set: Items<ErrorItem>,
    fleet_instance_set: Items<InstancesItem>,
}

impl Created {
    fn of(kernel: &Kernel, fleet: &Fleet) -> Self {
        let instant = fleet.request.kind == FleetType::Instant;
        Self {
            fleet_id: fleet.id.to_string(),
            error_set: if instant { errors_of(fleet) } else { Items::default() },
            fleet_instance_set: if instant { instances_of(kernel, fleet, true) } else { Items::default() },
        }
    }
}

/// One item of `errorSet`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorItem {
    launch_template_and_overrides: TemplateAndOverrides,
    lifecycle: String,
    error_code: String,
    error_message: String,
}

/// One item of `fleetInstanceSet`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstancesItem {
    launch_template_and_overrides: TemplateAndOverrides,
    lifecycle: String,
    instance_ids: Items<String>,
    instance_type: String,
    #[serde(flatten)]
    place: Option<Place>,
}

/// What `CreateFleet` says of an item beyond what `DescribeFleets` does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    availability_zone_id: String,
    availability_zone: String,
    subnet_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TemplateAndOverrides {
    launch_template_specification: TemplateName,
    overrides: Given,
}

/// A template as answers name it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateName {
    pub(crate) launch_template_id: String,
    pub(crate) version: String,
}

fn template_and_overrides(pool: &FleetPool) -> TemplateAndOverrides {
    TemplateAndOverrides {
        launch_template_specification: TemplateName {
            launch_template_id: pool.template_id.clone(),
            version: pool.version.to_string(),
        },
        overrides: pool.told.clone(),
    }
}

/// Why a fleet has fewer instances than it wants.
pub(crate) fn errors_of(fleet: &Fleet) -> Items<ErrorItem> {
    let item = |error: &FleetError| ErrorItem {
        launch_template_and_overrides: template_and_overrides(&fleet.pools[error.pool]),
        lifecycle: error.market.to_string(),
        error_code: error.code.clone(),
        error_message: error.message.clone(),
    };
    fleet.errors.iter().map(item).collect()
}

/// The instances that an instant fleet launched, by pool and market.
pub(crate) fn instances_of(kernel: &Kernel, fleet: &Fleet, with_place: bool) -> Items<InstancesItem> {
    let mut items: BTreeMap<(usize, Market), InstancesItem> = BTreeMap::new();
    for launch in &fleet.launches {
        let pool = &fleet.pools[launch.pool];
        let Some(blueprint) = pool.blueprint(launch.market) else { continue };
        let item = items.entry((launch.pool, launch.market)).or_insert_with(|| InstancesItem {
            launch_template_and_overrides: template_and_overrides(pool),
            lifecycle: launch.market.to_string(),
            instance_ids: Items::default(),
            instance_type: blueprint.instance_type.name.to_string(),
            place: with_place.then(|| Place {
                availability_zone_id: blueprint.subnet.zone_id.clone(),
                availability_zone: blueprint.subnet.zone.clone(),
                subnet_id: blueprint.subnet.id.clone(),
            }),
        });
        let machines = kernel.lots[launch.launch as usize].machines();
        item.instance_ids.item.extend(machines.map(|m| kernel.machines[m as usize].id.to_string()));
    }
    items.into_values().collect()
}
