use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{FleetName, InstanceId, OfferId, Owner, Price, Region, Timestamp, Token};

/// Where an instance stands in its life. States only move forward: the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Bought, not yet up.
    Pending,
    /// Up, as the cloud sees it.
    Running,
    /// Going down.
    Stopping,
    /// Down, and still there: its disk costs money. No fleet of ours wants this.
    Stopped,
    /// Gone for good.
    Terminated,
}

impl InstanceState {
    /// Pending or running: it can still do, or is doing, its work.
    pub fn is_alive(self) -> bool {
        self <= Self::Running
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Terminated => "terminated",
        })
    }
}

/// One machine, as the cloud reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name for ever.
    pub id: InstanceId,
    /// Whose it is, from its tag.
    pub owner: Owner,
    /// Its fleet, from its tag.
    pub fleet: FleetName,
    /// The launch that made it, from its tag.
    pub token: Token,
    /// What was obtained: type, zone and market of the machine itself, not of the request.
    pub offer: OfferId,
    /// The region of its zone.
    pub region: Region,
    /// Where it stands in its life.
    pub state: InstanceState,
    /// The hourly price as it was at launch.
    pub price: Price,
    /// When the cloud accepted the launch.
    pub launched: Timestamp,
    /// The user's own labels, from its tags; shared between the instances of a launch.
    pub labels: Arc<BTreeMap<String, String>>,
    /// When it ends by itself, where its tag says so.
    pub expires: Option<Timestamp>,
    /// Its address inside the network, once it has one.
    pub private_ip: Option<IpAddr>,
    /// Its public address, if one was asked for.
    pub public_ip: Option<IpAddr>,
}
