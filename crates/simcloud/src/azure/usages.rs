//! Quotas of a region, and what is used of them.

use serde_json::{Value, json};

use crate::azure::method::Method;
use crate::azure::{Answer, Request, subscriptions};
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[Method {
    id: "usages.LIST",
    verb: "GET",
    path: "subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/usages",
    answer: list,
}];

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown: Vec<Value> = request.look(request.part("location"), |kernel, _| {
        let prefix = format!("{}/", subscriptions::region_of(kernel, request)?);
        let here =
            kernel.catalog().quotas().keys().filter_map(|id| Some((id, id.as_str().strip_prefix(&prefix)?)));
        let shown = here.filter_map(|(id, name)| {
            let (limit, used) = kernel.quota(id.as_str())?;
            let called = match name {
                "cores" => "Total Regional vCPUs".to_owned(),
                "lowPriorityCores" => "Total Regional Spot vCPUs".to_owned(),
                family => format!("{family} vCPUs"),
            };
            let name = json!({ "value": name, "localizedValue": called });
            Some(json!({ "unit": "Count", "currentValue": used, "limit": limit, "name": name }))
        });
        Ok(shown.collect())
    })?;
    Answer::ok(&json!({ "value": shown }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn spot_has_one_quota_and_each_family_its_own() {
        let trial = Trial::new();
        let of = |name: &str| {
            let all = trial.get("/providers/Microsoft.Compute/locations/EastUS/usages")["value"].clone();
            all.as_array().unwrap().iter().find(|usage| usage["name"]["value"] == name).unwrap()["limit"]
                .clone()
        };
        assert_eq!((of("cores"), of("lowPriorityCores")), (json!(20_000), json!(20_000)));
        assert_eq!(of("standardDSv5Family"), json!(10_000));
        let nowhere =
            trial.refusal("GET", "/providers/Microsoft.Compute/locations/nowhere/usages", Value::Null);
        assert_eq!(nowhere, (400, "NoRegisteredProviderFound".to_owned()));
    }
}
