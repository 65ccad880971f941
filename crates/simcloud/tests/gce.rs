//! What the world does for Compute Engine alone: names of the caller's own, a notice ahead of the
//! stop, longest runs, quotas that count GPUs.

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{Counts, InstanceState, Market, OfferId, Spread, Timestamp, tag};
use skyfleet_simcloud::{
    Closed, Cloud, EndCause, LineKind, MachineView, OnReclaim, Order, Refusal, Tags, Whose, World,
    WorldOptions,
};

mod bed;
use bed::{Bed, START};

/// Markets that take nothing back, and machines that come up after 10 s exactly.
const STEADY: &str = "[market]\nprocess = \"constant\"\n[boot]\nmedian_s = 10.0\nsigma = 0.0\nstraggler_share = 0.0\n\
     [pools]\ndefault_capacity = 100\n";

fn gce() -> Bed {
    Bed::playing(Cloud::Gcp, STEADY)
}

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// An order of machines with these names, all in one zone.
fn named(bed: &Bed, market: Market, names: &[&str]) -> Order {
    let mut order = bed.order(market, names.len() as u32);
    order.spread = Spread::Packed;
    order.pools.truncate(1);
    order.names = names.iter().map(|name| (*name).into()).collect();
    order
}

/// A spot machine called `w`, made as the change says.
fn spot(bed: &Bed, change: impl FnOnce(&mut Order)) -> Arc<str> {
    let mut order = named(bed, Market::Spot, &["w"]);
    change(&mut order);
    bed.launch(&order).unwrap().machines[0].id.clone()
}

fn ids(machines: &[MachineView]) -> Vec<&str> {
    machines.iter().map(|machine| &*machine.id).collect()
}

fn view(bed: &Bed, id: &str) -> MachineView {
    bed.world.look(|kernel| kernel.machine(id, &Whose::default())).expect("it is listed")
}

fn is_there(bed: &Bed, id: &str) -> bool {
    bed.world.look(|kernel| kernel.machine(id, &Whose::default())).is_some()
}

