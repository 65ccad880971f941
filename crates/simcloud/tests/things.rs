//! Tags of single things, and disks and addresses without a machine.

mod bed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bed::{Bed, START};
use skyfleet_core::{InstanceState, Market, tag};
use skyfleet_simcloud::{Cloud, Fixture, FixtureKind, Goes, LineKind, Refusal, Tags, Whose};

fn tags(pairs: &[(&str, &str)]) -> Arc<Tags> {
    Arc::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn of(owner: &str) -> Whose<'_> {
    Whose { owner: Some(owner), ..Whose::default() }
}

fn ids(bed: &Bed, owner: &str) -> Vec<Arc<str>> {
    bed.world.look(|kernel| kernel.machines(&of(owner))).into_iter().map(|view| view.id).collect()
}

fn give(bed: &Bed, id: &str, owner: &str) -> bool {
    bed.world
        .look(|kernel| kernel.retag(id, |tags| drop(tags.insert(tag::OWNER.to_owned(), owner.to_owned()))))
}

#[test]
fn a_machine_whose_owner_changes_is_found_by_the_new_one_alone() {
    for cloud in Cloud::ALL {
        let bed = Bed::new(cloud);
        let all = bed.spot(5);
        bed.pass(60);
        assert!(give(&bed, &all[1], "bob") && give(&bed, &all[3], "bob"));
        assert_eq!(ids(&bed, "bob"), [all[1].clone(), all[3].clone()], "{cloud}");
        assert_eq!(ids(&bed, "ada"), [all[0].clone(), all[2].clone(), all[4].clone()], "{cloud}");
        assert!(bed.world.look(|kernel| kernel.machine(&all[1], &of("ada"))).is_none());
        let page = bed.world.look(|kernel| kernel.machines_from(&of("bob"), 0, 10));
        assert_eq!(page.iter().map(|view| view.number).collect::<Vec<_>>(), [1, 3]);
        // The disk has tags of its own.
        let bobs = bed.world.ledger_of("bob");
        assert_eq!(bobs.live.iter().map(|line| line.kind).collect::<Vec<_>>(), [LineKind::Instance; 2]);
        let disk = bed.world.look(|kernel| kernel.disk_of(&all[1])).unwrap();
        assert!(give(&bed, &disk, "bob"), "{cloud}: {disk}");
        assert_eq!(bed.world.ledger_of("bob").live.len(), 3);
        assert_eq!(bed.world.look(|kernel| kernel.disks(&of("bob")))[0].id, disk);
        assert!(bed.world.look(|kernel| kernel.retag(&all[1], |tags| drop(tags.remove(tag::OWNER)))));
        assert_eq!(ids(&bed, "bob"), [all[3].clone()]);
        assert!(!give(&bed, "i-nobody", "bob"));
    }
}

