use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Market, PoolBid, Region, Spread, Timestamp};

use crate::refusal::Closed;
use crate::tags::Tags;
use crate::view::MachineView;

/// What every machine of a launch is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// The script of the first boot; empty for none.
    pub user_data: Arc<str>,
    /// The boot disk, in GiB; 0 for none.
    pub disk_gib: u32,
    /// Whether each machine gets a public address.
    pub public_ip: bool,
    /// Whether disk, interface and address go when their machine goes. A cloud's own default is
    /// not always yes: a caller says it.
    pub delete_with_instance: bool,
    /// The same of each, where a caller says it of each (Azure: `deleteOption`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes: Option<Goes>,
    /// The id of the boot disk, where the caller chooses it: of a launch of one machine, on Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_name: Option<Arc<str>>,
    /// The network interface that it gets, where that was there before it: a fixture, on Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Arc<str>>,
    /// The user's own labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The fixtures (security group, network) that each machine holds while it exists.
    pub holds: Vec<Arc<str>>,
    /// Whether the script runs at each boot: Compute Engine's `startup-script` does. Else at the
    /// first one only, as cloud-init has it.
    pub each_boot: bool,
    /// What becomes of a spot machine that the cloud takes back, and of any machine that has run as
    /// long as it may.
    pub on_reclaim: OnReclaim,
    /// What becomes of a machine whose own system shuts down.
    pub on_shutdown: OnShutdown,
    /// How long a spot machine that will be taken back goes on running before it begins to stop
    /// (Compute Engine: `scheduling.preemptionNoticeDuration`). Nothing on a cloud whose machines
    /// run until the deadline anyway.
    pub notice: Option<Duration>,
    /// How long it may run, from each time it comes up (Compute Engine: `scheduling.maxRunDuration`).
    pub max_run: Option<Duration>,
}

/// Which of the things that came with a machine go when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goes {
    /// Its boot disk.
    pub disk: bool,
    /// Its network interface.
    pub interface: bool,
    /// Its public address.
    pub address: bool,
}

impl MachineSpec {
    /// Which of the things that came with a machine go when it goes.
    pub fn goes(&self) -> Goes {
        let all = self.delete_with_instance;
        self.goes.unwrap_or(Goes { disk: all, interface: all, address: all })
    }
}

/// What becomes of a spot machine that the cloud takes back, and of a machine whose time is over
/// (Compute Engine: `instanceTerminationAction` is for both).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReclaim {
    /// It ends for good.
    #[default]
    Terminate,
    /// It stops and can be started again; its disk stays. Hibernation counts as this.
    Stop,
}

/// What becomes of a machine whose own system shuts down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnShutdown {
    /// It stops and can be started again; a spot machine only where a reclaim stops it too.
    Stop,
    /// It ends for good.
    #[default]
    Terminate,
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self {
            user_data: "".into(),
            disk_gib: 0,
            public_ip: false,
            delete_with_instance: true,
            goes: None,
            disk_name: None,
            interface: None,
            labels: Arc::default(),
            holds: Vec::new(),
            each_boot: false,
            on_reclaim: OnReclaim::default(),
            on_shutdown: OnShutdown::default(),
            notice: None,
            max_run: None,
        }
    }
}

/// One bulk launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The idempotency key; without one every call buys anew.
    pub token: Option<String>,
    /// Where all the pools are.
    pub region: Region,
    /// How the machines are bought.
    pub market: Market,
    /// Where they may come from, best first.
    pub pools: Vec<PoolBid>,
    /// How many, at least 1.
    pub count: u32,
    /// Fewer than this and none is kept.
    pub count_min: u32,
    /// How they lie over the pools.
    pub spread: Spread,
    /// What they are made of.
    pub spec: MachineSpec,
    /// The machines' tags.
    pub tags: Arc<Tags>,
    /// The tags of their disks.
    pub disk_tags: Arc<Tags>,
    /// The tags of their interfaces, and of the addresses that go with those.
    pub interface_tags: Arc<Tags>,
    /// When the cloud itself ends them; only for a cloud that can.
    pub native_expiry: Option<Timestamp>,
    /// What the machines' names begin with, on clouds where machines have names.
    pub name_prefix: String,
    /// Their names, where the caller chooses them: as many as `count`, given in this order to the
    /// machines as they are built, whatever zone they come to lie in. On Azure they are whole ids:
    /// the resource group is part of them. Empty: the prefix and a number. On other clouds than
    /// Compute Engine and Azure the caller chooses no names.
    pub names: Vec<Arc<str>>,
}

/// What a launch obtained.
#[derive(Clone, Debug, PartialEq)]
pub struct Bought {
    /// The number of the launch, which its machines carry: of the first one when this is a
    /// repetition.
    pub launch: u32,
    /// The machines, in the order in which they were made.
    pub machines: Vec<MachineView>,
    /// Why there are fewer than asked for. The counts add up to what is missing.
    pub missing: Vec<Missing>,
    /// The token was known: this call bought nothing.
    pub repeated: bool,
}

/// Machines that were asked for and not obtained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// How many.
    pub count: u32,
    /// Why.
    pub why: Closed,
}
