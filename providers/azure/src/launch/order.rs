//! One launch, read and checked, and cut into the calls that it takes: nearly always one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use skyfleet_core::{
    Arch, Error, ErrorKind, LaunchRequest, Market, OfferId, PoolBid, Price, Result, Spread, TypeName,
    UsdPerHour, Zone,
};

use super::blueprint::invalid;
use crate::convert;
use crate::error::{ArmError, Place};
use crate::names::{self, number_of, region_of};

/// What `prepare` hands to `launch`, for one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handle {
    pub(super) group: String,
    pub(super) subnet: String,
    pub(super) security_group: String,
    /// As a machine's profile names them.
    pub(super) images: BTreeMap<Arch, Value>,
    /// Who may log in, and by which public key.
    pub(super) login: (String, String),
    pub(super) labels: BTreeMap<String, String>,
    pub(super) user_data: String,
    pub(super) disk_gib: u32,
    pub(super) public_ip: bool,
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

/// A launch, read and checked.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) request: &'a LaunchRequest,
    pub(super) handle: &'a Handle,
    /// What one call each can ask for, best first.
    pub(super) parts: Vec<Part<'a>>,
    /// Why some pools may not be asked.
    pub(super) barred: Vec<Error>,
}

/// Pools that one call can ask for: some sizes of one instruction set, all of them in the same
/// zones, for the same highest price.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) arch: Arch,
    pub(super) zones: BTreeSet<&'a Zone>,
    /// In the order of the request.
    pub(super) sizes: Vec<&'a TypeName>,
    pub(super) price_max: Option<UsdPerHour>,
}

/// The most sizes that one launch fleet takes (Azure documentation, "Compute Fleet", launch mode).
const SIZES_MAX: usize = 10;

impl<'a> Order<'a> {
    /// Checks a request; `price` tells what an offer costs.
    pub(super) fn new(
        request: &'a LaunchRequest,
        handle: &'a Handle,
        price: impl Fn(&OfferId) -> Price,
    ) -> Result<Self> {
        if request.pools.is_empty() || request.count == 0 {
            return Err(invalid("pools", "a launch needs a pool and a count of at least 1"));
        }
        let mut order = Self { request, handle, parts: Vec::new(), barred: Vec::new() };
        let mut open = Vec::new();
        for bid in &request.pools {
            check(request, handle, bid)?;
            match too_dear(request, bid, &price) {
                Some(reason) => order.barred.push(reason),
                None => open.push(bid),
            }
        }
        for (zones, name, price_max) in lines(&open, request) {
            let arch = convert::arch_of(name.as_str());
            let fits = |part: &&mut Part<'a>| {
                part.arch == arch
                    && part.zones == zones
                    && part.price_max == price_max
                    && part.sizes.len() < SIZES_MAX
            };
            match order.parts.iter_mut().find(fits) {
                Some(part) => part.sizes.push(name),
                None => order.parts.push(Part { arch, zones, sizes: vec![name], price_max }),
            }
        }
        // The rest is for another launch.
        order.parts.truncate(usize::from(names::PARTS_MAX) / 2);
        Ok(order)
    }

    /// Whether fewer instances than asked for are welcome.
    pub(super) fn takes_fewer(&self) -> bool {
        self.request.count_min <= 1
    }

    /// How many each part is asked for at first: all of them the first one, or where they are to lie
    /// over many pools each as many as it has pools.
    pub(super) fn shares(&self) -> Vec<u32> {
        let count = self.request.count;
        let pools: Vec<u64> =
            self.parts.iter().map(|part| (part.zones.len() * part.sizes.len()) as u64).collect();
        let total: u64 = pools.iter().sum::<u64>().max(1);
        let (mut shares, mut given, mut seen) = (Vec::new(), 0, 0);
        for pools in pools {
            seen += pools;
            // What is rounded off here is in the next one's share.
            let until = u32::try_from(u64::from(count) * seen / total).unwrap_or(count);
            shares.push(until - given);
            given = until;
        }
        shares
    }

    /// What tells this request from another one under the same token. Not its expiry: a successor
    /// that repeats a call may know a later one.
    pub(super) fn fingerprint(&self) -> String {
        let LaunchRequest { region, market, pools, count, count_min, spread, .. } = self.request;
        let pools: Vec<(&OfferId, Option<i64>)> =
            pools.iter().map(|bid| (&bid.offer, bid.price_max.map(|max| max.micros()))).collect();
        format!("{:016x}", names::digest(&(region, market, pools, count, count_min, spread)))
    }
}

