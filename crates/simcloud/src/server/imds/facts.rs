use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use skyfleet_core::{Arch, InstanceState, Market, Timestamp};

use crate::aws::launched::Details;
use crate::aws::state::State;
use crate::kernel::Kernel;
use crate::order::OnReclaim;

/// What the metadata service of an instance knows, at one moment of the world.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    pub(crate) id: Arc<str>,
    pub(crate) instance_type: String,
    pub(crate) arch: Arch,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    pub(crate) market: Market,
    pub(crate) launched: Timestamp,
    /// Its place in its launch.
    pub(crate) index: u32,
    pub(crate) private_ip: Option<IpAddr>,
    pub(crate) public_ip: Option<IpAddr>,
    pub(crate) tags: Arc<BTreeMap<String, String>>,
    pub(crate) user_data: Option<Arc<str>>,
    /// When the cloud takes it back, once it has said so.
    pub(crate) deadline: Option<Timestamp>,
    /// What becomes of it then: `terminate`, `stop` or `hibernate`.
    pub(crate) interruption: &'static str,
    /// When the cloud advised that it may go.
    pub(crate) advised: Option<Timestamp>,
    /// What EC2 knows of its launch; a machine that was bought past EC2 has none.
    pub(crate) details: Option<Arc<Details>>,
}

impl Facts {
    /// Those of an instance whose system is up; `None` for one that is not, or not any more.
    pub(crate) fn of(kernel: &Kernel, state: &State, id: &str) -> Option<Self> {
        let m = *kernel.by_id.get(id)?;
        let now = kernel.now();
        let view = kernel.view(m, now);
        if !matches!(view.state, InstanceState::Running | InstanceState::Stopping) {
            return None;
        }
        let catalog = kernel.catalog();
        let zone = catalog.zone(view.offer.zone.as_str())?;
        let details = state.launched.of(view.launch).cloned();
        let asked = details.as_ref().and_then(|details| details.spot.as_ref()).map(|spot| spot.interruption);
        let rule = || match kernel.on_reclaim(m) {
            OnReclaim::Terminate => "terminate",
            OnReclaim::Stop => "stop",
        };
        Some(Self {
            now,
            instance_type: view.offer.instance_type.to_string(),
            arch: catalog.instance_type(view.offer.instance_type.as_str())?.arch,
            region: view.region.to_string(),
            zone: view.offer.zone.to_string(),
            zone_id: zone.id.to_string(),
            market: view.offer.market,
            launched: view.launched,
            index: view.index,
            private_ip: view.private_ip,
            public_ip: view.public_ip,
            tags: view.tags,
            user_data: kernel.user_data(id).filter(|text| !text.is_empty()).cloned(),
            deadline: view.noticed.and(view.deadline),
            interruption: asked.unwrap_or_else(rule),
            advised: view.advised,
            details,
            id: view.id,
        })
    }

    /// Whether the service answers at all (`HttpEndpoint`).
    pub(crate) fn is_enabled(&self) -> bool {
        self.details.as_ref().is_none_or(|details| details.metadata.enabled)
    }

    /// Whether it answers only within a session (`HttpTokens` required).
    pub(crate) fn needs_token(&self) -> bool {
        self.details.as_ref().is_none_or(|details| details.metadata.token_required)
    }

    /// Whether it tells the tags (`InstanceMetadataTags`).
    pub(crate) fn tells_tags(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.metadata.tags)
    }

    /// The name inside of an address: `ip-10-0-0-7.ec2.internal` in us-east-1, elsewhere with the
    /// region (EC2 user guide, "EC2 instance hostname types").
    pub(crate) fn hostname(&self) -> Option<String> {
        let ip = self.private_ip?.to_string().replace('.', "-");
        Some(match self.region.as_str() {
            "us-east-1" => format!("ip-{ip}.ec2.internal"),
            region => format!("ip-{ip}.{region}.compute.internal"),
        })
    }
}
