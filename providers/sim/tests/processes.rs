//! Instances that are real local processes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    Connected, FleetBlueprint, FleetName, Instance, LaunchRequest, Market, OfferQuery, Owner, PoolBid,
    Spread, Token,
};
use skyfleet_sim::SimProvider;
use skyfleet_simcloud::World;

fn open() -> Connected {
    let settings = "clock = \"scaled:100\"\nprocesses = true".parse().unwrap();
    (skyfleet_sim::DRIVER.connect)(&settings).unwrap()
}

fn world(connected: &Connected) -> World {
    let any = connected.provider.clone() as Arc<dyn std::any::Any + Send + Sync>;
    any.downcast_ref::<SimProvider>().unwrap().world().clone()
}

async fn launch(connected: &Connected, script: String, count: u32) -> Vec<Instance> {
    let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
    let query = OfferQuery { markets: vec![Market::Spot], ..OfferQuery::default() };
    let offer = connected.provider.offers(&query).await.unwrap().remove(0);
    let blueprint = FleetBlueprint {
        user_data: script.into(),
        ..FleetBlueprint::new(&owner, &fleet, offer.region.clone())
    };
    let request = LaunchRequest {
        token: Token::derive(&owner, &fleet, 0),
        prepared: connected.provider.prepare(&blueprint).await.unwrap(),
        region: offer.region.clone(),
        market: Market::Spot,
        pools: vec![PoolBid { offer: offer.id(), price_max: None }],
        count,
        count_min: 1,
        spread: Spread::Even,
        expires: None,
    };
    connected.provider.launch(&request).await.unwrap().instances
}

/// Waits, without asking the world anything, until a file has something in it.
async fn written(path: &Path) -> String {
    for _ in 0..400 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => skyfleet_core::Clock::sleep(&skyfleet_core::SystemClock, Duration::from_millis(25)).await,
        }
    }
    panic!("nothing was written to {}", path.display());
}

#[tokio::test]
async fn user_data_computes_and_hears_of_the_end_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display();
    let script = format!(
        "#!/bin/sh\ntrap 'echo ended > {out}/$SKYFLEET_INSTANCE_ID.end; exit 0' TERM\n\
         echo \"$SKYFLEET_INSTANCE_ID $SKYFLEET_MARKET\" > {out}/$SKYFLEET_INSTANCE_ID\n\
         while :; do sleep 0.05; done\n"
    );
    let connected = open();
    let instances = launch(&connected, script, 2).await;
    for instance in &instances {
        // The world goes on by itself: nobody calls it meanwhile.
        let text = written(&folder.path().join(instance.id.as_str())).await;
        assert_eq!(text, format!("{} spot\n", instance.id));
    }
    let world = world(&connected);
    let fault = format!(r#"{{"kind":"preempt","instance_id":"{}","notice_seconds":20}}"#, instances[0].id);
    world.inject(serde_json::from_str(&fault).unwrap()).unwrap();
    written(&folder.path().join(format!("{}.end", instances[0].id))).await;
    assert!(!folder.path().join(format!("{}.end", instances[1].id)).exists());
    let events = world.events_after(0);
    assert!(events.iter().any(|event| event.kind == skyfleet_simcloud::EventKind::Reclaim), "{events:?}");
    connected.provider.terminate(std::slice::from_ref(&instances[1].id)).await.unwrap();
    written(&folder.path().join(format!("{}.end", instances[1].id))).await;
    let owner = &instances[0].owner;
    for _ in 0..100 {
        let inventory = connected.provider.inventory(owner).await.unwrap();
        if inventory.proves_empty() {
            break;
        }
        connected.provider.delete(&inventory.resources).await.unwrap();
        connected.clock.sleep(Duration::from_secs(5)).await;
    }
    assert!(world.ledger().proves_empty());
}

#[tokio::test]
async fn no_process_survives_its_world() {
    let folder = tempfile::tempdir().unwrap();
    let beat = folder.path().join("beat");
    let path = beat.display();
    let connected = open();
    launch(&connected, format!("#!/bin/sh\nwhile :; do echo x >> {path}; sleep 0.02; done\n"), 1).await;
    written(&beat).await;
    drop(connected);
    // The driver lets go of the world when it next runs.
    let sleep = |ms| async move {
        skyfleet_core::Clock::sleep(&skyfleet_core::SystemClock, Duration::from_millis(ms)).await;
    };
    sleep(300).await;
    let size = std::fs::metadata(&beat).unwrap().len();
    sleep(300).await;
    assert_eq!(std::fs::metadata(&beat).unwrap().len(), size, "it still beats");
}
