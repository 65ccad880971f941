use std::collections::BTreeMap;
use std::time::Duration;

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
///
/// It is the fleet's own view, per nanosecond and without the clouds' minimum charges; the cloud's
/// bill is the truth. A look costs the same for one instance as for 100,000: with the sum of the
/// prices and the sum of price × start, what runs has cost `prices × now − starts`.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    budget: Option<Usd>,
    extras: UsdPerHour,
    alive: BTreeMap<InstanceId, Rates>,
    spent: Account,
    on_demand: Account,
    unpriced: u32,
}

/// What one counted instance costs.
#[derive(Clone, Copy, Debug)]
struct Rates {
    price: i64,
    on_demand: i64,
    since: i128,
}

/// A running sum, in micro-dollars × nanoseconds per hour: exact.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// The sum of the hourly prices of what runs.
    prices: i128,
    /// The sum of price × start of what runs.
    starts: i128,
    /// What has ended.
    settled: i128,
}

impl Account {
    fn open(&mut self, price: i64, since: i128) {
        self.prices += i128::from(price);
        self.starts += i128::from(price) * since;
    }

    fn close(&mut self, price: i64, since: i128, at: i128) {
        self.prices -= i128::from(price);
        self.starts -= i128::from(price) * since;
        self.settled += i128::from(price) * (at - since).max(0);
    }

    fn exact(&self, now: i128) -> i128 {
        self.settled + self.prices * now - self.starts
    }

