use std::time::Duration;

use skyfleet_core::{InstanceState, Usd, UsdPerHour};

use super::{Actions, Billing, Codes, Extras, HOUR, MINUTE, Notice, Range, Rebalance, Rules, delay};
use crate::catalog::Cloud;

pub(super) fn aws() -> Rules {
    Rules {
        cloud: Cloud::Aws,
        boot: delay(6, 0.4),
        ready: delay(18, 0.3),
        stop: Range::seconds(30, 90),
        visible_after: Range::seconds(0, 3),
        ended_listed: HOUR,
        tags_kept: Some(10 * MINUTE),
        notice: Notice {
            lead: Duration::from_secs(120),
            short_share: 0.0,
            short: Range::seconds(120, 120),
            remote: true,
            state: InstanceState::Running,
        },
        rebalance: Some(Rebalance { probability: 0.5, lead: Range::seconds(0, 600) }),
        reason_capacity: "instance-terminated-no-capacity",
        reason_price: "instance-terminated-by-price",
        billing: Billing {
            minimum: MINUTE,
            free_if_reclaimed_within: Some(HOUR),
            states: &[InstanceState::Running],
        },
        extras: Extras {
            disk_gib_month: Usd::from_micros(80_000),
            disk_europe_percent: 110,
            disk_australia_percent: 120,
            disk_sizes_gib: &[],
            disk_gib_default: 8,
            address: UsdPerHour::from_micros(5_000),
            address_spot: UsdPerHour::from_micros(5_000),
        },
        address_stays: false,
        launch_max: 1_000,
        terminate_max: 1_000,
        page_size: 1_000,
        user_data_bytes_max: 16 * 1_024,
        token_kept: 24 * HOUR,
        all_or_nothing: true,
        native_expiry: false,
        price_max: true,
        capacity_scores: true,
        tells_sold_out: false,
        actions: Actions {
            firewall: "CreateSecurityGroup",
            template: "CreateLaunchTemplate",
            launch: "CreateFleet",
            list: "DescribeInstances",
            terminate: "TerminateInstances",
            offers: "DescribeInstanceTypeOfferings",
            prices: "DescribeSpotPriceHistory",
            scores: "GetSpotPlacementScores",
            quotas: "GetServiceQuota",
            preemptions: "DescribeSpotInstanceRequests",
            inventory: "DescribeTags",
            delete: "DeleteSecurityGroup",
        },
        codes: Codes {
            capacity_spot: "InsufficientInstanceCapacity",
            capacity_on_demand: "InsufficientInstanceCapacity",
            below_minimum: "UnfulfillableCapacity",
            quota_spot: "MaxSpotInstanceCountExceeded",
            quota_on_demand: "VcpuLimitExceeded",
            throttle: "RequestLimitExceeded",
            outage: "Unavailable",
            price_max: "SpotMaxPriceTooLow",
            not_in_zone: "Unsupported",
            restricted: "Unsupported",
            token_conflict: "IdempotentParameterMismatch",
            token_ended: "IdempotentInstanceTerminated",
            not_found: "InvalidInstanceID.NotFound",
            in_use: "DependencyViolation",
            invalid: "InvalidParameterValue",
        },
    }
}
