//! The sizes of machines, and the pools from which they come.

use std::sync::Arc;

use serde_json::Value;
use skyfleet_core::{InstanceType, Market, OfferId, PoolBid, Region, Zone};

use super::terms::Terms;
use crate::azure::error::{coded, invalid};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The zones that machines may lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zones {
    /// In the order in which they were named; all of the region where none was.
    pub(crate) all: Vec<Zone>,
    /// Whether they were named: else Azure chooses, and no answer tells the zone.
    pub(crate) named: bool,
}

impl Zones {
    /// Reads `zones` of a body.
    ///
    /// # Errors
    /// `InvalidParameter` for what is no list of texts, `AvailabilityZoneNotSupported` for a zone that
    /// the region does not have.
    pub(crate) fn read(kernel: &Kernel, region: &Region, body: &Value, kind: &str) -> Result<Self, Refusal> {
        let known = kernel.zones(region.as_str());
        let named = super::member::list(body, "zones")?;
        if named.is_empty() {
            return Ok(Self { all: known, named: false });
        }
        let mut all = Vec::new();
        for zone in named {
            let Some(wanted) = zone.as_str() else {
                return Err(invalid("zones", "It must be a list of texts such as \"1\"."));
            };
            let Some(zone) = known.iter().find(|zone| number(zone) == wanted) else {
                let numbers: Vec<&str> = known.iter().map(number).collect();
                let message = format!(
                    "The zone(s) '{wanted}' for resource '{kind}' is not supported. The supported zones for location \
                     '{region}' are '{}'",
                    numbers.join(",")
                );
                return Err(coded(400, "AvailabilityZoneNotSupported", message));
            };
            if !all.contains(zone) {
                all.push(zone.clone());
            }
        }
        Ok(Self { all, named: true })
    }
}

/// `1` of `eastus-1`.
pub(crate) fn number(zone: &Zone) -> &str {
    zone.as_str().rsplit_once('-').map_or("", |(_, number)| number)
}

/// The size of this name, written in any case.
///
/// # Errors
/// `InvalidParameter` for a name that there is not, `SkuNotAvailable` for one that the region does not
/// have.
pub(crate) fn named(kernel: &Kernel, region: &Region, name: &str) -> Result<Arc<InstanceType>, Refusal> {
    let catalog = kernel.catalog();
    let mut all = catalog.instance_types();
    let Some(size) = all.find(|size| size.name.as_str().eq_ignore_ascii_case(name)) else {
        let message = format!(
            "The value {name} provided for the VM size is not valid. Sizes that look like it: {}. Find out more on \
             the valid VM sizes in each region at https://aka.ms/azure-regions.",
            catalog.nearest(name).join(", ")
        );
        return Err(coded(400, "InvalidParameter", message));
    };
    let mut offers = catalog.offers().iter();
    if offers.any(|offer| offer.region == *region && offer.instance_type.name == size.name) {
        return Ok(size.clone());
    }
    Err(not_available(size, region.as_str()))
}

fn not_available(size: &InstanceType, region: &str) -> Refusal {
    let message = format!(
        "The requested VM size for resource '{}' is currently not available in location '{region}'. Please try \
         another size or deploy to a different location or different zone.",
        size.name
    );
    coded(409, "SkuNotAvailable", message)
}

/// The pools of sizes in zones: those of the first size first.
///
/// # Errors
/// `AzureSpotIsNotSupportedForThisVMSize` for a size that is never spot, `SkuNotAvailable` where none
/// of them is sold.
pub(crate) fn pools(
    kernel: &Kernel,
    region: &Region,
    sizes: &[Arc<InstanceType>],
    zones: &Zones,
    terms: &Terms,
) -> Result<Vec<PoolBid>, Refusal> {
    let (market, price_max) = (terms.market(), terms.price_max());
    let mut pools = Vec::new();
    for size in sizes {
        let mut offers = kernel.catalog().offers().iter();
        if market == Market::Spot
            && !offers.any(|offer| offer.market == market && offer.instance_type.name == size.name)
        {
            let message =
                format!("Azure Spot Virtual Machine is not supported for this VM size {}.", size.name);
            return Err(coded(400, "AzureSpotIsNotSupportedForThisVMSize", message));
        }
        for zone in &zones.all {
            let offer = OfferId { zone: zone.clone(), instance_type: size.name.clone(), market };
            // A region without named zones chooses among those that sell the size.
            if zones.named || kernel.catalog().offer_index(&offer).is_some() {
                pools.push(PoolBid { offer, price_max });
            }
        }
    }
    match sizes.first().filter(|_| pools.is_empty()) {
        Some(size) => Err(not_available(size, region.as_str())),
        None => Ok(pools),
    }
}
