//! How likely it is that so many spot machines can be had, by size and region or zone. Azure
//! documentation, "Spot Placement Score".

use serde::Deserialize;
use serde_json::{Value, json};
use skyfleet_core::{Market, OfferId, Region, Zone};

use crate::azure::error::{coded, invalid};
use crate::azure::method::Method;
use crate::azure::{Answer, Request, subscriptions};
use crate::catalog::Scarcity;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "placementScores.GET", verb: "GET", path: PATH, answer: get },
    Method { id: "placementScores.POST", verb: "POST", path: GENERATE, answer: generate },
];

const PATH: &str =
    "subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/placementScores/spot";
const GENERATE: &str = "subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/placementScores/spot/generate";

/// The most regions and sizes of a question. The same page.
const MOST: (usize, usize) = (8, 5);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    desired_locations: Vec<String>,
    #[serde(default)]
    desired_sizes: Vec<Size>,
    #[serde(default = "one")]
    desired_count: u32,
    #[serde(default)]
    availability_zones: bool,
}

#[derive(Debug, Deserialize)]
struct Size {
    #[serde(default)]
    sku: String,
}

fn one() -> u32 {
    1
}

/// That scores are told there at all.
fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let location =
        request.look(request.part("location"), |kernel, _| subscriptions::region_of(kernel, request))?;
    let (subscription, resource) = (request.subscription(), "Microsoft.Compute/locations/placementScores");
    let at = format!("/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}");
    Answer::ok(&json!({
        "id": format!("{at}/placementScores/spot"),
        "name": "spot",
        "type": resource,
        "properties": { "supportedResourceTypes": ["Microsoft.Compute/virtualMachines"] },
    }))
}

fn generate(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = Body::deserialize(request.body).map_err(|error| {
        coded(400, "InvalidRequestContent", format!("The request content is invalid: {error}."))
    })?;
    let (locations, sizes) = (body.desired_locations.len(), body.desired_sizes.len());
    if !(1..=MOST.0).contains(&locations) {
        return Err(invalid("desiredLocations", &format!("It must have 1 to {} regions.", MOST.0)));
    }
    if !(1..=MOST.1).contains(&sizes) {
        return Err(invalid("desiredSizes", &format!("It must have 1 to {} sizes.", MOST.1)));
    }
    if body.desired_count == 0 {
        return Err(invalid("desiredCount", "It must be at least 1."));
    }
    let scores = request.look(request.part("location"), |kernel, _| {
        subscriptions::region_of(kernel, request)?;
        let mut scores = Vec::new();
        for size in &body.desired_sizes {
            for written in &body.desired_locations {
                let region = subscriptions::region(kernel, written).ok_or_else(|| {
                    invalid("desiredLocations", &format!("There is no region '{written}'."))
                })?;
                scores.extend(scores_of(kernel, &size.sku, &region, &body));
            }
        }
        Ok(scores)
    })?;
    let sizes: Vec<Value> = body.desired_sizes.iter().map(|size| json!({ "sku": size.sku })).collect();
    Answer::ok(&json!({
        "desiredLocations": body.desired_locations,
        "desiredSizes": sizes,
        "desiredCount": body.desired_count,
        "availabilityZones": body.availability_zones,
        "placementScores": scores,
    }))
}

/// The scores of a size in a region: one for each zone, or one for all.
fn scores_of(kernel: &mut Kernel, size: &str, region: &Region, body: &Body) -> Vec<Value> {
    let name = kernel.catalog().instance_types().find(|spec| spec.name.as_str().eq_ignore_ascii_case(size));
    let offers: Vec<OfferId> = match name.map(|spec| spec.name.clone()) {
        None => Vec::new(),
        Some(name) => {
            let zones = kernel.zones(region.as_str()).into_iter();
            let all = zones.map(|zone| OfferId { zone, instance_type: name.clone(), market: Market::Spot });
            all.filter(|offer| kernel.catalog().offer(offer).is_some()).collect()
        }
    };
    let show = |zone: Option<&Zone>, score: &str, quota: bool| {
        let mut shown = json!({ "sku": size, "region": region, "score": score, "isQuotaAvailable": quota });
        if let Some((_, number)) = zone.and_then(|zone| zone.as_str().rsplit_once('-')) {
            shown["availabilityZone"] = number.into();
        }
        shown
    };
    if offers.is_empty() {
        return vec![show(None, "DataNotFoundOrStale", false)];
    }
    if !body.availability_zones {
        let (score, quota) = score(kernel, &offers, body.desired_count);
        return vec![show(None, score, quota)];
    }
    let told = offers.iter().map(|offer| {
        let (score, quota) = score(kernel, std::slice::from_ref(offer), body.desired_count);
        show(Some(&offer.zone), score, quota)
    });
    told.collect()
}

