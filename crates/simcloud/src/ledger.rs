use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use skyfleet_core::{InstanceState, Market, Region, Timestamp, Usd, UsdPerHour, Zone, tag};

use crate::catalog::Cloud;
use crate::fixture::Fixture;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::rules::Billing;

/// What a line of the ledger is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// A machine.
    Instance,
    /// A disk.
    Disk,
    /// A public address.
    Address,
}

/// One billed thing: what an hour costs, from when, until when. The price is the one of the
/// moment of the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    pub(crate) of: Of,
    pub(crate) price: UsdPerHour,
    /// What the same would cost on demand.
    pub(crate) list: UsdPerHour,
    pub(crate) from: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Ended by the cloud: then it may be free.
    pub(crate) reclaimed: bool,
    /// A later start of a machine that has a line already.
    pub(crate) again: bool,
    /// The size of a disk; 0 for all else.
    pub(crate) gib: u32,
    /// When it was asked for; it costs from `from` on.
    pub(crate) asked: Timestamp,
}

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Of {
    /// A machine, or what came with it.
    Machine(u32),
    /// A disk or an address that was made by itself.
    Thing(u32),
}

impl Line {
    /// The time that is paid, in whole seconds, the last one begun counts.
    pub(crate) fn paid(&self, billing: &Billing, now: Timestamp) -> Duration {
        let until = self.until.unwrap_or(now).min(now);
        let since = |from| Duration::try_from(until.duration_since(from)).unwrap_or_default();
        let used = since(self.from);
        match self.kind {
            LineKind::Instance => {
                let free = billing.free_if_reclaimed_within.filter(|_| billing.free_counts_boot);
                let soon = free.is_none_or(|free| since(self.asked) < free);
                billing.paid(whole_seconds(used), self.reclaimed && soon)
            }
            LineKind::Disk | LineKind::Address => whole_seconds(used),
        }
    }

    /// The time that it was used, paid or free, at least the minimum when it was used at all.
    fn paid_on_demand(&self, billing: &Billing, now: Timestamp) -> Duration {
        Self { reclaimed: false, ..self.clone() }.paid(billing, now)
    }

    /// What it costs so far.
    pub(crate) fn cost(&self, billing: &Billing, now: Timestamp) -> Usd {
        self.price.over(self.paid(billing, now))
    }

    /// Whether it goes on.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// What everything cost so far, what still costs, and what is left behind.
///
/// Amounts are exact in memory; in JSON they are dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerReport {
    /// When this was so.
    pub now: Timestamp,
    /// What everything that is live costs in an hour.
    #[serde(serialize_with = "dollars_per_hour")]
    pub usd_per_hour: UsdPerHour,
    /// What everything cost so far, ended things included: the sum of all lines.
    #[serde(serialize_with = "dollars")]
    pub accrued_usd: Usd,
    /// What the same instances, disks and addresses would have cost on demand.
    #[serde(serialize_with = "dollars")]
    pub on_demand_equivalent_usd: Usd,
    /// The same by market.
    pub by_market: BTreeMap<Market, MarketTotal>,
    /// Everything that still costs money.
    pub live: Vec<LiveLine>,
    /// What costs nothing but is left.
    pub blocking: Vec<Fixture>,
}

impl LedgerReport {
    /// Nothing costs money and nothing is left.
    pub fn proves_empty(&self) -> bool {
        self.live.is_empty() && self.blocking.is_empty()
    }
}

/// What one market's instances cost, with their disks and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarketTotal {
    /// How many instances were bought.
    pub instances: u64,
    /// How long they were paid for, all together.
    pub paid_seconds: u64,
    /// What the instances cost.
    #[serde(serialize_with = "dollars")]
    pub instances_usd: Usd,
    /// What their disks cost.
    #[serde(serialize_with = "dollars")]
    pub disks_usd: Usd,
    /// What their addresses cost.
    #[serde(serialize_with = "dollars")]
    pub addresses_usd: Usd,
    /// What all that would have cost on demand.
    #[serde(serialize_with = "dollars")]
    pub on_demand_equivalent_usd: Usd,
}

impl MarketTotal {
    pub(crate) fn add(&mut self, line: &Line, billing: &Billing, now: Timestamp) {
        let cost = line.cost(billing, now);
        self.on_demand_equivalent_usd += line.list.over(line.paid_on_demand(billing, now));
        match line.kind {
            LineKind::Instance => {
                self.instances += u64::from(!line.again);
                self.paid_seconds += line.paid(billing, now).as_secs();
                self.instances_usd += cost;
            }
            LineKind::Disk => self.disks_usd += cost,
            LineKind::Address => self.addresses_usd += cost,
        }
    }

