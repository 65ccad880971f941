//! What a doctor is asked, and what it found: whether a fleet could be had, said beforehand.
//!
//! The words are the same for every cloud; who examines one is its provider.

use std::fmt;

use serde::Serialize;

use crate::{Counts, Error, ErrorKind, Market, Region, Result, TypeName};

mod clock;
mod quotas;

pub use clock::milliseconds_since;
pub use quotas::QuotaNeeds;

/// The fleet that is to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only these regions; empty for all in scope.
    pub regions: Vec<Region>,
    /// Only these types; empty for any.
    pub instance_types: Vec<TypeName>,
    /// At least this many vCPUs on each machine.
    pub vcpus: u32,
    /// Whether each machine needs a GPU.
    pub gpu: bool,
    /// How many machines.
    pub count: u32,
    /// On which markets; empty for both.
    pub markets: Vec<Market>,
}

impl Wanted {
    /// The markets that the fleet may be bought on.
    pub fn markets(&self) -> Vec<Market> {
        match self.markets.as_slice() {
            [] => vec![Market::Spot, Market::OnDemand],
            markets => markets.to_vec(),
        }
    }

    /// Those of the regions in scope that the fleet would use; `name` is that of a region as its
    /// provider knows it.
    ///
    /// # Errors
    /// `InvalidRequest` when a region is wanted that is not in scope.
    pub fn regions_of<R>(&self, scope: Vec<R>, name: impl Fn(&R) -> &Region) -> Result<Vec<R>> {
        let is_there = |region: &Region| scope.iter().any(|known| name(known) == region);
        if let Some(unknown) = self.regions.iter().find(|region| !is_there(region)) {
            let known: Vec<&str> = scope.iter().map(|known| name(known).as_str()).collect();
            let message = format!("the region {unknown} is not in scope; in scope are {}", known.join(", "));
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let is_used = |region: &R| self.regions.is_empty() || self.regions.contains(name(region));
        Ok(scope.into_iter().filter(is_used).collect())
    }
}

/// What is to be thought of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not known, or not yet a problem.
    #[default]
    Unclear,
    /// A fleet would fail.
    Bad,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Unclear => "unclear",
            Self::Bad => "bad",
        })
    }
}

/// What the doctor found. Nothing was changed to find it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// The provider that was examined: `aws`, `gcp`.
    pub provider: &'static str,
    /// Who calls.
    pub identity: Option<Identity>,
    /// Why the cloud does not say who calls, when it refuses to: then nothing else was asked.
    pub refused: Option<String>,
    /// Whether the clock of this machine is right; `None` when no answer said the time.
    pub clock: Option<ClockHealth>,
    /// The cloud's services that a fleet needs, where an account has to switch them on.
    pub services: Vec<ServiceHealth>,
    /// The regions in scope.
    pub regions: Vec<RegionHealth>,
    /// How many machines the fleet needs.
    pub needed: u32,
    /// What is left of the quotas that the fleet would draw on.
    pub quotas: Vec<QuotaHealth>,
    /// The calls that a fleet makes.
    pub permissions: Vec<PermissionHealth>,
    /// What kept the doctor from looking further.
    pub problems: Vec<String>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The account or project that pays.
    pub account: String,
    /// The user, role or service account; empty when the cloud does not say.
    pub caller: String,
}

/// The clock of this machine beside the cloud's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClockHealth {
    /// Minutes are too many: what is signed on a wrong clock is refused.
    pub verdict: Verdict,
    /// By how many seconds this machine is ahead; negative when it is behind.
    pub ahead_s: i64,
}

/// A service of the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceHealth {
    /// Bad when a fleet needs it and it is off.
    pub verdict: Verdict,
    /// Its name.
    pub service: String,
    /// Whether it is on, and how to switch it on.
    pub detail: String,
}

