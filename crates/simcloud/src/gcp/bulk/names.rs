//! The names of the instances of one bulk insert.

use std::ops::Bound;
use std::sync::Arc;

use skyfleet_core::Zone;

use crate::gcp::bulk::request::Wanted;
use crate::gcp::error::invalid;
use crate::gcp::instances::insert::{check_name, is_taken};
use crate::gcp::launched::{existing, name_of};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// Discovery document, `namePattern`: so many digits at most.
const DIGITS_MAX: usize = 18;

/// The name of an instance that was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) name: Arc<str>,
    pub(crate) hostname: Option<String>,
    /// Where an instance has this name already.
    pub(crate) taken: Option<Zone>,
}

/// As many names as instances: those of the caller's own first, then those of the pattern.
///
/// # Errors
/// `invalid` for names and patterns that are none.
pub(crate) fn choose(
    kernel: &Kernel,
    state: &State,
    wanted: &Wanted,
    scope: &Scope,
) -> Result<Vec<Chosen>, Refusal> {
    let zones = match scope {
        Scope::Zone(zone) => vec![zone.clone()],
        Scope::Region(region) => kernel.zones(region.as_str()),
        Scope::Global => Vec::new(),
    };
    let mut chosen: Vec<Chosen> = Vec::with_capacity(wanted.count as usize);
    for (name, hostname) in &wanted.named {
        check_name("resource.perInstanceProperties", name)?;
        let taken = zones.iter().find(|zone| is_taken(kernel, state, zone, name)).cloned();
        let (name, hostname) = (name.as_str().into(), hostname.clone());
        if chosen.iter().any(|other| other.name == name) {
            return Err(invalid("resource.perInstanceProperties", &name, "The name is there twice."));
        }
        chosen.push(Chosen { name, hostname, taken });
    }
    let Some(pattern) = &wanted.pattern else { return Ok(chosen) };
    let pattern = Pattern::read(pattern)?;
    let mut number = zones.iter().filter_map(|zone| pattern.highest(kernel, state, zone)).max().unwrap_or(0);
    while chosen.len() < wanted.count as usize {
        number += 1;
        let name: Arc<str> = pattern.name(number)?.into();
        check_name("resource.namePattern", &name)?;
        if !chosen.iter().take(wanted.named.len()).any(|other| other.name == name) {
            chosen.push(Chosen { name, hostname: None, taken: None });
        }
    }
    Ok(chosen)
}

/// `run-####-x`.
struct Pattern<'a> {
    text: &'a str,
    before: &'a str,
    after: &'a str,
    digits: usize,
}

impl<'a> Pattern<'a> {
    fn read(text: &'a str) -> Result<Self, Refusal> {
        let bad = |why: &str| Err(invalid("resource.namePattern", text, why));
        let (Some(first), Some(last)) = (text.find('#'), text.rfind('#')) else {
            return bad("It must have a sequence of #.");
        };
        let digits = last + 1 - first;
        if text[first..=last].bytes().any(|byte| byte != b'#') {
            return bad("It must have one continuous sequence of #.");
        }
        if digits > DIGITS_MAX {
            return bad(&format!("The sequence of # has at most {DIGITS_MAX}."));
        }
        Ok(Self { text, before: &text[..first], after: &text[last + 1..], digits })
    }

    fn name(&self, number: u64) -> Result<String, Refusal> {
        let Self { text, before, after, digits } = self;
        let number = format!("{number:0digits$}");
        if number.len() > *digits {
            let why = "The pattern has no room for as many names, after those that there are.";
            return Err(invalid("resource.namePattern", text, why));
        }
        Ok(format!("{before}{number}{after}"))
    }

    fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.before)?.strip_suffix(self.after)?;
        let all = digits.len() == self.digits && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| all)
    }

    /// The highest number among the instances of a zone.
    fn highest(&self, kernel: &Kernel, state: &State, zone: &Zone) -> Option<u64> {
        let prefix = format!("zones/{zone}/instances/{}", self.before);
        let ids = kernel.by_id.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        let ids = ids.map(|(id, _)| id).take_while(|id| id.starts_with(&prefix));
        let there = ids.filter_map(|id| {
            let name = name_of(id);
            let number = self.number(name)?;
            existing(kernel, zone, name).map(|_| number)
        });
        let flashes = state.launched.flashes().filter(|flash| flash.offer.zone == *zone);
        there.chain(flashes.filter_map(|flash| self.number(&flash.name))).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_one_run_of_signs() {
        let pattern = Pattern::read("run42-####-x").unwrap();
        assert_eq!(pattern.name(7).unwrap(), "run42-0007-x");
        assert_eq!((pattern.number("run42-0007-x"), pattern.number("run42-7-x")), (Some(7), None));
        assert!(pattern.name(10_000).is_err());
        for bad in ["run42", "a-#-#", "a-###################"] {
            assert!(Pattern::read(bad).is_err(), "{bad}");
        }
    }
}