    /// What it cost all together.
    pub fn accrued(&self) -> Usd {
        self.instances_usd + self.disks_usd + self.addresses_usd
    }
}

/// One line of the bill: a thing, from when until when it was there, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BillLine {
    /// What it is.
    pub kind: LineKind,
    /// Its id.
    pub id: Arc<str>,
    /// How its instance was bought; on demand for what has none.
    pub market: Market,
    /// What an hour costs, as of the start.
    #[serde(serialize_with = "dollars_per_hour")]
    pub usd_per_hour: UsdPerHour,
    /// When it began to cost; for an instance, when it ran.
    pub from: Timestamp,
    /// When it ceased; absent while it goes on.
    pub until: Option<Timestamp>,
    /// Whether the cloud took it back.
    pub reclaimed: bool,
    /// How long is paid for.
    pub paid: Duration,
    /// What it cost so far.
    #[serde(serialize_with = "dollars")]
    pub cost: Usd,
}

/// One thing that still costs money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveLine {
    /// Whose world.
    pub cloud: Cloud,
    /// What it is.
    pub kind: LineKind,
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// Where exactly; absent for an address that was allocated by itself.
    pub zone: Option<Zone>,
    /// Whose it is, if a tag says so.
    pub owner: Option<Arc<str>>,
    /// How its instance was bought; on demand for what has none.
    pub market: Market,
    /// Where its instance stands; absent for what has none.
    pub state: Option<InstanceState>,
    /// What an hour costs.
    #[serde(serialize_with = "dollars_per_hour")]
    pub usd_per_hour: UsdPerHour,
    /// What it cost so far.
    #[serde(serialize_with = "dollars")]
    pub accrued_usd: Usd,
    /// Since when it exists.
    pub created: Timestamp,
}

impl Kernel {
    /// Every line of the bill, ended things included.
    pub fn bill(&self) -> Vec<BillLine> {
        let billing = &self.setup.rules.billing;
        let lines = (0u32..).zip(&self.lines).map(|(index, line)| BillLine {
            kind: line.kind,
            id: self.line_id(index),
            market: self.line_market(line),
            usd_per_hour: line.price,
            from: line.from,
            until: line.until,
            reclaimed: line.reclaimed,
            paid: line.paid(billing, self.now),
            cost: line.cost(billing, self.now),
        });
        lines.collect()
    }

    /// What everything cost so far, of one owner or of all, what still costs, and what is left.
    pub fn ledger(&self, owner: Option<&str>) -> LedgerReport {
        let (now, billing) = (self.now, &self.setup.rules.billing);
        let mut by_market: BTreeMap<Market, MarketTotal> = BTreeMap::new();
        let mut live = Vec::new();
        for (index, line) in (0u32..).zip(&self.lines) {
            let whose = self.line_tags(index).get(tag::OWNER).map(String::as_str);
            if owner.is_some() && whose != owner {
                continue;
            }
            let market = self.line_market(line);
            by_market.entry(market).or_default().add(line, billing, now);
            if line.is_open(now) {
                live.push(LiveLine {
                    cloud: self.cloud(),
                    kind: line.kind,
                    id: self.line_id(index),
                    region: self.line_region(line).clone(),
                    zone: self.line_zone(line).cloned(),
                    owner: whose.map(Into::into),
                    market,
                    state: self.line_machine(line).map(|machine| machine.state_at(now)),
                    usd_per_hour: line.price,
                    accrued_usd: line.cost(billing, now),
                    created: self.line_created(line),
                });
            }
        }
        LedgerReport {
            now,
            usd_per_hour: live.iter().map(|line| line.usd_per_hour).sum(),
            accrued_usd: by_market.values().map(MarketTotal::accrued).sum(),
            on_demand_equivalent_usd: by_market.values().map(|total| total.on_demand_equivalent_usd).sum(),
            by_market,
            live,
            blocking: self.fixtures(owner).cloned().collect(),
        }
    }

    fn line_machine(&self, line: &Line) -> Option<&Machine> {
        match line.of {
            Of::Machine(m) => Some(&self.machines[m as usize]),
            Of::Thing(_) => None,
        }
    }

    fn line_market(&self, line: &Line) -> Market {
        self.line_machine(line).map_or(Market::OnDemand, |machine| self.offer(machine.pool).market)
    }

    fn line_created(&self, line: &Line) -> Timestamp {
        match line.of {
            Of::Machine(m) => self.lots[self.machines[m as usize].lot as usize].at,
            Of::Thing(thing) => self.things[thing as usize].created,
        }
    }
}

fn dollars<S: Serializer>(amount: &Usd, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64(amount.to_dollars())
}

fn dollars_per_hour<S: Serializer>(price: &UsdPerHour, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64(price.to_dollars())
}
