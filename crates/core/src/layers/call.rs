use std::fmt;

use crate::{
    Cursor, FleetBlueprint, InstanceId, LaunchRequest, OfferQuery, Owner, Region, Resource, Selector,
    SignalQuery, Token,
};

/// One call of a contract, on its way to the provider, with what it was called with.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// [`CapacitySearch::offers`](crate::CapacitySearch::offers)
    Offers(&'a OfferQuery),
    /// [`CapacitySearch::signals`](crate::CapacitySearch::signals)
    Signals(&'a SignalQuery),
    /// [`FleetLaunch::prepare`](crate::FleetLaunch::prepare)
    Prepare(&'a FleetBlueprint),
    /// [`FleetLaunch::launch`](crate::FleetLaunch::launch)
    Launch(&'a LaunchRequest),
    /// [`FleetLaunch::list`](crate::FleetLaunch::list)
    List(&'a Selector),
    /// [`PreemptionHandling::preemptions`](crate::PreemptionHandling::preemptions)
    Preemptions(&'a Selector, &'a Cursor),
    /// [`Teardown::terminate`](crate::Teardown::terminate)
    Terminate(&'a [InstanceId]),
    /// [`Teardown::inventory`](crate::Teardown::inventory)
    Inventory(&'a Owner),
    /// [`Teardown::delete`](crate::Teardown::delete)
    Delete(&'a [Resource]),
}

/// The operations of the four contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Searches offers.
    Offers,
    /// Asks for signals.
    Signals,
    /// Finds or makes what launches need.
    Prepare,
    /// Buys instances.
    Launch,
    /// Lists instances.
    List,
    /// Pulls preemptions.
    Preemptions,
    /// Ends instances.
    Terminate,
    /// Lists resources of every kind.
    Inventory,
    /// Deletes resources.
    Delete,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 9] = [
        Self::Offers,
        Self::Signals,
        Self::Prepare,
        Self::Launch,
        Self::List,
        Self::Preemptions,
        Self::Terminate,
        Self::Inventory,
        Self::Delete,
    ];

    /// The name of the contract's method: `launch`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offers => "offers",
            Self::Signals => "signals",
            Self::Prepare => "prepare",
            Self::Launch => "launch",
            Self::List => "list",
            Self::Preemptions => "preemptions",
            Self::Terminate => "terminate",
            Self::Inventory => "inventory",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<'a> Call<'a> {
    /// Which operation it is.
    pub fn operation(self) -> Operation {
        match self {
            Self::Offers(_) => Operation::Offers,
            Self::Signals(_) => Operation::Signals,
            Self::Prepare(_) => Operation::Prepare,
            Self::Launch(_) => Operation::Launch,
            Self::List(_) => Operation::List,
            Self::Preemptions(..) => Operation::Preemptions,
            Self::Terminate(_) => Operation::Terminate,
            Self::Inventory(_) => Operation::Inventory,
            Self::Delete(_) => Operation::Delete,
        }
    }

    /// The one region that it goes to; `None` when it may go to several.
    pub fn region(self) -> Option<&'a Region> {
        fn only(regions: &[Region]) -> Option<&Region> {
            if let [one] = regions { Some(one) } else { None }
        }
        match self {
            Self::Offers(query) => only(&query.regions),
            Self::Prepare(blueprint) => only(&blueprint.regions),
            Self::Launch(request) => Some(&request.region),
            Self::Delete(resources) => {
                let first = &resources.first()?.region;
                resources.iter().all(|r| r.region == *first).then_some(first)
            }
            _ => None,
        }
    }

    /// How many instances, offers or resources it is about; `None` when it does not say.
    pub fn count(self) -> Option<usize> {
        match self {
            Self::Signals(query) => Some(query.offers.len()),
            Self::Launch(request) => Some(request.count as usize),
            Self::Terminate(instances) => Some(instances.len()),
            Self::Delete(resources) => Some(resources.len()),
            Self::List(selector) | Self::Preemptions(selector, _) if !selector.ids.is_empty() => {
                Some(selector.ids.len())
            }
            _ => None,
        }
    }

    /// The token of a launch.
    pub fn token(self) -> Option<&'a Token> {
        if let Self::Launch(request) = self { Some(&request.token) } else { None }
    }
}
