//! Preparing, launching, listing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use skyfleet_core::{
    Clock, Error, ErrorKind, FleetBlueprint, FleetLaunch, Instance, InstanceId, LaunchRequest, Launched,
    OfferId, Prepared, Region, Resource, Result, Selector, Shortfall, Spread, Teardown, Timestamp, TypeName,
    UsdPerHour, tag,
};

use crate::GcpProvider;
use crate::client::fleet::{labelled, whose};
use crate::client::market::RegionInfo;
use crate::convert::{REQUEST, Reader};
use crate::names;

mod answer;
mod blueprint;
mod body;
pub(crate) mod firewall;
mod image;
mod order;
mod site;

use answer::Outcome;
use body::Call;
use order::{Handle, Order, Part};
use site::Site;

const LAUNCH: &str = "gcp.launch";

/// How long a list may not show an instance whose operation is over.
const LATE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

#[async_trait]
impl FleetLaunch for GcpProvider {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        let regions = self.catalogue.regions().await?;
        let scope = self.catalogue.scope().await?;
        let names: Vec<&Region> = scope.iter().map(|region| &region.name).collect();
        let wanted = blueprint::check(blueprint, self.client.settings(), &names)
            .map_err(|error| error.at("gcp.prepare"))?;
        // Everything is looked at before anything is made.
        let site = Site::survey(&self.client, &wanted).await?;
        let own = self.client.project().await?;
        if site.project != own && firewall::network_tag(&site, &wanted).is_some() {
            let message = format!(
                "the network is of the project {}: its firewall rules are made there; leave these ports out and \
                 name the network tags of those rules in providers.gcp.tags",
                site.project
            );
            return Err(blueprint::invalid("inbound_ports", message).at("gcp.prepare"));
        }
        let images = wanted.image.found(&self.client, &blueprint.archs).await?;
        let mut things = Vec::new();
        if let Err(error) = firewall::find_or_make(&self.client, &site, &wanted, &mut things).await {
            self.undo(&error, &things).await;
            return Err(error);
        }
        let handle = |region: &RegionInfo| Handle {
            zones: region.zones.iter().cloned().collect(),
            images: images.clone(),
            neutral: matches!(wanted.image, image::WantedImage::Neutral(_)),
            network: site.network.clone(),
            subnetwork: site.subnetworks.get(&region.name).cloned(),
            tags: firewall::network_tag(&site, &wanted).into_iter().collect(),
            labels: blueprint.labels.clone(),
            user_data: blueprint.user_data.to_string(),
            disk_gib: blueprint.disk_gib,
            public_ip: blueprint.public_ip,
        };
        let named = regions.iter().filter(|region| blueprint.regions.contains(&region.name));
        Ok(Prepared {
            handles: named.map(|region| (region.name.clone(), handle(region).to_text())).collect(),
            resources: things.into_iter().map(|thing| thing.resource).collect(),
        })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let at = |error: Error| error.at(LAUNCH);
        let handle = Handle::of(request).map_err(at)?;
        let order = Order::new(request, &handle).map_err(at)?;
        let mut errand =
            Errand { provider: self, order: &order, outcome: Outcome::default(), over: None, calls: 0 };
        match errand.run().await {
            Ok(()) => {}
            // What was bought before must not be hidden by what went wrong after.
            Err(error) if errand.outcome.made > 0 => errand.outcome.reasons.push(error),
            Err(error) => return Err(error),
        }
        errand.launched().await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        let filter = whose(&selector.owner, selector.fleet.as_ref());
        let ids: BTreeSet<&InstanceId> = selector.ids.iter().collect();
        let found = self.client.instances_of("gcp.list", &filter).await?;
        let mut reader = Reader::default();
        let read = found.iter().filter_map(|instance| reader.instance(instance));
        let mut instances: Vec<Instance> =
            read.filter(|instance| ids.is_empty() || ids.contains(&instance.id)).collect();
        self.price(&mut instances).await?;
        Ok(instances)
    }
}

/// Something that a fleet needs, found or made.
#[derive(Debug)]
struct Thing {
    resource: Resource,
    is_new: bool,
}

impl GcpProvider {
    /// A blueprint that can never work leaves nothing behind; everything else is sent again and
    /// finds what there is.
    async fn undo(&self, error: &Error, things: &[Thing]) {
        let new: Vec<Resource> =
            things.iter().filter(|thing| thing.is_new).map(|t| t.resource.clone()).collect();
        if error.kind() == ErrorKind::InvalidRequest
            && !new.is_empty()
            && let Err(left) = self.delete(&new).await
        {
            tracing::warn!(error = %left, "what a refused blueprint made is left for the teardown");
        }
    }