/// The sizes with their zones: one line for each size and highest price; for a launch in one zone one
/// for each zone.
fn lines<'a>(
    bids: &[&'a PoolBid],
    request: &LaunchRequest,
) -> Vec<(BTreeSet<&'a Zone>, &'a TypeName, Option<UsdPerHour>)> {
    let single = request.spread == Spread::SingleZone;
    let mut lines: Vec<(BTreeSet<&Zone>, &TypeName, Option<UsdPerHour>)> = Vec::new();
    for bid in bids {
        let (zone, name) = (&bid.offer.zone, &bid.offer.instance_type);
        // What is in no zone is asked for in another way than what is in one.
        let joins = |zones: &BTreeSet<&Zone>| match single {
            true => zones.contains(zone),
            false => zones.iter().all(|other| number_of(other).is_some() == number_of(zone).is_some()),
        };
        let same = |line: &&mut (BTreeSet<&Zone>, &TypeName, Option<UsdPerHour>)| {
            line.1 == name && line.2 == bid.price_max && joins(&line.0)
        };
        match lines.iter_mut().find(same) {
            Some((zones, ..)) => drop(zones.insert(zone)),
            None => lines.push((BTreeSet::from([zone]), name, bid.price_max)),
        }
    }
    lines
}

impl<'a> Part<'a> {
    /// The pools of the part, of one zone and one size if these are known.
    pub(super) fn pools(
        &self,
        order: &Order<'a>,
        zone: Option<&str>,
        size: Option<&str>,
    ) -> Vec<&'a OfferId> {
        let here = |offer: &&'a OfferId| {
            self.sizes.contains(&&offer.instance_type)
                && self.zones.contains(&offer.zone)
                && size.is_none_or(|size| offer.instance_type.as_str().eq_ignore_ascii_case(size))
                && zone.is_none_or(|zone| number_of(&offer.zone) == Some(zone))
        };
        order.request.pools.iter().map(|bid| &bid.offer).filter(here).collect()
    }
}

fn check(request: &LaunchRequest, handle: &Handle, bid: &PoolBid) -> Result<()> {
    let (offer, region) = (&bid.offer, &request.region);
    let wrong = |message: String| Err(invalid("pools", message).with("offer", offer).with("region", region));
    let shaped = number_of(&offer.zone).is_none_or(|number| number.bytes().all(|b| b.is_ascii_digit()));
    if region_of(&offer.zone) != *region || !shaped {
        return wrong(format!("{region} has no zone {}", offer.zone));
    }
    if offer.market != request.market {
        return wrong(format!("the launch is {}, the pool is {}", request.market, offer.market));
    }
    let arch = convert::arch_of(offer.instance_type.as_str());
    if !handle.images.contains_key(&arch) {
        return wrong(format!("the fleet has no image for {arch}, the processor of {}", offer.instance_type));
    }
    Ok(())
}

/// Azure keeps a highest price for spot alone, in steps of a hundred-thousandth of a dollar; on
/// demand it is kept by not asking.
fn too_dear(request: &LaunchRequest, bid: &PoolBid, price: &impl Fn(&OfferId) -> Price) -> Option<Error> {
    let max = bid.price_max?;
    let offer = &bid.offer;
    let message = match offer.market {
        Market::Spot if max.micros() < STEP => format!("Azure takes no highest price of {max}"),
        Market::Spot => return None,
        Market::OnDemand => match price(offer) {
            Price::Known(price) if price <= max => return None,
            Price::Known(price) => format!("{offer} costs {price}, at most {max} is allowed"),
            Price::Unknown => format!("{offer} has no known price to compare with {max}"),
        },
    };
    let place = Place { region: &request.region, market: offer.market, offer: Some(offer) };
    let told = ArmError { code: TOO_DEAR.to_owned(), message, ..ArmError::default() };
    let reason = told.reason(place).at("azure.launch");
    debug_assert_eq!(reason.kind(), ErrorKind::NoCapacity);
    Some(reason)
}

const TOO_DEAR: &str = "SpotPriceGreaterThanProvidedMaxPrice";