#[test]
fn a_world_that_was_saved_remembers_changed_tags_and_things() {
    let bed = Bed::new(Cloud::Aws);
    let all = bed.spot(3);
    bed.pass(60);
    give(&bed, &all[2], "bob");
    let zone = bed.offers(Market::Spot)[0].zone.clone();
    let disk = bed.world.look(|kernel| kernel.create_disk(&zone, 5, tags(&[(tag::OWNER, "bob")]))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    bed.world.save(&path).unwrap();
    let clock = Arc::new(bed.clock.clone());
    let options = skyfleet_simcloud::WorldOptions::new(clock).playing(Cloud::Aws);
    let again = skyfleet_simcloud::World::load(options.clone(), &path).unwrap();
    assert_eq!(again.look(|kernel| kernel.machines(&of("bob")))[0].id, all[2]);
    assert_eq!(again.look(|kernel| kernel.disks(&of("bob")))[0].id, disk);
    assert_eq!(again.look(|kernel| kernel.delete_disk(&disk)), Ok(true));
    // A file of the format before this one is refused by name.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen(r#""format":3"#, r#""format":2"#, 1)).unwrap();
    let error = skyfleet_simcloud::World::load(options.clone(), &path).unwrap_err().to_string();
    assert!(error.contains("format 2") && error.contains("world.json"), "{error}");
    std::fs::write(&path, r#"{"played":"aws","seed":0}"#).unwrap();
    let error = skyfleet_simcloud::World::load(options, &path).unwrap_err().to_string();
    assert!(error.contains("format 1"), "{error}");
}

#[test]
fn tags_of_the_dead_fade_on_ec2_before_they_do() {
    for (cloud, fades) in [(Cloud::Aws, true), (Cloud::Neutral, false)] {
        let bed = Bed::new(cloud);
        let all = bed.spot(1);
        bed.pass(60);
        bed.terminate(&all);
        bed.pass(120);
        assert_eq!(ids(&bed, "ada"), all, "{cloud}: right after its end");
        let ended = bed.world.instances()[0].ended.unwrap();
        bed.pass(480);
        let seen = bed.world.instances();
        assert!(ended + Duration::from_secs(600) > START + Duration::from_secs(660));
        assert_eq!(seen.len(), 1);
        if fades {
            bed.pass(120);
            let seen = bed.world.instances();
            assert_eq!(seen[0].state, InstanceState::Terminated);
            assert!(seen[0].tags.is_empty() && ids(&bed, "ada").is_empty());
            assert_eq!(bed.world.look(|kernel| kernel.tags_of(&all[0])), Some(Arc::default()));
            bed.pass(3_600);
            assert_eq!(bed.world.look(|kernel| kernel.tags_of(&all[0])), None);
        } else {
            assert!(!seen[0].tags.is_empty());
        }
        // What was paid is still the owner's.
        assert!(bed.world.ledger_of("ada").accrued_usd > skyfleet_core::Usd::from_micros(0));
    }
}

#[test]
fn each_part_of_a_launch_has_the_tags_that_the_order_gave_it() {
    let bed = Bed::new(Cloud::Gcp);
    let mut order = bed.order(Market::OnDemand, 1);
    order.disk_tags = tags(&[(tag::OWNER, "bob")]);
    order.interface_tags = tags(&[]);
    let bought = bed.launch(&order).unwrap();
    let owners: BTreeMap<_, _> =
        bed.world.ledger().live.into_iter().map(|line| (line.kind, line.owner)).collect();
    assert_eq!(owners[&LineKind::Instance].as_deref(), Some("ada"));
    assert_eq!(owners[&LineKind::Disk].as_deref(), Some("bob"));
    assert_eq!(owners[&LineKind::Address], None);
    assert_eq!((bought.launch, bought.machines[0].launch, bought.machines[0].index), (0, 0, 0));
}

#[test]
fn a_disk_that_outlives_its_machine_is_in_use_before_and_deleted_after() {
    for cloud in Cloud::ALL {
        let bed = Bed::new(cloud);
        let mut order = bed.order(Market::OnDemand, 1);
        order.spec.delete_with_instance = false;
        let machine = bed.launch(&order).unwrap().machines[0].clone();
        bed.pass(300);
        let disks = || bed.world.look(|kernel| kernel.disks(&of("ada")));
        let disk = disks()[0].clone();
        assert_eq!((&disk.machine, disk.gib, disk.goes_with_machine), (&Some(machine.id.clone()), 10, false));
        assert_eq!(disk.zone, machine.offer.zone);
        let delete = || bed.world.look(|kernel| kernel.delete_disk(&disk.id));
        assert_eq!(delete(), Err(Refusal::InUse { id: disk.id.to_string(), by: 1 }), "{cloud}");
        bed.terminate(std::slice::from_ref(&machine.id));
        assert!(matches!(delete(), Err(Refusal::InUse { .. })), "{cloud}: it is still ending");
        bed.pass(600);
        assert_eq!(disks()[0].machine, None, "{cloud}");
        assert!(give(&bed, &disk.id, "bob"), "{cloud}");
        assert_eq!(bed.world.ledger_of("bob").live[0].id, disk.id);
        assert_eq!((delete(), delete()), (Ok(true), Ok(false)), "{cloud}");
        assert!(!give(&bed, &disk.id, "ada"), "{cloud}: it is gone");
        for address in bed.world.look(|kernel| kernel.addresses(&of("ada"))) {
            assert_eq!(Some(address.ip), machine_ip(&bed, &machine.id), "{cloud}");
            assert_eq!(bed.world.look(|kernel| kernel.delete_address(&address.id)), Ok(true));
        }
        assert!(bed.world.ledger().live.is_empty(), "{cloud}");
    }
}

/// The address of the machine that was launched first.
fn machine_ip(_: &Bed, _: &str) -> Option<std::net::IpAddr> {
    Some([198, 18, 0, 0].into())
}

#[test]
fn what_stands_alone_costs_from_its_making_to_its_deletion() {
    for cloud in Cloud::ALL {
        let bed = Bed::new(cloud);
        let offer = bed.offers(Market::Spot)[0].clone();
        let (zone, region) = (&offer.zone, &offer.region);
        let owner = tags(&[(tag::OWNER, "ada")]);
        let disk = bed.world.look(|kernel| kernel.create_disk(zone, 100, owner.clone())).unwrap();
        let address = bed.world.look(|kernel| kernel.create_address(region, owner.clone())).unwrap();
        let other = bed.world.look(|kernel| kernel.create_address(region, owner.clone())).unwrap();
        assert!(disk != address && address != other, "{cloud}");
        bed.pass(7_200);
        let ledger = bed.world.ledger_of("ada");
        assert_eq!(ledger.live.len(), 3, "{cloud}");
        let (price, ip) = bed.world.look(|kernel| {
            assert_eq!(kernel.leftovers(&of("ada")).len(), 3);
            assert_eq!(kernel.disk(&disk).unwrap().machine, None);
            let extras = kernel.rules().extras;
            let address = kernel.address(&address).unwrap();
            assert_ne!(address.ip, kernel.address(&other).unwrap().ip);
            (extras.disk(region.as_str(), 100) + extras.address + extras.address, address.ip)
        });
        assert!(!ip.is_loopback());
        assert_eq!(ledger.usd_per_hour, price, "{cloud}");
        assert_eq!(ledger.accrued_usd, price.over(Duration::from_secs(7_200)), "{cloud}");
        assert_eq!(ledger.live[1].zone, None);
        bed.world.look(|kernel| {
            assert_eq!(kernel.delete_disk(&address), Ok(false), "an address is no disk");
            assert_eq!(kernel.delete_address(&disk), Ok(false), "a disk is no address");
            assert_eq!(kernel.delete_disk(&disk), Ok(true));
            assert_eq!(kernel.delete_address(&address), Ok(true));
            assert!(kernel.delete_leftover(&other) && !kernel.delete_leftover(&other));
            assert!(
                kernel.disks(&Whose::default()).is_empty() && kernel.addresses(&Whose::default()).is_empty()
            );
        });
        bed.pass(7_200);
        let ledger = bed.world.ledger_of("ada");
        assert!(ledger.proves_empty());
        assert_eq!(
            ledger.accrued_usd,
            price.over(Duration::from_secs(7_200)),
            "{cloud}: no more than before"
        );
    }
}

#[test]
fn what_cannot_be_made_says_what_can() {
    let bed = Bed::new(Cloud::Aws);
    let make = |zone: &str, gib| {
        bed.world.look(|kernel| kernel.create_disk(&zone.into(), gib, Arc::default())).unwrap_err()
    };
    assert!(
        matches!(make("us-east-1x", 8), Refusal::Unknown { what: "zone", nearest, .. } if !nearest.is_empty())
    );
    assert!(matches!(make("us-east-1a", 0), Refusal::Invalid { field: "size", .. }));
    assert!(matches!(make("us-east-1a", 100_000), Refusal::Invalid { field: "size", .. }));
    let address = bed.world.look(|kernel| kernel.create_address(&"mars-1".into(), Arc::default()));
    assert!(matches!(address, Err(Refusal::Unknown { what: "region", .. })));
}

#[test]
fn pages_add_up_to_the_list_whatever_their_size() {
    let bed = Bed::new(Cloud::Aws);
    for _ in 0..4 {
        bed.spot(7);
    }
    bed.pass(60);
    let whole = bed.world.instances();
    let ended: Vec<_> = whole[3..12].iter().map(|view| view.id.clone()).collect();
    bed.terminate(&ended);
    bed.pass(2 * 3_600);
    let whole = bed.world.instances();
    assert_eq!(whole.len(), 19);
    for most in [1, 4, 19, 100] {
        let (mut from, mut paged) = (0, Vec::new());
        loop {
            let page = bed.world.look(|kernel| kernel.machines_from(&Whose::default(), from, most));
            assert!(page.len() <= most);
            let Some(last) = page.last() else { break };
            from = last.number + 1;
            paged.extend(page);
        }
        assert_eq!(paged, whole, "pages of {most}");
    }
    let views: Vec<_> = whole.iter().map(|view| (view.number, view.launch * 7 + view.index)).collect();
    assert!(views.iter().all(|(number, place)| number == place), "{views:?}");
}

#[test]
fn a_fixture_that_changes_hands_is_the_new_owners() {
    let bed = Bed::new(Cloud::Aws);
    for (kind, id) in
        [(FixtureKind::KeyPair, "key"), (FixtureKind::PlacementGroup, "pg"), (FixtureKind::Fleet, "fleet")]
    {
        let fixture = Fixture {
            kind,
            id: id.into(),
            region: "us-east-1".into(),
            inside: None,
            tags: tags(&[(tag::OWNER, "ada")]),
            created: START,
        };
        bed.world.look(|kernel| kernel.put_fixture(fixture, None));
    }
    assert!(give(&bed, "pg", "bob"));
    assert_eq!(bed.world.ledger_of("bob").blocking[0].kind, FixtureKind::PlacementGroup);
    assert_eq!(bed.world.ledger_of("ada").blocking.len(), 2);
    let mut order = bed.order(Market::OnDemand, 1);
    order.spec.holds = ["key", "pg", "fleet"].map(Arc::from).to_vec();
    bed.launch(&order).unwrap();
    let delete = |id: &str| bed.world.look(|kernel| kernel.delete_fixture(id));
    assert_eq!((delete("key"), delete("fleet")), (Ok(true), Ok(true)));
    assert_eq!(delete("pg"), Err(Refusal::InUse { id: "pg".to_owned(), by: 1 }));
}

#[test]
fn on_azure_callers_choose_whole_ids_and_say_of_each_thing_whether_it_goes() {
    let bed = Bed::new(Cloud::Azure);
    let id = |kind: &str, name: &str| -> Arc<str> {
        format!("/subscriptions/s/resourceGroups/g/providers/{kind}/{name}").into()
    };
    let mut order = bed.order(Market::OnDemand, 1);
    order.names = vec![id("Microsoft.Compute/virtualMachines", "m")];
    order.spec.disk_name = Some(id("Microsoft.Compute/disks", "system"));
    order.spec.goes = Some(Goes { disk: false, interface: false, address: true });
    let machine = bed.launch(&order).unwrap().machines[0].id.clone();
    assert_eq!(machine, order.names[0]);
    assert!(matches!(bed.launch(&order), Err(Refusal::Coded { status: 409, .. })), "the name is taken");
    let disk = |bed: &Bed| {
        bed.world.look(|kernel| {
            kernel.disk("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/system")
        })
    };
    assert_eq!(disk(&bed).unwrap().machine, Some(machine.clone()));
    bed.terminate(&[machine]);
    bed.pass(300);
    let ledger = bed.world.ledger();
    let left: Vec<_> = ledger.live.iter().map(|line| line.id.to_string()).collect();
    assert_eq!(left, [order.spec.disk_name.clone().unwrap().to_string()]);
    let interface = &ledger.blocking[0].id;
    assert!(interface.contains("/networkInterfaces/m-nic-"), "{interface}");
    assert!(bed.world.look(|kernel| kernel.delete_disk(&left[0])).unwrap());
    assert!(disk(&bed).is_none());
}
