//! Preparing, launching, listing.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use skyfleet_core::{
    ErrorKind, FleetBlueprint, FleetLaunch, Instance, LaunchRequest, Launched, OfferId, Prepared, Region,
    Resource, Result, Selector, Teardown, Timestamp, tag,
};

use crate::AwsProvider;
use crate::client::fleet::{FILTER_MAX, filter};
use crate::convert::Reader;

mod answer;
mod blueprint;
mod firewall;
mod order;
mod site;
mod template;

use blueprint::Wanted;
use order::{Handle, Order};
use site::Site;

#[async_trait]
impl FleetLaunch for AwsProvider {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        let regions = self.client.regions().await?;
        let wanted = blueprint::check(blueprint, self.client.settings(), &regions)
            .map_err(|error| error.at("aws.prepare"))?;
        // Every region is looked at before anything is made in one.
        let sites = blueprint.regions.iter().map(|region| Site::survey(&self.client, region, &wanted));
        let sites = try_join_all(sites).await?;
        let made = join_all(sites.iter().map(|site| self.make(site, &wanted))).await;

        let mut prepared = Prepared::default();
        let (mut new, mut failed) = (Vec::new(), None);
        for (site, (result, made)) in sites.iter().zip(made) {
            new.extend(made.iter().filter(|thing| thing.is_new).map(|thing| thing.resource.clone()));
            prepared.resources.extend(made.into_iter().map(|thing| thing.resource));
            match result {
                Ok(handle) => drop(prepared.handles.insert(site.region.clone(), handle.to_text())),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        match failed {
            None => Ok(prepared),
            Some(error) => {
                // A blueprint that can never work leaves nothing behind; everything else is sent
                // again and finds what there is.
                if error.kind() == ErrorKind::InvalidRequest
                    && !new.is_empty()
                    && let Err(left) = self.delete(&new).await
                {
                    tracing::warn!(error = %left, "what a refused blueprint made is left for the teardown");
                }
                Err(error)
            }
        }
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let at = |error: skyfleet_core::Error| error.at("aws.launch");
        let handle = Handle::of(request).map_err(at)?;
        if request.pools.iter().any(|bid| bid.price_max.is_some() && bid.offer.market == on_demand()) {
            self.catalogue.prices().list(&request.region).await?;
        }
        let price =
            |offer: &OfferId| self.catalogue.prices().at(&request.region, offer, self.client.clock().now());
        let order = Order::new(request, &handle, price).map_err(at)?;
        let mut launched = match order.fleet() {
            None => answer::nothing(&order),
            Some(fleet) => {
                let answer = self.client.create_fleet(&request.region, fleet).await;
                let record = answer.as_ref().ok().and_then(|answer| answer.fleet_id());
                self.whereabouts.records().extend(record.map(str::to_owned));
                answer::read(&order, answer, self.client.clock().now())?
            }
        };
        self.price(&request.region, &mut launched.instances).await.unwrap_or_else(|error| {
            // They are bought: an error would hide them.
            tracing::warn!(%error, "the prices of a launch are not known");
        });
        self.whereabouts.met(&launched.instances);
        Ok(launched)
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        let regions = self.client.regions().await?;
        let lists = regions.iter().map(|region| self.list_in(region, selector));
        let instances: Vec<Instance> = try_join_all(lists).await?.into_iter().flatten().collect();
        self.whereabouts.met(&instances);
        Ok(instances)
    }
}

fn on_demand() -> skyfleet_core::Market {
    skyfleet_core::Market::OnDemand
}

/// Something that a fleet needs, found or made.
#[derive(Debug)]
struct Thing {
    resource: Resource,
    is_new: bool,
}

impl AwsProvider {
    /// Finds or makes what launches in a region need. Answers also what was made when it failed.
    async fn make(&self, site: &Site, wanted: &Wanted<'_>) -> (Result<Handle>, Vec<Thing>) {
        let mut things = Vec::new();
        let result = async {
            let groups = match &site.groups[..] {
                [] => {
                    let group = firewall::find_or_make(&self.client, site, wanted).await?;
                    let id = group.resource.id.to_string();
                    things.push(group);
                    vec![id]
                }
                groups => groups.to_vec(),
            };
            let mut handle = Handle {
                labels: wanted.blueprint.labels.clone(),
                subnets: site.subnets.clone(),
                ..Handle::default()
            };
            for (arch, image) in &site.images {
                let template =
                    template::find_or_make(&self.client, site, wanted, *arch, image, &groups).await?;
                handle.templates.insert(*arch, template.resource.id.to_string());
                things.push(template);
            }
            Ok(handle)
        };
        let result = result.await;
        (result, things)
    }

    async fn list_in(&self, region: &Region, selector: &Selector) -> Result<Vec<Instance>> {
        let mut filters = vec![filter(format!("tag:{}", tag::OWNER), [selector.owner.as_str()])];
        if let Some(fleet) = &selector.fleet {
            filters.push(filter(format!("tag:{}", tag::FLEET), [fleet.as_str()]));
        }
        // By a filter: an id that EC2 does not know would fail the whole call in its list of ids.
        let ids: BTreeSet<&str> = selector.ids.iter().map(|id| id.as_str()).collect();
        if (1..=FILTER_MAX).contains(&ids.len()) {
            filters.push(filter("instance-id", ids.iter().copied()));
        }
        let (mut reader, mut instances) = (Reader::default(), Vec::new());
        let take = |instance| {
            let read = reader.instance(region, &instance);
            instances.extend(read.filter(|read| ids.is_empty() || ids.contains(read.id.as_str())));
        };
        self.client.instances("aws.list", region, filters, take).await?;
        self.price(region, &mut instances).await?;
        Ok(instances)
    }

    /// Says of each instance what it cost when it was launched.
    async fn price(&self, region: &Region, instances: &mut [Instance]) -> Result<()> {
        let wanted: BTreeSet<(OfferId, Timestamp)> =
            instances.iter().map(|instance| (instance.offer.clone(), instance.launched)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        self.catalogue.prices().ensure(region, &wanted).await?;
        for instance in instances {
            instance.price = self.catalogue.prices().at(region, &instance.offer, instance.launched);
        }
        Ok(())
    }
}
