//! One launch as EC2 takes it: a fleet of type `instant`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetInputBuilder;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceType,
    OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotOptionsRequest,
    TargetCapacitySpecificationRequest,
};
use serde::{Deserialize, Serialize};
use skyfleet_core::{
    Arch, Error, ErrorKind, LaunchRequest, Market, OfferId, PoolBid, Price, Result, Shortfall, Spread,
    UsdPerHour, Zone, tag,
};

use super::blueprint::invalid;
use crate::convert;
use crate::error::{Place, coded};
use crate::quotas;

/// What `prepare` hands to `launch`, for one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handle {
    pub(super) templates: BTreeMap<Arch, String>,
    /// The subnet of each zone; empty for the default ones.
    pub(super) subnets: BTreeMap<Zone, String>,
    pub(super) labels: BTreeMap<String, String>,
}

impl Handle {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The handle of a request's region.
    pub(super) fn of(request: &LaunchRequest) -> Result<Self> {
        let region = &request.region;
        let text = request.prepared.handles.get(region);
        text.and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| {
            invalid("prepared", format!("the fleet is not prepared for {region}")).with("region", region)
        })
    }
}

/// EC2 takes no highest price at or below this (EC2's service model, `MaxPrice`).
const PRICE_MAX_LEAST: UsdPerHour = UsdPerHour::from_micros(1_000);

/// A launch, read and checked.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) request: &'a LaunchRequest,
    pub(super) handle: &'a Handle,
    /// The pools that may be asked, best first.
    pub(super) pools: Vec<Pool<'a>>,
    /// Why the others may not.
    pub(super) barred: Vec<Error>,
}

#[derive(Debug)]
pub(super) struct Pool<'a> {
    pub(super) bid: &'a PoolBid,
    template: &'a str,
    pub(super) subnet: Option<&'a str>,
    priority: f64,
}

impl<'a> Order<'a> {
    /// Checks a request; `price` tells what an on-demand offer costs.
    pub(super) fn new(
        request: &'a LaunchRequest,
        handle: &'a Handle,
        price: impl Fn(&OfferId) -> Price,
    ) -> Result<Self> {
        if request.pools.is_empty() || request.count == 0 {
            return Err(invalid("pools", "a launch needs a pool and a count of at least 1"));
        }
        let mut order = Self { request, handle, pools: Vec::new(), barred: Vec::new() };
        for (priority, bid) in (0u32..).zip(&request.pools) {
            let pool = order.pool(bid, f64::from(priority))?;
            match too_dear(request, bid, &price) {
                Some(reason) => order.barred.push(reason),
                None => order.pools.push(pool),
            }
        }
        Ok(order)
    }

