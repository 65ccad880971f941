use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    Arch, Error, ErrorKind, FleetName, Instance, InstanceId, Market, OfferId, Owner, Region, Resource,
    Result, Timestamp, Token, UsdPerHour,
};

/// Buys instances, in bulk, once.
#[async_trait]
pub trait FleetLaunch: Send + Sync {
    /// Finds or makes what launches need (network, firewall, template, image), tagged at creation.
    /// Idempotent: names are derived, so a second call finds what the first one made.
    ///
    /// # Errors
    /// `InvalidRequest` for a blueprint that the cloud cannot serve; then nothing was made.
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared>;

    /// ONE bulk call of the cloud. Idempotent by token: the same request again gives the same
    /// instances, also after a lost answer.
    ///
    /// Instances that were bought are always in the `Ok`, with shortfalls beside them; an `Err`
    /// means that nothing was bought by this call, or that its answer was lost (`Unavailable`):
    /// then the same request is sent again.
    ///
    /// # Errors
    /// `Conflict` when the token was used with another request, or its instances are gone;
    /// `InvalidRequest` for a type or zone that the cloud does not have; `RateLimited` and
    /// `Unavailable` before anything was bought. Missing capacity and quota are shortfalls.
    async fn launch(&self, request: &LaunchRequest) -> Result<Launched>;

    /// The instances of an owner, from all pages. An instance may be missing for some seconds
    /// after its launch, and one that ended is listed only as long as the cloud remembers it.
    ///
    /// # Errors
    /// Those of any call; never `NotFound`.
    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>>;
}

/// What all instances of a fleet have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetBlueprint {
    /// Whose fleet it is.
    pub owner: Owner,
    /// Its name.
    pub fleet: FleetName,
    /// The regions where it may launch.
    pub regions: Vec<Region>,
    /// The instruction sets that it may launch on: there is an image for each.
    pub archs: Vec<Arch>,
    /// A neutral image name (`ubuntu-24.04`, `debian-12`) or the cloud's own.
    pub image: String,
    /// A script that the machine runs at its first boot, as root; empty for none.
    pub user_data: Arc<str>,
    /// The boot disk, in GiB.
    pub disk_gib: u32,
    /// Whether each instance gets a public address.
    pub public_ip: bool,
    /// TCP ports that the internet may reach; none by default.
    pub inbound_ports: Vec<u16>,
    /// The user's own labels, beside the tags of [`tag`](crate::tag).
    pub labels: BTreeMap<String, String>,
    /// When all of it may be swept.
    pub expires: Option<Timestamp>,
}

impl FleetBlueprint {
    /// The plainest fleet: Debian 12 on x86-64 with 10 GiB in one region, without a script, a
    /// public address, an open port, a label or an expiry.
    pub fn new(owner: &Owner, fleet: &FleetName, region: impl Into<Region>) -> Self {
        Self {
            owner: owner.clone(),
            fleet: fleet.clone(),
            regions: vec![region.into()],
            archs: vec![Arch::X86_64],
            image: "debian-12".to_owned(),
            user_data: "".into(),
            disk_gib: 10,
            public_ip: false,
            inbound_ports: Vec::new(),
            labels: BTreeMap::new(),
            expires: None,
        }
    }

    /// Looks for what no cloud could serve; `regions` are those in the provider's scope.
    ///
    /// # Errors
    /// `InvalidRequest` with the key.
    pub fn check<'a>(
        &self,
        regions: impl IntoIterator<Item = &'a Region>,
        user_data_bytes_max: usize,
    ) -> Result<()> {
        let invalid =
            |key, message: String| Err(Error::new(ErrorKind::InvalidRequest, message).with("key", key));
        let known: Vec<&str> = regions.into_iter().map(Region::as_str).collect();
        if self.regions.is_empty() {
            return invalid("regions", "a fleet needs at least one region".to_owned());
        }
        if let Some(unknown) = self.regions.iter().map(Region::as_str).find(|region| !known.contains(region))
        {
            let known = known.join(", ");
            let message = format!("there is no region {unknown:?} in the provider's scope; known: {known}");
            return invalid("regions", message);
        }
        if self.archs.is_empty() {
            return invalid("archs", "a fleet needs at least one instruction set".to_owned());
        }
        let bytes = self.user_data.len();
        if bytes > user_data_bytes_max {
            let message = format!("it has {bytes} bytes, at most {user_data_bytes_max} are accepted");
            return invalid("user_data", message);
        }
        Ok(())
    }
}

/// What [`FleetLaunch::prepare`] found or made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// What the provider's own `launch` needs again, per region. Opaque to everybody else.
    pub handles: BTreeMap<Region, String>,
    /// What was made for this fleet and must go with it.
    pub resources: Vec<Resource>,
}

