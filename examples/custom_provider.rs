//! A third party's provider in one file: a rack of machines in somebody's cellar.
//!
//! ```text
//! cargo run -p skyfleet-examples --example custom_provider
//! ```
//!
//! It implements the four contracts and hands its `DRIVER` to the facade; nothing is registered
//! anywhere. `conformance-tests/` proves such a crate with ten lines more: see CONTRIBUTING.md.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use skyfleet::{Config, Fleet};
use skyfleet_core::*;

/// The driver that `provider = "cellar"` selects.
const DRIVER: Driver = Driver { name: "cellar", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    if let Some(key) = settings.keys().find(|key| *key != "machines") {
        return Err(Error::new(ErrorKind::InvalidConfig, format!("unknown key {key:?}, known: machines"))
            .with("key", format!("providers.cellar.{key}")));
    }
    let machines = settings.get("machines").and_then(|v| v.as_integer()).unwrap_or(4);
    let clock = Arc::new(SystemClock);
    let cellar = Cellar { machines: machines.clamp(0, 1_000) as usize, clock, rack: Mutex::default() };
    Ok(Connected { provider: Arc::new(cellar), clock: Arc::new(SystemClock) })
}

/// A fixed number of equal machines, all in one room.
#[derive(Debug)]
struct Cellar {
    machines: usize,
    clock: Arc<dyn Clock>,
    rack: Mutex<Rack>,
}

/// Who uses which machine. A real provider asks its cloud; this one is its cloud.
#[derive(Debug, Default)]
struct Rack {
    used: BTreeMap<InstanceId, Instance>,
    launches: BTreeMap<Token, (LaunchRequest, Launched)>,
    numbers: u64,
}

impl Cellar {
    fn offer(&self, rack: &Rack) -> Offer {
        Offer {
            instance_type: Arc::new(InstanceType {
                name: "tower".into(),
                vcpus: 8,
                memory_mib: 16 * 1024,
                arch: Arch::X86_64,
                gpu: None,
                local_ssd_gib: 0,
            }),
            region: "house".into(),
            zone: "house-cellar".into(),
            market: Market::OnDemand,
            price: Price::Known(UsdPerHour::from_micros(40_000)), // the electricity
            availability: match self.machines > rack.used.len() {
                true => Availability::Open,
                false => Availability::SoldOut,
            },
            quotas: Arc::new([]),
        }
    }
}

#[async_trait]
impl CapacitySearch for Cellar {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        let offer = self.offer(&self.rack.lock().unwrap());
        Ok(Some(offer).into_iter().filter(|offer| query.matches(offer)).collect())
    }

    async fn signals(&self, _: &SignalQuery) -> Result<Vec<Signal>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl FleetLaunch for Cellar {
    async fn prepare(&self, _: &FleetBlueprint) -> Result<Prepared> {
        Ok(Prepared::default())
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let mut rack = self.rack.lock().unwrap();
        if let Some((earlier, launched)) = rack.launches.get(&request.token) {
            return match earlier == request {
                true => Ok(launched.clone()),
                false => Err(Error::new(ErrorKind::Conflict, "the token was used with another request")),
            };
        }
        let offer = self.offer(&rack);
        let free = self.machines.saturating_sub(rack.used.len()) as u32;
        let count = if free < request.count_min { 0 } else { free.min(request.count) };
        let mut launched = Launched::default();
        for _ in 0..count {
            rack.numbers += 1;
            launched.instances.push(Instance {
                id: format!("tower-{}", rack.numbers).into(),
                owner: request.token.owner().clone(),
                fleet: request.token.fleet().clone(),
                token: request.token.clone(),
                offer: offer.id(),
                region: offer.region.clone(),
                state: InstanceState::Running,
                price: offer.price,
                launched: self.clock.now(),
                labels: Arc::default(),
                expires: request.expires,
                private_ip: None,
                public_ip: None,
            });
        }
        if count < request.count {
            let reason = Error::new(ErrorKind::NoCapacity, format!("the rack has {free} free machines"))
                .closing(Scope::Zone(offer.zone.clone()))
                .with("code", "RackFull");
            launched.shortfalls.push(Shortfall { count: request.count - count, reason });
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
        Ok(PreemptionPage { preemptions: Vec::new(), next: after.clone() }) // nobody takes them back
    }
}

#[async_trait]
impl Teardown for Cellar {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        let mut rack = self.rack.lock().unwrap();
        for id in instances {
            rack.used.remove(id);
        }
        Ok(TerminateReceipt { ending: Vec::new(), gone: instances.to_vec() })
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
            user_data_bytes_max: 0,
            instance_id_command: "hostname",
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let config = Config::parse(
        r#"
        provider = "cellar"
        name = "render"
        [need]
        vcpus = 4
        [fleet]
        target = 3
        market = "on-demand"
        [providers.cellar]
        machines = 4
        "#,
    )?;
    let fleet = Fleet::open_with(&[DRIVER], config)?;
    let report = fleet.launch().await?;
    for instance in &report.instances {
        println!("{} {} {}", instance.id, instance.offer, instance.price);
    }
    let report = fleet.teardown().await?;
    println!("ended {}, leftovers: {}", report.instances, report.leftovers.len());
    Ok(())
}
