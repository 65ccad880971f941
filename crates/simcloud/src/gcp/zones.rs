//! Zones.

use serde_json::{Value, json};

use crate::catalog::ZoneSpec;
use crate::gcp::error::not_found;
use crate::gcp::list::Wanted;
use crate::gcp::method::Method;
use crate::gcp::request::{Answer, Request};
use crate::gcp::{resource, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "zones.get", verb: "GET", path: "compute/v1/projects/{project}/zones/{zone}", answer: get },
    Method { id: "zones.list", verb: "GET", path: "compute/v1/projects/{project}/zones", answer: list },
];

/// What runs in the zones. Compute Engine documentation, "CPU platforms".
const CPU_PLATFORMS: [&str; 9] = [
    "AMD Genoa",
    "AMD Milan",
    "AMD Rome",
    "Ampere Altra",
    "Intel Broadwell",
    "Intel Cascade Lake",
    "Intel Ice Lake",
    "Intel Sapphire Rapids",
    "Intel Skylake",
];

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = request.part("zone");
    let shown = request.look(|kernel, _| {
        let found = in_scope(kernel).find(|spec| spec.zone.as_str() == name);
        let spec = found.ok_or_else(|| not_found(request.project(), &format!("zones/{name}")))?;
        Ok(show(request.project(), spec))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, _| {
        let shown = in_scope(kernel).map(|spec| show(request.project(), spec));
        Ok(wanted.page(shown, "compute#zoneList", "zones", request))
    })?;
    request.answer(&page)
}

fn in_scope(kernel: &Kernel) -> impl Iterator<Item = &ZoneSpec> {
    kernel.catalog().zones().iter().filter(|spec| kernel.in_scope(&spec.region))
}

fn show(project: &str, spec: &ZoneSpec) -> Value {
    let more = json!({
        "description": spec.zone.as_str(),
        "status": "UP",
        "supportsPzs": false,
        "region": url::link(project, &format!("regions/{}", spec.region)),
        "availableCpuPlatforms": CPU_PLATFORMS,
    });
    resource::show(project, "zone", &format!("zones/{}", spec.zone), None, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn a_zone_names_its_region() {
        let trial = Trial::new();
        assert_eq!(trial.names("zones").len(), 19);
        let zone = trial.get("zones/europe-west4-b");
        let region = "https://www.googleapis.com/compute/v1/projects/p/regions/europe-west4";
        assert_eq!((&zone["region"], &zone["status"]), (&json!(region), &json!("UP")));
        assert_eq!(trial.refusal("GET", "zones/us-east1-a", Value::Null), (404, "notFound".to_owned()));
        let two = trial.get("zones?maxResults=2");
        assert_eq!(two["items"].as_array().unwrap().len(), 2);
        assert!(two["nextPageToken"].is_string());
    }
}
