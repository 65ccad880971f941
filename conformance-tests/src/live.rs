//! The account of an arm that spends real money.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skyfleet_core::layers::{Call, Fault, Verdict};
use skyfleet_core::{
    Clock, Error, ErrorKind, LaunchRequest, OfferId, OfferQuery, Price, Timestamp, Token, Usd, UsdPerHour,
};

use crate::world::World;

/// The environment variable that lets live arms spend money: the most that one run may cost, in
/// US dollars. Without it they do not run.
pub const LIVE_VARIABLE: &str = "SKYFLEET_LIVE_MAX_USD";

/// Whether an arm may spend money, and how much of it is spent.
#[derive(Clone, Debug)]
pub(crate) enum Live {
    /// Nobody asked for it.
    Off,
    /// Somebody did, with this instead of an amount.
    NoCap(String),
    /// Up to a cap.
    On(Arc<Mutex<Account>>),
}

#[derive(Debug)]
pub(crate) struct Account {
    cap: Usd,
    /// What the cases that are done cost at most.
    spent: Usd,
    /// A clean-up failed: nobody knows what goes on costing.
    closed: bool,
}

/// The account of one case.
pub(crate) struct Meter {
    account: Arc<Mutex<Account>>,
    case: Arc<Mutex<Case>>,
    clock: Arc<dyn Clock>,
    begun: Timestamp,
}

#[derive(Default)]
struct Case {
    /// What the instances of each launch cost per hour, together and at most.
    rates: BTreeMap<Token, UsdPerHour>,
    /// Why a launch was not let through.
    refused: Option<String>,
}

impl From<Option<String>> for Live {
    /// From the text of the variable.
    fn from(cap: Option<String>) -> Self {
        let Some(text) = cap else { return Self::Off };
        let amount = text.trim().parse().ok().and_then(Usd::from_dollars);
        match amount.filter(|cap| *cap > Usd::ZERO) {
            Some(cap) => Self::On(Arc::new(Mutex::new(Account { cap, spent: Usd::ZERO, closed: false }))),
            None => Self::NoCap(text),
        }
    }
}

impl Live {
    /// Why nothing runs, when nobody asked for it.
    pub(crate) fn off(&self) -> Option<String> {
        matches!(self, Self::Off)
            .then(|| format!("live: set {LIVE_VARIABLE} to what the run may cost at most, in dollars"))
    }

    /// The world with every way to launch in it under this account. `time_max` is how long an
    /// instance can live at most.
    pub(crate) async fn metered(&self, world: World, time_max: Duration) -> Result<(World, Meter), String> {
        let Self::On(account) = self else {
            let text = if let Self::NoCap(text) = self { text.as_str() } else { "" };
            return Err(format!(
                "the live arm refuses to start: {LIVE_VARIABLE}={text:?} is no amount above zero, such as 2.50"
            ));
        };
        let World { mut connected, mut levers } = world;
        let offers = connected.provider.offers(&OfferQuery::default()).await.map_err(|e| format!("{e:?}"))?;
        let prices: BTreeMap<_, _> = offers.into_iter().map(|offer| (offer.id(), offer.price)).collect();
        let clock = connected.clock.clone();
        let case: Arc<Mutex<Case>> = Arc::default();
        let meter =
            Meter { account: account.clone(), case: case.clone(), clock: clock.clone(), begun: clock.now() };
        let account = account.clone();
        let gate = Fault::new(clock).rule(move |call| match call {
            Call::Launch(request) => lock(&case).admit(request, &prices, time_max, &lock(&account)),
            _ => Verdict::Pass,
        });
        connected.provider = gate.layer(connected.provider);
        for lever in [&mut levers.reconnect, &mut levers.impostor] {
            if let Some(connect) = lever.take() {
                let gate = gate.clone();
                *lever = Some(Box::new(move || {
                    let mut second = connect()?;
                    second.provider = gate.layer(second.provider);
                    Ok(second)
                }));
            }
        }
        Ok((World { connected, levers }, meter))
    }
}