/// The smallest difference of two highest prices, in millionths of a dollar (Azure documentation,
/// "Use Azure Spot Virtual Machines": up to five decimal places).
pub(super) const STEP: i64 = 10;

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;
    use skyfleet_core::{FleetName, Owner, Prepared, Scope, Token};

    use super::*;

    pub(in crate::launch) fn handle() -> Handle {
        Handle {
            group: "skyfleet-words-1".to_owned(),
            subnet: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/machines"
                .to_owned(),
            security_group: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/n"
                .to_owned(),
            images: [(Arch::X86_64, json!({ "publisher": "Debian" }))].into(),
            login: ("skyfleet".to_owned(), "ssh-ed25519 AAAA nobody".to_owned()),
            labels: [("team".to_owned(), "search".to_owned())].into(),
            user_data: "#!/bin/sh\n".to_owned(),
            disk_gib: 30,
            public_ip: false,
        }
    }

    /// A launch of ten out of these pools: the number of the zone and the size.
    pub(in crate::launch) fn request(market: Market, pools: &[(&str, &str)]) -> LaunchRequest {
        let bid = |(number, name): &(&str, &str)| PoolBid {
            offer: OfferId {
                zone: format!("eastus-{number}").into(),
                instance_type: format!("Standard_{name}").into(),
                market,
            },
            price_max: None,
        };
        LaunchRequest {
            token: Token::derive(&Owner::parse("ada").unwrap(), &FleetName::parse("words").unwrap(), 3),
            prepared: Prepared::default(),
            region: "eastus".into(),
            market,
            pools: pools.iter().map(bid).collect(),
            count: 10,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    fn unknown(_: &OfferId) -> Price {
        Price::Unknown
    }

    fn cut(order: &Order<'_>) -> Vec<(Vec<String>, Vec<String>)> {
        let part = |part: &Part<'_>| {
            let zones = part.zones.iter().filter_map(|zone| number_of(zone)).map(str::to_owned);
            let sizes =
                part.sizes.iter().map(|name| name.as_str().trim_start_matches("Standard_").to_owned());
            (zones.collect(), sizes.collect())
        };
        order.parts.iter().map(part).collect()
    }

    const FOUR: [(&str, &str); 4] = [("1", "D2s_v5"), ("2", "D2s_v5"), ("2", "D2as_v5"), ("1", "D2as_v5")];

    #[test]
    fn sizes_of_the_same_zones_are_one_call() {
        let (request, handle) = (request(Market::Spot, &FOUR), handle());
        let order = Order::new(&request, &handle, unknown).unwrap();
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(cut(&order), [(words(&["1", "2"]), words(&["D2s_v5", "D2as_v5"]))]);
        assert_eq!(order.shares(), [10]);
        let of_two = order.parts[0].pools(&order, Some("2"), Some("standard_d2s_v5"));
        assert_eq!(of_two, [&request.pools[1].offer]);
    }

    #[test]
    fn no_call_asks_for_a_pool_that_was_not_asked_for() {
        let handle = handle();
        let lopsided = request(Market::Spot, &[("1", "D2s_v5"), ("2", "D2as_v5"), ("1", "D4s_v5")]);
        let order = Order::new(&lopsided, &handle, unknown).unwrap();
        assert_eq!(order.parts.len(), 2, "{:?}", cut(&order));
        assert_eq!(order.shares(), [6, 4]);
        let mut capped = request(Market::Spot, &FOUR);
        capped.pools[0].price_max = Some(UsdPerHour::from_micros(38_500));
        assert_eq!(Order::new(&capped, &handle, unknown).unwrap().parts.len(), 3);
        let single = LaunchRequest { spread: Spread::SingleZone, ..request(Market::Spot, &FOUR) };
        let order = Order::new(&single, &handle, unknown).unwrap();
        assert!(
            order.parts.iter().all(|part| part.zones.len() == 1 && part.sizes.len() == 2),
            "{:?}",
            cut(&order)
        );
    }

    #[test]
    fn what_is_no_pool_of_the_launch_is_refused() {
        let handle = handle();
        let good = request(Market::Spot, &[("1", "D2s_v5")]);
        let with = |change: &dyn Fn(&mut LaunchRequest)| {
            let mut bad = good.clone();
            change(&mut bad);
            Order::new(&bad, &handle, unknown).unwrap_err()
        };
        for (error, part) in [
            (with(&|bad| bad.pools.clear()), "needs a pool"),
            (with(&|bad| bad.pools[0].offer.zone = "atlantis-1z".into()), "no zone atlantis-1z"),
            (with(&|bad| bad.pools[0].offer.zone = "eastus-x".into()), "no zone eastus-x"),
            (with(&|bad| bad.market = Market::OnDemand), "the launch is on-demand"),
            (with(&|bad| bad.pools[0].offer.instance_type = "Standard_D2ps_v5".into()), "no image for arm64"),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn on_demand_a_highest_price_is_kept_by_not_asking() {
        let handle = handle();
        let mut request = request(Market::OnDemand, &[("1", "D2s_v5"), ("1", "D4s_v5")]);
        for bid in &mut request.pools {
            bid.price_max = Some(UsdPerHour::from_micros(100_000));
        }
        let price = |offer: &OfferId| {
            let micros = if offer.instance_type.as_str() == "Standard_D2s_v5" { 96_000 } else { 192_000 };
            Price::Known(UsdPerHour::from_micros(micros))
        };
        let order = Order::new(&request, &handle, price).unwrap();
        assert_eq!(cut(&order)[0].1, ["D2s_v5"]);
        assert_eq!(order.barred[0].scope(), Some(&Scope::Offer(request.pools[1].offer.clone())));
        assert_eq!(Order::new(&request, &handle, unknown).unwrap().barred.len(), 2);
    }

    #[test]
    fn another_request_has_another_fingerprint_and_a_later_expiry_has_not() {
        let handle = handle();
        let good = request(Market::Spot, &FOUR);
        let print = |request: &LaunchRequest| Order::new(request, &handle, unknown).unwrap().fingerprint();
        let later = LaunchRequest { expires: Some(skyfleet_core::Timestamp::UNIX_EPOCH), ..good.clone() };
        assert_eq!(print(&later), print(&good));
        let more = LaunchRequest { count: 11, ..good.clone() };
        let fewer_pools = LaunchRequest { pools: good.pools[1..].to_vec(), ..good.clone() };
        assert!(![print(&more), print(&fewer_pools)].contains(&print(&good)));
    }
}
