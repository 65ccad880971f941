use std::collections::{BTreeMap, BTreeSet};

use super::{QuotaHealth, Verdict};
use crate::{Counts, Market, QuotaId, Signal};

/// What the machines that a fleet may be made of draw on.
#[derive(Clone, Debug, Default)]
pub struct QuotaNeeds {
    /// For every way to get a machine: its quotas, with how much it takes of each.
    ways: Vec<Vec<(QuotaId, u32)>>,
    /// Of each quota, the market that draws on it, and what the smallest machine takes.
    least: BTreeMap<QuotaId, (Market, u32)>,
}

impl QuotaNeeds {
    /// Adds a way to get a machine: on a market, drawing on these quotas with so much of each.
    pub fn add(&mut self, market: Market, draws: impl IntoIterator<Item = (QuotaId, u32)>) {
        let draws: Vec<(QuotaId, u32)> = draws.into_iter().collect();
        for (quota, units) in &draws {
            let (_, machine) = self.least.entry(quota.clone()).or_insert((market, *units));
            *machine = (*machine).min(*units);
        }
        self.ways.push(draws);
    }

    /// All quotas that are drawn on.
    pub fn quotas(&self) -> BTreeSet<QuotaId> {
        self.least.keys().cloned().collect()
    }

    /// How many of `needed` machines fit into what the signals say is left of each quota. `words`
    /// says of a quota's code what it is called, if that is not its code, and what it counts.
    pub fn judge(
        mut self,
        signals: Vec<Signal>,
        needed: u32,
        words: impl Fn(&str) -> (String, Counts),
    ) -> Vec<QuotaHealth> {
        let (mut places, mut found) = (BTreeMap::new(), Vec::new());
        for signal in signals {
            let Signal::Quota { id, limit, used } = signal else { continue };
            let (Some((region, code)), Some((market, machine))) =
                (id.as_str().split_once('/'), self.least.get(&id))
            else {
                continue;
            };
            let (name, counts) = words(code);
            found.push(QuotaHealth {
                verdict: Verdict::Unclear,
                region: region.to_owned(),
                code: code.to_owned(),
                name,
                market: *market,
                counts,
                limit,
                used,
                machine: (*machine).max(1),
                machines: None,
            });
            places.insert(id, found.len() - 1);
        }
        // The most machines fit when the smallest come first.
        self.ways.sort_by_key(|draws| draws.iter().map(|(_, units)| *units).max());
        let place = |(id, units): &(QuotaId, u32)| Some((*places.get(id)?, *units));
        let kinds: Vec<Vec<(usize, u32)>> =
            self.ways.iter().map(|draws| draws.iter().filter_map(place).collect()).collect();
        judge(&mut found, &kinds, needed);
        found
    }
}

