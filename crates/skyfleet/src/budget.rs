use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Instance, InstanceId, Timestamp, Usd, UsdPerHour};

/// What a fleet has cost so far, as seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// All of it, where a price is known.
    pub spent: Usd,
    /// What the same instance time would have cost on demand; an instance whose on-demand price is
    /// not known counts with its own price.
    pub on_demand: Usd,
    /// What an hour of the instances that live now costs.
    pub per_hour: UsdPerHour,
    /// How many instances had no known price: they are in none of the sums.
    pub unpriced: u32,
}

/// Where the spending stands against its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetState {
    /// Far from the limit, or there is none.
    Fine,
    /// Four fifths are spent: nothing is replaced any more.
    Near,
    /// All is spent: the fleet ends.
    Reached,
}

/// Adds up what instances cost: the price frozen at launch, times the time they live.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    alive: BTreeMap<InstanceId, ()>,
}

impl Meter {
    /// A meter for a fleet with this budget (`None` is no limit); each instance costs `extras` per
    /// hour beside its price (disk and address), where that is known.
    pub fn new(budget: Option<Usd>, extras: UsdPerHour) -> Self {
        let _ = (budget, extras);
        todo!()
    }

    /// Counts an instance from its launch on. A second call for the same one changes nothing.
    /// `on_demand` is what it would cost on demand, where that is known.
    pub fn started(&mut self, instance: &Instance, on_demand: Option<UsdPerHour>) {
        let _ = (instance, on_demand, &self.alive);
        todo!()
    }

    /// Stops counting an instance. One that is not counted changes nothing.
    pub fn ended(&mut self, instance: &InstanceId, at: Timestamp) {
        let _ = (instance, at);
        todo!()
    }

    /// The bill up to now. Costs the same for one instance as for 100,000.
    pub fn bill(&self, now: Timestamp) -> Bill {
        let _ = now;
        todo!()
    }

    /// Where the spending stands now.
    pub fn state(&self, now: Timestamp) -> BudgetState {
        let _ = now;
        todo!()
    }

    /// When the budget is spent if nothing changes; `None` when there is no budget or nothing runs.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        let _ = now;
        todo!()
    }
}
