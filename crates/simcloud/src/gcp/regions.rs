//! Regions, with the project's quotas there.

use serde_json::{Value, json};
use skyfleet_core::Region;

use crate::gcp::error::not_found;
use crate::gcp::list::Wanted;
use crate::gcp::method::Method;
use crate::gcp::request::{Answer, Request};
use crate::gcp::{quotas, resource, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "regions.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}",
        answer: get,
    },
    Method { id: "regions.list", verb: "GET", path: "compute/v1/projects/{project}/regions", answer: list },
];

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = request.part("region");
    let shown = request.look(|kernel, _| {
        let found = kernel.regions().into_iter().find(|region| region.as_str() == name);
        let region = found.ok_or_else(|| not_found(request.project(), &format!("regions/{name}")))?;
        Ok(show(kernel, request.project(), &region))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, _| {
        let regions = kernel.regions().into_iter();
        let shown = regions.map(|region| show(kernel, request.project(), &region));
        Ok(wanted.page(shown, "compute#regionList", "regions", request))
    })?;
    request.answer(&page)
}

fn show(kernel: &Kernel, project: &str, region: &Region) -> Value {
    let zones = kernel.zones(region.as_str()).into_iter();
    let zones: Vec<String> = zones.map(|zone| url::link(project, &format!("zones/{zone}"))).collect();
    let more = json!({
        "description": region.as_str(),
        "status": "UP",
        "supportsPzs": false,
        "quotas": quotas::of_region(kernel, region.as_str()),
        "zones": zones,
    });
    resource::show(project, "region", &format!("regions/{region}"), None, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn a_region_names_its_zones() {
        let trial = Trial::new();
        assert_eq!(trial.names("regions").len(), 6);
        let zones = trial.get("regions/us-east1")["zones"].clone();
        assert_eq!(
            zones[0], "https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-b",
            "there is no us-east1-a"
        );
        assert_eq!(trial.refusal("GET", "regions/mars", Value::Null), (404, "notFound".to_owned()));
        assert_eq!(trial.names("regions?filter=name%20eq%20us-.*").len(), 3);
    }
}
