use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize, Serializer};
use skyfleet_core::{InstanceState, Market, Region, Timestamp, TypeName, Usd, UsdPerHour, Zone, tag};

use crate::catalog::Cloud;
use crate::fixture::Fixture;
use crate::kernel::Kernel;
use crate::ledger::LiveLine;
use crate::machine::EndCause;
use crate::server::admin::{Admin, Refused, known};
use crate::world::{CallCount, World};

/// What of the worlds is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    owner: Option<String>,
    cloud: Option<Cloud>,
}

impl Asked {
    fn read(query: Result<Query<Self>, QueryRejection>) -> Result<Self, Refused> {
        let Query(asked) = query.map_err(|rejection| Refused::bad(rejection.body_text()))?;
        known(asked.cloud)?;
        Ok(asked)
    }

    fn worlds<'a>(&self, admin: &'a Admin) -> impl Iterator<Item = (Cloud, &'a World)> + use<'a> {
        let wanted = self.cloud;
        admin.worlds.all().into_iter().filter(move |(cloud, _)| wanted.is_none_or(|wanted| wanted == *cloud))
    }
}

/// The money of all worlds.
#[derive(Debug, Serialize)]
pub(crate) struct Ledger {
    now: Timestamp,
    #[serde(serialize_with = "dollars_per_hour")]
    usd_per_hour: UsdPerHour,
    #[serde(serialize_with = "dollars")]
    accrued_usd: Usd,
    #[serde(serialize_with = "dollars")]
    on_demand_equivalent_usd: Usd,
    live: Vec<LiveLine>,
    blocking: Vec<Blocking>,
}

/// What costs nothing but is left, and where.
#[derive(Debug, Serialize)]
struct Blocking {
    cloud: Cloud,
    owner: Option<String>,
    #[serde(flatten)]
    fixture: Fixture,
}

pub(crate) async fn ledger(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Ledger>, Refused> {
    let asked = Asked::read(query)?;
    let mut all = Ledger {
        now: admin.worlds.aws.world.clock().now(),
        usd_per_hour: UsdPerHour::ZERO,
        accrued_usd: Usd::ZERO,
        on_demand_equivalent_usd: Usd::ZERO,
        live: Vec::new(),
        blocking: Vec::new(),
    };
    for (cloud, world) in asked.worlds(&admin) {
        let report = match &asked.owner {
            Some(owner) => world.ledger_of(owner),
            None => world.ledger(),
        };
        all.now = all.now.max(report.now);
        all.usd_per_hour = [all.usd_per_hour, report.usd_per_hour].into_iter().sum();
        all.accrued_usd += report.accrued_usd;
        all.on_demand_equivalent_usd += report.on_demand_equivalent_usd;
        all.live.extend(report.live);
        all.blocking.extend(report.blocking.into_iter().map(|fixture| Blocking {
            cloud,
            owner: fixture.owner().map(str::to_owned),
            fixture,
        }));
    }
    Ok(Json(all))
}

/// Every instance, at once: lists of the clouds may lag behind, this one does not.
#[derive(Debug, Serialize)]
pub(crate) struct Instances {
    now: Timestamp,
    instances: Vec<Instance>,
}

#[derive(Debug, Serialize)]
struct Instance {
    cloud: Cloud,
    id: Arc<str>,
    region: Region,
    zone: Zone,
    instance_type: TypeName,
    market: Market,
    state: InstanceState,
    cause: Option<EndCause>,
    owner: Option<String>,
    fleet: Option<String>,
    #[serde(serialize_with = "dollars_per_hour")]
    usd_per_hour: UsdPerHour,
    launched: Timestamp,
    deadline: Option<Timestamp>,
    private_ip: Option<IpAddr>,
    public_ip: Option<IpAddr>,
    tags: Arc<BTreeMap<String, String>>,
}

pub(crate) async fn instances(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Instances>, Refused> {
    let asked = Asked::read(query)?;
    let mut all = Instances { now: admin.worlds.aws.world.clock().now(), instances: Vec::new() };
    for (cloud, world) in asked.worlds(&admin) {
        world.look(|kernel| {
            all.now = all.now.max(kernel.now());
            let machines = (0..kernel.machines.len() as u32).filter_map(|m| instance(kernel, cloud, m));
            all.instances.extend(machines.filter(|it| asked.owner.is_none() || it.owner == asked.owner));
        });
    }
    Ok(Json(all))
}

/// A machine, unless it ended so long ago that its cloud has forgotten it.
fn instance(kernel: &Kernel, cloud: Cloud, m: u32) -> Option<Instance> {
    let ended = kernel.machines[m as usize].ended_at;
    if ended.is_some_and(|ended| kernel.now() >= ended + kernel.rules().ended_listed) {
        return None;
    }
    let view = kernel.view(m, kernel.now());
    let tag = |key: &str| view.tags.get(key).cloned();
    Some(Instance {
        cloud,
        id: view.id,
        region: view.region,
        zone: view.offer.zone,
        instance_type: view.offer.instance_type,
        market: view.offer.market,
        state: view.state,
        cause: view.cause,
        owner: tag(tag::OWNER),
        fleet: tag(tag::FLEET),
        usd_per_hour: view.price,
        launched: view.launched,
        deadline: view.deadline,
        private_ip: view.private_ip,
        public_ip: view.public_ip,
        tags: view.tags,
    })
}

/// A counter per cloud and action.
pub(crate) async fn calls(
    State(admin): State<Arc<Admin>>,
) -> Json<BTreeMap<Cloud, BTreeMap<String, CallCount>>> {
    Json(admin.worlds.all().into_iter().map(|(cloud, world)| (cloud, world.calls())).collect())
}

fn dollars<S: Serializer>(amount: &Usd, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64(amount.to_dollars())
}

fn dollars_per_hour<S: Serializer>(price: &UsdPerHour, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64(price.to_dollars())
}
