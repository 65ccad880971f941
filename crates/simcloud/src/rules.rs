use std::f64::consts::TAU;
use std::time::Duration;

use rand::RngExt;
use skyfleet_core::{Capability, InstanceState, Market, Usd, UsdPerHour, Zone};

use crate::catalog::Cloud;

mod aws;
mod azure;
mod gcp;
mod neutral;

/// How one cloud behaves, beyond what it sells: plain data. Where no vendor states a figure, the
/// comment says that it is ours.
///
/// Sources: "EC2 UG" is the EC2 user guide, "EC2 API" the EC2 service model and developer guide,
/// "GCE" the Compute Engine documentation and its v1 discovery document, "Azure" the Azure Virtual
/// Machines, Compute Fleet and Resource Manager documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Whose rules.
    pub cloud: Cloud,

    /// From an accepted launch to the state running. Ours, after published measurements: EC2 5 s
    /// (one, 2021), Azure 3.5 to 6.6 s until created and 20 s until the operation succeeds.
    pub boot: Delay,
    /// From running to the first command of the user data. Ours, after the same measurements.
    pub ready: Delay,
    /// From an accepted termination to the state terminated. Ours.
    pub stop: Range,
    /// How long a new instance may be missing from lists. EC2 API, "Eventual consistency"; the
    /// lengths are ours.
    pub visible_after: Range,
    /// How long a terminated instance stays in lists. EC2 UG: about an hour. GCE and Azure: not at
    /// all, a deleted instance answers 404 at once.
    pub ended_listed: Duration,
    /// How long a terminated instance keeps its tags. EC2 UG, "Terminate instances": they are
    /// removed before the instance vanishes; the length is ours. `None` where it keeps them.
    pub tags_kept: Option<Duration>,

    /// How a spot instance is told that it goes.
    pub notice: Notice,
    /// Advice ahead of a notice, where the cloud gives it.
    pub rebalance: Option<Rebalance>,
    /// The cloud's reason code of a reclaim for want of capacity.
    pub reason_capacity: &'static str,
    /// The same when the price rose above the instance's own limit.
    pub reason_price: &'static str,

    /// What counts as paid time, and from when on.
    pub billing: Billing,
    /// Boot disks and public addresses.
    pub extras: Extras,
    /// Whether a user may stop any spot instance. EC2 UG: only one that a reclaim stops too, as its
    /// request must be persistent. GCE, Spot VMs, and Azure, Spot VMs: any.
    pub stops_spot: bool,
    /// Whether an instance that has given its place up counts against its quotas all the same.
    /// Azure, Spot VMs: a deallocated one does, and so does any other ("Quotas": allocated and
    /// deallocated cores). EC2 and GCE: no.
    pub stop_keeps_quota: bool,
    /// Whether the public address of an instance is a thing of its own, which stays when nobody
    /// asked for its deletion. EC2 UG and GCE, external IP addresses: an automatic (ephemeral)
    /// address goes when its instance stops or ends, always.
    pub address_stays: bool,

    /// The most instances of one launch call. EC2 API: the 1,000 of the resource bucket, and the
    /// most that `MinTargetCapacity` takes. GCE: no figure is published; Slurm on Google Cloud
    /// has used 1,000 and 5,000. Azure, Compute Fleet launch mode: 10,000.
    pub launch_max: u32,
    /// The most instances of one call that ends instances. EC2 API: 1,000. GCE: one
    /// `instances.delete` each. Azure, bulk delete: 100.
    pub terminate_max: u32,
    /// The page size of lists. EC2 API `DescribeInstances`: 1,000; GCE: 500; Azure Resource Graph:
    /// 1,000.
    pub page_size: u32,
    /// The longest user data before any encoding. EC2 UG: 16 KB. GCE, metadata values: 256 KB.
    /// Azure, custom data: 65,535 bytes.
    pub user_data_bytes_max: usize,
    /// How long a token is remembered: on EC2 after its instances are gone (a day), on GCE after
    /// the request (an hour), on Azure as long as the fleet object stays (Compute Fleet launch
    /// mode: about five hours). The first two are ours.
    pub token_kept: Duration,
    /// Launches all or nothing: `MinTargetCapacity`, `minCount`, `minCapacity`.
    pub all_or_nothing: bool,
    /// Ends instances by itself: GCE `maxRunDuration`.
    pub native_expiry: bool,
    /// Takes a highest price per instance: EC2 `MaxPrice`, Azure `billingProfile.maxPrice`.
    pub price_max: bool,
    /// Says before a launch how likely capacity is: EC2 `GetSpotPlacementScores`, GCE
    /// `advice.capacity`, Azure placement scores.
    pub capacity_scores: bool,
    /// Says in its offers what is sold out or restricted: Azure `restrictions` of a size.
    pub tells_sold_out: bool,

    /// The names of the API calls, as [`ApiLimits`](crate::limits::ApiLimits) and the event log
    /// know them.
    pub actions: Actions,
    /// The cloud's error codes.
    pub codes: Codes,
}

