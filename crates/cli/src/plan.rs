//! `skyfleet plan`: what `up` would buy, and what it would cost at most.

use serde_json::{Value, json};
use skyfleet::{Cost, Plan};
use skyfleet_core::{Usd, UsdPerHour};

use crate::args::{Common, PlanArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Rows, counted, usd};
use crate::settings::{self, Changes};

pub(crate) async fn plan(common: &Common, args: PlanArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut changes = Changes::default();
    changes.need(&args.need);
    changes.fleet(&args.fleet);
    let fleet = settings::open(common, changes)?;
    let plan = fleet.plan().await?;
    if output.json {
        output.document(&plan_json(&plan))?;
        return Ok(Exit::Ok);
    }
    print(&plan, output)?;
    output.line("nothing was bought; `skyfleet up` with the same flags buys it")?;
    Ok(Exit::Ok)
}

/// The lots and what they cost.
pub(crate) fn print(plan: &Plan, output: &mut Output) -> Result<(), Failure> {
    let mut rows = Rows::new(
        &["lot", "region", "market", "instances", "type", "zone", "price max"],
        &["lot", "instances", "price max"],
    );
    for (number, lot) in plan.lots.iter().enumerate() {
        // Pools that are only there to fall back on come as a count.
        let mut more = 0;
        for (pool, expected) in lot.pools.iter().zip(&lot.expected) {
            if *expected == 0 {
                more += 1;
                continue;
            }
            rows.push(vec![
                (number + 1).to_string(),
                lot.region.to_string(),
                lot.market.to_string(),
                expected.to_string(),
                pool.offer.instance_type.to_string(),
                pool.offer.zone.to_string(),
                pool.price_max.map_or_else(|| "-".to_owned(), |price| price.to_string()),
            ]);
        }
        if more > 0 {
            rows.push(vec![
                (number + 1).to_string(),
                lot.region.to_string(),
                lot.market.to_string(),
                "0".to_owned(),
                format!("+{} to fall back on", counted(more, "pool")),
                String::new(),
                String::new(),
            ]);
        }
    }
    output.table(rows)?;
    output.line(format!(
        "{} in {}",
        counted(plan.count() as usize, "instance"),
        counted(plan.lots.len(), "lot")
    ))?;
    if plan.missing > 0 {
        output.line(format!(
            "{} without a place: the quota has no room",
            counted(plan.missing as usize, "instance")
        ))?;
    }
    output.line(format!("expected  {}", cost(plan.expected)))?;
    output.line(format!("at worst  {}", cost(plan.worst)))
}

fn cost(cost: Cost) -> String {
    let mut text = match cost.total {
        Some(total) => format!("{}, {} all together", cost.per_hour, usd(total)),
        None => format!("{}; no --lifetime is set, so there is no total", cost.per_hour),
    };
    if cost.unpriced > 0 {
        text.push_str(&format!("; without {} of unknown price", counted(cost.unpriced as usize, "instance")));
    }
    text
}

pub(crate) fn plan_json(plan: &Plan) -> Value {
    let cost = |cost: Cost| {
        json!({
            "usd_per_hour": cost.per_hour.to_dollars(),
            "total_usd": cost.total.map(Usd::to_dollars),
            "unpriced": cost.unpriced,
        })
    };
    let lots: Vec<Value> = plan
        .lots
        .iter()
        .map(|lot| {
            let pools: Vec<Value> = lot
                .pools
                .iter()
                .zip(&lot.expected)
                .map(|(pool, expected)| {
                    json!({
                        "instance_type": pool.offer.instance_type,
                        "zone": pool.offer.zone,
                        "expected": expected,
                        "usd_per_hour_max": pool.price_max.map(UsdPerHour::to_dollars),
                    })
                })
                .collect();
            json!({
                "region": lot.region,
                "market": lot.market,
                "count": lot.count,
                "spread": lot.spread,
                "pools": pools,
            })
        })
        .collect();
    json!({
        "instances": plan.count(),
        "missing": plan.missing,
        "lots": lots,
        "expected": cost(plan.expected),
        "worst": cost(plan.worst),
    })
}