/// One bulk launch: one region, one market, any of several pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRequest {
    /// Names this launch; carries owner and fleet.
    pub token: Token,
    /// What `prepare` gave for this fleet.
    pub prepared: Prepared,
    /// Where all the pools are.
    pub region: Region,
    /// How the instances are bought.
    pub market: Market,
    /// Where they may come from, best first. All of `region` and `market`.
    pub pools: Vec<PoolBid>,
    /// How many instances, at least 1.
    pub count: u32,
    /// Fewer than this and the cloud keeps none: 1 takes what there is, `count` is all or nothing.
    pub count_min: u32,
    /// How the instances lie over the pools.
    pub spread: Spread,
    /// When the instances end by themselves, and their tag says so.
    pub expires: Option<Timestamp>,
}

/// One pool (type × zone × market) and the most that may be paid there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolBid {
    /// The pool.
    pub offer: OfferId,
    /// No instance above this hourly price; `None` leaves it to the cloud (on AWS and Azure a
    /// spot instance then never costs more than on demand).
    pub price_max: Option<UsdPerHour>,
}

/// How the instances of one launch lie over its pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// From the best pool as many as it gives, then from the next.
    Packed,
    /// Over as many pools as possible, evenly: one reclaimed pool takes few of them.
    #[default]
    Even,
    /// All in one zone, whichever has room for them (low latency between the instances).
    SingleZone,
}

/// What one launch obtained.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launched {
    /// Every instance that costs money now because of this launch.
    pub instances: Vec<Instance>,
    /// Why there are fewer than asked for; empty when there are not.
    pub shortfalls: Vec<Shortfall>,
}

/// Instances that were asked for and not obtained, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortfall {
    /// How many are missing for this reason. The counts of one launch add up to what is missing.
    pub count: u32,
    /// The reason; [`Error::scope`] says what it closes, its context names the cloud's own code.
    pub reason: Error,
}

impl Shortfall {
    /// Says of `missing` instances why: evenly over the reasons, each of which is named once.
    pub fn shared(missing: u32, reasons: impl IntoIterator<Item = Error>) -> Vec<Self> {
        let mut named: Vec<Error> = Vec::new();
        for reason in reasons {
            let same = |other: &Error| (other.kind(), other.scope()) == (reason.kind(), reason.scope());
            if !named.iter().any(same) {
                named.push(reason);
            }
        }
        let parts = u32::try_from(named.len().max(1)).unwrap_or(u32::MAX);
        let share = |i: u32| missing / parts + u32::from(i < missing % parts);
        let all = (0..).zip(named).map(|(i, reason)| Self { count: share(i), reason });
        all.filter(|shortfall| shortfall.count > 0).collect()
    }
}

/// Which instances are meant: always of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Whose.
    pub owner: Owner,
    /// Only of this fleet.
    pub fleet: Option<FleetName>,
    /// Only these; empty means all.
    pub ids: Vec<InstanceId>,
}

impl Selector {
    /// Everything of an owner.
    pub fn owner(owner: &Owner) -> Self {
        Self { owner: owner.clone(), fleet: None, ids: Vec::new() }
    }

    /// Everything of a fleet.
    pub fn fleet(owner: &Owner, fleet: &FleetName) -> Self {
        Self { owner: owner.clone(), fleet: Some(fleet.clone()), ids: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    #[test]
    fn what_no_cloud_could_serve_is_refused_with_its_key() {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        let plain = FleetBlueprint::new(&owner, &fleet, "north-1");
        let regions = [Region::from("north-1"), "south-1".into()];
        plain.check(&regions, 0).unwrap();
        for (wrong, key, part) in [
            (FleetBlueprint { regions: Vec::new(), ..plain.clone() }, "regions", "at least one"),
            (FleetBlueprint::new(&owner, &fleet, "mars-1"), "regions", "known: north-1, south-1"),
            (FleetBlueprint { archs: Vec::new(), ..plain.clone() }, "archs", "at least one"),
            (FleetBlueprint { user_data: "true".into(), ..plain.clone() }, "user_data", "4 bytes, at most 3"),
        ] {
            let error = wrong.check(&regions, 3).unwrap_err();
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidRequest, Some(key)), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_shared_by_the_reasons_each_named_once() {
        let dry = |zone: &str| Error::new(ErrorKind::NoCapacity, zone).closing(Scope::Zone(zone.into()));
        let shared = Shortfall::shared(5, [dry("a"), dry("b"), dry("a")]);
        let told: Vec<_> =
            shared.iter().map(|shortfall| (shortfall.count, shortfall.reason.message())).collect();
        assert_eq!(told, [(3, "a"), (2, "b")]);
        assert_eq!(Shortfall::shared(1, [dry("a"), dry("b")]).len(), 1);
        assert!(Shortfall::shared(0, [dry("a")]).is_empty() && Shortfall::shared(3, []).is_empty());
    }
}