/// A random time: lognormal, with some stragglers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Half of all take less.
    pub median: Duration,
    /// The standard deviation of the logarithm; 0 makes all alike.
    pub sigma: f64,
    /// The share of stragglers, 0 to 1.
    pub straggler_share: f64,
    /// How many times longer a straggler takes.
    pub straggler_factor: f64,
}

impl Delay {
    /// Always the same time.
    pub const fn fixed(time: Duration) -> Self {
        Self { median: time, sigma: 0.0, straggler_share: 0.0, straggler_factor: 1.0 }
    }

    /// One draw, in whole milliseconds. Draws from the generator the same number of times
    /// whatever comes out.
    pub fn draw(&self, rng: &mut impl RngExt) -> Duration {
        let (u, v, w): (f64, f64, f64) = (rng.random(), rng.random(), rng.random());
        let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos();
        let factor = if w < self.straggler_share { self.straggler_factor } else { 1.0 };
        let millis = self.median.as_secs_f64() * 1_000.0 * (self.sigma * normal).exp() * factor;
        Duration::from_millis(millis.round() as u64)
    }
}

/// A time drawn evenly between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub from: Duration,
    /// The most.
    pub to: Duration,
}

impl Range {
    /// Between two numbers of seconds.
    pub const fn seconds(from: u64, to: u64) -> Self {
        Self { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    /// One draw, in whole milliseconds.
    pub fn draw(&self, rng: &mut impl RngExt) -> Duration {
        let u: f64 = rng.random();
        let span = self.to.saturating_sub(self.from).as_secs_f64() * 1_000.0;
        self.from + Duration::from_millis((u * span).round() as u64)
    }
}

/// How a spot instance is told that it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Notice {
    /// The usual lead time. EC2 UG, spot interruptions: two minutes. GCE, Spot VMs: up to 30 s
    /// between the soft-off signal and the end. Azure, Scheduled Events: at least 30 s, best
    /// effort.
    pub lead: Duration,
    /// The share of notices that come later than that. Azure: often below 10 s in practice; 30 %
    /// is ours.
    pub short_share: f64,
    /// How long before the end those come.
    pub short: Range,
    /// Whether a caller outside the machine learns of it at once. EC2: yes, by the status of the
    /// spot request. GCE: yes, by the state STOPPING. Azure: no, not without an event
    /// subscription; the end is the first sign.
    pub remote: bool,
    /// The state that lists show meanwhile. EC2 and Azure: running. GCE: stopping.
    pub state: InstanceState,
}

impl Notice {
    /// The lead time of one reclaim. Draws from the generator twice whatever comes out.
    pub fn draw(&self, rng: &mut impl RngExt) -> Duration {
        let short = self.short.draw(rng);
        if rng.random::<f64>() < self.short_share { short } else { self.lead }
    }
}

/// Advice ahead of a notice. EC2 UG, rebalance recommendations: earlier than the notice, at the
/// same time, or never. The figures are ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rebalance {
    /// The share of reclaims that are announced this way.
    pub probability: f64,
    /// How long before the notice.
    pub lead: Range,
}

/// What counts as paid time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Billing {
    /// The least that is paid for one start. EC2 and GCE: 60 s. Azure: no minimum is stated, so a
    /// second.
    pub minimum: Duration,
    /// A spot instance that the cloud takes back this soon costs nothing. EC2, "Billing for
    /// interrupted Spot Instances": the first hour. GCE, Spot VMs: the first minute.
    pub free_if_reclaimed_within: Option<Duration>,
    /// Whether that time counts from the accepted start. GCE, Spot VMs: within a minute of its
    /// creation. EC2: from when it runs.
    pub free_counts_boot: bool,
    /// The states that cost money. EC2 and GCE: running only. Azure, "States and billing":
    /// running, and stopped unless deallocated.
    pub states: &'static [InstanceState],
}

