//! Preparing, launching, listing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use skyfleet_core::{
    Clock, Error, ErrorKind, FleetBlueprint, FleetLaunch, Instance, InstanceId, LaunchRequest, Launched,
    OfferId, Prepared, Price, Result, Selector, Shortfall, Spread, Timestamp, TypeName, UsdPerHour, tag,
};

use crate::AzureProvider;
use crate::client::operations::{Begun, End};
use crate::convert::{REQUEST, Reader, tags};
use crate::error::ArmError;
use crate::names;

mod answer;
mod blueprint;
mod body;
mod image;
mod key;
mod order;
mod site;
#[cfg(test)]
mod tests;

use answer::Outcome;
use blueprint::Wanted;
use body::Call;
use order::{Handle, Order, Part};
use site::Site;

const LAUNCH: &str = "azure.launch";

/// How long a launch waits for its machines. Azure looks for room for spot much longer; what has not
/// come until then counts as missing, and is taken back.
const DEADLINE: Duration = Duration::from_secs(240);
/// How long a list may not show a machine that was made.
const LATE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

#[async_trait]
impl FleetLaunch for AzureProvider {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        let regions = self.client.regions("azure.prepare").await?;
        let wanted = blueprint::check(blueprint, self.client.settings(), &regions)
            .map_err(|error| error.at("azure.prepare"))?;
        let site = Site::find_or_make(&self.client, &wanted).await?;
        let handle = |place: &site::Place| (place.region.clone(), handle(&wanted, &site, place).to_text());
        Ok(Prepared { handles: site.places.iter().map(handle).collect(), resources: site.resources.clone() })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let at = |error: Error| error.at(LAUNCH);
        let handle = Handle::of(request).map_err(at)?;
        let prices = self.prices(request).await;
        let price = |offer: &OfferId| {
            prices.get(&offer.instance_type).map_or(Price::Unknown, |price| Price::Known(*price))
        };
        let order = Order::new(request, &handle, price).map_err(at)?;
        let mut errand = Errand {
            provider: self,
            order: &order,
            prices: &prices,
            outcome: Outcome::default(),
            calls: 0,
            old: false,
        };
        match errand.run().await {
            Ok(()) => {}
            // Whoever makes the same request again finds everything; what was bought must not be
            // hidden by any other error.
            Err(error) if errand.outcome.made.is_empty() || error.kind() == ErrorKind::Unavailable => {
                return Err(error);
            }
            Err(error) => errand.outcome.reasons.push(error),
        }
        errand.launched().await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        let mut instances = self.instances("azure.list", selector).await?;
        if !instances.is_empty() {
            let addresses = self.client.addresses("azure.list").await?;
            for instance in &mut instances {
                let found = addresses.get(&instance.id).copied().unwrap_or_default();
                (instance.private_ip, instance.public_ip) = (found.private, found.public);
            }
        }
        self.price(&mut instances).await?;
        Ok(instances)
    }
}

fn handle(wanted: &Wanted<'_>, site: &Site, place: &site::Place) -> Handle {
    let blueprint = wanted.blueprint;
    Handle {
        group: site.group.clone(),
        subnet: place.subnet.clone(),
        security_group: place.security_group.clone(),
        images: wanted.image.references.clone(),
        login: key::login(wanted.settings.ssh_key.as_deref(), &blueprint.owner, &blueprint.fleet),
        labels: blueprint.labels.clone(),
        user_data: blueprint.user_data.to_string(),
        disk_gib: match blueprint.disk_gib {
            0 => 0,
            gib => gib.max(wanted.image.disk_gib_min),
        },
        public_ip: blueprint.public_ip,
    }
}

