use serde_json::json;
use skyfleet_core::doctor::Line;

use super::*;
use crate::Settings;
use crate::bed::Bed;
use crate::names::Subnet;

fn fleet(count: u32, market: Market) -> Wanted {
    Wanted {
        instance_types: vec!["Standard_D2s_v5".into()],
        count,
        markets: vec![market],
        ..Wanted::default()
    }
}

fn bad(report: &DoctorReport) -> Vec<Line> {
    report.lines().into_iter().filter(|line| line.verdict == Verdict::Bad).collect()
}

#[tokio::test]
async fn a_subscription_in_order_is_found_so_and_nothing_is_changed() {
    let bed = Bed::of(&["eastus", "westeurope"]);
    let report = bed.provider.doctor(&fleet(100, Market::Spot)).await;
    let lines: Vec<Line> = report.lines().into_iter().filter(|line| line.verdict != Verdict::Good).collect();
    assert_eq!(lines, [], "{report}");
    assert_eq!(report.identity.as_ref().unwrap().account, "00000000-0000-4000-8000-000000000001");
    let regions: Vec<&str> = report.regions.iter().map(|region| region.region.as_str()).collect();
    assert_eq!(regions, ["eastus", "westeurope"]);
    for action in ["Microsoft.AzureFleet/fleets/write", "Microsoft.Compute/virtualMachines/delete"] {
        assert!(report.permissions.iter().any(|permission| permission.action == action), "{report}");
    }
    assert_eq!((report.services.len(), report.quotas.len()), (5, 2), "{report}");
    let ledger = bed.world().ledger();
    assert!(ledger.live.is_empty() && ledger.blocking.is_empty(), "{ledger:?}");
}

#[tokio::test]
async fn a_quota_that_is_too_small_for_the_fleet_is_bad() {
    let bed = Bed::of(&["eastus"]);
    bed.inject(json!({ "kind": "quota", "region": "eastus", "name": "lowPriorityCores", "limit": 64 }));
    let report = bed.provider.doctor(&fleet(33, Market::Spot)).await;
    let [quota] = report.quotas.as_slice() else { panic!("{report}") };
    assert_eq!((quota.limit, quota.machine, quota.machines), (Some(64), 2, Some(32)));
    assert_eq!((quota.code.as_str(), quota.verdict), ("lowPriorityCores", Verdict::Bad));
    assert_eq!(bed.provider.doctor(&fleet(32, Market::Spot)).await.verdict(), Verdict::Good);
    bed.inject(json!({ "kind": "quota", "region": "eastus", "name": "standardDSv5Family", "limit": 6 }));
    let report = bed.provider.doctor(&fleet(4, Market::OnDemand)).await;
    let codes: Vec<&str> = report.quotas.iter().map(|quota| quota.code.as_str()).collect();
    assert_eq!((codes, report.verdict()), (vec!["cores", "standardDSv5Family"], Verdict::Bad), "{report}");
}

#[tokio::test]
async fn a_fleet_without_sizes_is_examined_with_the_usual_ones() {
    let bed = Bed::of(&["eastus"]);
    for (gpu, codes) in [
        (false, ["cores", "lowPriorityCores", "standardDSv5Family"]),
        (true, ["Standard NCASv3_T4 Family", "cores", "lowPriorityCores"]),
    ] {
        let report = bed.provider.doctor(&Wanted { vcpus: 4, gpu, count: 1, ..Wanted::default() }).await;
        assert_eq!(report.verdict(), Verdict::Good, "{report}");
        assert_eq!(report.quotas.iter().map(|quota| quota.code.as_str()).collect::<Vec<_>>(), codes);
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_nothing_else_is_asked() {
    let bed = Bed::of(&["eastus"]);
    bed.fail("subscriptions.GET", 401, "InvalidAuthenticationToken");
    let report = bed.provider.doctor(&fleet(1, Market::Spot)).await;
    let lines = bad(&report);
    let [line] = lines.as_slice() else { panic!("{report}") };
    assert_eq!(line.area, "identity", "{report}");
    assert!(report.regions.is_empty() && report.permissions.is_empty());
}

#[tokio::test]
async fn a_subnet_that_is_not_there_is_bad_in_every_region() {
    let id = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/n";
    let subnets = vec![Subnet::parse(id).unwrap()];
    let bed = Bed::with(&["eastus", "westus2"], |settings| Settings { subnets, ..settings });
    let report = bed.provider.doctor(&fleet(1, Market::Spot)).await;
    assert_eq!(report.regions.len(), 2);
    let wrong =
        |region: &RegionHealth| region.verdict == Verdict::Bad && region.detail.contains("virtualNetworks/v");
    assert!(report.regions.iter().all(wrong), "{report}");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_said_once_and_clearly() {
    let bed = Bed::of(&["eastus"]);
    let provider = bed.provider.clone();
    drop(bed);
    let report = provider.doctor(&fleet(1, Market::Spot)).await;
    assert_eq!(bad(&report).len(), 1, "{report}");
}

#[test]
fn a_provider_that_is_not_registered_is_said_with_the_way_to_do_it() {
    let told = |state: &str| service(FLEETS, &Ok(json!({ "registrationState": state })));
    assert_eq!(told("Registered").verdict, Verdict::Good);
    assert_eq!(told("Registering").verdict, Verdict::Unclear);
    let off = told("NotRegistered");
    assert_eq!(off.verdict, Verdict::Bad);
    assert!(off.detail.contains("az provider register --namespace Microsoft.AzureFleet"), "{}", off.detail);
}

#[test]
fn a_region_without_the_service_is_known_by_the_titles_of_regions() {
    let provider = json!({ "resourceTypes": [
        { "resourceType": "fleets", "locations": ["East US", "West Europe"] },
        { "resourceType": "operations", "locations": [] },
    ] });
    for (kind, region, sold) in [
        ("fleets", "eastus", true),
        ("Fleets", "westus2", false),
        ("operations", "westus2", true),
        ("unheard", "westus2", true),
    ] {
        assert_eq!(is_sold_in(&provider, kind, &region.into()), sold, "{kind} in {region}");
    }
}