/// A region in scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionHealth {
    /// A region that does not answer, or has no network for the fleet, is bad.
    pub verdict: Verdict,
    /// Its name.
    pub region: String,
    /// Whether it answered at all.
    pub answers: bool,
    /// How long one call took.
    pub milliseconds: u64,
    /// The network that a fleet would use.
    pub network: Option<String>,
    /// What is wrong.
    pub detail: String,
}

/// What is left of a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaHealth {
    /// Bad when all quotas of all regions together have no room for the fleet.
    pub verdict: Verdict,
    /// Its region, or `global`.
    pub region: String,
    /// Its code: `L-34B43A08`, `PREEMPTIBLE_CPUS`.
    pub code: String,
    /// What it is called, where that is not its code.
    pub name: String,
    /// The market that draws on it.
    pub market: Market,
    /// What it counts.
    pub counts: Counts,
    /// The account's limit; `None` when it is not known.
    pub limit: Option<u32>,
    /// What everybody in the account uses of it.
    pub used: u32,
    /// What the smallest machine of the fleet takes.
    pub machine: u32,
    /// How many such machines still fit; `None` when the limit is not known.
    pub machines: Option<u32>,
}

/// A call that a fleet makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PermissionHealth {
    /// Bad when the permission is missing.
    pub verdict: Verdict,
    /// As the cloud writes it: `ec2:CreateFleet`, `compute.instances.create`.
    pub action: String,
    /// Whether the call was sent as a dry run, since it would change something.
    pub dry_run: bool,
    /// What the cloud said, when it did not simply agree.
    pub detail: String,
}

impl PermissionHealth {
    /// Of a cloud that says beforehand what the caller may do. Without an `optional` permission a
    /// fleet is had all the same.
    pub fn told(action: &str, granted: std::result::Result<bool, &Error>, optional: bool) -> Self {
        let (verdict, detail) = match granted {
            Ok(true) => (Verdict::Good, String::new()),
            Ok(false) if optional => (Verdict::Unclear, "missing; a fleet is had without it".to_owned()),
            Ok(false) => (Verdict::Bad, "missing".to_owned()),
            Err(error) => (Verdict::Unclear, format!("not known: {}", error.message())),
        };
        Self { verdict, action: action.to_owned(), dry_run: false, detail }
    }
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What kind of thing it is: identity, clock, service, region, quota, permission, problem.
    pub area: &'static str,
    /// Which.
    pub subject: String,
    /// What was found.
    pub detail: String,
}

impl DoctorReport {
    /// The worst that was found.
    pub fn verdict(&self) -> Verdict {
        self.lines().into_iter().map(|line| line.verdict).max().unwrap_or_default()
    }

