//! Several programs, one world: the state file.

use std::path::Path;
use std::sync::Arc;

use skyfleet_core::{
    Connected, Cursor, ErrorKind, FleetBlueprint, FleetName, LaunchRequest, Market, OfferQuery, Owner,
    PoolBid, Selector, Spread, Token,
};

fn open(path: &Path, more: &str) -> skyfleet_core::Result<Connected> {
    let settings = format!("state = {:?}\n{more}", path.to_str().unwrap());
    (skyfleet_sim::DRIVER.connect)(&settings.parse().unwrap())
}

async fn request(program: &Connected, owner: &Owner) -> LaunchRequest {
    let fleet = FleetName::parse("words").unwrap();
    let query = OfferQuery { markets: vec![Market::OnDemand], ..OfferQuery::default() };
    let offer = program.provider.offers(&query).await.unwrap().remove(0);
    let blueprint = FleetBlueprint::new(owner, &fleet, offer.region.clone());
    LaunchRequest {
        token: Token::derive(owner, &fleet, 0),
        prepared: program.provider.prepare(&blueprint).await.unwrap(),
        region: offer.region.clone(),
        market: Market::OnDemand,
        pools: vec![PoolBid { offer: offer.id(), price_max: None }],
        count: 3,
        count_min: 1,
        spread: Spread::Even,
        expires: None,
    }
}

#[tokio::test]
async fn one_program_launches_another_lists_and_a_third_tears_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    let owner = Owner::parse("ada").unwrap();
    let request = {
        let up = open(&path, "").unwrap();
        let request = request(&up, &owner).await;
        assert_eq!(up.provider.launch(&request).await.unwrap().instances.len(), 3);
        request
    };
    let ps = open(&path, "").unwrap();
    assert_eq!(ps.provider.list(&Selector::owner(&owner)).await.unwrap().len(), 3);
    // The token is known to a program that never used it.
    assert_eq!(ps.provider.launch(&request).await.unwrap().instances.len(), 3);
    assert_eq!(ps.provider.list(&Selector::owner(&owner)).await.unwrap().len(), 3);
    let page = ps.provider.preemptions(&Selector::owner(&owner), &Cursor::start()).await.unwrap();
    let down = open(&path, "").unwrap();
    assert!(down.provider.preemptions(&Selector::owner(&owner), &page.next).await.is_ok());
    for _ in 0..100 {
        let inventory = down.provider.inventory(&owner).await.unwrap();
        if inventory.proves_empty() {
            break;
        }
        down.provider.delete(&inventory.resources).await.unwrap();
        down.clock.sleep(std::time::Duration::from_millis(200)).await;
    }
    // The first program's own handle, long open, sees it too.
    assert!(ps.provider.inventory(&owner).await.unwrap().proves_empty());
    let sim = down.provider.clone() as Arc<dyn std::any::Any + Send + Sync>;
    let ledger = sim.downcast_ref::<skyfleet_sim::SimProvider>().unwrap().world().ledger();
    assert!(ledger.proves_empty(), "{ledger:?}");
    assert!(ledger.accrued_usd.micros() > 0, "two programs' time is one bill");
}

#[test]
fn a_state_file_of_another_cloud_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    let world = open(&path, "impersonate = \"aws\"").unwrap();
    let sim = world.provider as Arc<dyn std::any::Any + Send + Sync>;
    sim.downcast_ref::<skyfleet_sim::SimProvider>().unwrap().world().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = open(&path, "impersonate = \"gcp\"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_world_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "milk, bread").unwrap();
    let error = open(&path, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "milk, bread");
}

#[test]
fn a_region_that_is_not_there_is_refused_with_the_nearest() {
    let settings = "impersonate = \"aws\"\nregions = [\"us-est-1\"]".parse().unwrap();
    let error = (skyfleet_sim::DRIVER.connect)(&settings).unwrap_err();
    assert!(error.to_string().contains("us-east-1"), "{error}");
}

#[test]
fn a_shared_world_does_not_live_by_a_clock_of_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder.path().join("world.json"), "clock = \"scaled:9\"").unwrap_err();
    assert_eq!(error.fact("key"), Some("providers.sim.clock"), "{error}");
}