impl Billing {
    /// The time that is paid of an instance that was in a billed state for `used`; `reclaimed`
    /// when the cloud took it back.
    pub fn paid(&self, used: Duration, reclaimed: bool) -> Duration {
        if used.is_zero() || reclaimed && self.free_if_reclaimed_within.is_some_and(|free| used < free) {
            return Duration::ZERO;
        }
        used.max(self.minimum)
    }
}

/// Boot disks and public addresses: what an instance costs beside itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extras {
    /// A GiB of boot disk for a month of 730 hours, in US regions. EC2 gp3 $0.08. GCE balanced
    /// $0.10. Azure standard SSD $0.075 (the 32 GiB disk costs $2.40).
    pub disk_gib_month: Usd,
    /// How many per cent of that it costs in Europe. EC2: gp3 is $0.088 in Ireland; the others
    /// are estimates.
    pub disk_europe_percent: u32,
    /// The same in Australia: estimates.
    pub disk_australia_percent: u32,
    /// The sizes that disks are sold in, ascending; a disk costs as much as the next of them.
    /// Azure only; empty where every GiB counts.
    pub disk_sizes_gib: &'static [u32],
    /// The boot disk of an image when nobody asks for another size, in GiB.
    pub disk_gib_default: u32,
    /// A public address of an on-demand instance. All three: $0.005 an hour.
    pub address: UsdPerHour,
    /// The same of a spot instance. GCE: half.
    pub address_spot: UsdPerHour,
}

impl Extras {
    /// What a boot disk of this size costs in a region.
    pub fn disk(&self, region: &str, gib: u32) -> UsdPerHour {
        let sold = self.disk_sizes_gib.iter().copied().find(|size| *size >= gib).unwrap_or(gib);
        let percent = match Continent::of(region) {
            Continent::America => 100,
            Continent::Europe => self.disk_europe_percent,
            Continent::Australia => self.disk_australia_percent,
        };
        let month = self.disk_gib_month.micros() * i64::from(sold) * i64::from(percent);
        UsdPerHour::from_micros((month + 36_500) / 73_000)
    }

    /// What a public address costs.
    pub fn address(&self, market: Market) -> UsdPerHour {
        match market {
            Market::Spot => self.address_spot,
            Market::OnDemand => self.address,
        }
    }
}

/// Where a region of the catalogues lies, as far as prices follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continent {
    America,
    Europe,
    Australia,
}

impl Continent {
    pub(crate) fn of(region: &str) -> Self {
        if region.contains("eu-") || region.contains("europe") {
            Self::Europe
        } else if region.contains("ap-") || region.contains("australia") {
            Self::Australia
        } else {
            Self::America
        }
    }
}

/// The names of the API calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// Makes the firewall that a fleet needs.
    pub firewall: &'static str,
    /// Makes the template (or, on Azure, the resource group) that a fleet needs.
    pub template: &'static str,
    /// Launches in bulk.
    pub launch: &'static str,
    /// Lists instances.
    pub list: &'static str,
    /// Ends instances.
    pub terminate: &'static str,
    /// Lists what is sold.
    pub offers: &'static str,
    /// Gives spot prices.
    pub prices: &'static str,
    /// Gives placement scores.
    pub scores: &'static str,
    /// Gives quotas.
    pub quotas: &'static str,
    /// Tells of preemptions.
    pub preemptions: &'static str,
    /// Lists other resources.
    pub inventory: &'static str,
    /// Deletes other resources.
    pub delete: &'static str,
}

