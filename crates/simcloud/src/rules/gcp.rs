use std::time::Duration;

use skyfleet_core::{InstanceState, Usd, UsdPerHour};

use super::{Actions, Billing, Codes, Extras, HOUR, MINUTE, Notice, Range, Rules, delay};
use crate::catalog::Cloud;

pub(super) fn gcp() -> Rules {
    Rules {
        cloud: Cloud::Gcp,
        boot: delay(9, 0.4),
        ready: delay(14, 0.3),
        stop: Range::seconds(15, 60),
        visible_after: Range::seconds(0, 1),
        ended_listed: Duration::ZERO,
        tags_kept: None,
        notice: Notice {
            lead: Duration::from_secs(30),
            short_share: 0.1,
            short: Range::seconds(5, 30),
            remote: true,
            state: InstanceState::Stopping,
        },
        rebalance: None,
        reason_capacity: "compute.instances.preempted",
        reason_price: "compute.instances.preempted",
        billing: Billing {
            minimum: MINUTE,
            free_if_reclaimed_within: Some(MINUTE),
            states: &[InstanceState::Running],
        },
        extras: Extras {
            disk_gib_month: Usd::from_micros(100_000),
            disk_europe_percent: 110,
            disk_australia_percent: 135,
            disk_sizes_gib: &[],
            disk_gib_default: 10,
            address: UsdPerHour::from_micros(5_000),
            address_spot: UsdPerHour::from_micros(2_500),
        },
        address_stays: true,
        launch_max: 1_000,
        terminate_max: 1,
        page_size: 500,
        user_data_bytes_max: 256 * 1_024,
        token_kept: HOUR,
        all_or_nothing: true,
        native_expiry: true,
        price_max: false,
        capacity_scores: true,
        tells_sold_out: false,
        actions: Actions {
            firewall: "firewalls.insert",
            template: "instanceTemplates.insert",
            launch: "regionInstances.bulkInsert",
            list: "instances.aggregatedList",
            terminate: "instances.delete",
            offers: "machineTypes.aggregatedList",
            prices: "skus.list",
            scores: "advice.capacity",
            quotas: "regions.get",
            preemptions: "instances.aggregatedList",
            inventory: "disks.aggregatedList",
            delete: "firewalls.delete",
        },
        codes: Codes {
            capacity_spot: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            capacity_on_demand: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            below_minimum: "VM_MIN_COUNT_NOT_REACHED",
            quota_spot: "QUOTA_EXCEEDED",
            quota_on_demand: "QUOTA_EXCEEDED",
            throttle: "rateLimitExceeded",
            outage: "backendError",
            price_max: "invalid",
            not_in_zone: "notFound",
            restricted: "notFound",
            token_conflict: "invalid",
            token_ended: "invalid",
            not_found: "notFound",
            in_use: "resourceInUseByAnotherResource",
            invalid: "invalid",
        },
    }
}