    fn sum(&self, now: i128) -> Usd {
        let micros = (self.exact(now) + HOUR / 2).div_euclid(HOUR);
        Usd::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

const HOUR: i128 = 3_600_000_000_000;

impl Meter {
    /// A meter for a fleet with this budget (`None` is no limit); each instance costs `extras` per
    /// hour beside its price (disk and address), where that is known.
    pub fn new(budget: Option<Usd>, extras: UsdPerHour) -> Self {
        Self { budget, extras, ..Self::default() }
    }

    /// Changes what disk and address cost per hour, for the instances that start from here on.
    pub fn set_extras(&mut self, extras: UsdPerHour) {
        self.extras = extras;
    }

    /// What disk and address of an instance cost per hour, as far as that is known.
    pub fn extras(&self) -> UsdPerHour {
        self.extras
    }

    /// Counts an instance from its launch on. A second call for the same one changes nothing, also
    /// while it lives; one that ended must not be given again. `on_demand` is what it would cost on
    /// demand, where that is known.
    pub fn started(&mut self, instance: &Instance, on_demand: Option<UsdPerHour>) {
        if self.alive.contains_key(&instance.id) {
            return;
        }
        let since = instance.launched.as_nanosecond();
        let Some(price) = instance.price.known() else {
            self.unpriced += 1;
            self.alive.insert(instance.id.clone(), Rates { price: 0, on_demand: 0, since });
            return;
        };
        let extras = self.extras.micros();
        let on_demand = on_demand.unwrap_or(price).micros().saturating_add(extras);
        let price = price.micros().saturating_add(extras);
        self.spent.open(price, since);
        self.on_demand.open(on_demand, since);
        self.alive.insert(instance.id.clone(), Rates { price, on_demand, since });
    }

    /// Stops counting an instance. One that is not counted changes nothing.
    pub fn ended(&mut self, instance: &InstanceId, at: Timestamp) {
        let Some(rates) = self.alive.remove(instance) else { return };
        let at = at.as_nanosecond();
        self.spent.close(rates.price, rates.since, at);
        self.on_demand.close(rates.on_demand, rates.since, at);
    }

    /// The bill up to now.
    pub fn bill(&self, now: Timestamp) -> Bill {
        let at = now.as_nanosecond();
        let per_hour = i64::try_from(self.spent.prices).unwrap_or(i64::MAX);
        Bill {
            spent: self.spent.sum(at),
            on_demand: self.on_demand.sum(at),
            per_hour: UsdPerHour::from_micros(per_hour),
            unpriced: self.unpriced,
        }
    }

    /// Where the spending stands now.
    pub fn state(&self, now: Timestamp) -> BudgetState {
        let Some(budget) = self.budget else { return BudgetState::Fine };
        let spent = self.spent.sum(now.as_nanosecond()).micros();
        if spent >= budget.micros() {
            BudgetState::Reached
        } else if i128::from(spent) * 5 >= i128::from(budget.micros()) * 4 {
            BudgetState::Near
        } else {
            BudgetState::Fine
        }
    }

    /// When the budget is spent if nothing changes; `None` when there is no budget, nothing runs,
    /// or the end lies beyond what a calendar holds.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        let left = i128::from(self.budget?.micros()) * HOUR - self.spent.exact(now.as_nanosecond());
        if left <= 0 {
            return Some(now);
        }
        let prices = Some(self.spent.prices).filter(|&p| p > 0)?;
        let nanos = u64::try_from((left + prices - 1) / prices).ok()?;
        now.checked_add(Duration::from_nanos(nanos)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use skyfleet_core::{FleetName, InstanceState, Market, OfferId, Owner, Price, Token};

    use super::*;

    fn second(n: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(n)
    }

    fn instance(id: &str, price: Price, launched: u64) -> Instance {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        Instance {
            id: id.into(),
            token: Token::derive(&owner, &fleet, 0),
            owner,
            fleet,
            offer: OfferId { zone: "a".into(), instance_type: "t".into(), market: Market::Spot },
            region: "r".into(),
            state: InstanceState::Running,
            price,
            launched: second(launched),
            labels: Arc::default(),
            expires: None,
            private_ip: None,
            public_ip: None,
        }
    }

    fn dollar(micros: i64) -> Price {
        Price::Known(UsdPerHour::from_micros(micros))
    }

    #[test]
    fn an_instance_seen_twice_is_counted_once_and_an_ended_one_costs_no_more() {
        let mut meter = Meter::new(None, UsdPerHour::from_micros(100_000));
        let one = instance("1", dollar(900_000), 0);
        meter.started(&one, Some(UsdPerHour::from_micros(2_900_000)));
        meter.started(&one, None);
        assert_eq!(meter.bill(second(1_800)).spent, Usd::from_micros(500_000));
        meter.ended(&one.id, second(3_600));
        meter.ended(&one.id, second(9_999));
        let bill = meter.bill(second(1_000_000));
        assert_eq!((bill.spent, bill.on_demand), (Usd::from_micros(1_000_000), Usd::from_micros(3_000_000)));
        assert_eq!(bill.per_hour, UsdPerHour::ZERO);
    }

    #[test]
    fn an_unknown_price_is_told_and_not_taken_for_zero() {
        let mut meter = Meter::new(Some(Usd::from_micros(1)), UsdPerHour::ZERO);
        meter.started(&instance("1", Price::Unknown, 0), None);
        assert_eq!(meter.bill(second(10)).unpriced, 1);
        assert_eq!(meter.ends(second(10)), None);
    }

    #[test]
    fn the_state_changes_at_four_fifths_and_at_the_projected_end() {
        let mut meter = Meter::new(Some(Usd::from_micros(1_000_000)), UsdPerHour::ZERO);
        meter.started(&instance("1", dollar(1_000_000), 0), None);
        assert_eq!(meter.state(second(2_879)), BudgetState::Fine);
        assert_eq!(meter.state(second(2_880)), BudgetState::Near);
        let end = meter.ends(second(2_000)).unwrap();
        assert_eq!(end, second(3_600));
        assert_eq!(meter.state(end), BudgetState::Reached);
        assert_eq!(meter.ends(second(5_000)), Some(second(5_000)));
    }

    proptest! {
        #[test]
        fn the_bill_is_the_sum_of_price_times_life(
            lives in prop::collection::vec((0i64..10_000_000, 0u64..100_000, 0u64..100_000, any::<bool>()), 0..40),
        ) {
            let mut meter = Meter::new(None, UsdPerHour::ZERO);
            let now = second(200_000);
            let mut sum = 0i128;
            for (n, &(price, start, life, ends)) in lives.iter().enumerate() {
                let instance = instance(&n.to_string(), dollar(price), start);
                meter.started(&instance, None);
                let end = if ends { start + life } else { 200_000 };
                if ends {
                    meter.ended(&instance.id, second(end));
                }
                sum += i128::from(price) * i128::from(end - start);
            }
            let exact = (sum * 2 + 3_600).div_euclid(7_200);
            prop_assert_eq!(i128::from(meter.bill(now).spent.micros()), exact);
        }
    }
}