impl Case {
    fn admit(
        &mut self,
        request: &LaunchRequest,
        prices: &BTreeMap<OfferId, Price>,
        time_max: Duration,
        account: &Account,
    ) -> Verdict {
        let refused = match self.worst(request, prices) {
            None => format!("live: the price of a pool of {} is not known", request.token),
            Some(rates) => {
                let worst = rates.values().copied().sum::<UsdPerHour>().over(time_max);
                let left = account.cap - account.spent;
                if !account.closed && worst <= left {
                    self.rates = rates;
                    return Verdict::Pass;
                }
                match account.closed {
                    true => "live: an earlier clean-up failed, nothing more is bought".to_owned(),
                    false => format!(
                        "live: the case may cost {worst}, and of {} only {left} are left",
                        account.cap
                    ),
                }
            }
        };
        let error = Error::new(ErrorKind::BudgetExceeded, refused.clone());
        self.refused.get_or_insert(refused);
        Verdict::FailBefore(error)
    }

    /// The rates with this launch among them; `None` when it has no price. A token buys once: of
    /// two requests under one token the dearer counts.
    fn worst(
        &self,
        request: &LaunchRequest,
        prices: &BTreeMap<OfferId, Price>,
    ) -> Option<BTreeMap<Token, UsdPerHour>> {
        let mut dearest = UsdPerHour::ZERO;
        for bid in &request.pools {
            // Spot prices rise: unless the bid says how far, twice today's price is held against it.
            let price = match (bid.price_max, prices.get(&bid.offer)) {
                (Some(price_max), _) => price_max,
                (None, Some(Price::Known(price))) => *price * 2,
                // A pool that is not for sale costs nothing: such requests are cases as well.
                (None, None) => UsdPerHour::ZERO,
                (None, Some(_)) => return None,
            };
            dearest = dearest.max(price);
        }
        let mut rates = self.rates.clone();
        let rate = rates.entry(request.token.clone()).or_default();
        *rate = (*rate).max(dearest * request.count);
        Some(rates)
    }
}

