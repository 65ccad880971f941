//! A house with machines in two rooms, as a skyfleet provider: a whole one in one file. It is a
//! module of the example `custom_provider`, and the `lib.rs` of a crate of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use skyfleet_core::*;

/// The driver that `provider = "cellar"` selects.
pub const DRIVER: Driver = Driver { name: "cellar", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    if let Some(key) = settings.keys().find(|key| *key != "machines") {
        return Err(Error::new(ErrorKind::InvalidConfig, format!("unknown key {key:?}, known: machines"))
            .with("key", format!("providers.cellar.{key}")));
    }
    let machines = settings.get("machines").and_then(|v| v.as_integer()).unwrap_or(4);
    let clock = Arc::new(SystemClock);
    let provider = Arc::new(Cellar::new(machines.clamp(0, 1_000) as usize, clock.clone()));
    Ok(Connected { provider, clock })
}

const REGION: &str = "house";
const ROOMS: [&str; 2] = ["house-attic", "house-cellar"];
const IMAGES: [&str; 2] = ["ubuntu-24.04", "debian-12"];
const TOWER: &str = "tower";

/// A fixed number of equal machines in each of two rooms.
#[derive(Debug)]
pub struct Cellar {
    machines: usize,
    clock: Arc<dyn Clock>,
    rack: Mutex<Rack>,
}

/// Who uses which machine. A real provider asks its cloud; this one is its cloud.
#[derive(Debug, Default)]
struct Rack {
    used: BTreeMap<InstanceId, Instance>,
    fleets: BTreeMap<String, FleetBlueprint>,
    launches: BTreeMap<Token, (LaunchRequest, Launched)>,
    numbers: u32,
}

impl Rack {
    fn free(&self, machines: usize, room: &str) -> usize {
        machines.saturating_sub(self.used.values().filter(|i| i.offer.zone.as_str() == room).count())
    }
}

impl Cellar {
    /// So many machines in each room, by this clock.
    pub fn new(machines: usize, clock: Arc<dyn Clock>) -> Self {
        Self { machines, clock, rack: Mutex::default() }
    }

    fn offer(&self, rack: &Rack, room: &str) -> Offer {
        Offer {
            instance_type: Arc::new(InstanceType {
                name: TOWER.into(),
                vcpus: 8,
                memory_mib: 16 * 1024,
                arch: Arch::X86_64,
                gpu: None,
                local_ssd_gib: 0,
            }),
            region: REGION.into(),
            zone: room.into(),
            market: Market::OnDemand,
            price: Price::Known(UsdPerHour::from_micros(40_000)), // the electricity
            availability: match rack.free(self.machines, room) {
                0 => Availability::SoldOut,
                _ => Availability::Open,
            },
            quotas: Arc::new([]),
        }
    }
}

impl Cellar {
    /// Which machine each instance of the launch gets: as many as there is room for, none when
    /// that is too few.
    fn choose(&self, rack: &Rack, request: &LaunchRequest) -> Vec<OfferId> {
        let mut pools: Vec<(usize, OfferId)> = request
            .pools
            .iter()
            .map(|bid| (rack.free(self.machines, bid.offer.zone.as_str()), bid.offer.clone()))
            .collect();
        if request.spread == Spread::SingleZone {
            pools.sort_by_key(|(free, _)| std::cmp::Reverse(*free));
            pools.truncate(1);
        }
        let mut chosen = Vec::new();
        while chosen.len() < request.count as usize {
            let pool = match request.spread {
                Spread::Even => pools.iter_mut().max_by_key(|(free, _)| *free).filter(|(free, _)| *free > 0),
                _ => pools.iter_mut().find(|(free, _)| *free > 0),
            };
            let Some((free, offer)) = pool else { break };
            *free -= 1;
            chosen.push(offer.clone());
        }
        if chosen.len() < request.count_min as usize { Vec::new() } else { chosen }
    }
}

/// Refuses a name that is none of these.
fn known(what: &str, name: &str, names: &[&str]) -> Result<()> {
    if names.contains(&name) {
        return Ok(());
    }
    let message = format!("there is no {what} {name:?}, but {}", names.join(" and "));
    Err(Error::new(ErrorKind::InvalidRequest, message).with("key", what))
}

