use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    Clock, Error, ErrorKind, FleetBlueprint, FleetName, Instance, InstanceState, LaunchRequest, ManualClock,
    Market, OfferQuery, Owner, PoolBid, Provider, Region, Result, Selector, Spread, Token,
};
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, World};

use crate::{permissions, simcloud};

/// A simulated cloud on ports of this machine, in virtual time, with [`plenty`](simcloud::scenario)
/// of everything. What it was asked for is [noted](permissions::note) when it ends.
#[derive(Debug)]
pub struct Bench {
    /// All faces of it.
    pub server: Server,
    /// The time by which it and its provider live.
    pub clock: ManualClock,
    cloud: Cloud,
}

impl Bench {
    /// A fresh cloud from a seed: only these regions of it, and only these callers.
    ///
    /// # Errors
    /// Those of [`Server::start`].
    pub fn new(seed: u64, cloud: Cloud, regions: &[&str], callers: &[(&str, &str)]) -> Result<Arc<Self>> {
        let clock = ManualClock::auto(simcloud::START);
        let mut options = ServerOptions::manual(clock.clone());
        options.seed = seed;
        options.regions = regions.iter().copied().map(Region::from).collect();
        options.scenario = simcloud::scenario();
        let credential = |(key_id, secret): &(&str, &str)| Credential {
            cloud,
            key_id: (*key_id).to_owned(),
            secret: (*secret).to_owned(),
        };
        options.credentials = callers.iter().map(credential).collect();
        Ok(Arc::new(Self { server: Server::start(options)?, clock, cloud }))
    }

    /// The world behind the cloud's face.
    pub fn sim(&self) -> &World {
        self.server.world(self.cloud)
    }

    /// One spot instance that runs, of this type.
    ///
    /// # Errors
    /// Those of the provider; `NotFound` when it does not offer the type there.
    pub async fn spot_instance(&self, provider: &dyn Provider, region: &str, kind: &str) -> Result<Instance> {
        let (owner, fleet) = (Owner::parse("ada")?, FleetName::parse("told")?);
        let query = OfferQuery {
            regions: vec![region.into()],
            instance_types: vec![kind.into()],
            markets: vec![Market::Spot],
            ..OfferQuery::default()
        };
        let offers = provider.offers(&query).await?;
        let offer = offers.first().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no {kind} on spot in {region}"))
        })?;
        let blueprint = FleetBlueprint {
            archs: vec![offer.instance_type.arch],
            ..FleetBlueprint::new(&owner, &fleet, offer.region.clone())
        };
        let request = LaunchRequest {
            token: Token::derive(&owner, &fleet, 0),
            prepared: provider.prepare(&blueprint).await?,
            region: offer.region.clone(),
            market: Market::Spot,
            pools: vec![PoolBid { offer: offer.id(), price_max: None }],
            count: 1,
            count_min: 1,
            spread: Spread::Packed,
            expires: None,
        };
        provider.launch(&request).await?;
        loop {
            let listed = provider.list(&Selector::fleet(&owner, &fleet)).await?;
            if let Some(running) = listed.into_iter().find(|i| i.state == InstanceState::Running) {
                return Ok(running);
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        permissions::note(self.sim().calls().into_keys().filter(|action| action != simcloud::ACTION));
    }
}
