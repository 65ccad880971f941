//! Machines that are real local processes: how they end themselves, and their metadata service.

mod bed;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bed::Bed;
use skyfleet_core::{InstanceState, Market};
use skyfleet_simcloud::{Cloud, EndCause, MachineView, Metadata, OnReclaim, OnShutdown, WeakWorld};

/// Before it asks for a shutdown, a script makes sure that it would ask the shim: nothing here may
/// ever reach this computer's own.
const GUARD: &str =
    "#!/bin/sh\ncase $(command -v shutdown) in \"$HOME\"/*) ;; *) echo NO SHIM; exit 1 ;; esac\n";

fn bed() -> Bed {
    Bed::with(Cloud::Aws, "[market]\nprocess = \"constant\"\n", |options| options.processes = true)
}

fn launch(
    bed: &Bed,
    market: Market,
    script: &str,
    change: impl FnOnce(&mut skyfleet_simcloud::MachineSpec),
) -> Arc<str> {
    let mut order = bed.order(market, 1);
    order.spec.user_data = script.into();
    change(&mut order.spec);
    let id = bed.launch(&order).unwrap().machines[0].id.clone();
    bed.pass(900);
    // The world moves when it is looked at.
    bed.world.instances();
    id
}

fn view(bed: &Bed, id: &str) -> MachineView {
    bed.world.instances().into_iter().find(|view| &*view.id == id).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited ten seconds in vain for: {what}");
}

fn console(bed: &Bed, id: &str) -> String {
    String::from_utf8(bed.world.console(id).unwrap_or_default()).unwrap()
}

#[test]
fn a_shutdown_inside_ends_that_machine_as_its_order_says() {
    use InstanceState::*;
    for (market, on_shutdown, on_reclaim, ends) in [
        (Market::OnDemand, OnShutdown::Terminate, OnReclaim::Terminate, true),
        (Market::OnDemand, OnShutdown::Stop, OnReclaim::Terminate, false),
        (Market::Spot, OnShutdown::Stop, OnReclaim::Terminate, true),
        (Market::Spot, OnShutdown::Stop, OnReclaim::Stop, false),
    ] {
        let bed = bed();
        let other = launch(&bed, market, "#!/bin/sh\nsleep 300\n", |_| {});
        let script = format!("{GUARD}echo ready\nshutdown -h now\necho asked\nsleep 300\n");
        let id = launch(&bed, market, &script, |spec| {
            (spec.on_shutdown, spec.on_reclaim) = (on_shutdown, on_reclaim);
        });
        until("the machine to go down", || view(&bed, &id).state == Stopping);
        let down = view(&bed, &id);
        assert_eq!(down.leaving.is_some(), ends, "{market} {on_shutdown:?} {on_reclaim:?}");
        assert_eq!(down.cause, ends.then_some(EndCause::Shutdown));
        assert_eq!(view(&bed, &other).state, Running);
        bed.pass(120);
        assert_eq!(view(&bed, &id).state, if ends { Terminated } else { Stopped });
        assert!(console(&bed, &id).starts_with("ready\n"), "{}", console(&bed, &id));
    }
}

#[test]
fn a_planned_shutdown_comes_in_the_worlds_own_time_unless_it_is_taken_back() {
    let bed = bed();
    let plan = |more: &str| {
        let script = format!("{GUARD}shutdown -h +60\n{more}\necho ready\nsleep 300\n");
        let id = launch(&bed, Market::OnDemand, &script, |_| {});
        until("the script to have asked", || console(&bed, &id).contains("ready"));
        id
    };
    let (kept, lifted) = (plan(""), plan("shutdown -c"));
    // What was asked reaches the world soon after, in real time.
    std::thread::sleep(Duration::from_millis(200));
    bed.pass(2_000);
    assert_eq!(view(&bed, &kept).state, InstanceState::Running);
    bed.pass(2_000);
    assert_ne!(view(&bed, &kept).state, InstanceState::Running);
    assert_eq!(view(&bed, &lifted).state, InstanceState::Running);
}

#[test]
fn a_reboot_does_nothing_and_says_so() {
    let bed = bed();
    let script = format!("{GUARD}reboot\necho \"on: $?\"\nsleep 300\n");
    let id = launch(&bed, Market::OnDemand, &script, |_| {});
    until("the script to go on", || console(&bed, &id).ends_with("on: 0\n"));
    assert!(console(&bed, &id).contains("reboot"));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(view(&bed, &id).state, InstanceState::Running);
}