impl QuotaHealth {
    fn left(&self) -> Option<u32> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

/// Judges each quota by all of them: a fleet may be spread over regions and markets.
///
/// `kinds` are the kinds of machine that the fleet may be made of: for each, the places in `quotas`
/// of all that one such machine draws on, with how much of each it takes. Fills in `machines` and
/// `verdict`.
fn judge(quotas: &mut [QuotaHealth], kinds: &[Vec<(usize, u32)>], needed: u32) {
    for quota in &mut *quotas {
        quota.machines = quota.left().map(|left| left / quota.machine.max(1));
    }
    // As many of each kind as fit, one kind after another.
    let mut left: Vec<Option<u32>> = quotas.iter().map(QuotaHealth::left).collect();
    let mut together = 0u64;
    for draws in kinds {
        let known = draws.iter().filter_map(|(place, units)| Some(left[*place]? / units.max(&1)));
        // Of a kind whose limits are all unknown, nothing can be counted on.
        let Some(fit) = known.min() else { continue };
        for (place, units) in draws {
            left[*place] = left[*place].map(|left| left - fit * units);
        }
        together += u64::from(fit);
    }
    let all_known = quotas.iter().all(|quota| quota.machines.is_some());
    for quota in quotas {
        quota.verdict = match quota.machines {
            None => Verdict::Unclear,
            Some(machines) if machines >= needed => Verdict::Good,
            Some(_) if together >= u64::from(needed) => Verdict::Good,
            Some(_) if !all_known => Verdict::Unclear,
            Some(_) => Verdict::Bad,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit: Option<u32>) -> QuotaHealth {
        QuotaHealth {
            verdict: Verdict::Unclear,
            region: "us-east-1".to_owned(),
            code: "L-34B43A08".to_owned(),
            name: String::new(),
            market: Market::Spot,
            counts: Counts::Vcpus,
            limit,
            used: 0,
            machine: 2,
            machines: None,
        }
    }

    #[test]
    fn quotas_are_enough_when_all_of_them_together_are() {
        for (limits, needed, verdicts) in [
            (vec![Some(200)], 100, vec![Verdict::Good]),
            (vec![Some(199)], 100, vec![Verdict::Bad]),
            (vec![Some(120), Some(80)], 100, vec![Verdict::Good, Verdict::Good]),
            (vec![Some(120), Some(79)], 100, vec![Verdict::Bad, Verdict::Bad]),
            (vec![Some(120), None], 100, vec![Verdict::Unclear, Verdict::Unclear]),
            (vec![Some(0), Some(200)], 100, vec![Verdict::Good, Verdict::Good]),
        ] {
            let mut quotas: Vec<_> = limits.iter().map(|limit| quota(*limit)).collect();
            let kinds: Vec<_> = (0..quotas.len()).map(|place| vec![(place, 2)]).collect();
            judge(&mut quotas, &kinds, needed);
            let found: Vec<_> = quotas.iter().map(|quota| quota.verdict).collect();
            assert_eq!(found, verdicts, "{limits:?}");
        }
    }

    #[test]
    fn a_machine_that_draws_on_several_quotas_needs_room_in_all() {
        // Two regions with room for 60 each, and a global quota with room for 100.
        let mut quotas = vec![quota(Some(120)), quota(Some(120)), quota(Some(200))];
        let kinds = [vec![(0, 2), (2, 2)], vec![(1, 2), (2, 2)]];
        judge(&mut quotas, &kinds, 100);
        assert!(quotas.iter().all(|quota| quota.verdict == Verdict::Good), "{quotas:?}");
        judge(&mut quotas, &kinds, 101);
        assert!(quotas.iter().all(|quota| quota.verdict == Verdict::Bad), "{quotas:?}");
        quotas[2].limit = Some(400);
        judge(&mut quotas, &kinds, 120);
        assert!(quotas.iter().all(|quota| quota.verdict == Verdict::Good), "{quotas:?}");
        assert_eq!(quotas[2].machines, Some(200));
        judge(&mut quotas, &kinds, 121);
        let verdicts: Vec<_> = quotas.iter().map(|quota| quota.verdict).collect();
        assert_eq!(verdicts, [Verdict::Bad, Verdict::Bad, Verdict::Good], "the global one has room");
    }

    #[test]
    fn a_large_type_that_is_named_first_takes_no_room_from_a_small_one() {
        let mut needs = QuotaNeeds::default();
        let regions = ["eastus/cores", "westus/cores"].map(QuotaId::from);
        for (quota, units) in [(0, 16), (0, 2), (1, 16), (1, 2)] {
            needs.add(Market::OnDemand, [(regions[quota].clone(), units)]);
        }
        assert_eq!(needs.quotas(), regions.clone().into());
        let signals: Vec<Signal> =
            regions.map(|id| Signal::Quota { id, limit: Some(110), used: 10 }).to_vec();
        let words = |code: &str| (format!("all {code}"), Counts::Vcpus);
        let told = needs.clone().judge(signals.clone(), 100, words);
        let seen: Vec<_> =
            told.iter().map(|q| (q.region.as_str(), q.machine, q.machines, q.verdict)).collect();
        let good = |region| (region, 2, Some(50), Verdict::Good);
        assert_eq!(seen, [good("eastus"), good("westus")]);
        assert_eq!((told[0].code.as_str(), told[0].name.as_str()), ("cores", "all cores"));
        assert!(needs.judge(signals, 101, words).iter().all(|quota| quota.verdict == Verdict::Bad));
    }
}