impl Meter {
    /// Books what the case cost at most, after its clean-up; says why a launch was refused, if one
    /// was. After a clean-up that failed the account is closed: something may go on costing.
    pub(crate) fn settle(&self, clean: bool) -> Option<String> {
        let (mut account, case) = (lock(&self.account), lock(&self.case));
        let lasted = Duration::try_from(self.clock.now().duration_since(self.begun)).unwrap_or_default();
        let minute = Duration::from_secs(60);
        account.spent += case.rates.values().copied().sum::<UsdPerHour>().over(lasted + minute);
        account.closed |= !clean;
        case.refused.clone()
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use skyfleet_core::{Connected, ManualClock, Market};
    use skyfleet_sim::SimProvider;
    use skyfleet_simcloud::{World as Sim, WorldOptions};

    use super::*;
    use crate::Arm;
    use crate::bed::Bed;
    use crate::case::{Case, Proof, case, ensure};
    use crate::runner::{self, Outcome, Stack};

    /// The simulated cloud as if it were a real one: every case meets the same world.
    fn arm(cap: Option<&str>) -> (Arm, Sim) {
        let clock = Arc::new(ManualClock::auto(Timestamp::constant(1_767_225_600, 0)));
        let sim = Sim::new(WorldOptions::new(clock)).unwrap();
        let cloud = sim.clone();
        let connect = move |_| {
            let (provider, clock) = (Arc::new(SimProvider::new(cloud.clone())), cloud.clock().clone());
            Ok(World::bare(Connected { provider, clock }))
        };
        (Arm::new("live", connect).live_with(cap), sim)
    }

    async fn buys_two(bed: &Bed) -> Proof {
        let inventory = bed.provider.inventory(&bed.owner).await?;
        ensure!(inventory.proves_empty(), "before it began there was {inventory:?}");
        bed.running(&bed.owner, Market::OnDemand, 2).await.map(drop)
    }

    const BUYS_TWO: Case = case!("LAUNCH-1", buys_two);

    #[test]
    fn without_a_cap_nothing_starts() {
        let (arm, sim) = arm(None);
        let outcome = runner::run(&arm, &BUYS_TWO, Stack::Bare, 7);
        assert!(matches!(&outcome, Outcome::Ignored(why) if why.contains(LIVE_VARIABLE)), "{outcome:?}");
        assert!(sim.calls().is_empty() && !arm.spends());
    }

    #[test]
    fn a_cap_that_is_no_amount_is_refused() {
        for cap in ["", "a lot", "0", "-3", "NaN", "inf"] {
            let (arm, sim) = arm(Some(cap));
            let outcome = runner::run(&arm, &BUYS_TWO, Stack::Bare, 7);
            let right = matches!(&outcome, Outcome::Failed(text) if text.contains("refuses to start"));
            assert!(right && sim.calls().is_empty(), "{cap:?}: {outcome:?}");
        }
    }

    #[test]
    fn what_may_cost_more_than_is_left_is_not_bought() {
        let (arm, sim) = arm(Some("0.01"));
        let outcome = runner::run(&arm, &BUYS_TWO, Stack::Bare, 7);
        assert!(matches!(&outcome, Outcome::Ignored(why) if why.contains("may cost")), "{outcome:?}");
        assert_eq!(sim.ledger().accrued_usd, Usd::ZERO);
        assert!(sim.ledger().proves_empty());
    }

    #[test]
    fn no_number_of_cases_costs_more_than_the_cap() {
        let (arm, sim) = arm(Some("1"));
        let Some(Live::On(account)) = arm.money().cloned() else { panic!("a dollar is a cap") };
        let outcomes: Vec<_> = (0..300).map(|_| runner::run(&arm, &BUYS_TWO, Stack::Layers, 7)).collect();
        let bought = outcomes.iter().take_while(|outcome| **outcome == Outcome::Passed).count();
        assert!(bought > 0, "{:?}", outcomes[0]);
        let refused =
            |outcome: &Outcome| matches!(outcome, Outcome::Ignored(why) if why.contains("are left"));
        assert!(bought < 300 && outcomes[bought..].iter().all(refused), "{:?}", outcomes[bought]);
        let (paid, account) = (sim.ledger().accrued_usd, lock(&account));
        assert!(
            Usd::ZERO < paid && paid <= account.spent && account.spent <= account.cap,
            "{paid} {account:?}"
        );
        assert!(sim.ledger().proves_empty());
    }

    #[test]
    fn a_repeated_token_counts_once_and_the_dearer_request_counts() {
        let (arm, sim) = arm(Some("100"));
        let work = async {
            let world = World::bare(Connected {
                provider: Arc::new(SimProvider::new(sim.clone())),
                clock: sim.clock().clone(),
            });
            let live = arm.money().unwrap();
            let (world, meter) = live.metered(world, Duration::from_secs(3_600)).await.unwrap();
            let bed = Bed::new(world, Stack::Bare, 7, "live", &arm).unwrap();
            let Ok(fleet) = bed.fleet(Market::OnDemand, 1).await else { panic!("the sim has a pool") };
            let request = fleet.request(0, 2);
            for _ in 0..3 {
                assert_eq!(bed.provider.launch(&request).await.unwrap().instances.len(), 2);
            }
            let more = LaunchRequest { count: 5, ..request };
            assert_eq!(bed.provider.launch(&more).await.unwrap_err().kind(), ErrorKind::Conflict);
            let price = fleet.pools[0].price.known().unwrap();
            let rates: Vec<_> = lock(&meter.case).rates.values().copied().collect();
            assert_eq!(rates, [price * 2 * 5]);
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
    }

    /// One account for all cases and stacks, as a real cloud is.
    #[test]
    fn every_case_that_applies_runs_live() {
        let (arm, sim) = arm(Some("1000000"));
        for stack in Stack::ALL {
            for case in crate::cases().filter(|case| case.clause != "LIMITS-1") {
                let outcome = runner::run(&arm, case, stack, 7);
                assert!(!matches!(outcome, Outcome::Failed(_)), "{stack} {outcome:?}");
            }
        }
        assert!(sim.ledger().accrued_usd > Usd::ZERO && sim.ledger().proves_empty());
    }

    #[test]
    fn what_an_earlier_run_left_goes_before_the_case() {
        let (arm, sim) = arm(Some("100"));
        let crashed = async {
            let world = World::bare(Connected {
                provider: Arc::new(SimProvider::new(sim.clone())),
                clock: sim.clock().clone(),
            });
            let bed = Bed::new(world, Stack::Bare, 7, "live buys_two", &arm).unwrap();
            assert!(bed.running(&bed.owner, Market::OnDemand, 2).await.is_ok());
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(crashed);
        assert!(!sim.ledger().proves_empty());
        assert_eq!(runner::run(&arm, &BUYS_TWO, Stack::Bare, 7), Outcome::Passed);
        assert!(sim.ledger().proves_empty());
    }
}