impl AzureProvider {
    /// The instances of a selection: all machines of the subscription by one question, their power
    /// states by another.
    pub(crate) async fn instances(
        &self,
        operation: &'static str,
        selector: &Selector,
    ) -> Result<Vec<Instance>> {
        // The states first: of a machine that comes in between nothing but its being made is known.
        let powers = self.client.power_states(operation).await?;
        let machines = self.client.machines(operation).await?;
        let ids: BTreeSet<&InstanceId> = selector.ids.iter().collect();
        let mut reader = Reader::default();
        let read = machines.iter().filter_map(|machine| {
            let power = crate::convert::id(machine).and_then(|id| powers.get(&id).copied());
            reader.instance(machine, power)
        });
        let wanted = |instance: &Instance| {
            instance.owner == selector.owner
                && selector.fleet.as_ref().is_none_or(|fleet| *fleet == instance.fleet)
                && (ids.is_empty() || ids.contains(&instance.id))
        };
        let found: Vec<Instance> = read.filter(wanted).collect();
        self.whereabouts.note(found.iter().map(|instance| (&instance.id, &instance.region)));
        Ok(found)
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
        let prices = self.prices_at(&wanted).await?;
        let prices: BTreeMap<_, _> = wanted.into_iter().zip(prices).collect();
        for instance in instances.iter_mut().filter(|instance| silent(instance)) {
            if let Some(price) = prices.get(&(instance.offer.clone(), instance.launched)) {
                instance.price = *price;
            }
        }
        Ok(())
    }

    /// What the types of a launch cost now. It does not fail because nobody knows.
    async fn prices<'a>(&self, request: &'a LaunchRequest) -> BTreeMap<&'a TypeName, UsdPerHour> {
        let now = self.client.clock().now();
        let mut wanted: BTreeMap<&TypeName, OfferId> = BTreeMap::new();
        for bid in &request.pools {
            // The price is that of the region.
            wanted.entry(&bid.offer.instance_type).or_insert_with(|| bid.offer.clone());
        }
        let asked: Vec<(OfferId, Timestamp)> = wanted.values().map(|offer| (offer.clone(), now)).collect();
        match self.prices_at(&asked).await {
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
}

/// One launch on its way.
struct Errand<'a> {
    provider: &'a AzureProvider,
    order: &'a Order<'a>,
    prices: &'a BTreeMap<&'a TypeName, UsdPerHour>,
    outcome: Outcome,
    calls: u8,
    /// The launch was made long ago: who is not listed now has ended.
    old: bool,
}

