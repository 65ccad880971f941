//! `skyfleet offers`: what could be bought, and why the rest could not.

use serde_json::{Value, json};
use skyfleet::{Candidate, Rejection, Search, Tally};
use skyfleet_core::{Availability, InstanceType};

use crate::args::{Common, OffersArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Rows, gib, note, price_json};
use crate::settings::{self, Changes};

pub(crate) async fn offers(common: &Common, args: OffersArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut changes = Changes::default();
    changes.need(&args.need);
    if let Some(count) = args.instances {
        changes.set("fleet.target", count);
    }
    let fleet = settings::open(common, changes)?;
    let found = fleet.search().await?;
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    if output.json {
        return document(&found, &args, limit, output);
    }
    let mut rows = Rows::new(
        &["type", "zone", "market", "price", "vCPU", "memory", "GPU", "score", "availability"],
        &["price", "vCPU", "memory", "score"],
    );
    for candidate in found.candidates().take(limit) {
        rows.push(row(&candidate));
    }
    let count = found.candidates().len();
    if count == 0 {
        note("no offer fits; --explain says why each fell out");
    } else {
        output.table(rows)?;
    }
    if count > limit {
        note(format!("{limit} of {count} offers; --limit 0 shows all"));
    }
    if args.explain {
        explain(&found, &args, limit, output)?;
    }
    Ok(Exit::Ok)
}

fn row(candidate: &Candidate<'_>) -> Vec<String> {
    let offer = &candidate.offer;
    let kind = &offer.instance_type;
    vec![
        kind.name.to_string(),
        offer.zone.to_string(),
        offer.market.to_string(),
        candidate.price.to_string(),
        kind.vcpus.to_string(),
        gib(kind.memory_mib),
        gpu(kind),
        candidate.placement_score.map_or_else(|| "-".to_owned(), |score| score.to_string()),
        availability(offer.availability).to_owned(),
    ]
}

fn gpu(kind: &InstanceType) -> String {
    match &kind.gpu {
        None => "-".to_owned(),
        Some(gpu) => format!("{} x {} ({})", gpu.count, gpu.model, gib(gpu.memory_mib)),
    }
}

fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::Open => "open",
        Availability::SoldOut => "sold out",
        Availability::Unknown => "unknown",
    }
}

/// The rejections of the offers that the command names by type or zone; none when it names none.
fn named<'a>(found: &'a Search, args: &'a OffersArgs) -> impl Iterator<Item = Rejection> + use<'a> {
    let (types, zones) = (&args.need.types, &args.need.zones);
    let wanted = !types.is_empty() || !zones.is_empty();
    let listed = |list: &[String], name: &str| list.is_empty() || list.iter().any(|item| item == name);
    found.rejections().filter(move |rejection| {
        wanted
            && listed(types, rejection.offer.instance_type.as_str())
            && listed(zones, rejection.offer.zone.as_str())
    })
}

fn rejected(tallies: &[Tally]) -> u32 {
    tallies.iter().map(|tally| tally.count).sum()
}

fn explain(found: &Search, args: &OffersArgs, limit: usize, output: &mut Output) -> Result<(), Failure> {
    let tallies = found.tallies();
    output.line(format!("\n{} offers fit, {} do not:", found.candidates().len(), rejected(&tallies)))?;
    let mut rows = Rows::new(&["offers", "reason of the nearest", "nearest"], &["offers"]);
    for tally in &tallies {
        let nearest = &tally.nearest;
        rows.push(vec![tally.count.to_string(), nearest.why.to_string(), nearest.offer.to_string()]);
    }
    output.table(rows)?;
    let mut rows = Rows::new(&["type", "zone", "market", "reason"], &[]);
    let mut any = false;
    for rejection in named(found, args).take(limit) {
        any = true;
        let offer = &rejection.offer;
        rows.push(vec![
            offer.instance_type.to_string(),
            offer.zone.to_string(),
            offer.market.to_string(),
            rejection.why.to_string(),
        ]);
    }
    if any {
        output.line("")?;
        output.table(rows)?;
    }
    Ok(())
}

fn document(found: &Search, args: &OffersArgs, limit: usize, output: &mut Output) -> Result<Exit, Failure> {
    let mut document = json!({
        "count": found.candidates().len(),
        "offers": found.candidates().take(limit).map(|c| candidate_json(&c)).collect::<Vec<_>>(),
    });
    if args.explain {
        let tallies = found.tallies();
        document["rejected"] = json!(rejected(&tallies));
        document["reasons"] = tallies
            .iter()
            .map(|tally| {
                json!({
                    "offers": tally.count,
                    "why": tally.nearest.why,
                    "reason": tally.nearest.why.to_string(),
                    "nearest": tally.nearest.offer,
                })
            })
            .collect();
        document["rejections"] = named(found, args)
            .take(limit)
            .map(|rejection| json!({ "offer": rejection.offer, "why": rejection.why, "reason": rejection.why.to_string() }))
            .collect();
    }
    output.document(&document)?;
    Ok(Exit::Ok)
}

fn candidate_json(candidate: &Candidate<'_>) -> Value {
    let offer = &candidate.offer;
    let kind = &offer.instance_type;
    json!({
        "instance_type": kind.name,
        "region": offer.region,
        "zone": offer.zone,
        "market": offer.market,
        "usd_per_hour": price_json(candidate.price),
        "vcpus": kind.vcpus,
        "memory_gib": f64::from(kind.memory_mib) / 1024.0,
        "arch": kind.arch,
        "gpu": kind.gpu.as_ref().map(|gpu| json!({
            "model": gpu.model,
            "count": gpu.count,
            "memory_gib": f64::from(gpu.memory_mib) / 1024.0,
        })),
        "local_ssd_gib": kind.local_ssd_gib,
        "availability": offer.availability,
        "placement_score": candidate.placement_score,
        "eviction_per_hour_ppm": candidate.eviction_per_hour_ppm,
    })
}
