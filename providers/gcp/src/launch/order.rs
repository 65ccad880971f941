//! One launch, read and checked, and cut into the calls that it takes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use skyfleet_core::{
    Arch, Error, ErrorKind, LaunchRequest, OfferId, PoolBid, Result, Spread, TypeName, Zone,
};

use super::blueprint::invalid;
use crate::catalog::{Attached, split};
use crate::{convert, names};

/// What `prepare` hands to `launch`, for one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handle {
    /// All zones of the region, also those that are not to be used: they must be denied by name.
    pub(super) zones: BTreeSet<Zone>,
    /// As a launch takes them.
    pub(super) images: BTreeMap<Arch, String>,
    /// Whether the images are those that every cloud has.
    pub(super) neutral: bool,
    pub(super) network: String,
    pub(super) subnetwork: Option<String>,
    /// The network tags of the machines.
    pub(super) tags: Vec<String>,
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
}

/// Pools that one bulk insert can ask for: some types, all of them in the same zones. With GPUs to
/// be attached it is one type, because they are said once for the whole call.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) zones: BTreeSet<&'a Zone>,
    /// In the order of the request.
    pub(super) types: Vec<Machine<'a>>,
    pub(super) attached: Option<Attached>,
}

/// A type of the request, and the machine type that Compute Engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine<'a> {
    pub(super) name: &'a TypeName,
    pub(super) machine: &'a str,
}

impl<'a> Order<'a> {
    pub(super) fn new(request: &'a LaunchRequest, handle: &'a Handle) -> Result<Self> {
        if request.pools.is_empty() || request.count == 0 {
            return Err(invalid("pools", "a launch needs a pool and a count of at least 1"));
        }
        let mut zones: Vec<(&TypeName, BTreeSet<&Zone>)> = Vec::new();
        for bid in &request.pools {
            let offer = check(request, handle, bid)?;
            match zones.iter_mut().find(|(name, _)| **name == offer.instance_type) {
                Some((_, zones)) => drop(zones.insert(&offer.zone)),
                None => zones.push((&offer.instance_type, BTreeSet::from([&offer.zone]))),
            }
        }
        let mut parts: Vec<Part<'a>> = Vec::new();
        for (name, zones) in zones {
            let Some((machine, attached)) = split(name) else { continue };
            let machine = Machine { name, machine };
            let fits =
                |part: &&mut Part<'a>| part.zones == zones && part.attached.is_none() && attached.is_none();
            match parts.iter_mut().find(fits) {
                Some(part) => part.types.push(machine),
                None => parts.push(Part { zones, types: vec![machine], attached }),
            }
        }
        // The rest is for another launch.
        parts.truncate(usize::from(names::PARTS_MAX) / 2);
        Ok(Self { request, handle, parts })
    }

    /// Whether fewer instances than asked for are welcome.
    pub(super) fn takes_fewer(&self) -> bool {
        self.request.count_min <= 1
    }

    /// How many each part is asked for at first: all of them the first one, or where they are to
    /// lie over many pools each as many as it has pools.
    pub(super) fn shares(&self) -> Vec<u32> {
        let count = self.request.count;
        if self.request.spread != Spread::Even || !self.takes_fewer() {
            return std::iter::once(count).chain(std::iter::repeat(0)).take(self.parts.len()).collect();
        }
        let pools: Vec<u64> =
            self.parts.iter().map(|part| (part.zones.len() * part.types.len()) as u64).collect();
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
        let pools: Vec<&OfferId> = pools.iter().map(|bid| &bid.offer).collect();
        format!("{:016x}", names::digest(&(region, market, pools, count, count_min, spread)))
    }
}

impl<'a> Part<'a> {
    /// The pools of the part, of one zone and one machine type if these are known.
    pub(super) fn pools(
        &self,
        order: &Order<'a>,
        zone: Option<&str>,
        machine: Option<&str>,
    ) -> Vec<&'a OfferId> {
        let here = |offer: &&'a OfferId| {
            let of_type = self.types.iter().find(|known| *known.name == offer.instance_type);
            let told = of_type.is_some_and(|known| machine.is_none_or(|machine| known.machine == machine));
            told && self.zones.contains(&offer.zone) && zone.is_none_or(|zone| offer.zone.as_str() == zone)
        };
        order.request.pools.iter().map(|bid| &bid.offer).filter(here).collect()
    }
}

fn check<'a>(request: &LaunchRequest, handle: &Handle, bid: &'a PoolBid) -> Result<&'a OfferId> {
    let (offer, region) = (&bid.offer, &request.region);
    let wrong = |message: String| Err(invalid("pools", message).with("offer", offer).with("region", region));
    if !handle.zones.contains(&offer.zone) {
        return wrong(format!("{region} has no zone {}", offer.zone));
    }
    if offer.market != request.market {
        return wrong(format!("the launch is {}, the pool is {}", request.market, offer.market));
    }
    if bid.price_max.is_some() {
        let message = "Compute Engine sells at its own price: no highest one can be given";
        return Err(Error::new(ErrorKind::Unsupported, message).with("offer", offer));
    }
    let Some((machine, _)) = split(&offer.instance_type) else {
        return wrong(format!("there is no type {}", offer.instance_type));
    };
    let arch = convert::arch_of(machine);
    if !handle.images.contains_key(&arch) {
        return wrong(format!("the fleet has no image for {arch}, the processor of {machine}"));
    }
    Ok(offer)
}

