use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The user's own labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The fixtures (security group, network) that each machine holds while it exists.
    pub holds: Vec<Arc<str>>,
    /// What becomes of a spot machine that the cloud takes back.
    #[serde(default)]
    pub on_reclaim: OnReclaim,
    /// What becomes of a machine whose own system shuts down.
    #[serde(default)]
    pub on_shutdown: OnShutdown,
}

/// What becomes of a spot machine that the cloud takes back.
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
            labels: Arc::default(),
            holds: Vec::new(),
            on_reclaim: OnReclaim::default(),
            on_shutdown: OnShutdown::default(),
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
