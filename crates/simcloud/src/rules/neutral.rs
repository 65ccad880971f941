use std::time::Duration;

use skyfleet_core::{InstanceState, Usd, UsdPerHour};

use super::{Actions, Billing, Codes, Delay, Extras, HOUR, MINUTE, Notice, Range, Rules};
use crate::catalog::Cloud;

pub(super) fn neutral() -> Rules {
    Rules {
        cloud: Cloud::Neutral,
        boot: Delay::fixed(Duration::from_secs(10)),
        ready: Delay::fixed(Duration::from_secs(5)),
        stop: Range::seconds(5, 5),
        visible_after: Range::seconds(0, 0),
        ended_listed: 10 * MINUTE,
        tags_kept: None,
        notice: Notice {
            lead: Duration::from_secs(30),
            short_share: 0.0,
            short: Range::seconds(30, 30),
            remote: true,
            state: InstanceState::Running,
        },
        rebalance: None,
        reason_capacity: "no-capacity",
        reason_price: "price",
        billing: Billing {
            minimum: MINUTE,
            free_if_reclaimed_within: None,
            states: &[InstanceState::Running],
        },
        extras: Extras {
            disk_gib_month: Usd::from_micros(73_000),
            disk_europe_percent: 100,
            disk_australia_percent: 100,
            disk_sizes_gib: &[],
            disk_gib_default: 10,
            address: UsdPerHour::from_micros(5_000),
            address_spot: UsdPerHour::from_micros(5_000),
        },
        address_stays: true,
        launch_max: 10_000,
        terminate_max: 1_000,
        page_size: 1_000,
        user_data_bytes_max: 64 * 1_024,
        token_kept: 24 * HOUR,
        all_or_nothing: true,
        native_expiry: true,
        price_max: true,
        capacity_scores: true,
        tells_sold_out: true,
        actions: Actions {
            firewall: "firewall.create",
            template: "template.create",
            launch: "instances.launch",
            list: "instances.list",
            terminate: "instances.terminate",
            offers: "offers.list",
            prices: "prices.list",
            scores: "scores.list",
            quotas: "quotas.list",
            preemptions: "preemptions.list",
            inventory: "resources.list",
            delete: "resources.delete",
        },
        codes: Codes {
            capacity_spot: "no-capacity",
            capacity_on_demand: "no-capacity",
            below_minimum: "below-minimum",
            quota_spot: "quota-exceeded",
            quota_on_demand: "quota-exceeded",
            throttle: "rate-limited",
            outage: "unavailable",
            price_max: "price-above-maximum",
            not_in_zone: "not-sold-here",
            restricted: "restricted",
            token_conflict: "token-conflict",
            token_ended: "token-ended",
            not_found: "not-found",
            in_use: "in-use",
            invalid: "invalid",
        },
    }
}
