use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Market, Offer, OfferId, QuotaId, Region, Result, Timestamp, TypeName, UsdPerHour, Zone};

/// What can be bought, where, at what price, and how likely it is to be had.
#[async_trait]
pub trait CapacitySearch: Send + Sync {
    /// Every offer that matches, sold-out ones too, from all pages of the cloud, in a stable order
    /// (by region, zone, instance type and market).
    ///
    /// # Errors
    /// `InvalidRequest` for a region, zone or type that the cloud does not have.
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>>;

    /// What the cloud says about the given offers beyond their price. May be empty: signals order
    /// candidates, they never veto one.
    ///
    /// # Errors
    /// Those of any call; an offer that the cloud does not know simply has no signal.
    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>>;
}

/// Which offers are wanted. An empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferQuery {
    /// Only these regions.
    pub regions: Vec<Region>,
    /// Only these zones.
    pub zones: Vec<Zone>,
    /// Only these instance types.
    pub instance_types: Vec<TypeName>,
    /// Only these markets.
    pub markets: Vec<Market>,
}

impl OfferQuery {
    /// Whether an offer is among those asked for.
    pub fn matches(&self, offer: &Offer) -> bool {
        fn listed<T: PartialEq>(list: &[T], item: &T) -> bool {
            list.is_empty() || list.contains(item)
        }
        listed(&self.regions, &offer.region)
            && listed(&self.zones, &offer.zone)
            && listed(&self.instance_types, &offer.instance_type.name)
            && listed(&self.markets, &offer.market)
    }
}

/// Which offers the signals are wanted for, and for how many instances all together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalQuery {
    /// The candidates.
    pub offers: Vec<OfferId>,
    /// The real size of the fleet: a score for one instance says nothing about a thousand.
    pub count: u32,
    /// The boot disk that each instance will have, in GiB; 0 when nobody asks what it costs.
    pub disk_gib: u32,
    /// Whether each instance will have a public address.
    pub public_ip: bool,
}

/// One thing that the cloud says about an offer or a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "signal")]
#[non_exhaustive]
pub enum Signal {
    /// The spot price now.
    SpotPrice {
        /// Of which offer.
        offer: OfferId,
        /// What an hour costs now.
        price: UsdPerHour,
        /// When it was set.
        at: Timestamp,
    },
    /// How likely the asked number can be had, from 0 (not at all) to 100 (surely).
    PlacementScore {
        /// In which offer.
        offer: OfferId,
        /// 0 to 100, whatever the cloud's own scale is.
        score: u8,
    },
    /// How often spot instances of this offer are taken back.
    EvictionRate {
        /// Of which offer.
        offer: OfferId,
        /// The chance that one instance is reclaimed within an hour, in parts per million.
        per_hour_ppm: u32,
    },
    /// What the asked boot disk and address cost each instance, beside the offer's price.
    Extras {
        /// In which region.
        region: Region,
        /// On which market: some clouds sell addresses cheaper to spot instances.
        market: Market,
        /// What an hour of both costs.
        per_hour: UsdPerHour,
    },
    /// A quota of the account, in its own unit: what an offer that draws on it says.
    Quota {
        /// Which.
        id: QuotaId,
        /// The account's limit; `None` when the cloud does not say: unknown is not zero.
        limit: Option<u32>,
        /// What is used of it now, by whomever.
        used: u32,
    },
}