fn preempt(bed: &Bed, id: &str, lead: &str) {
    bed.fault(&format!(r#"{{"kind":"preempt","instance_id":"{id}"{lead}}}"#));
}

#[test]
fn machines_get_the_names_of_the_order_in_its_order() {
    let bed = gce();
    let mut order = named(&bed, Market::OnDemand, &["ada", "bob", "cleo", "dora"]);
    let zones: Vec<_> = bed.offers(Market::OnDemand).iter().map(|offer| offer.id()).take(2).collect();
    order.pools =
        zones.iter().map(|offer| skyfleet_core::PoolBid { offer: offer.clone(), price_max: None }).collect();
    order.spread = Spread::Even;
    let bought = bed.launch(&order).unwrap();
    let [a, b] = [&zones[0].zone, &zones[1].zone];
    let expected = [(a, "ada"), (a, "bob"), (b, "cleo"), (b, "dora")]
        .map(|(zone, name)| format!("zones/{zone}/instances/{name}"));
    assert_eq!(ids(&bought.machines), expected);
    assert_eq!(
        bed.world.look(|kernel| kernel.disk_of(&expected[2])).as_deref(),
        Some(&*format!("zones/{b}/disks/cleo"))
    );
}

#[test]
fn a_name_that_is_taken_is_refused_and_one_whose_machine_ended_is_free_again() {
    let bed = gce();
    let order = named(&bed, Market::OnDemand, &["a", "b"]);
    let first = bed.launch(&order).unwrap();
    let taken = |order: &Order| {
        let refusal = bed.launch(order).unwrap_err();
        matches!(&refusal, Refusal::Coded { status: 409, code, message }
            if code == "alreadyExists" && message.contains("/instances/b"))
    };
    let again = named(&bed, Market::OnDemand, &["c", "b"]);
    assert!(taken(&again));
    bed.pass(60);
    let b = first.machines[1].id.clone();
    bed.world.look(|kernel| kernel.stop(&b)).unwrap();
    bed.pass(120);
    assert!(taken(&again), "a stopped machine keeps its name");
    bed.terminate(std::slice::from_ref(&b));
    assert!(taken(&again), "until it is gone");
    bed.pass(120);
    let second = bed.launch(&again).unwrap();
    assert_eq!(second.machines[1].id, b);
    bed.pass(1);
    let found = view(&bed, &b);
    assert_eq!((found.number, found.state), (3, InstanceState::Pending));
    let all = bed.world.look(|kernel| kernel.machines(&Whose::default()));
    assert_eq!(all.iter().map(|machine| machine.number).collect::<Vec<_>>(), [0, 2, 3]);
    bed.terminate(&[first.machines[0].id.clone(), b, second.machines[0].id.clone()]);
    bed.pass(120);
    assert!(bed.world.ledger().proves_empty());
}

#[test]
fn names_that_cannot_be_given_are_refused_and_nothing_starts() {
    let bed = gce();
    let refused = |bed: &Bed, names: &[&str], count: u32| {
        let mut order = named(bed, Market::Spot, names);
        order.count = count;
        bed.launch(&order).unwrap_err()
    };
    for (names, count) in [(&["a", "a"][..], 2), (&["a"], 2), (&["a/disks/b"], 1), (&[""], 1)] {
        assert!(matches!(refused(&bed, names, count), Refusal::Invalid { field: "names", .. }), "{names:?}");
    }
    let aws = Bed::playing(Cloud::Aws, STEADY);
    assert!(matches!(refused(&aws, &["a"], 1), Refusal::Invalid { field: "names", .. }));
    assert!(bed.world.ledger().proves_empty());
}

#[test]
fn a_machine_gets_the_disk_of_its_name_that_another_left() {
    let bed = gce();
    let mut order = named(&bed, Market::OnDemand, &["db"]);
    order.spec.delete_with_instance = false;
    order.spec.disk_gib = 30;
    let id = bed.launch(&order).unwrap().machines[0].id.clone();
    let disk = id.replace("/instances/", "/disks/");
    bed.terminate(std::slice::from_ref(&id));
    bed.pass(120);
    bed.world.look(|kernel| kernel.retag(&disk, |tags| drop(tags.insert("kept".into(), "yes".into()))));
    let next = named(&bed, Market::OnDemand, &["db"]);
    assert_eq!(next.spec.disk_gib, 10);
    bed.launch(&next).unwrap();
    bed.pass(60);
    let disks = bed.world.look(|kernel| kernel.disks(&Whose::default()));
    let [found] = &disks[..] else { panic!("{disks:?}") };
    assert_eq!((&*found.id, found.gib, found.machine.as_ref()), (&*disk, 30, Some(&id)));
    assert_eq!(found.tags.get("kept").map(String::as_str), Some("yes"));
    assert!(matches!(bed.world.look(|kernel| kernel.delete_disk(&disk)), Err(Refusal::InUse { .. })));
    bed.terminate(std::slice::from_ref(&id));
    bed.pass(120);
    assert!(bed.world.ledger().proves_empty(), "this order asked for its deletion");
    let paid =
        |kind| bed.bill().iter().filter(|line| line.kind == kind).map(|line| line.paid).sum::<Duration>();
    let all = bed.world.look(|kernel| kernel.now()).duration_since(START);
    assert!(paid(LineKind::Disk) < Duration::try_from(all).unwrap(), "it is paid once at a time");
}

#[test]
fn a_disk_and_an_address_can_have_names_of_their_own() {
    let bed = gce();
    let offer = bed.offers(Market::OnDemand).remove(0);
    let (zone, region) = (&offer.zone, &offer.region);
    let disk =
        |name: &str| bed.world.look(|kernel| kernel.create_disk_named(zone, name, 20, Arc::new(Tags::new())));
    let address = |name: &str| {
        bed.world.look(|kernel| kernel.create_address_named(region, name, Arc::new(Tags::new())))
    };
    let (data, front) = (disk("data").unwrap(), address("front").unwrap());
    assert_eq!(*data, *format!("zones/{zone}/disks/data"));
    assert_eq!(*front, *format!("regions/{region}/addresses/front"));
    let exists = |refusal: Refusal| matches!(refusal, Refusal::Coded { status: 409, .. });
    assert!(exists(disk("data").unwrap_err()) && exists(address("front").unwrap_err()));
    bed.launch(&named(&bed, Market::OnDemand, &["w"])).unwrap();
    assert!(exists(disk("w").unwrap_err()), "the boot disk of a machine has its name");
    // A machine of a disk's name gets that disk.
    bed.launch(&named(&bed, Market::OnDemand, &["data"])).unwrap();
    let found = bed.world.look(|kernel| kernel.disk(&data)).unwrap();
    assert_eq!((found.gib, found.machine.is_some()), (20, true));
    assert_eq!(bed.world.look(|kernel| kernel.delete_address(&front)), Ok(true));
    assert_eq!(address("front").unwrap(), front, "its name is free again");
    assert_eq!(bed.world.look(|kernel| kernel.addresses(&Whose::default())).len(), 1);
    let aws = Bed::new(Cloud::Aws);
    let zone = aws.offers(Market::OnDemand)[0].zone.clone();
    let made = aws.world.look(|kernel| kernel.create_disk_named(&zone, "data", 20, Arc::default()));
    assert!(matches!(made, Err(Refusal::Invalid { .. })));
}

#[test]
fn without_a_notice_the_flag_and_the_stop_come_together() {
    let bed = gce();
    let id = spot(&bed, |_| {});
    bed.pass(100);
    preempt(&bed, &id, "");
    let going = view(&bed, &id);
    assert_eq!(
        (going.state, going.noticed, going.leaving),
        (InstanceState::Stopping, Some(at(100)), Some(at(100)))
    );
    assert!(going.deadline.unwrap() <= at(130));
    bed.pass(30);
    assert!(!is_there(&bed, &id));
}

#[test]
fn with_a_notice_a_machine_runs_on_for_as_long_and_then_stops() {
    for action in [OnReclaim::Terminate, OnReclaim::Stop] {
        let bed = gce();
        let id = spot(&bed, |order| {
            order.spec.notice = Some(Duration::from_secs(120));
            order.spec.on_reclaim = action;
        });
        bed.pass(100);
        preempt(&bed, &id, "");
        bed.pass(119);
        let told = view(&bed, &id);
        let stop_at = |view: &MachineView| view.leaving.or(view.halted);
        assert_eq!((told.state, told.noticed, stop_at(&told)), (InstanceState::Running, Some(at(100)), None));
        bed.pass(1);
        let going = view(&bed, &id);
        assert_eq!((going.state, stop_at(&going)), (InstanceState::Stopping, Some(at(220))), "{action:?}");
        assert!(going.deadline.is_some_and(|end| end > at(220) && end <= at(250)));
        assert_eq!(bed.paid(), 210, "from running to stopping");
        bed.pass(30);
        let disks = bed.world.look(|kernel| kernel.disks(&Whose::default())).len();
        match action {
            OnReclaim::Terminate => assert!(!is_there(&bed, &id) && disks == 0),
            OnReclaim::Stop => {
                let stopped = view(&bed, &id);
                assert_eq!(stopped.state, InstanceState::Stopped);
                assert_eq!(stopped.halt_cause, Some(EndCause::Reclaimed));
                let live: Vec<_> = bed.world.ledger().live.iter().map(|line| line.kind).collect();
                assert_eq!((disks, &live[..]), (1, &[LineKind::Disk][..]));
            }
        }
    }
}

#[test]
fn a_preempt_fault_says_how_long_before_the_end_the_notice_comes() {
    for (notice, lead, runs_on) in [(None, 50, 0), (Some(120), 50, 20), (Some(120), 10, 0)] {
        let bed = Bed::playing(Cloud::Gcp, STEADY);
        let id = spot(&bed, |order| order.spec.notice = notice.map(Duration::from_secs));
        bed.pass(100);
        preempt(&bed, &id, &format!(r#","notice_seconds":{lead}"#));
        let told = view(&bed, &id);
        assert_eq!(told.deadline, Some(at(100 + lead)), "{notice:?} {lead}");
        assert_eq!(told.state == InstanceState::Stopping, runs_on == 0, "{notice:?} {lead}");
        bed.pass(lead - 1);
        let leaving = view(&bed, &id).leaving.unwrap();
        // Now and then a stop is shorter than 30 s.
        assert!(leaving >= at(100 + runs_on), "{notice:?} {lead}: {leaving}");
        bed.pass(1);
        assert!(!is_there(&bed, &id));
    }
}

#[test]
fn whoever_stops_and_starts_a_machine_in_its_notice_is_not_stopped_by_it() {
    let bed = gce();
    let id = spot(&bed, |order| {
        order.spec.notice = Some(Duration::from_secs(120));
        order.spec.on_reclaim = OnReclaim::Stop;
    });
    bed.pass(100);
    preempt(&bed, &id, "");
    bed.pass(10);
    bed.world.look(|kernel| kernel.stop(&id)).unwrap();
    bed.pass(70);
    assert_eq!(view(&bed, &id).halt_cause, Some(EndCause::User));
    bed.world.look(|kernel| kernel.start(&id)).unwrap();
    bed.pass(3_600);
    let back = view(&bed, &id);
    assert_eq!((back.state, back.noticed, back.halted), (InstanceState::Running, None, None));
}

#[test]
fn a_machine_that_is_taken_back_while_it_comes_up_never_ran_and_costs_nothing() {
    for action in [OnReclaim::Terminate, OnReclaim::Stop] {
        let bed = gce();
        let id = spot(&bed, |order| order.spec.on_reclaim = action);
        bed.pass(4);
        assert_eq!(view(&bed, &id).state, InstanceState::Pending);
        preempt(&bed, &id, r#","notice_seconds":20"#);
        bed.pass(15);
        let going = view(&bed, &id);
        assert_eq!(
            (going.state, going.noticed, going.running_at),
            (InstanceState::Stopping, Some(at(4)), None)
        );
        bed.pass(30);
        assert_eq!(bed.paid(), 0);
        if action == OnReclaim::Stop {
            let stopped = view(&bed, &id);
            assert_eq!((stopped.state, stopped.running_at), (InstanceState::Stopped, None));
            bed.world.look(|kernel| kernel.start(&id)).unwrap();
            bed.pass(10);
            assert_eq!(view(&bed, &id).running_at, Some(at(59)));
        }
    }
}

#[test]
fn a_machine_that_is_taken_back_within_a_minute_of_its_launch_is_free() {
    for (age, paid) in [(59, 0), (60, 60), (75, 65)] {
        let bed = gce();
        let id = spot(&bed, |_| {});
        bed.pass(age);
        preempt(&bed, &id, "");
        bed.pass(60);
        assert_eq!(bed.paid(), paid, "after {age} s, of which it came up for ten");
    }
}

#[test]
fn any_spot_machine_can_be_stopped_by_its_user_and_started_where_there_is_room() {
    let bed = gce();
    let id = spot(&bed, |_| {});
    bed.pass(60);
    assert_eq!(bed.world.look(|kernel| kernel.stop(&id)), Ok(()));
    let kinds = |bed: &Bed| bed.world.ledger().live.iter().map(|line| line.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&bed), [LineKind::Disk], "an ephemeral address goes with the stop");
    bed.pass(60);
    let offer = view(&bed, &id).offer;
    let room = |n: &str| {
        format!(
            r#"{{"kind":"capacity","zone":"{}","instance_type":"{}","market":"all","available":{n}}}"#,
            offer.zone, offer.instance_type
        )
    };
    bed.fault(&room("0"));
    assert_eq!(
        bed.world.look(|kernel| kernel.start(&id)),
        Err(Refusal::Full(Closed::Capacity(offer.clone())))
    );
    bed.fault(&room("null"));
    assert_eq!(bed.world.look(|kernel| kernel.start(&id)), Ok(()));
    assert_eq!(kinds(&bed), [LineKind::Disk, LineKind::Instance, LineKind::Address]);
    bed.pass(10);
    assert_eq!(bed.world.look(|kernel| kernel.reboot(&id)), Ok(()));
    assert_eq!(view(&bed, &id).state, InstanceState::Running);
    bed.world.look(|kernel| kernel.stop(&id)).unwrap();
    assert!(matches!(bed.world.look(|kernel| kernel.reboot(&id)), Err(Refusal::WrongState { .. })));
}

#[test]
fn the_longest_run_counts_from_each_time_a_machine_comes_up() {
    for market in [Market::Spot, Market::OnDemand] {
        let bed = gce();
        let mut order = named(&bed, market, &["w"]);
        order.spec.max_run = Some(Duration::from_secs(300));
        order.spec.on_reclaim = OnReclaim::Stop;
        let id = bed.launch(&order).unwrap().machines[0].id.clone();
        bed.pass(309);
        assert_eq!(view(&bed, &id).state, InstanceState::Running);
        bed.pass(1);
        let over = view(&bed, &id);
        assert_eq!((over.state, over.halted), (InstanceState::Stopping, Some(at(310))));
        assert_eq!((over.halt_cause, over.cause, over.noticed), (Some(EndCause::Expired), None, None));
        bed.pass(60);
        bed.world.look(|kernel| kernel.start(&id)).unwrap();
        // One that is stopped and started meanwhile begins anew.
        bed.pass(200);
        bed.world.look(|kernel| kernel.stop(&id)).unwrap();
        bed.pass(60);
        bed.world.look(|kernel| kernel.start(&id)).unwrap();
        let up = bed.world.look(|kernel| kernel.now()) + Duration::from_secs(10);
        bed.pass(309);
        assert_eq!(view(&bed, &id).state, InstanceState::Running);
        bed.pass(1);
        assert_eq!(view(&bed, &id).halted, Some(up + Duration::from_secs(300)));
    }
}

#[test]
fn a_machine_whose_time_is_over_ends_where_the_order_says_so() {
    let bed = gce();
    let mut order = named(&bed, Market::OnDemand, &["a"]);
    order.spec.max_run = Some(Duration::from_secs(300));
    let ends = bed.launch(&order).unwrap().machines[0].id.clone();
    let mut order = named(&bed, Market::OnDemand, &["b"]);
    order.native_expiry = Some(at(400));
    order.spec.on_reclaim = OnReclaim::Stop;
    let stops = bed.launch(&order).unwrap().machines[0].id.clone();
    bed.pass(310);
    assert_eq!(
        (view(&bed, &ends).leaving, view(&bed, &ends).cause),
        (Some(at(310)), Some(EndCause::Expired))
    );
    bed.pass(100);
    assert!(!is_there(&bed, &ends));
    assert_eq!((view(&bed, &stops).halted, view(&bed, &stops).leaving), (Some(at(400)), None));
}

#[test]
fn a_quota_of_gpus_counts_them_and_says_so() {
    let bed = gce();
    let t4 =
        |market| OfferId { zone: "us-central1-a".into(), instance_type: "n1-standard-4+T4".into(), market };
    let order = |market, count| {
        let mut order = bed.order(market, count);
        order.region = "us-central1".into();
        order.pools = vec![skyfleet_core::PoolBid { offer: t4(market), price_max: None }];
        order
    };
    let limit = |region: &str, name: &str, limit: &str| {
        bed.fault(&format!(r#"{{"kind":"quota","region":"{region}","name":"{name}","limit":{limit}}}"#));
    };
    limit("us-central1", "PREEMPTIBLE_NVIDIA_T4_GPUS", "3");
    let bought = bed.launch(&order(Market::Spot, 5)).unwrap();
    assert_eq!((bought.machines.len(), bought.missing[0].count), (3, 2));
    let full =
        |id: &str, limit, used| Closed::Quota { id: id.into(), counts: Counts::Gpus, limit, used, needed: 1 };
    assert_eq!(bought.missing[0].why, full("us-central1/PREEMPTIBLE_NVIDIA_T4_GPUS", 3, 0));
    let quota = |id: &str| bed.world.look(|kernel| kernel.quota(id)).unwrap();
    assert_eq!(quota("us-central1/PREEMPTIBLE_CPUS").1, 12);
    assert_eq!(quota("us-central1/NVIDIA_T4_GPUS").1, 0);
    // One over all regions and both markets.
    limit("global", "GPUS_ALL_REGIONS", "4");
    let over = |count| bed.world.look(|kernel| kernel.over_quota(&t4(Market::OnDemand), count));
    assert_eq!((over(1), over(2)), (None, Some(full("global/GPUS_ALL_REGIONS", 4, 3))));
    assert_eq!(bed.launch(&order(Market::OnDemand, 2)).unwrap().machines.len(), 1);
    limit("global", "GPUS_ALL_REGIONS", "null");
    assert_eq!(over(2), None);
    bed.pass(1);
    let all: Vec<_> = bed.world.look(|kernel| kernel.machines(&Whose::default()));
    bed.terminate(&all.iter().map(|machine| machine.id.clone()).collect::<Vec<_>>());
    bed.pass(120);
    assert_eq!(quota("global/GPUS_ALL_REGIONS").1, 0);
}

#[test]
fn a_list_of_one_zone_comes_in_full_pages() {
    let bed = gce();
    bed.launch(&bed.order(Market::Spot, 40)).unwrap();
    bed.pass(60);
    let zone = bed.offers(Market::Spot)[1].zone.clone();
    let whose = Whose { zone: Some(zone.as_str()), ..Whose::default() };
    let (mut from, mut found) = (0, Vec::new());
    loop {
        let page = bed.world.look(|kernel| kernel.machines_from(&whose, from, 4));
        let Some(last) = page.last() else { break };
        from = last.number + 1;
        found.extend(page);
    }
    assert!(found.len() > 4 && found.iter().all(|machine| machine.offer.zone == zone));
    assert_eq!(found, bed.world.look(|kernel| kernel.machines(&whose)));
}

#[test]
fn a_world_that_was_saved_knows_the_newest_machine_of_a_name() {
    let bed = gce();
    let id = spot(&bed, |order| {
        order.spec.notice = Some(Duration::from_secs(120));
        order.tags = Arc::new(Tags::from([(tag::OWNER.to_owned(), "first".to_owned())]));
    });
    bed.terminate(std::slice::from_ref(&id));
    bed.pass(120);
    assert_eq!(spot(&bed, |order| order.spec.notice = Some(Duration::from_secs(120))), id);
    bed.pass(60);
    preempt(&bed, &id, "");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    bed.world.save(&path).unwrap();
    let options = WorldOptions::new(Arc::new(bed.clock.clone())).playing(Cloud::Gcp);
    let again = World::load(options, &path).unwrap();
    let found = again.look(|kernel| kernel.machine(&id, &Whose::default())).unwrap();
    assert_eq!((found.number, found.state, found.noticed), (1, InstanceState::Running, Some(at(180))));
    bed.pass(150);
    assert!(again.look(|kernel| kernel.machine(&id, &Whose::default())).is_none());
}