/// The cloud's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// No room in the pool, spot.
    pub capacity_spot: &'static str,
    /// No room in the pool, on-demand.
    pub capacity_on_demand: &'static str,
    /// The minimum count cannot be met, so nothing was kept.
    pub below_minimum: &'static str,
    /// A spot quota is full.
    pub quota_spot: &'static str,
    /// An on-demand quota is full.
    pub quota_on_demand: &'static str,
    /// Too many calls.
    pub throttle: &'static str,
    /// The cloud failed.
    pub outage: &'static str,
    /// The spot price is above the highest price of the request.
    pub price_max: &'static str,
    /// The type is not sold in that zone.
    pub not_in_zone: &'static str,
    /// The type may not be used by this account there.
    pub restricted: &'static str,
    /// The token was used with another request.
    pub token_conflict: &'static str,
    /// The token's instances are gone.
    pub token_ended: &'static str,
    /// There is no such thing.
    pub not_found: &'static str,
    /// It is still in use.
    pub in_use: &'static str,
    /// A parameter is wrong.
    pub invalid: &'static str,
}

impl Codes {
    /// The code of an empty pool.
    pub fn capacity(&self, market: Market) -> &'static str {
        match market {
            Market::Spot => self.capacity_spot,
            Market::OnDemand => self.capacity_on_demand,
        }
    }

    /// The code of a full quota.
    pub fn quota(&self, market: Market) -> &'static str {
        match market {
            Market::Spot => self.quota_spot,
            Market::OnDemand => self.quota_on_demand,
        }
    }
}

/// Prints, on a process-backed instance, its own id: the world sets the variable.
pub const INSTANCE_ID_COMMAND: &str = r#"printf %s "$SKYFLEET_INSTANCE_ID""#;

impl Rules {
    /// The rules of a cloud.
    pub fn of(cloud: Cloud) -> Self {
        match cloud {
            Cloud::Neutral => neutral::neutral(),
            Cloud::Aws => aws::aws(),
            Cloud::Gcp => gcp::gcp(),
            Cloud::Azure => azure::azure(),
        }
    }

    /// What a provider over this world declares.
    pub fn capability(&self) -> Capability {
        Capability {
            spot: true,
            price_max: self.price_max,
            all_or_nothing: self.all_or_nothing,
            native_expiry: self.native_expiry,
            notice: self.notice.remote.then_some(self.notice.lead),
            capacity_scores: self.capacity_scores,
            quotas: true,
            launch_max: self.launch_max,
            user_data_bytes_max: self.user_data_bytes_max,
            instance_id_command: INSTANCE_ID_COMMAND,
            shares_files: true,
        }
    }

    /// The cloud's own id of the world's instance number `number`, in the cloud's shape:
    /// `i-0123456789abcdef0`, `zones/Z/instances/NAME`, an ARM id, `sim-000001`. `group` is what
    /// names are made of on GCE and Azure (lower-case letters, digits, `-`). Different numbers
    /// give different ids.
    pub fn instance_id(&self, seed: u64, number: u64, zone: &Zone, group: &str) -> String {
        match self.cloud {
            Cloud::Neutral => format!("sim-{number:06}"),
            Cloud::Aws => format!("i-0{:016x}", mix(number ^ mix(seed))),
            Cloud::Gcp => format!("zones/{zone}/instances/{group}-{number:04}"),
            Cloud::Azure => format!(
                "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/{group}\
                 /providers/Microsoft.Compute/virtualMachines/{group}-{number:04}"
            ),
        }
    }
}