#[test]
fn a_machine_that_starts_again_does_not_run_its_user_data_again() {
    let bed = bed();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = format!("#!/bin/sh\necho once >>{}\nsleep 300\n", out.display());
    let id = launch(&bed, Market::OnDemand, &script, |_| {});
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    until("the user data", || lines(&out) == 1);
    bed.world.look(|kernel| kernel.stop(&id)).unwrap();
    bed.pass(120);
    bed.world.look(|kernel| kernel.start(&id)).unwrap();
    bed.pass(900);
    assert_eq!(view(&bed, &id).state, InstanceState::Running);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(lines(&out), 1);
    // One that was stopped before its user data began runs them at its next start.
    let mut order = bed.order(Market::OnDemand, 1);
    order.spec.user_data = format!("#!/bin/sh\necho late >>{}\n", out.display()).into();
    let id = bed.launch(&order).unwrap().machines[0].id.clone();
    let mut waited = 0;
    while bed.world.look(|kernel| kernel.stop(&id)).is_err() {
        bed.pass(1);
        waited += 1;
        assert!(waited < 300, "it never came up");
    }
    bed.pass(900);
    assert_eq!(lines(&out), 1, "it was stopped");
    bed.world.look(|kernel| kernel.start(&id)).unwrap();
    bed.pass(900);
    bed.world.instances();
    until("the user data of the second start", || lines(&out) == 2);
}

#[test]
fn a_script_for_each_boot_runs_again_after_a_stop_and_after_a_reset() {
    let bed = Bed::with(Cloud::Gcp, "[market]\nprocess = \"constant\"\n", |options| options.processes = true);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = format!("#!/bin/sh\necho up >>{}\nexec sleep 300\n", out.display());
    let boots = || std::fs::read_to_string(&out).unwrap_or_default().lines().count();
    let id = launch(&bed, Market::Spot, &script, |spec| spec.each_boot = true);
    until("the first boot", || boots() == 1);
    bed.world.look(|kernel| kernel.stop(&id)).unwrap();
    bed.pass(120);
    bed.world.look(|kernel| kernel.start(&id)).unwrap();
    bed.pass(900);
    bed.world.instances();
    until("the second boot", || boots() == 2);
    bed.world.look(|kernel| kernel.reboot(&id)).unwrap();
    assert_eq!(boots(), 2, "it takes a while");
    bed.pass(900);
    assert_eq!(view(&bed, &id).state, InstanceState::Running);
    until("the third boot", || boots() == 3);
}

#[derive(Debug)]
struct Diary {
    world: WeakWorld,
    lines: Mutex<Vec<String>>,
}

impl Metadata for Diary {
    fn open(&self, instance: &str) -> Vec<(String, String)> {
        // It may ask the world, which holds none of its locks.
        let world = self.world.upgrade().unwrap();
        let state = world.instances().into_iter().find(|view| &*view.id == instance).unwrap().state;
        self.lines.lock().unwrap().push(format!("open {instance} {state}"));
        vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), format!("http://{instance}"))]
    }

    fn close(&self, instance: &str) {
        self.lines.lock().unwrap().push(format!("close {instance}"));
    }
}

#[test]
fn the_metadata_service_is_opened_before_the_first_process_and_closed_after_the_last() {
    let bed = bed();
    let diary = Arc::new(Diary { world: bed.world.downgrade(), lines: Mutex::default() });
    bed.world.serve_metadata(diary.clone());
    let script = "#!/bin/sh\ntrap 'sleep 0.2; exit 0' TERM\necho \"$AWS_EC2_METADATA_SERVICE_ENDPOINT\"\nwhile :; do sleep 0.02; done\n";
    let id = launch(&bed, Market::OnDemand, script, |_| {});
    until("the script", || console(&bed, &id) == format!("http://{id}\n"));
    let lines = || diary.lines.lock().unwrap().clone();
    assert_eq!(lines(), [format!("open {id} running")]);
    bed.terminate(std::slice::from_ref(&id));
    assert_eq!(lines().len(), 1, "its last process is still there");
    until("the close", || lines().len() == 2);
    assert_eq!(lines()[1], format!("close {id}"));
    // One that cannot run is closed again, one that is up when the world ends too.
    let bad = launch(&bed, Market::OnDemand, "#cloud-config\n", |_| {});
    assert_eq!(lines()[2..], [format!("open {bad} running"), format!("close {bad}")]);
    let last = launch(&bed, Market::OnDemand, script, |_| {});
    drop(bed);
    assert_eq!(lines()[4..], [format!("open {last} running"), format!("close {last}")]);
}
