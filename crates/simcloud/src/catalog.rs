use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, InstanceType, Offer, QuotaId, Region, Result, TypeName, Zone};

/// Which cloud the world plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// No real cloud: small numbers that are easy to reckon with.
    #[default]
    Neutral,
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Neutral, Self::Aws, Self::Gcp, Self::Azure];

    /// The name in configs, faults and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|cloud| cloud.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::InvalidConfig, format!("there is no simulated cloud {text:?}; known: {known}"))
        })
    }
}

/// One zone of a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ZoneSpec {
    /// The name that a launch uses: `us-east-1a`, `us-central1-a`, `eastus-1`.
    pub zone: Zone,
    /// The id that is the same for every account: `use1-az4` on AWS, elsewhere the zone's name.
    pub id: Arc<str>,
    /// Its region.
    pub region: Region,
}

/// How hard spot capacity of a type is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scarcity {
    /// Common: an instance is taken back with a chance of 5 to 10 % in a month.
    Plenty,
    /// In demand: above 20 % in a month.
    Tight,
    /// The whole pool comes and goes, for hours at most.
    Scarce,
}

/// Everything that one cloud sells, and the quotas of a fresh but established account.
#[derive(Clone, Debug)]
pub struct Catalog {
    cloud: Cloud,
    zones: Vec<ZoneSpec>,
    types: BTreeMap<TypeName, (Arc<InstanceType>, Scarcity)>,
    offers: Vec<Offer>,
    quotas: BTreeMap<QuotaId, u32>,
}

impl Catalog {
    /// The embedded catalogue of a cloud. Each call builds it anew: keep the `Arc`.
    pub fn of(cloud: Cloud) -> Arc<Self> {
        Arc::new(Self {
            cloud,
            zones: Vec::new(),
            types: BTreeMap::new(),
            offers: Vec::new(),
            quotas: BTreeMap::new(),
        })
    }

    /// Whose it is.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// Every offer at its list price, ordered by region, zone, type and market. The availability
    /// is `Unknown`: the world fills it in where the cloud says it. A spot price is the zone's
    /// usual one, around which [`SpotMarket`](crate::market::SpotMarket) moves it.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The zones, ordered by region and name.
    pub fn zones(&self) -> &[ZoneSpec] {
        &self.zones
    }

    /// The regions, in order.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.zones.chunk_by(|a, b| a.region == b.region).map(|zones| &zones[0].region)
    }

    /// A zone by its name.
    pub fn zone(&self, name: &str) -> Option<&ZoneSpec> {
        self.zones.iter().find(|spec| spec.zone.as_str() == name)
    }

    /// Whether there is such a region.
    pub fn has_region(&self, name: &str) -> bool {
        self.regions().any(|region| region.as_str() == name)
    }

    /// The types by name, in order.
    pub fn instance_types(&self) -> impl Iterator<Item = &Arc<InstanceType>> {
        self.types.values().map(|(spec, _)| spec)
    }

    /// A type by its name.
    pub fn instance_type(&self, name: &str) -> Option<&Arc<InstanceType>> {
        self.types.get(name).map(|(spec, _)| spec)
    }

    /// How hard spot capacity of a type is to keep; `Plenty` for an unknown type.
    pub fn scarcity(&self, name: &str) -> Scarcity {
        self.types.get(name).map_or(Scarcity::Plenty, |(_, scarcity)| *scarcity)
    }

    /// The default limit of every quota, in vCPUs.
    pub fn quotas(&self) -> &BTreeMap<QuotaId, u32> {
        &self.quotas
    }

    /// The place in [`Catalog::offers`] of an offer, by binary search.
    pub fn offer_index(&self, id: &skyfleet_core::OfferId) -> Option<usize> {
        let zone = self.zone(id.zone.as_str())?;
        let key = |offer: &Offer| {
            (offer.region.clone(), offer.zone.clone(), offer.instance_type.name.clone(), offer.market)
        };
        let wanted = (zone.region.clone(), id.zone.clone(), id.instance_type.clone(), id.market);
        self.offers.binary_search_by(|offer| key(offer).cmp(&wanted)).ok()
    }
}