impl Errand<'_> {
    fn made(&self) -> u32 {
        u32::try_from(self.outcome.made.len()).unwrap_or(u32::MAX)
    }

    /// Asks the parts for their shares, and those that have more for what others have not.
    async fn run(&mut self) -> Result<()> {
        let (order, request) = (self.order, self.order.request);
        self.outcome.reasons.extend(order.barred.iter().cloned());
        // Of several calls a later one may have been made because an earlier one gave nothing then.
        if order.parts.len() > 1 && self.adopted().await? {
            return Ok(());
        }
        let (count, least) = (request.count, request.count_min);
        if request.spread == Spread::SingleZone && order.parts.len() > 1 {
            // Whichever zone has room for all of them; only then one that has room for some.
            for wanted in [count, if order.takes_fewer() { 0 } else { least }] {
                for part in &order.parts {
                    self.ask(part, count, wanted).await?;
                    if self.made() > 0 {
                        return Ok(());
                    }
                }
                if wanted <= least {
                    return Ok(());
                }
            }
            return Ok(());
        }
        if !order.takes_fewer() {
            for part in &order.parts {
                self.ask(part, count, least).await?;
                if self.made() > 0 {
                    return Ok(());
                }
            }
            return Ok(());
        }
        let even = request.spread == Spread::Even;
        let mut generous = Vec::new();
        for (part, share) in order.parts.iter().zip(order.shares()) {
            let asked = if even { share } else { count.saturating_sub(self.made()) };
            if asked == 0 {
                continue;
            }
            if self.ask(part, asked, 0).await? >= asked && even {
                generous.push(part);
            }
        }
        for part in generous {
            let missing = count.saturating_sub(self.made());
            if missing > 0 {
                self.ask(part, missing, 0).await?;
            }
        }
        Ok(())
    }

    /// One call. Answers how many it made.
    async fn ask(&mut self, part: &Part<'_>, count: u32, least: u32) -> Result<u32> {
        let (client, order) = (&self.provider.client, self.order);
        let name = names::Part::of(&order.request.token, self.calls).to_string();
        self.calls += 1;
        if self.calls > names::PARTS_MAX {
            return Ok(0);
        }
        let body = Call { order, part, name: &name, count, least, prices: self.prices }.body();
        let answer = client.put_fleet(&order.handle.group, &name, &body).await?;
        let until = client.clock().now() + DEADLINE;
        if let Some(refusal) = answer.refusal() {
            let error = refusal.error().at(LAUNCH);
            // The name is taken: by this very request if its print is the same.
            let taken = match error.kind() {
                ErrorKind::Conflict | ErrorKind::InvalidRequest => {
                    client.fleet(&order.handle.group, &name).await?
                }
                _ => None,
            };
            return match taken {
                Some(fleet) => {
                    self.is_ours(&fleet)?;
                    self.settle(part, &name, count, None, until).await
                }
                None => {
                    self.outcome.add(answer::refused(order, part, &refusal)?);
                    Ok(0)
                }
            };
        }
        self.settle(part, &name, count, Begun::by(&answer), until).await
    }

    /// Waits until a call is over, and reads what came of it.
    async fn settle(
        &mut self,
        part: &Part<'_>,
        name: &str,
        count: u32,
        begun: Option<Begun>,
        until: Timestamp,
    ) -> Result<u32> {
        let client = &self.provider.client;
        let group = &self.order.handle.group;
        let failure: Option<ArmError> = match begun {
            Some(begun) => match client.finished(LAUNCH, begun, until).await? {
                End::Failed(told) => Some(told),
                End::Succeeded | End::Late => None,
            },
            None => {
                self.wait(name, until).await?;
                None
            }
        };
        let machines = client.fleet_machines(group, name).await?;
        let outcome = answer::read(self.order, part, count, &machines, failure.as_ref());
        let made = u32::try_from(outcome.made.len()).unwrap_or(u32::MAX);
        self.outcome.add(outcome);
        Ok(made)
    }

    /// Waits for a call that somebody else made, or whose answer was lost.
    async fn wait(&mut self, name: &str, until: Timestamp) -> Result<()> {
        let clock: &dyn Clock = &**self.provider.client.clock();
        loop {
            let Some(fleet) = self.provider.client.fleet(&self.order.handle.group, name).await? else {
                return Ok(());
            };
            let state =
                fleet.pointer("/properties/provisioningState").and_then(Value::as_str).unwrap_or_default();
            let created = fleet.pointer("/properties/timeCreated").and_then(Value::as_str);
            let created: Option<Timestamp> = created.and_then(|text| text.parse().ok());
            self.old |= created.is_some_and(|created| created + DEADLINE + LATE < clock.now());
            if !matches!(state, "Creating" | "Updating" | "Migrating") || clock.now() >= until {
                return Ok(());
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Reads the calls that were made under this token before, if there are any: then no other is
    /// made.
    async fn adopted(&mut self) -> Result<bool> {
        let client = &self.provider.client;
        let group = &self.order.handle.group;
        let token = self.order.request.token.to_string();
        let of_token = |fleet: &Value| tags(fleet.get("tags")).get(tag::TOKEN) == Some(&token);
        let found: Vec<Value> = client.fleets(group).await?.into_iter().filter(of_token).collect();
        let until = client.clock().now() + DEADLINE;
        for fleet in &found {
            self.is_ours(fleet)?;
        }
        for fleet in &found {
            let text = |at: &str| fleet.pointer(at).and_then(Value::as_str).unwrap_or_default();
            let sizes = fleet.pointer("/properties/vmSizesProfile/0/name").and_then(Value::as_str);
            let part = self.order.parts.iter().find(|part| {
                sizes.is_some_and(|size| {
                    part.sizes.iter().any(|name| name.as_str().eq_ignore_ascii_case(size))
                })
            });
            let Some(part) = part.or(self.order.parts.first()) else { continue };
            let of =
                ["/properties/spotPriorityProfile/capacity", "/properties/regularPriorityProfile/capacity"];
            let count = of.iter().find_map(|at| fleet.pointer(at)?.as_u64()).unwrap_or_default();
            let name = text("/name").to_owned();
            self.settle(part, &name, u32::try_from(count).unwrap_or(u32::MAX), None, until).await?;
        }
        Ok(!found.is_empty())
    }

    /// # Errors
    /// `Conflict` for the fleet of another request.
    fn is_ours(&self, fleet: &Value) -> Result<()> {
        if tags(fleet.get("tags")).get(REQUEST) == Some(&self.order.fingerprint()) {
            return Ok(());
        }
        let message = format!("the token {} was used with another request", self.order.request.token);
        Err(Error::new(ErrorKind::Conflict, message).at(LAUNCH))
    }

    /// Everything that the launch obtained, and why it is not more.
    ///
    /// # Errors
    /// `Conflict` when all instances of the token are gone.
    async fn launched(self) -> Result<Launched> {
        let request = self.order.request;
        self.drop_missed().await;
        if self.outcome.made.is_empty() {
            let shortfalls = Shortfall::shared(request.count, self.outcome.reasons);
            return Ok(Launched { instances: Vec::new(), shortfalls });
        }
        let mut instances = self.seen().await?;
        if instances.is_empty() {
            let message = format!("the instances of the launch {} are gone", request.token);
            return Err(Error::new(ErrorKind::Conflict, message).at(LAUNCH));
        }
        self.provider.price(&mut instances).await.unwrap_or_else(|error| {
            // They are bought: an error would hide them.
            tracing::warn!(%error, "the prices of a launch are not known");
        });
        let obtained = u32::try_from(instances.len()).unwrap_or(u32::MAX);
        let missing = request.count.saturating_sub(obtained);
        let mut reasons = self.outcome.reasons;
        if obtained < u32::try_from(self.outcome.made.len()).unwrap_or(u32::MAX) || reasons.is_empty() {
            let message = "instances of this launch have ended since it was first made";
            reasons.push(Error::new(ErrorKind::NoCapacity, message).with("code", "Evicted").at(LAUNCH));
        }
        Ok(Launched { instances, shortfalls: Shortfall::shared(missing, reasons) })
    }

    /// Takes back what failed or is late. What is left of it all the same is found by the teardown.
    async fn drop_missed(&self) {
        let missed: Vec<&InstanceId> = self.outcome.missed.iter().collect();
        if let Err(left) = self.provider.end_in(LAUNCH, &self.order.request.region, &missed).await {
            tracing::warn!(error = %left, "machines that failed or came late are left for the teardown");
        }
    }

    /// The instances that were made and have not ended, once a list shows them all.
    async fn seen(&self) -> Result<Vec<Instance>> {
        let clock: &dyn Clock = &**self.provider.client.clock();
        let end = clock.now() + if self.old { Duration::ZERO } else { LATE };
        let region = &self.order.request.region;
        self.provider.whereabouts.note(self.outcome.made.iter().map(|id| (id, region)));
        loop {
            let machines = self.provider.client.machines(LAUNCH).await?;
            let mut reader = Reader::default();
            let read = machines.iter().filter_map(|machine| reader.instance(machine, None));
            let seen: Vec<Instance> =
                read.filter(|instance| self.outcome.made.contains(&instance.id)).collect();
            if seen.len() >= self.outcome.made.len() || clock.now() >= end {
                return Ok(seen.into_iter().filter(|instance| instance.state.is_alive()).collect());
            }
            clock.sleep(LOOK).await;
        }
    }
}
