//! What the doctor found.

use std::fmt;

use serde::Serialize;
use skyfleet_core::Market;

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
    /// Who calls.
    pub identity: Option<Identity>,
    /// Why AWS does not say who calls, when it refuses to: then nothing else was asked.
    pub refused: Option<String>,
    /// Whether the clock of this machine is right; `None` when no answer said the time.
    pub clock: Option<ClockHealth>,
    /// The regions in scope.
    pub regions: Vec<RegionHealth>,
    /// How many machines the fleet needs.
    pub needed: u32,
    /// What is left of the quotas that the fleet would draw on.
    pub quotas: Vec<QuotaHealth>,
    /// The calls that a fleet makes, in the first region that answers.
    pub permissions: Vec<PermissionHealth>,
    /// What kept the doctor from looking further.
    pub problems: Vec<String>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

/// The clock of this machine beside Amazon's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClockHealth {
    /// Five minutes are too many: signatures are refused.
    pub verdict: Verdict,
    /// By how many seconds this machine is ahead; negative when it is behind.
    pub ahead_s: i64,
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
    /// The VPC that a fleet would use.
    pub network: Option<String>,
    /// What is wrong.
    pub detail: String,
}

/// What is left of a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaHealth {
    /// Bad when all quotas of all regions together have no room for the fleet.
    pub verdict: Verdict,
    /// Its region.
    pub region: String,
    /// Its code in Service Quotas.
    pub code: String,
    /// Its name there.
    pub name: String,
    /// The market that draws on it.
    pub market: Market,
    /// The account's limit; `None` when it is not known.
    pub limit_vcpus: Option<u32>,
    /// What everybody in the account uses of it.
    pub used_vcpus: u32,
    /// What the smallest machine of the fleet takes.
    pub machine_vcpus: u32,
    /// How many such machines still fit; `None` when the limit is not known.
    pub machines: Option<u32>,
}

/// A call that a fleet makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PermissionHealth {
    /// Bad when the permission is missing.
    pub verdict: Verdict,
    /// As IAM writes it: `ec2:CreateFleet`.
    pub action: String,
    /// Whether the call was sent as a dry run, since it would change something.
    pub dry_run: bool,
    /// What AWS said, when it did not simply agree.
    pub detail: String,
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What kind of thing it is: identity, clock, region, quota, permission, problem.
    pub area: &'static str,
    /// Which.
    pub subject: String,
    /// What was found.
    pub detail: String,
}

/// Judges each quota by all of them: a fleet may be spread over regions and markets.
pub(super) fn judge(quotas: &mut [QuotaHealth], needed: u32) {
    let known = quotas.iter().filter_map(|quota| quota.machines);
    let together: u64 = known.map(u64::from).sum();
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
        if let Some(Identity { account, arn }) = &self.identity {
            lines.push(line(Verdict::Good, "identity", account, arn.clone()));
        }
        if let Some(reason) = &self.refused {
            lines.push(line(Verdict::Bad, "identity", "aws", reason.clone()));
        }
        if let Some(clock) = &self.clock {
            let detail = match clock.ahead_s {
                0 => "as Amazon's".to_owned(),
                ahead @ 1.. => format!("{ahead} s ahead of Amazon's: set it"),
                behind => format!("{} s behind Amazon's: set it", -behind),
            };
            lines.push(line(clock.verdict, "clock", "this machine", detail));
        }
        for region in &self.regions {
            let mut detail = match (region.answers, &region.network) {
                (true, Some(vpc)) => format!("answers in {} ms, network {vpc}", region.milliseconds),
                (true, None) => format!("answers in {} ms", region.milliseconds),
                (false, _) => "does not answer".to_owned(),
            };
            if !region.detail.is_empty() {
                detail = format!("{detail}: {}", region.detail);
            }
            lines.push(line(region.verdict, "region", &region.region, detail));
        }
        for quota in &self.quotas {
            let room = match (quota.limit_vcpus, quota.machines) {
                (Some(limit), Some(machines)) => format!(
                    "{} of {limit} vCPUs used: room for {machines} machines of {} vCPUs, {} are needed",
                    quota.used_vcpus, quota.machine_vcpus, self.needed
                ),
                _ => format!("{} vCPUs used, the limit is not known", quota.used_vcpus),
            };
            let subject = format!("{}/{}", quota.region, quota.code);
            lines.push(line(quota.verdict, "quota", &subject, format!("{}: {room}", quota.name)));
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
            self.problems.iter().map(|problem| line(Verdict::Bad, "problem", "aws", problem.clone())),
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

    fn quota(machines: Option<u32>) -> QuotaHealth {
        QuotaHealth {
            verdict: Verdict::Unclear,
            region: "us-east-1".to_owned(),
            code: "L-34B43A08".to_owned(),
            name: "All Standard Spot Instance Requests".to_owned(),
            market: Market::Spot,
            limit_vcpus: machines.map(|machines| machines * 2),
            used_vcpus: 0,
            machine_vcpus: 2,
            machines,
        }
    }

    #[test]
    fn quotas_are_enough_when_all_of_them_together_are() {
        for (machines, needed, verdicts) in [
            (vec![Some(100)], 100, vec![Verdict::Good]),
            (vec![Some(99)], 100, vec![Verdict::Bad]),
            (vec![Some(60), Some(40)], 100, vec![Verdict::Good, Verdict::Good]),
            (vec![Some(60), Some(39)], 100, vec![Verdict::Bad, Verdict::Bad]),
            (vec![Some(60), None], 100, vec![Verdict::Unclear, Verdict::Unclear]),
            (vec![Some(0), Some(100)], 100, vec![Verdict::Good, Verdict::Good]),
        ] {
            let mut quotas: Vec<_> = machines.iter().map(|machines| quota(*machines)).collect();
            judge(&mut quotas, needed);
            let found: Vec<_> = quotas.iter().map(|quota| quota.verdict).collect();
            assert_eq!(found, verdicts, "{machines:?}");
        }
    }

    #[test]
    fn a_report_is_as_bad_as_the_worst_that_it_says() {
        let mut report = DoctorReport {
            identity: Some(Identity { account: "123456789012".into(), arn: "arn:aws:iam::1:user/a".into() }),
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
