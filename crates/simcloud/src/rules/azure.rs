use std::time::Duration;

use skyfleet_core::{InstanceState, Usd, UsdPerHour};

use super::{Actions, Billing, Codes, Delay, Extras, HOUR, Notice, Range, Rules, delay};
use crate::catalog::Cloud;

pub(super) fn azure() -> Rules {
    Rules {
        cloud: Cloud::Azure,
        // Azure documentation, "Compute Fleet", launch mode: a request takes a couple of minutes, with
        // its stragglers.
        boot: Delay { straggler_factor: 2.5, ..delay(20, 0.3) },
        ready: delay(15, 0.3),
        stop: Range::seconds(30, 120),
        visible_after: Range::seconds(0, 5),
        ended_listed: Duration::ZERO,
        tags_kept: None,
        notice: Notice {
            lead: Duration::from_secs(30),
            short_share: 0.3,
            short: Range::seconds(0, 30),
            remote: false,
            state: InstanceState::Running,
        },
        rebalance: None,
        reason_capacity: "Preempt",
        reason_price: "Preempt",
        billing: Billing {
            minimum: Duration::from_secs(1),
            free_if_reclaimed_within: None,
            free_counts_boot: false,
            states: &[InstanceState::Running, InstanceState::Stopped],
        },
        extras: Extras {
            disk_gib_month: Usd::from_micros(75_000),
            disk_europe_percent: 110,
            disk_australia_percent: 125,
            disk_sizes_gib: &[4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_767],
            disk_gib_default: 30,
            address: UsdPerHour::from_micros(5_000),
            address_spot: UsdPerHour::from_micros(5_000),
        },
        stops_spot: true,
        stop_keeps_quota: true,
        address_stays: true,
        launch_max: 10_000,
        terminate_max: 100,
        page_size: 1_000,
        user_data_bytes_max: 65_535,
        token_kept: 5 * HOUR,
        all_or_nothing: true,
        native_expiry: false,
        price_max: true,
        capacity_scores: true,
        tells_sold_out: true,
        actions: Actions {
            firewall: "networkSecurityGroups.PUT",
            template: "resourceGroups.PUT",
            launch: "fleets.PUT",
            list: "virtualMachines.LIST",
            terminate: "virtualMachinesExecuteDelete.POST",
            offers: "skus.LIST",
            prices: "retailPrices.LIST",
            scores: "placementScores.POST",
            quotas: "usages.LIST",
            preemptions: "virtualMachines.LIST",
            inventory: "resources.LIST",
            delete: "resourceGroups.DELETE",
        },
        codes: Codes {
            capacity_spot: "SkuNotAvailable",
            capacity_on_demand: "ZonalAllocationFailed",
            below_minimum: "AllocationFailed",
            quota_spot: "OperationNotAllowed",
            quota_on_demand: "OperationNotAllowed",
            throttle: "SubscriptionRequestsThrottled",
            outage: "InternalServerError",
            price_max: "SpotPriceGreaterThanProvidedMaxPrice",
            not_in_zone: "SkuNotAvailable",
            restricted: "SkuNotAvailable",
            token_conflict: "PropertyChangeNotAllowed",
            token_ended: "ResourceNotFound",
            not_found: "ResourceNotFound",
            in_use: "InUseSubnetCannotBeDeleted",
            invalid: "InvalidParameter",
        },
    }
}