    /// Says what those cost that do not say it themselves.
    async fn price(&self, instances: &mut [Instance]) -> Result<()> {
        let silent = |instance: &Instance| instance.price.known().is_none();
        let wanted: BTreeSet<(OfferId, Timestamp)> = instances
            .iter()
            .filter(|instance| silent(instance))
            .map(|instance| (instance.offer.clone(), instance.launched))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let prices = self.catalogue.prices_at(&wanted).await?;
        let prices: BTreeMap<_, _> = wanted.into_iter().zip(prices).collect();
        for instance in instances.iter_mut().filter(|instance| silent(instance)) {
            if let Some(price) = prices.get(&(instance.offer.clone(), instance.launched)) {
                instance.price = *price;
            }
        }
        Ok(())
    }
}

/// One launch on its way.
struct Errand<'a> {
    provider: &'a GcpProvider,
    order: &'a Order<'a>,
    outcome: Outcome,
    /// When the last of its bulk inserts was over: long ago when the launch is a repetition.
    over: Option<Timestamp>,
    calls: u8,
}

impl<'a> Errand<'a> {
    /// Asks the parts for their shares, and those that have more for what others have not.
    async fn run(&mut self) -> Result<()> {
        let prices = self.prices().await;
        let (count, order) = (self.order.request.count, self.order);
        let mut generous = Vec::new();
        for (part, share) in order.parts.iter().zip(order.shares()) {
            let even = order.request.spread == Spread::Even && order.takes_fewer();
            let asked = if even { share } else { count - self.outcome.made.min(count) };
            if asked == 0 {
                continue;
            }
            let made = self.ask(part, asked, &prices).await?;
            if even && made >= asked {
                generous.push(part);
            }
            if !even && (self.is_enough() || (order.request.spread == Spread::SingleZone && made > 0)) {
                return Ok(());
            }
        }
        for part in generous {
            let missing = count.saturating_sub(self.outcome.made);
            if missing > 0 {
                self.ask(part, missing, &prices).await?;
            }
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.outcome.made >= self.order.request.count.min(self.order.request.count_min.max(1)) && {
            !self.order.takes_fewer() || self.outcome.made >= self.order.request.count
        }
    }

    /// What the types cost now. A launch does not fail because nobody knows.
    async fn prices(&self) -> BTreeMap<&'a TypeName, UsdPerHour> {
        let now = self.provider.client.clock().now();
        let mut wanted: BTreeMap<&TypeName, OfferId> = BTreeMap::new();
        for bid in &self.order.request.pools {
            wanted.entry(&bid.offer.instance_type).or_insert_with(|| bid.offer.clone());
        }
        let asked: Vec<(OfferId, Timestamp)> = wanted.values().map(|offer| (offer.clone(), now)).collect();
        match self.provider.catalogue.prices_at(&asked).await {
            Ok(prices) => wanted
                .into_keys()
                .zip(prices)
                .filter_map(|(name, price)| Some((name, price.known()?)))
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "the prices of a launch are not known");
                BTreeMap::new()
            }
        }
    }

    /// One bulk insert. Answers how many it made.
    async fn ask(
        &mut self,
        part: &Part<'_>,
        count: u32,
        prices: &BTreeMap<&TypeName, UsdPerHour>,
    ) -> Result<u32> {
        let (client, request) = (&self.provider.client, self.order.request);
        let number = self.calls;
        self.calls += 1;
        let settings = client.settings();
        let now = client.clock().now();
        let call = Call { order: self.order, part, settings, prices, number, count, now };
        let id = names::request_id(&request.token, number);
        let begun = match client.bulk_insert(&request.region, &id, call.body()).await {
            Ok(begun) => begun,
            Err(error) if answer::is_other_request(&error) => return self.repeated(error).await,
            Err(error) => {
                let outcome = answer::refused(self.order, part, error)?;
                self.outcome.reasons.extend(outcome.reasons);
                return Ok(0);
            }
        };
        let over = client.finished(LAUNCH, client.project().await?, begun).await?;
        self.over = self.over.max(answer::over_at(&over));
        let outcome = answer::read(client, self.order, part, &over, count).await?;
        self.outcome.made += outcome.made;
        self.outcome.failed.extend(outcome.failed);
        self.outcome.reasons.extend(outcome.reasons);
        Ok(outcome.made)
    }

    /// The token was used, and Compute Engine finds the request different. Ours is the same if the
    /// instances carry its fingerprint: then only a price has changed meanwhile.
    async fn repeated(&mut self, error: Error) -> Result<u32> {
        let conflict =
            || Error::new(ErrorKind::Conflict, error.message().to_owned()).because(error.clone()).at(LAUNCH);
        let end = self.provider.client.clock().now() + LATE;
        loop {
            let (ours, _) = self.found().await?;
            if ours.is_empty() {
                return Err(conflict());
            }
            let settled = ours.iter().all(|instance| instance.state != skyfleet_core::InstanceState::Pending);
            let clock: &dyn Clock = &**self.provider.client.clock();
            if settled || ours.len() as u64 >= u64::from(self.order.request.count) || clock.now() >= end {
                let made = u32::try_from(ours.len()).unwrap_or(u32::MAX);
                self.outcome.made = self.outcome.made.max(made);
                return Ok(made);
            }
            clock.sleep(LOOK).await;
        }
    }

    /// The instances of the launch's token: those of this very request, and how many of another.
    async fn found(&self) -> Result<(Vec<Instance>, usize)> {
        let token = self.order.request.token.to_string();
        let owner = self.order.request.token.owner();
        let filter = labelled(&[(tag::OWNER, owner.as_str()), (tag::TOKEN, &token)]);
        let listed = self.provider.client.instances_of(LAUNCH, &filter).await?;
        let fingerprint = self.order.fingerprint();
        let (mut reader, mut ours, mut others) = (Reader::default(), Vec::new(), 0);
        for instance in &listed {
            let is_ghost = instance.name.as_ref().is_some_and(|name| self.outcome.failed.contains(name));
            let Some(read) = reader.instance(instance).filter(|_| !is_ghost) else { continue };
            match instance.labels.get(REQUEST) {
                Some(print) if *print != fingerprint => others += 1,
                _ => ours.push(read),
            }
        }
        Ok((ours, others))
    }

    /// Everything that the launch obtained, and why it is not more.
    ///
    /// # Errors
    /// `Conflict` when the token was used with another request, or all its instances are gone; and
    /// the reason itself when nothing was obtained and no other pool could mend that.
    async fn launched(self) -> Result<Launched> {
        let request = self.order.request;
        if self.outcome.made == 0 {
            if let Some(wrong) = self.outcome.reasons.iter().find(|reason| is_wrong(reason.kind()))
                && self.outcome.reasons.iter().all(|reason| is_wrong(reason.kind()))
            {
                return Err(wrong.clone());
            }
            // Under the names of another request nothing new can be made.
            let taken = |reason: &Error| reason.fact("code") == Some(TAKEN);
            if !self.outcome.reasons.iter().any(taken) {
                let shortfalls = Shortfall::shared(request.count, self.outcome.reasons);
                return Ok(Launched { instances: Vec::new(), shortfalls });
            }
        }
        let (mut instances, others) = self.seen().await?;
        if instances.is_empty() {
            let message = match others {
                0 => format!("the instances of the launch {} are gone", request.token),
                _ => format!("the token {} was used with another request", request.token),
            };
            return Err(Error::new(ErrorKind::Conflict, message).at(LAUNCH));
        }
        self.provider.price(&mut instances).await.unwrap_or_else(|error| {
            // They are bought: an error would hide them.
            tracing::warn!(%error, "the prices of a launch are not known");
        });
        let obtained = u32::try_from(instances.len()).unwrap_or(u32::MAX);
        let missing = request.count.saturating_sub(obtained);
        let mut reasons = self.outcome.reasons;
        if obtained < self.outcome.made || reasons.is_empty() {
            let message = "instances of this launch have ended since it was first made";
            reasons.push(Error::new(ErrorKind::NoCapacity, message).with("code", "PREEMPTED").at(LAUNCH));
        }
        Ok(Launched { instances, shortfalls: Shortfall::shared(missing, reasons) })
    }

    /// The instances that were made, once a list shows them all.
    async fn seen(&self) -> Result<(Vec<Instance>, usize)> {
        let clock: &dyn Clock = &**self.provider.client.clock();
        // What was made long ago is not late: it has ended.
        let end = self.over.unwrap_or_else(|| clock.now()) + LATE;
        loop {
            let (ours, others) = self.found().await?;
            if ours.len() as u64 >= u64::from(self.outcome.made.max(1)) || others > 0 || clock.now() >= end {
                return Ok((ours, others));
            }
            clock.sleep(LOOK).await;
        }
    }
}

/// The code of an instance whose name exists.
const TAKEN: &str = "RESOURCE_ALREADY_EXISTS";

/// What no other pool and no waiting can mend.
fn is_wrong(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, InvalidRequest | Unauthenticated | PermissionDenied | NotFound)
}
