use skyfleet_core::Usd;

/// What a fleet has cost so far, as seen from here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bill {
    /// All of it.
    pub spent: Usd,
    /// What the same instance time would have cost on demand, where that price is known.
    pub on_demand: Usd,
}

/// Where the spending stands against its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetState {
    /// Far from the limit.
    Fine,
    /// Near it: nothing is replaced any more.
    Near,
    /// Reached: the fleet ends.
    Reached,
}