#[cfg(test)]
pub(super) mod tests {
    use skyfleet_core::{FleetName, Market, Owner, Prepared, Token, UsdPerHour};

    use super::*;

    pub(in crate::launch) fn handle() -> Handle {
        let images = [(Arch::X86_64, "projects/debian-cloud/global/images/family/debian-12".to_owned())];
        Handle {
            zones: ["a", "b", "c", "f"].map(|letter| Zone::from(format!("us-central1-{letter}"))).into(),
            images: images.into(),
            neutral: true,
            network: "global/networks/default".to_owned(),
            labels: [("team".to_owned(), "search".to_owned())].into(),
            user_data: "#!/bin/sh\n".to_owned(),
            disk_gib: 20,
            ..Handle::default()
        }
    }

    /// A launch of ten out of these pools: the letter of the zone and the type.
    pub(in crate::launch) fn request(market: Market, pools: &[(&str, &str)]) -> LaunchRequest {
        let bid = |(letter, name): &(&str, &str)| PoolBid {
            offer: OfferId {
                zone: format!("us-central1-{letter}").into(),
                instance_type: (*name).into(),
                market,
            },
            price_max: None,
        };
        LaunchRequest {
            token: Token::derive(&Owner::parse("ada").unwrap(), &FleetName::parse("words").unwrap(), 3),
            prepared: Prepared::default(),
            region: "us-central1".into(),
            market,
            pools: pools.iter().map(bid).collect(),
            count: 10,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    fn cut(order: &Order<'_>) -> Vec<(Vec<String>, Vec<String>)> {
        let part = |part: &Part<'_>| {
            let zones = part.zones.iter().map(|zone| zone.as_str().rsplit('-').next().unwrap().to_owned());
            (zones.collect(), part.types.iter().map(|known| known.name.to_string()).collect())
        };
        order.parts.iter().map(part).collect()
    }

    #[test]
    fn types_of_the_same_zones_are_one_call() {
        let request = request(
            Market::Spot,
            &[("a", "n2-standard-2"), ("b", "n2-standard-2"), ("b", "e2-standard-2"), ("a", "e2-standard-2")],
        );
        let handle = handle();
        let order = Order::new(&request, &handle).unwrap();
        let types = ["n2-standard-2", "e2-standard-2"].map(str::to_owned).to_vec();
        assert_eq!(cut(&order), [(vec!["a".to_owned(), "b".to_owned()], types)]);
        assert_eq!(order.shares(), [10]);
    }

    #[test]
    fn no_call_asks_for_a_pool_that_was_not_asked_for() {
        let pools = [
            ("a", "n2-standard-2"),
            ("b", "e2-standard-2"),
            ("a", "n1-standard-4+T4"),
            ("a", "t2d-standard-2"),
        ];
        let even = request(Market::Spot, &pools);
        let handle = handle();
        let order = Order::new(&even, &handle).unwrap();
        assert_eq!(order.parts.len(), 3, "{:?}", cut(&order));
        assert_eq!(cut(&order)[0].1.len(), 2, "both only in a");
        assert_eq!(order.parts[2].attached.unwrap().count, 1);
        assert_eq!(order.shares(), [5, 2, 3]);
        let of_b = order.parts[1].pools(&order, Some("us-central1-b"), Some("e2-standard-2"));
        assert_eq!(of_b, [&even.pools[1].offer]);
        let packed = LaunchRequest { spread: Spread::Packed, ..even.clone() };
        assert_eq!(Order::new(&packed, &handle).unwrap().shares(), [10, 0, 0]);
        let all = LaunchRequest { count_min: 10, ..even };
        assert_eq!(Order::new(&all, &handle).unwrap().shares(), [10, 0, 0]);
    }

    #[test]
    fn what_is_no_pool_of_the_launch_is_refused() {
        let handle = handle();
        let good = request(Market::Spot, &[("a", "n2-standard-2")]);
        let with = |change: &dyn Fn(&mut LaunchRequest)| {
            let mut bad = good.clone();
            change(&mut bad);
            Order::new(&bad, &handle).unwrap_err()
        };
        for (error, part) in [
            (with(&|bad| bad.pools.clear()), "needs a pool"),
            (with(&|bad| bad.pools[0].offer.zone = "atlantis-1z".into()), "no zone atlantis-1z"),
            (with(&|bad| bad.market = Market::OnDemand), "the launch is on-demand"),
            (with(&|bad| bad.pools[0].offer.instance_type = "n2-standard-2+T4".into()), "no type"),
            (with(&|bad| bad.pools[0].offer.instance_type = "t2a-standard-2".into()), "no image for arm64"),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
            assert!(error.message().contains(part), "{error}");
        }
        let capped = with(&|bad| bad.pools[0].price_max = Some(UsdPerHour::from_micros(1)));
        assert_eq!(capped.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn another_request_has_another_fingerprint_and_a_later_expiry_has_not() {
        let handle = handle();
        let good = request(Market::Spot, &[("a", "n2-standard-2"), ("b", "n2-standard-2")]);
        let print = |request: &LaunchRequest| Order::new(request, &handle).unwrap().fingerprint();
        let later = LaunchRequest { expires: Some(skyfleet_core::Timestamp::UNIX_EPOCH), ..good.clone() };
        assert_eq!(print(&later), print(&good));
        let more = LaunchRequest { count: 11, ..good.clone() };
        let fewer_pools = LaunchRequest { pools: good.pools[1..].to_vec(), ..good.clone() };
        assert!(![print(&more), print(&fewer_pools)].contains(&print(&good)));
    }
}
