//! How machines are bought: priority, eviction, the highest price. Azure documentation, "Error messages
//! for Azure Spot Virtual Machines and scale sets".

use serde_json::Value;
use skyfleet_core::{Market, UsdPerHour};

use super::member;
use crate::azure::error::coded;
use crate::order::OnReclaim;
use crate::refusal::Refusal;

/// How machines are bought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// As the caller wrote it; nothing is `Regular`.
    pub(crate) priority: Option<&'static str>,
    pub(crate) eviction: Option<Eviction>,
    /// In dollars an hour; -1 is the price on demand.
    pub(crate) max_price: Option<f64>,
}

/// What becomes of a spot machine that Azure takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    Deallocate,
    Delete,
}

impl Eviction {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("Deallocate", Self::Deallocate), ("Delete", Self::Delete)];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deallocate => "Deallocate",
            Self::Delete => "Delete",
        }
    }
}

impl Terms {
    /// Of machines that are paid in full.
    pub(crate) fn regular() -> Self {
        Self { priority: Some("Regular"), eviction: None, max_price: None }
    }

    /// Of spot machines.
    ///
    /// # Errors
    /// `MaxPriceValueInvalid`.
    pub(crate) fn spot(eviction: Eviction, max_price: &Value) -> Result<Self, Refusal> {
        Ok(Self { priority: Some("Spot"), eviction: Some(eviction), max_price: price(max_price)? })
    }

    /// Reads `priority`, `evictionPolicy` and `billingProfile` of a machine or of a scale set.
    ///
    /// # Errors
    /// For words that are none, and for what only spot machines have.
    pub(crate) fn read(profile: &Value) -> Result<Self, Refusal> {
        let words = [("Regular", "Regular"), ("Spot", "Spot"), ("Low", "Low")];
        let priority = member::word(profile, "priority", &words)?;
        let eviction = member::word(profile, "evictionPolicy", &Eviction::WORDS)?;
        let max_price = price(&profile["billingProfile"]["maxPrice"])?;
        let terms = Self { priority, eviction, max_price };
        if terms.market() == Market::Spot {
            // Deallocating is what there is unless something else is said.
            return Ok(Self { eviction: Some(eviction.unwrap_or(Eviction::Deallocate)), ..terms });
        }
        if eviction.is_some() {
            let message = "Eviction policy can be set only on Azure Spot Virtual Machines.";
            return Err(coded(400, "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines", message));
        }
        if max_price.is_some() {
            let message = "Max price is supported only for Azure Spot Virtual Machines.";
            return Err(coded(400, "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines", message));
        }
        Ok(terms)
    }

    pub(crate) fn market(&self) -> Market {
        match self.priority {
            Some("Spot" | "Low") => Market::Spot,
            _ => Market::OnDemand,
        }
    }

    /// The highest price that counts: the price on demand is never exceeded anyway.
    pub(crate) fn price_max(&self) -> Option<UsdPerHour> {
        self.max_price.filter(|dollars| *dollars > 0.0).and_then(UsdPerHour::from_dollars)
    }

    pub(crate) fn on_reclaim(&self) -> OnReclaim {
        match self.eviction {
            Some(Eviction::Delete) => OnReclaim::Terminate,
            _ => OnReclaim::Stop,
        }
    }
}

/// A highest price: -1, or more than nothing with five decimals at most.
fn price(value: &Value) -> Result<Option<f64>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    let fits = |dollars: &f64| {
        let steps = dollars * 100_000.0;
        *dollars == -1.0 || *dollars > 0.0 && *dollars < 1e6 && (steps - steps.round()).abs() < 1e-3
    };
    value.as_f64().filter(fits).map(Some).ok_or_else(|| {
        let message = format!(
            "Max price value is invalid: {value}. The only supported values for max price are -1 or a decimal \
             greater than zero."
        );
        coded(400, "MaxPriceValueInvalid", message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(profile: Value) -> String {
        match Terms::read(&profile) {
            Err(Refusal::Coded { code, .. }) => code,
            other => panic!("{profile}: {other:?}"),
        }
    }

    #[test]
    fn spot_is_deallocated_unless_it_is_to_be_deleted() {
        let spot = Terms::read(&json!({ "priority": "spot" })).unwrap();
        assert_eq!((spot.market(), spot.on_reclaim()), (Market::Spot, OnReclaim::Stop));
        let body =
            json!({ "priority": "Spot", "evictionPolicy": "Delete", "billingProfile": { "maxPrice": 0.03 } });
        let spot = Terms::read(&body).unwrap();
        assert_eq!(
            (spot.on_reclaim(), spot.price_max()),
            (OnReclaim::Terminate, UsdPerHour::from_dollars(0.03))
        );
        let any = Terms::read(&json!({ "priority": "Spot", "billingProfile": { "maxPrice": -1 } })).unwrap();
        assert_eq!(any.price_max(), None);
        assert_eq!(Terms::read(&json!({})).unwrap().market(), Market::OnDemand);
    }

    #[test]
    fn what_only_spot_has_is_refused_on_demand() {
        assert_eq!(
            code(json!({ "evictionPolicy": "Delete" })),
            "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines"
        );
        let capped = json!({ "priority": "Regular", "billingProfile": { "maxPrice": 1.0 } });
        assert_eq!(code(capped), "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines");
        assert_eq!(code(json!({ "priority": "Best" })), "InvalidParameter");
        for price in [json!(0), json!(-2), json!(0.000_001), json!("1"), json!(1e300)] {
            let profile = json!({ "priority": "Spot", "billingProfile": { "maxPrice": price } });
            assert_eq!(code(profile), "MaxPriceValueInvalid", "{price}");
        }
    }
}