    /// Everything as rows of a table.
    pub fn lines(&self) -> Vec<Line> {
        let line = |verdict, area, subject: &str, detail: String| Line {
            verdict,
            area,
            subject: subject.to_owned(),
            detail,
        };
        let mut lines = Vec::new();
        if let Some(Identity { account, caller }) = &self.identity {
            lines.push(line(Verdict::Good, "identity", account, caller.clone()));
        }
        if let Some(reason) = &self.refused {
            lines.push(line(Verdict::Bad, "identity", self.provider, reason.clone()));
        }
        if let Some(clock) = &self.clock {
            let detail = match clock.ahead_s {
                0 => "as the cloud's".to_owned(),
                ahead @ 1.. => format!("{ahead} s ahead of the cloud's: set it"),
                behind => format!("{} s behind the cloud's: set it", behind.unsigned_abs()),
            };
            lines.push(line(clock.verdict, "clock", "this machine", detail));
        }
        for service in &self.services {
            lines.push(line(service.verdict, "service", &service.service, service.detail.clone()));
        }
        for region in &self.regions {
            let mut detail = match (region.answers, &region.network) {
                (true, Some(network)) => {
                    format!("answers in {} ms, network {network}", region.milliseconds)
                }
                (true, None) => format!("answers in {} ms", region.milliseconds),
                (false, _) => "does not answer".to_owned(),
            };
            if !region.detail.is_empty() {
                detail = format!("{detail}: {}", region.detail);
            }
            lines.push(line(region.verdict, "region", &region.region, detail));
        }
        for quota in &self.quotas {
            let (used, unit) = (quota.used, quota.counts);
            let room = match (quota.limit, quota.machines) {
                (Some(limit), Some(machines)) => format!(
                    "{used} of {limit} {unit} used: room for {machines} machines of {} {unit}, {} are needed",
                    quota.machine, self.needed
                ),
                _ => format!("{used} {unit} used, the limit is not known"),
            };
            let subject = format!("{}/{}", quota.region, quota.code);
            let detail = if quota.name.is_empty() { room } else { format!("{}: {room}", quota.name) };
            lines.push(line(quota.verdict, "quota", &subject, detail));
        }
        for permission in &self.permissions {
            let detail = match permission.verdict {
                Verdict::Good if permission.dry_run => "allowed (dry run)".to_owned(),
                Verdict::Good => "allowed".to_owned(),
                _ => permission.detail.clone(),
            };
            lines.push(line(permission.verdict, "permission", &permission.action, detail));
        }
        lines.extend(
            self.problems.iter().map(|problem| line(Verdict::Bad, "problem", self.provider, problem.clone())),
        );
        lines
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { verdict, area, subject, detail } in self.lines() {
            writeln!(f, "{verdict:<8} {area:<11} {subject:<36} {detail}")?;
        }
        Ok(())
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
            name: "All Standard Spot Instance Requests".to_owned(),
            market: Market::Spot,
            counts: Counts::Vcpus,
            limit,
            used: 0,
            machine: 2,
            machines: None,
        }
    }

    #[test]
    fn a_fleet_uses_the_regions_that_it_names_else_all_in_scope() {
        let regions = |names: &[&str]| names.iter().map(|name| Region::from(*name)).collect::<Vec<_>>();
        let used = |named: &[&str]| {
            let wanted = Wanted { regions: regions(named), ..Wanted::default() };
            wanted.regions_of(regions(&["east", "west"]), |region| region)
        };
        assert_eq!(used(&[]).unwrap(), regions(&["east", "west"]));
        assert_eq!(used(&["west"]).unwrap(), regions(&["west"]));
        let error = used(&["west", "mars"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("mars") && error.message().contains("east, west"), "{error}");
    }

    #[test]
    fn a_permission_that_is_missing_is_bad_unless_a_fleet_is_had_without_it() {
        let verdict = |granted, optional| PermissionHealth::told("x.y", granted, optional).verdict;
        let down = Error::new(ErrorKind::Unavailable, "down");
        assert_eq!(verdict(Ok(true), false), Verdict::Good);
        assert_eq!((verdict(Ok(false), false), verdict(Ok(false), true)), (Verdict::Bad, Verdict::Unclear));
        assert_eq!(verdict(Err(&down), false), Verdict::Unclear);
    }

    #[test]
    fn a_report_is_as_bad_as_the_worst_that_it_says() {
        let mut report = DoctorReport {
            provider: "aws",
            identity: Some(Identity {
                account: "123456789012".into(),
                caller: "arn:aws:iam::1:user/a".into(),
            }),
            clock: Some(ClockHealth { verdict: Verdict::Good, ahead_s: 0 }),
            ..DoctorReport::default()
        };
        assert_eq!(report.verdict(), Verdict::Good);
        report.quotas.push(quota(None));
        assert_eq!(report.verdict(), Verdict::Unclear);
        report.problems.push("no region answers".to_owned());
        assert_eq!(report.verdict(), Verdict::Bad);
        let text = report.to_string();
        assert!(text.contains("123456789012") && text.contains("no region answers"), "{text}");
        assert_eq!(DoctorReport::default().verdict(), Verdict::Unclear, "nothing was examined");
    }
}