    fn pool(&self, bid: &'a PoolBid, priority: f64) -> Result<Pool<'a>> {
        let (offer, region) = (&bid.offer, &self.request.region);
        let wrong =
            |message: String| Err(invalid("pools", message).with("offer", offer).with("region", region));
        // The zones of EC2 are named after their region.
        if !offer.zone.as_str().starts_with(region.as_str()) {
            return wrong(format!("{region} has no zone {}", offer.zone));
        }
        if offer.market != self.request.market {
            return wrong(format!("the launch is {}, the pool is {}", self.request.market, offer.market));
        }
        let subnet = self.handle.subnets.get(&offer.zone).map(String::as_str);
        if subnet.is_none() && !self.handle.subnets.is_empty() {
            return wrong(format!("none of the configured subnets is in the zone {}", offer.zone));
        }
        let arch = convert::arch_of(offer.instance_type.as_str());
        match self.handle.templates.get(&arch) {
            Some(template) => Ok(Pool { bid, template, subnet, priority }),
            None => {
                wrong(format!("the fleet has no image for {arch}, the processor of {}", offer.instance_type))
            }
        }
    }

    /// The call; `None` when no pool may be asked.
    pub(super) fn fleet(&self) -> Option<CreateFleetInputBuilder> {
        let request = self.request;
        if self.pools.is_empty() {
            return None;
        }
        let fleet = CreateFleetInputBuilder::default()
            .r#type(FleetType::Instant)
            .client_token(request.token.to_string())
            .set_launch_template_configs(Some(self.configs()))
            .set_tag_specifications(Some(self.tags()));
        let target = TargetCapacitySpecificationRequest::builder()
            .total_target_capacity(i32::try_from(request.count).unwrap_or(i32::MAX));
        Some(match request.market {
            Market::Spot => fleet
                .target_capacity_specification(
                    target.default_target_capacity_type(DefaultTargetCapacityType::Spot).build(),
                )
                .spot_options(self.spot()),
            Market::OnDemand => fleet
                .target_capacity_specification(
                    target.default_target_capacity_type(DefaultTargetCapacityType::OnDemand).build(),
                )
                .on_demand_options(self.on_demand()),
        })
    }

    /// A config for each template, with the pools of its instruction set.
    fn configs(&self) -> Vec<FleetLaunchTemplateConfigRequest> {
        let mut configs: BTreeMap<&str, Vec<FleetLaunchTemplateOverridesRequest>> = BTreeMap::new();
        for pool in &self.pools {
            configs.entry(pool.template).or_default().push(self.pool_override(pool));
        }
        let config = |(template, overrides): (&str, _)| {
            let specification =
                FleetLaunchTemplateSpecificationRequest::builder().launch_template_id(template).version("1");
            FleetLaunchTemplateConfigRequest::builder()
                .launch_template_specification(specification.build())
                .set_overrides(Some(overrides))
                .build()
        };
        configs.into_iter().map(config).collect()
    }

    fn pool_override(&self, pool: &Pool<'_>) -> FleetLaunchTemplateOverridesRequest {
        let offer = &pool.bid.offer;
        let it = FleetLaunchTemplateOverridesRequest::builder()
            .instance_type(InstanceType::from(offer.instance_type.as_str()));
        let it = match pool.subnet {
            Some(subnet) => it.subnet_id(subnet),
            None => it.availability_zone(offer.zone.as_str()),
        };
        let it = if self.is_ordered() { it.priority(pool.priority) } else { it };
        let spot_max = pool.bid.price_max.filter(|_| offer.market == Market::Spot);
        it.set_max_price(spot_max.map(dollars)).build()
    }

    /// Whether the pools are asked in the order of the request.
    fn is_ordered(&self) -> bool {
        self.request.spread != Spread::Even || self.request.market == Market::OnDemand
    }

    /// EC2 user guide, "Allocation strategies": `diversified` lays the instances over all pools;
    /// `capacity-optimized-prioritized` keeps to the order as far as the pools are deep.
    fn spot(&self) -> SpotOptionsRequest {
        let (single_zone, single_type) = self.single();
        let strategy = match self.request.spread {
            Spread::Even => SpotAllocationStrategy::Diversified,
            _ => SpotAllocationStrategy::CapacityOptimizedPrioritized,
        };
        SpotOptionsRequest::builder()
            .allocation_strategy(strategy)
            .set_single_availability_zone(single_zone.then_some(true))
            .set_single_instance_type(single_type.then_some(true))
            .set_min_target_capacity(self.least())
            .build()
    }

    /// On demand EC2 has no strategy that spreads: the pools are asked in their order.
    fn on_demand(&self) -> OnDemandOptionsRequest {
        let (single_zone, single_type) = self.single();
        OnDemandOptionsRequest::builder()
            .allocation_strategy(FleetOnDemandAllocationStrategy::Prioritized)
            .set_single_availability_zone(single_zone.then_some(true))
            .set_single_instance_type(single_type.then_some(true))
            .set_min_target_capacity(self.least())
            .build()
    }

    /// The least number of instances, where fewer are to be none.
    fn least(&self) -> Option<i32> {
        let least = self.request.count_min;
        (least > 1).then(|| i32::try_from(least).unwrap_or(i32::MAX))
    }

    /// One zone, or one type: a least number is only kept together with one of the two (EC2's
    /// service model, `MinTargetCapacity`). The one that restricts the pools less is taken.
    fn single(&self) -> (bool, bool) {
        if self.request.spread == Spread::SingleZone {
            return (true, false);
        }
        if self.request.count_min <= 1 {
            return (false, false);
        }
        let zones: BTreeSet<_> = self.pools.iter().map(|pool| &pool.bid.offer.zone).collect();
        let types: BTreeSet<_> = self.pools.iter().map(|pool| &pool.bid.offer.instance_type).collect();
        let one_zone = zones.len() <= types.len();
        (one_zone, !one_zone)
    }

    /// The tags of everything that the launch makes, of our own and the user's labels. A launch
    /// without spot requests may not tag any.
    fn tags(&self) -> Vec<aws_sdk_ec2::types::TagSpecification> {
        let request = self.request;
        let own = tag::of_launch(&request.token, request.expires);
        let mut all = self.handle.labels.clone();
        all.extend(own.clone());
        let spot = (request.market == Market::Spot).then_some(ResourceType::SpotInstancesRequest);
        let kinds = [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        let machines = kinds.into_iter().map(|kind| convert::tagged(kind, &all));
        let objects = [Some(ResourceType::Fleet), spot].into_iter().flatten();
        machines.chain(objects.map(|kind| convert::tagged(kind, &own))).collect()
    }

    /// Where an error about a pool happened.
    pub(super) fn reason(&self, offer: Option<&OfferId>, code: &str, message: &str) -> Error {
        let LaunchRequest { region, market, .. } = self.request;
        let quota = offer.and_then(|o| quotas::quota_of(region, o.instance_type.as_str(), *market));
        let place = Place { region, market: Some(*market), offer, quota: quota.as_ref() };
        coded(place, code, message).at("aws.launch")
    }

    /// Says of what is missing why.
    pub(super) fn shortfalls(&self, missing: u32, reasons: Vec<Error>) -> Vec<Shortfall> {
        if missing > 0 && reasons.is_empty() {
            // EC2 gives no reason for some that it leaves out.
            let silent = |pool: &Pool<'_>| self.reason(Some(&pool.bid.offer), "UnfulfillableCapacity", "");
            return Shortfall::shared(missing, self.pools.iter().map(silent));
        }
        Shortfall::shared(missing, reasons)
    }
}

/// Why a pool is out of the question at its highest price. EC2 itself keeps that of spot pools; on
/// demand it has none, and the list price is known beforehand.
fn too_dear(request: &LaunchRequest, bid: &PoolBid, price: &impl Fn(&OfferId) -> Price) -> Option<Error> {
    let max = bid.price_max?;
    let offer = &bid.offer;
    let message = match offer.market {
        Market::Spot if max <= PRICE_MAX_LEAST => format!("EC2 takes no highest price of {max} or less"),
        Market::Spot => return None,
        Market::OnDemand => match price(offer) {
            Price::Known(price) if price <= max => return None,
            Price::Known(price) => format!("{offer} costs {price}, at most {max} is allowed"),
            Price::Unknown => format!("{offer} has no known price to compare with {max}"),
        },
    };
    let place =
        Place { region: &request.region, market: Some(offer.market), offer: Some(offer), quota: None };
    let reason = coded(place, "SpotMaxPriceTooLow", &message).at("aws.launch");
    debug_assert_eq!(reason.kind(), ErrorKind::NoCapacity);
    Some(reason)
}

/// A price as EC2 takes it: `0.039200`.
fn dollars(price: UsdPerHour) -> String {
    let micros = price.micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfleet_core::{FleetName, Owner, Prepared, Scope, Token};

    const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];

    fn handle() -> Handle {
        let templates = [(Arch::Arm64, "lt-arm"), (Arch::X86_64, "lt-x86")];
        Handle { templates: templates.map(|(arch, id)| (arch, id.to_owned())).into(), ..Handle::default() }
    }

    fn request(market: Market, types: &[&str], zones: &[&str]) -> LaunchRequest {
        let pools = types.iter().flat_map(|name| {
            let bid = |zone: &&str| PoolBid {
                offer: OfferId { zone: (*zone).into(), instance_type: (*name).into(), market },
                price_max: None,
            };
            zones.iter().map(bid).collect::<Vec<_>>()
        });
        LaunchRequest {
            token: Token::derive(&Owner::parse("ada").unwrap(), &FleetName::parse("words").unwrap(), 3),
            prepared: Prepared {
                handles: [("us-east-1".into(), handle().to_text())].into(),
                ..Prepared::default()
            },
            region: "us-east-1".into(),
            market,
            pools: pools.collect(),
            count: 9,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    fn dear(_: &OfferId) -> Price {
        Price::Known(UsdPerHour::from_micros(50_000))
    }

    #[test]
    fn one_call_asks_every_pool_and_is_named_by_the_token() {
        let mut request = request(Market::Spot, &["m7g.large", "m7i.large"], &ZONES);
        request.pools[0].price_max = Some(UsdPerHour::from_micros(39_200));
        let handle = Handle::of(&request).unwrap();
        let order = Order::new(&request, &handle, dear).unwrap();
        let fleet = order.fleet().unwrap();
        assert_eq!(fleet.get_client_token().as_deref(), Some("ada_words_3"));
        assert_eq!(fleet.get_type(), &Some(FleetType::Instant));
        let configs = fleet.get_launch_template_configs().clone().unwrap();
        let overrides: Vec<_> = configs.iter().flat_map(|config| config.overrides()).collect();
        assert_eq!((configs.len(), overrides.len()), (2, 6));
        assert_eq!(overrides[0].max_price(), Some("0.039200"));
        let kinds: Vec<_> =
            fleet.get_tag_specifications().iter().flatten().filter_map(|tags| tags.resource_type()).collect();
        use ResourceType::*;
        assert_eq!(kinds, [&Instance, &Volume, &NetworkInterface, &Fleet, &SpotInstancesRequest]);
    }

    #[test]
    fn each_spread_has_its_strategy() {
        for (spread, strategy, single_zone) in [
            (Spread::Even, SpotAllocationStrategy::Diversified, None),
            (Spread::Packed, SpotAllocationStrategy::CapacityOptimizedPrioritized, None),
            (Spread::SingleZone, SpotAllocationStrategy::CapacityOptimizedPrioritized, Some(true)),
        ] {
            let request = LaunchRequest { spread, ..request(Market::Spot, &["m7g.large"], &ZONES) };
            let handle = handle();
            let spot = Order::new(&request, &handle, dear).unwrap().spot();
            assert_eq!(spot.allocation_strategy(), Some(&strategy), "{spread:?}");
            assert_eq!(spot.single_availability_zone(), single_zone, "{spread:?}");
        }
    }

    #[test]
    fn all_or_nothing_is_bound_to_what_restricts_the_pools_less() {
        let handle = handle();
        for (types, zones, zone, name) in [
            (&["m7g.large"][..], &ZONES[..], None, Some(true)),
            (&["m7g.large", "c7g.large"], &ZONES[..1], Some(true), None),
            (&["m7g.large"], &ZONES[..1], Some(true), None),
        ] {
            let request = LaunchRequest { count_min: 9, ..request(Market::OnDemand, types, zones) };
            let options = Order::new(&request, &handle, dear).unwrap().on_demand();
            assert_eq!(options.min_target_capacity(), Some(9));
            assert_eq!((options.single_availability_zone(), options.single_instance_type()), (zone, name));
        }
    }

    #[test]
    fn a_pool_above_its_highest_price_is_not_asked() {
        let mut request = request(Market::OnDemand, &["m7g.large"], &ZONES[..2]);
        request.pools[0].price_max = Some(UsdPerHour::from_micros(49_999));
        request.pools[1].price_max = Some(UsdPerHour::from_micros(50_000));
        let handle = handle();
        let order = Order::new(&request, &handle, dear).unwrap();
        assert_eq!((order.pools.len(), order.barred.len()), (1, 1));
        assert_eq!(order.barred[0].scope(), Some(&Scope::Offer(request.pools[0].offer.clone())));
        let unknown = Order::new(&request, &handle, |_| Price::Unknown).unwrap();
        assert!(unknown.fleet().is_none());
    }

    #[test]
    fn what_can_never_work_is_refused_before_the_call() {
        let handle = handle();
        let good = request(Market::Spot, &["m7g.large"], &ZONES);
        let mut nowhere = good.clone();
        nowhere.pools[0].offer.zone = "atlantis-1z".into();
        let mut other_market = good.clone();
        other_market.pools[0].offer.market = Market::OnDemand;
        let none = LaunchRequest { pools: Vec::new(), ..good.clone() };
        for bad in [nowhere, other_market, none] {
            let error = Order::new(&bad, &handle, dear).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        }
        let unprepared = LaunchRequest { prepared: Prepared::default(), ..good };
        assert_eq!(Handle::of(&unprepared).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn the_counts_of_the_reasons_add_up() {
        let request = request(Market::Spot, &["m7g.large"], &ZONES);
        let handle = handle();
        let order = Order::new(&request, &handle, dear).unwrap();
        let reasons = |n: usize| {
            request.pools[..n]
                .iter()
                .map(|bid| order.reason(Some(&bid.offer), "InsufficientInstanceCapacity", ""))
                .collect()
        };
        for (missing, n) in [(9, 3), (7, 2), (1, 3), (5, 0), (0, 2)] {
            let shortfalls = order.shortfalls(missing, reasons(n));
            assert_eq!(shortfalls.iter().map(|s| s.count).sum::<u32>(), missing, "{missing} over {n}");
        }
    }
}
