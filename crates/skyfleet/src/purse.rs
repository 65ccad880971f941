//! Keeps a plan within its limits in dollars, at worst prices.

use std::time::Duration;

use skyfleet_core::{Error, ErrorKind, Usd, UsdPerHour};

use crate::catalogue::known;
use crate::lots::{Draft, instances};
use crate::{Cost, Limits, Terms};

/// What may still be spent.
#[derive(Debug)]
pub(crate) struct Purse<'a> {
    limits: &'a Limits,
    terms: &'a Terms,
    /// For how long the budget must last.
    time: Duration,
}

impl<'a> Purse<'a> {
    pub(crate) fn new(limits: &'a Limits, terms: &'a Terms) -> Self {
        let time = limits.lifetime_max.map_or(HOUR, |lifetime| lifetime.saturating_sub(terms.age));
        Self { limits, terms, time }
    }

    /// Leaves out the pools with the highest worst price until the rest can be paid; `false` when
    /// even one pool in each lot cannot.
    pub(crate) fn trim(&self, drafts: &mut [Draft]) -> bool {
        while !self.can_pay(drafts) {
            let several = drafts.iter_mut().filter(|draft| draft.pools.len() > 1);
            let Some(dearest) = several.max_by_key(|draft| draft.ceiling()) else { return false };
            let ceiling = dearest.ceiling();
            match dearest.pools.iter().rposition(|pool| pool.ceiling == ceiling) {
                Some(n) => dearest.pools.remove(n),
                None => return false,
            };
        }
        true
    }

    fn can_pay(&self, drafts: &[Draft]) -> bool {
        let worst = self.worst(drafts);
        self.limits.usd_per_hour_max.is_none_or(|max| self.all_per_hour(&worst) <= i128::from(max.micros()))
            && self.limits.budget.is_none_or(|budget| self.all_total(&worst) <= i128::from(budget.micros()))
    }

    fn worst(&self, drafts: &[Draft]) -> Sum {
        let mut worst = Sum::default();
        drafts.iter().for_each(|draft| worst.add(draft.ceiling(), self.terms.extras, draft.count));
        worst
    }

    /// What the whole fleet costs per hour, with what it has already.
    fn all_per_hour(&self, sum: &Sum) -> i128 {
        sum.micros + i128::from(self.terms.per_hour.micros())
    }

    /// What the whole fleet costs to its end, with what it has spent already.
    fn all_total(&self, sum: &Sum) -> i128 {
        over(self.all_per_hour(sum), self.time) + i128::from(self.terms.spent.micros())
    }

    pub(crate) fn cost(&self, sum: &Sum) -> Cost {
        Cost {
            per_hour: UsdPerHour::from_micros(clamp(sum.micros)),
            total: self.limits.lifetime_max.map(|_| Usd::from_micros(clamp(over(sum.micros, self.time)))),
            unpriced: sum.unpriced,
        }
    }

    /// Names the limit that the cheapest plan breaks, and what would be enough.
    pub(crate) fn too_dear(&self, cheapest: &[Draft]) -> Error {
        let worst = self.worst(cheapest);
        let count = instances(cheapest);
        let per_hour = UsdPerHour::from_micros(clamp(self.all_per_hour(&worst)));
        let beside = match self.terms.instances {
            0 => String::new(),
            n => format!(" beside the {n} that run"),
        };
        let (key, message) = match (self.limits.usd_per_hour_max, self.limits.budget) {
            (Some(max), _) if per_hour > max => (
                "limits.usd_per_hour_max",
                format!(
                    "the cheapest plan costs up to {per_hour} for {count} instances{beside}; limits.usd_per_hour_max is {max}"
                ),
            ),
            (_, budget) => {
                let total = Usd::from_micros(clamp(self.all_total(&worst)));
                let time = match self.limits.lifetime_max {
                    Some(_) => format!("over {:#}", span(self.time)),
                    None => "in the first hour (limits.lifetime_max is not set)".to_owned(),
                };
                let budget = budget.unwrap_or_default();
                (
                    "limits.budget_usd",
                    format!(
                        "the cheapest plan costs up to {total} {time} for {count} instances{beside}; limits.budget_usd is {budget}"
                    ),
                )
            }
        };
        let enough = self.affordable(cheapest);
        Error::new(ErrorKind::BudgetExceeded, format!("{message}, enough for {enough}"))
            .with("key", key)
            .with("enough_for", enough)
    }

    /// How many of the instances could be paid, the cheapest ones.
    fn affordable(&self, drafts: &[Draft]) -> u32 {
        let all = |mut count: u32| -> Vec<Draft> {
            let mut drafts = drafts.to_vec();
            drafts.sort_by_key(Draft::ceiling);
            for draft in &mut drafts {
                draft.count = draft.count.min(count);
                count -= draft.count;
            }
            drafts
        };
        let (mut yes, mut no) = (0, instances(drafts));
        while no - yes > 1 {
            let half = yes + (no - yes) / 2;
            if self.can_pay(&all(half)) { yes = half } else { no = half }
        }
        yes
    }
}

/// A sum of hourly prices.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    micros: i128,
    unpriced: u32,
}

impl Sum {
    pub(crate) fn add(&mut self, price: i64, extras: UsdPerHour, count: u32) {
        match known(price) {
            Some(price) => {
                self.micros += (i128::from(price.micros()) + i128::from(extras.micros())) * i128::from(count);
            }
            None => self.unpriced += count,
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// What an hourly price costs over a time, rounded up: a limit is a limit.
fn over(micros_per_hour: i128, time: Duration) -> i128 {
    let hour = HOUR.as_nanos() as i128;
    let exact = micros_per_hour.saturating_mul(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX));
    exact.saturating_add(hour - 1).div_euclid(hour)
}

fn clamp(micros: i128) -> i64 {
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

/// For printing.
fn span(time: Duration) -> jiff::SignedDuration {
    let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::SignedDuration::from_secs(secs)
}