/// A well mixed one-to-one function (the finalizer of SplitMix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// One in a hundred takes five times as long: ours.
fn delay(median_s: u64, sigma: f64) -> Delay {
    Delay { median: Duration::from_secs(median_s), sigma, straggler_share: 0.01, straggler_factor: 5.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ApiLimits;
    use rand::SeedableRng;
    use rand_pcg::Pcg64;
    use skyfleet_core::Timestamp;
    use std::collections::BTreeSet;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn boots_are_lognormal_with_a_few_stragglers() {
        let boot = Rules::of(Cloud::Gcp).boot;
        let mut rng = Pcg64::seed_from_u64(1);
        let mut times: Vec<f64> = (0..20_000).map(|_| boot.draw(&mut rng).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let quantile = |q: f64| times[(q * 20_000.0) as usize];
        assert!((8.7..9.3).contains(&quantile(0.5)), "{}", quantile(0.5));
        // One standard deviation up: 9 s * e^0.4 = 13.4 s.
        assert!((12.8..14.2).contains(&quantile(0.841)), "{}", quantile(0.841));
        let slow = times.iter().filter(|time| **time > 30.0).count();
        assert!((120..260).contains(&slow), "{slow} of 20,000 are stragglers");
        assert_eq!(Rules::of(Cloud::Neutral).boot.draw(&mut rng), secs(10));
    }

    #[test]
    fn azure_cuts_a_third_of_its_notices_short_and_ec2_none() {
        let mut rng = Pcg64::seed_from_u64(2);
        let mut short = |cloud, lead| {
            let notice = Rules::of(cloud).notice;
            (0..10_000).filter(|_| notice.draw(&mut rng) < lead).count()
        };
        assert!((2_800..3_200).contains(&short(Cloud::Azure, secs(30))));
        assert_eq!(short(Cloud::Aws, secs(120)), 0);
    }

    #[test]
    fn only_those_who_announce_an_end_to_the_outside_declare_a_notice() {
        let notice = |cloud| Rules::of(cloud).capability().notice;
        assert_eq!(notice(Cloud::Aws), Some(secs(120)));
        assert_eq!(notice(Cloud::Gcp), Some(secs(30)));
        assert_eq!(notice(Cloud::Azure), None);
        assert_eq!(notice(Cloud::Neutral), Some(secs(30)));
    }

    #[test]
    fn minimums_and_free_cases_are_the_clouds_own() {
        for (cloud, used, reclaimed, paid) in [
            (Cloud::Aws, 5, false, 60),
            (Cloud::Aws, 3_599, true, 0),
            (Cloud::Aws, 3_600, true, 3_600),
            (Cloud::Gcp, 59, true, 0),
            (Cloud::Gcp, 61, true, 61),
            (Cloud::Gcp, 30, false, 60),
            (Cloud::Azure, 30, true, 30),
            (Cloud::Azure, 1, false, 1),
            (Cloud::Aws, 0, false, 0),
        ] {
            let billing = Rules::of(cloud).billing;
            assert_eq!(billing.paid(secs(used), reclaimed), secs(paid), "{cloud} {used} {reclaimed}");
        }
    }

    #[test]
    fn disks_and_addresses_cost_what_the_price_lists_say() {
        let disk = |cloud, region, gib| Rules::of(cloud).extras.disk(region, gib).micros();
        assert_eq!(disk(Cloud::Aws, "us-east-1", 100), 10_959); // $8.00 a month
        assert_eq!(disk(Cloud::Aws, "eu-west-1", 100), 12_055); // $8.80
        assert_eq!(disk(Cloud::Azure, "eastus", 30), 3_288); // a 32 GiB disk: $2.40
        assert_eq!(disk(Cloud::Azure, "eastus", 32), disk(Cloud::Azure, "eastus", 17));
        assert_eq!(disk(Cloud::Neutral, "sim-east", 10), 1_000);
        let gcp = Rules::of(Cloud::Gcp).extras;
        assert_eq!(
            (gcp.address(Market::Spot).micros(), gcp.address(Market::OnDemand).micros()),
            (2_500, 5_000)
        );
    }

    #[test]
    fn ids_have_the_clouds_shape_and_never_repeat() {
        let id = |cloud, number| Rules::of(cloud).instance_id(7, number, &"us-east1-b".into(), "ada-words");
        assert_eq!(id(Cloud::Neutral, 12), "sim-000012");
        assert_eq!(id(Cloud::Gcp, 12), "zones/us-east1-b/instances/ada-words-0012");
        assert!(id(Cloud::Azure, 12).ends_with("/virtualMachines/ada-words-0012"));
        let aws: BTreeSet<String> = (0..10_000).map(|number| id(Cloud::Aws, number)).collect();
        assert_eq!(aws.len(), 10_000);
        for id in aws.iter().take(10) {
            let hex = id.strip_prefix("i-").expect("an EC2 id");
            assert!(hex.len() == 17 && hex.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
        }
    }

    #[test]
    fn a_launch_as_large_as_the_rules_allow_passes_the_clouds_own_rate_limits() {
        for cloud in Cloud::ALL {
            let (rules, mut limits) = (Rules::of(cloud), ApiLimits::of(cloud));
            let now = Timestamp::UNIX_EPOCH;
            limits.admit(rules.actions.launch, "r", rules.launch_max, now).unwrap();
            limits.admit(rules.actions.terminate, "r", rules.terminate_max, now).unwrap();
            assert_eq!(rules.cloud, cloud);
        }
    }
}