#[async_trait]
impl CapacitySearch for Cellar {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        query.regions.iter().try_for_each(|region| known("region", region.as_str(), &[REGION]))?;
        query.zones.iter().try_for_each(|zone| known("zone", zone.as_str(), &ROOMS))?;
        query.instance_types.iter().try_for_each(|name| known("instance type", name.as_str(), &[TOWER]))?;
        let rack = self.rack.lock().unwrap();
        let offers = ROOMS.map(|room| self.offer(&rack, room));
        Ok(offers.into_iter().filter(|offer| query.matches(offer)).collect())
    }

    async fn signals(&self, _: &SignalQuery) -> Result<Vec<Signal>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl FleetLaunch for Cellar {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        known("image", &blueprint.image, &IMAGES)?;
        blueprint.regions.iter().try_for_each(|region| known("region", region.as_str(), &[REGION]))?;
        // Nothing is made that could be left: the handle is the fleet's name.
        let handle = format!("{}/{}", blueprint.owner, blueprint.fleet);
        self.rack.lock().unwrap().fleets.insert(handle.clone(), blueprint.clone());
        Ok(Prepared { handles: BTreeMap::from([(REGION.into(), handle)]), resources: Vec::new() })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let mut rack = self.rack.lock().unwrap();
        if let Some((earlier, launched)) = rack.launches.get(&request.token) {
            return match earlier == request {
                true => Ok(launched.clone()),
                false => Err(Error::new(ErrorKind::Conflict, "the token was used with another request")),
            };
        }
        for bid in &request.pools {
            known("zone", bid.offer.zone.as_str(), &ROOMS)?;
            known("instance type", bid.offer.instance_type.as_str(), &[TOWER])?;
        }
        let Some(fleet) = request.prepared.handles.get(&request.region).and_then(|h| rack.fleets.get(h))
        else {
            return Err(
                Error::new(ErrorKind::InvalidRequest, "the fleet is not prepared").with("key", "prepared")
            );
        };
        let fleet = fleet.clone();
        let mut launched = Launched::default();
        for offer in self.choose(&rack, request) {
            rack.numbers += 1;
            let number = rack.numbers;
            let address = |network: u8| std::net::Ipv4Addr::from(u32::from(network) << 24 | number);
            launched.instances.push(Instance {
                id: format!("tower-{number}").into(),
                owner: request.token.owner().clone(),
                fleet: request.token.fleet().clone(),
                token: request.token.clone(),
                price: self.offer(&rack, offer.zone.as_str()).price,
                offer,
                region: REGION.into(),
                state: InstanceState::Running,
                launched: self.clock.now(),
                labels: Arc::new(fleet.labels.clone()),
                expires: request.expires,
                private_ip: Some(address(10).into()),
                public_ip: fleet.public_ip.then(|| address(198).into()),
            });
        }
        let missing = request.count - launched.instances.len() as u32;
        if missing > 0 {
            let reason = Error::new(ErrorKind::NoCapacity, "the rooms are full")
                .closing(Scope::Region(REGION.into()))
                .with("code", "RackFull");
            launched.shortfalls.push(Shortfall { count: missing, reason });
        }
        rack.used.extend(launched.instances.iter().map(|i| (i.id.clone(), i.clone())));
        rack.launches.insert(request.token.clone(), (request.clone(), launched.clone()));
        Ok(launched)
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        let wanted = |i: &&Instance| {
            i.owner == selector.owner
                && selector.fleet.as_ref().is_none_or(|fleet| *fleet == i.fleet)
                && (selector.ids.is_empty() || selector.ids.contains(&i.id))
        };
        Ok(self.rack.lock().unwrap().used.values().filter(wanted).cloned().collect())
    }
}

#[async_trait]
impl PreemptionHandling for Cellar {
    async fn preemptions(&self, _: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        if *after != Cursor::start() {
            return Err(
                Error::new(ErrorKind::InvalidRequest, "the cursor is not of this house").with("key", "after")
            );
        }
        Ok(PreemptionPage { preemptions: Vec::new(), next: after.clone() }) // nobody takes them back
    }
}

#[async_trait]
impl Teardown for Cellar {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        let mut rack = self.rack.lock().unwrap();
        let (ending, gone) = instances.iter().cloned().partition(|id| rack.used.remove(id).is_some());
        Ok(TerminateReceipt { ending, gone })
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        let resources = self.list(&Selector::owner(owner)).await?.into_iter().map(|i| Resource {
            kind: ResourceKind::Instance,
            id: i.id.as_str().into(),
            region: i.region,
            fleet: Some(i.fleet),
            price: i.price.known(),
            expires: i.expires,
        });
        Ok(Inventory { resources: resources.collect(), unreached: Vec::new() })
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        let ids: BTreeSet<InstanceId> = resources.iter().map(|r| InstanceId::new(r.id.clone())).collect();
        self.terminate(&ids.into_iter().collect::<Vec<_>>()).await?;
        Ok(DeleteReceipt { deleted: resources.to_vec(), pending: Vec::new() })
    }
}

impl Provider for Cellar {
    fn name(&self) -> &'static str {
        DRIVER.name
    }

    fn capability(&self) -> Capability {
        Capability {
            spot: false,
            price_max: false,
            all_or_nothing: true,
            native_expiry: false,
            notice: None,
            capacity_scores: false,
            quotas: false,
            launch_max: 1_000,
            user_data_bytes_max: 16 * 1024,
            instance_id_command: "hostname",
            shares_files: false,
        }
    }
}
