//! Preparing on the wire.

use skyfleet_core::{ErrorKind, FleetBlueprint, FleetLaunch, FleetName, Owner, ResourceKind, Teardown};

use crate::bed::Bed;
use crate::names::Subnet;

fn blueprint(regions: &[&str]) -> FleetBlueprint {
    let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
    let regions = regions.iter().map(|region| (*region).into()).collect();
    FleetBlueprint { regions, inbound_ports: vec![443], ..FleetBlueprint::new(&owner, &fleet, "eastus") }
}

#[tokio::test]
async fn a_group_a_network_and_a_security_group_are_made_once_and_go_with_one_call() {
    let bed = Bed::of(&["eastus", "westeurope"]);
    let blueprint = blueprint(&["eastus", "westeurope"]);
    let prepared = bed.provider.prepare(&blueprint).await.unwrap();
    let mut kinds: Vec<ResourceKind> = prepared.resources.iter().map(|resource| resource.kind).collect();
    kinds.sort();
    use ResourceKind::{Firewall, Network, ResourceGroup};
    assert_eq!(kinds, [Firewall, Firewall, Network, Network, ResourceGroup]);
    let again = bed.again(|settings| settings).prepare(&blueprint).await.unwrap();
    assert_eq!((&again, bed.calls("resourceGroups.PUT")), (&prepared, 1));
    let receipt = bed.provider.delete(&prepared.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    assert_eq!((receipt.deleted.len(), bed.calls("resourceGroups.DELETE")), (5, 1));
    let gone = bed.provider.delete(&prepared.resources).await.unwrap();
    assert_eq!((gone.deleted.len(), bed.calls("resourceGroups.DELETE")), (5, 1), "it is not there any more");
}

#[tokio::test]
async fn a_group_of_ones_own_is_used_and_stays() {
    let bed = Bed::of(&["eastus"]);
    let own =
        |settings: crate::Settings| crate::Settings { resource_group: Some("Batch".to_owned()), ..settings };
    let provider = bed.again(own);
    let missing = provider.prepare(&blueprint(&["eastus"])).await.unwrap_err();
    assert_eq!((missing.kind(), missing.fact("key")), (ErrorKind::InvalidRequest, Some("resource_group")));
    bed.provider.prepare(&blueprint(&["eastus"])).await.unwrap();
    let group = bed.provider.client.group_path("Batch").unwrap();
    let body = serde_json::json!({ "location": "eastus" });
    let call = crate::client::arm::Call::with(reqwest::Method::PUT, "test", group, "2021-04-01", &body);
    bed.provider.client.call(&call).await.unwrap();
    let prepared = provider.prepare(&blueprint(&["eastus"])).await.unwrap();
    let here = |id: &str| id.contains("/resourceGroups/batch/");
    assert!(prepared.resources.iter().all(|resource| here(&resource.id)), "{:?}", prepared.resources);
    let receipt = provider.delete(&prepared.resources).await.unwrap();
    assert_eq!((receipt.deleted.len(), bed.calls("resourceGroups.DELETE")), (2, 0), "{:?}", receipt.pending);
}

#[tokio::test]
async fn a_subnet_of_ones_own_is_looked_for_in_its_region() {
    let bed = Bed::of(&["eastus", "westeurope"]);
    let prepared = bed.provider.prepare(&blueprint(&["eastus"])).await.unwrap();
    let network = prepared.resources.iter().find(|resource| resource.kind == ResourceKind::Network).unwrap();
    let subnet = Subnet::parse(&format!("{}/subnets/machines", network.id)).unwrap();
    let provider = bed.again(|settings| crate::Settings { subnets: vec![subnet.clone()], ..settings });
    let given = provider.prepare(&blueprint(&["eastus"])).await.unwrap();
    assert!(given.resources.iter().all(|resource| resource.kind != ResourceKind::Network));
    assert!(given.handles["eastus"].contains("/subnets/machines"));
    let elsewhere = provider.prepare(&blueprint(&["westeurope"])).await.unwrap_err();
    assert!(elsewhere.message().contains("none of the configured subnets"), "{elsewhere}");
}
