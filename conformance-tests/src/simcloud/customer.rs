use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    Arch, Clock, Error, ErrorKind, FleetBlueprint, FleetName, Instance, InstanceState, LaunchRequest, Market,
    OfferQuery, Owner, PoolBid, Prepared, Provider, Region, Result, Selector, Spread, Token,
};

use super::Bench;

/// Somebody who wants a fleet in one region of a simulated cloud: for what a provider has to prove
/// beyond the suite.
#[derive(Debug)]
pub struct Customer {
    /// The cloud.
    pub bench: Arc<Bench>,
    /// How the cloud is reached.
    pub provider: Arc<dyn Provider>,
    /// Whose the fleet is.
    pub owner: Owner,
    /// Its name.
    pub fleet: FleetName,
    /// Where it is.
    pub region: Region,
}

impl Customer {
    /// Ada, whose fleet is called `crowd`.
    pub fn new(bench: Arc<Bench>, provider: Arc<dyn Provider>, region: &str) -> Self {
        let owner = Owner::parse("ada").expect("a short word is an owner");
        let fleet = FleetName::parse("crowd").expect("a short word is a fleet");
        Self { bench, provider, owner, fleet, region: region.into() }
    }

    /// The plainest fleet on these instruction sets.
    pub fn blueprint(&self, archs: &[Arch]) -> FleetBlueprint {
        let plain = FleetBlueprint::new(&self.owner, &self.fleet, self.region.clone());
        FleetBlueprint { archs: archs.to_vec(), ..plain }
    }

    /// Where the region sells these types on a market, at any price.
    ///
    /// # Errors
    /// Those of the provider.
    pub async fn pools(&self, types: &[&str], market: Market) -> Result<Vec<PoolBid>> {
        let query = OfferQuery {
            regions: vec![self.region.clone()],
            instance_types: types.iter().map(|name| (*name).into()).collect(),
            markets: vec![market],
            ..OfferQuery::default()
        };
        let offers = self.provider.offers(&query).await?;
        Ok(offers.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect())
    }

    /// The fleet's first launch: as many instances as there are, evenly over the pools.
    pub fn request(&self, prepared: &Prepared, pools: Vec<PoolBid>, count: u32) -> LaunchRequest {
        LaunchRequest {
            token: Token::derive(&self.owner, &self.fleet, 0),
            prepared: prepared.clone(),
            region: self.region.clone(),
            market: pools.first().map_or(Market::Spot, |pool| pool.offer.market),
            pools,
            count,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    /// Why a launch obtains nothing.
    ///
    /// # Errors
    /// Those of the provider; `Unexpected` when it obtained something.
    pub async fn refusals(&self, request: &LaunchRequest) -> Result<Vec<Error>> {
        let launched = self.provider.launch(request).await?;
        if !launched.instances.is_empty() {
            let message = format!("it was not refused: {:?}", launched.instances);
            return Err(Error::new(ErrorKind::Unexpected, message));
        }
        Ok(launched.shortfalls.into_iter().map(|shortfall| shortfall.reason).collect())
    }

    /// One spot instance that runs, of this type.
    ///
    /// # Errors
    /// Those of the provider; `NotFound` when it does not offer the type there.
    pub async fn spot_instance(&self, kind: &str, arch: Arch) -> Result<Instance> {
        let mut pools = self.pools(&[kind], Market::Spot).await?;
        pools.truncate(1);
        if pools.is_empty() {
            let message = format!("there is no {kind} on spot in {}", self.region);
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let prepared = self.provider.prepare(&self.blueprint(&[arch])).await?;
        self.provider.launch(&self.request(&prepared, pools, 1)).await?;
        loop {
            let listed = self.provider.list(&Selector::fleet(&self.owner, &self.fleet)).await?;
            if let Some(running) = listed.into_iter().find(|i| i.state == InstanceState::Running) {
                return Ok(running);
            }
            self.bench.clock.sleep(Duration::from_secs(5)).await;
        }
    }
}