/// What the score of these offers of one size together is, and whether the quota has room. How a score
/// comes about is not published: here a size that is hard to keep is never `High`, and one that has less
/// room than is wanted always `Low`.
fn score(kernel: &mut Kernel, offers: &[OfferId], count: u32) -> (&'static str, bool) {
    let quota = offers.iter().all(|offer| kernel.over_quota(offer, count).is_none());
    let restricted =
        |offer: &OfferId| kernel.catalog().offer(offer).is_some_and(|offer| kernel.trouble.restricted(offer));
    if offers.iter().all(restricted) {
        return ("RestrictedSkuNotAvailable", quota);
    }
    let scarcity = offers.iter().map(|offer| kernel.catalog().scarcity(offer.instance_type.as_str())).max();
    let room: u64 = offers.iter().map(|offer| u64::from(kernel.room_of(offer))).sum();
    let wanted = u64::from(count);
    let score = match scarcity {
        _ if room < wanted => "Low",
        Some(Scarcity::Plenty) if room >= 2 * wanted => "High",
        Some(Scarcity::Scarce) if room < 2 * wanted => "Low",
        _ => "Medium",
    };
    (score, quota)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    const PATH: &str =
        "/providers/Microsoft.Compute/locations/eastus/placementScores/spot/generate?api-version=2025-06-05";

    fn asked(sizes: &[&str], regions: &[&str], count: u32, zones: bool) -> Value {
        let sizes: Vec<Value> = sizes.iter().map(|size| json!({ "sku": size })).collect();
        json!({ "desiredLocations": regions, "desiredSizes": sizes, "desiredCount": count,
            "availabilityZones": zones })
    }

    fn room(trial: &Trial, zone: &str, available: u32) {
        trial.fault(json!({ "kind": "capacity", "cloud": "azure", "zone": zone,
            "instance_type": "Standard_D2s_v5", "market": "all", "available": available }));
    }

    #[test]
    fn a_score_tells_the_room_of_each_zone() {
        let trial = Trial::new();
        let ask = |body: Value| trial.done("POST", PATH, body)["placementScores"].as_array().unwrap().clone();
        room(&trial, "eastus-2", 15);
        room(&trial, "eastus-3", 3);
        let zonal = ask(asked(&["Standard_D2s_v5"], &["eastus"], 10, true));
        let scores: Vec<_> = zonal.iter().map(|one| (&one["availabilityZone"], &one["score"])).collect();
        let (zone, score) = (|n: &str| json!(n), |s: &str| json!(s));
        assert_eq!(
            scores,
            [(&zone("1"), &score("High")), (&zone("2"), &score("Medium")), (&zone("3"), &score("Low"))]
        );
        let both = ask(asked(&["standard_d2s_v5", "Standard_X"], &["East US", "westus2"], 10, false));
        let scores: Vec<_> = both.iter().map(|one| one["score"].as_str().unwrap()).collect();
        assert_eq!(scores, ["High", "High", "DataNotFoundOrStale", "DataNotFoundOrStale"]);
        assert!(both.iter().all(|one| one.get("availabilityZone").is_none()));
    }

    #[test]
    fn a_restricted_size_and_a_full_quota_say_so() {
        let trial = Trial::new();
        let ask = || {
            let body = asked(&["Standard_D2s_v5"], &["eastus"], 5, false);
            let shown = trial.done("POST", PATH, body)["placementScores"][0].clone();
            (shown["score"].clone(), shown["isQuotaAvailable"].clone())
        };
        assert_eq!(ask().1, true);
        trial.fault(
            json!({ "kind": "quota", "cloud": "azure", "region": "eastus", "name": "lowPriorityCores",
            "limit": 9 }),
        );
        assert_eq!(ask(), (json!("High"), json!(false)));
        trial.fault(json!({ "kind": "sku-restriction", "cloud": "azure", "region": "eastus",
            "instance_type": "Standard_D2s_v5", "on": true }));
        assert_eq!(ask().0, "RestrictedSkuNotAvailable");
    }

    #[test]
    fn a_question_has_its_limits() {
        let trial = Trial::new();
        let all = ["eastus"; 9];
        for body in [
            asked(&[], &["eastus"], 1, true),
            asked(&["a"; 6], &["eastus"], 1, true),
            asked(&["Standard_D2s_v5"], &all, 1, true),
            asked(&["Standard_D2s_v5"], &["nowhere"], 1, true),
            asked(&["Standard_D2s_v5"], &["eastus"], 0, true),
            json!({ "desiredCount": "many" }),
            Value::Null,
        ] {
            assert_eq!(trial.refusal("POST", PATH, body.clone()).0, 400, "{body}");
        }
    }
}
