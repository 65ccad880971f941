use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, Offer, Result};

use crate::event::{About, EventKind};
use crate::fault::{Fault, When};
use crate::kernel::Kernel;

/// Names a fault that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The faults that hold now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) faults: BTreeMap<FaultId, Fault>,
    pub(crate) count: u64,
}

impl Trouble {
    /// How many more machines of an offer may start, as the faults have it, and whether a fault on
    /// the whole zone says so.
    pub(crate) fn room(&self, offer: &Offer) -> Option<(u32, bool)> {
        let limits = self.faults.values().filter_map(|fault| match fault {
            Fault::Capacity { instance_type, available: Some(available), .. } if meant(fault, offer) => {
                Some((*available, instance_type.is_none()))
            }
            _ => None,
        });
        limits.min()
    }

    /// Counts machines that started (or, with a rollback, did not).
    pub(crate) fn started(&mut self, offer: &Offer, machines: u32, back: bool) {
        for fault in self.faults.values_mut() {
            if !meant(fault, offer) {
                continue;
            }
            if let Fault::Capacity { available: Some(available), .. } = fault {
                *available = if back { *available + machines } else { available.saturating_sub(machines) };
            }
        }
    }

    /// Whether the account may not use a type in a region.
    pub(crate) fn restricted(&self, offer: &Offer) -> bool {
        self.faults.values().any(|fault| {
            matches!(fault, Fault::SkuRestriction { region, instance_type, .. }
                if *region == offer.region && *instance_type == offer.instance_type.name)
        })
    }

    /// How much slower the answers to an action are.
    pub(crate) fn latency(&self, action: &str) -> Duration {
        let slow = self.faults.values().filter_map(|fault| match fault {
            Fault::Latency { action: which, ms, .. } if about(which, action) => {
                Some(Duration::from_millis(*ms))
            }
            _ => None,
        });
        slow.sum()
    }

    /// How far lists lag behind.
    pub(crate) fn stale(&self) -> Duration {
        let lags = self.faults.values().filter_map(|fault| match fault {
            Fault::Stale { seconds, .. } => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        });
        lags.max().unwrap_or_default()
    }

    /// The failure of this answer, if the dice say so: status, code, and on which side it fails.
    pub(crate) fn failure(&self, action: &str, rng: &mut impl RngExt) -> Option<(u16, Option<String>, When)> {
        self.faults.values().find_map(|fault| match fault {
            Fault::Error { action: which, probability, status, code, when, .. }
                if about(which, action) && rng.random::<f64>() < *probability =>
            {
                Some((*status, code.clone(), *when))
            }
            _ => None,
        })
    }
}

fn about(which: &Option<String>, action: &str) -> bool {
    which.as_deref().is_none_or(|which| which == action)
}

fn meant(fault: &Fault, offer: &Offer) -> bool {
    matches!(fault, Fault::Capacity { zone, instance_type, market, .. }
        if (*zone == offer.zone || zone.as_str() == offer.region.as_str())
            && instance_type.as_ref().is_none_or(|name| *name == offer.instance_type.name)
            && market.contains(offer.market))
}

/// Whether a new fault takes the place of an old one: they are about the same thing.
fn replaces(new: &Fault, old: &Fault) -> bool {
    use Fault::*;
    match (new, old) {
        (
            Capacity { zone, instance_type, market, .. },
            Capacity { zone: z, instance_type: t, market: m, .. },
        ) => (zone, instance_type, market) == (z, t, m),
        (Throttle { action, .. }, Throttle { action: a, .. }) => action == a,
        (Quota { region, name, .. }, Quota { region: r, name: n, .. }) => (region, name) == (r, n),
        (
            SkuRestriction { region, instance_type, .. },
            SkuRestriction { region: r, instance_type: t, .. },
        ) => (region, instance_type) == (r, t),
        (Latency { action, .. }, Latency { action: a, .. }) => action == a,
        (Stale { .. }, Stale { .. }) => true,
        _ => false,
    }
}

/// Whether the fault only takes away an earlier one.
fn lifts(fault: &Fault) -> bool {
    match fault {
        Fault::Capacity { available, .. } => available.is_none(),
        Fault::Throttle { rps, .. } => rps.is_none(),
        Fault::Quota { limit, .. } => limit.is_none(),
        Fault::SkuRestriction { on, .. } => !on,
        Fault::Latency { ms, .. } => *ms == 0,
        Fault::Stale { seconds, .. } => *seconds == 0.0,
        Fault::Preempt { .. } | Fault::Error { .. } => false,
    }
}

impl Kernel {
    /// Lets something go wrong from now on. A fault about the same thing as an earlier one takes
    /// its place.
    ///
    /// # Errors
    /// `InvalidRequest` for a fault of another cloud, or one that names what there is not;
    /// `NotFound` when no spot instance is left that could be taken back.
    pub fn inject(&mut self, fault: Fault) -> Result<FaultId> {
        if let Some(cloud) = fault.cloud().filter(|cloud| *cloud != self.cloud()) {
            let message = format!("this world plays {}, the fault is for {cloud}", self.cloud());
            return Err(Error::new(ErrorKind::InvalidRequest, message).with("key", "cloud"));
        }
        fault.check(&self.setup.catalog)?;
        if let Fault::Preempt { instance_id, nth, count, notice_seconds, .. } = &fault {
            let lead = notice_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
            self.preempt(instance_id.as_deref(), *nth, *count, lead)?;
        }
        let detail = serde_json::to_string(&fault).unwrap_or_else(|_| fault.kind().to_owned());
        self.log(EventKind::Fault, About::Fault(detail.into()));
        let old: Vec<FaultId> =
            self.trouble.faults.iter().filter(|(_, old)| replaces(&fault, old)).map(|(id, _)| *id).collect();
        for id in old {
            self.lift(id);
        }
        self.trouble.count += 1;
        let id = FaultId(self.trouble.count);
        if lifts(&fault) || matches!(fault, Fault::Preempt { .. }) {
            return Ok(id);
        }
        match &fault {
            Fault::Throttle { rps, burst, action, .. } => {
                self.limits.set_throttle(action.as_deref(), *rps, *burst);
            }
            Fault::Quota { region, name, limit: Some(limit), .. } => {
                self.set_quota(region.as_str(), name, Some(*limit));
            }
            _ => {}
        }
        self.trouble.faults.insert(id, fault);
        Ok(id)
    }

    /// Lifts a fault; says whether it held.
    pub fn lift(&mut self, id: FaultId) -> bool {
        let Some(fault) = self.trouble.faults.remove(&id) else { return false };
        match &fault {
            Fault::Throttle { action, .. } => self.limits.set_throttle(action.as_deref(), None, None),
            Fault::Quota { region, name, .. } => self.set_quota(region.as_str(), name, None),
            _ => {}
        }
        self.log(EventKind::FaultLifted, About::Fault(fault.kind().into()));
        true
    }

    /// The faults that hold, by their id.
    pub fn faults(&self) -> impl Iterator<Item = (FaultId, &Fault)> {
        self.trouble.faults.iter().map(|(id, fault)| (*id, fault))
    }

    fn set_quota(&mut self, region: &str, name: &str, limit: Option<u32>) {
        let id = format!("{region}/{name}");
        let default = self.setup.catalog.quotas().get(id.as_str()).copied();
        if let (Some(quota), Some(limit)) = (self.quotas.get_mut(id.as_str()), limit.or(default)) {
            quota.limit = limit;
        }
    }
}
