use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{InstanceState, Timestamp, UsdPerHour};

use crate::kernel::Kernel;
use crate::rules::mix;
use crate::view::MachineView;

pub(crate) use crate::tags::Tags;

/// What EC2 keeps of instances beside what the world knows of its machines. What a launch has in
/// common is kept once per launch, so that memory per instance is the world's alone.
#[derive(Debug, Default)]
pub(crate) struct Launched {
    /// By the number of the world's launch.
    details: BTreeMap<u32, Arc<Details>>,
    /// The launches whose spot requests are persistent.
    persistent: BTreeSet<u32>,
    /// Not before this is capacity tried again for instances that EC2 stopped.
    next_restart: Option<Timestamp>,
    /// The launches of client tokens, by region and token, with the digest of the request.
    pub(crate) tokens: BTreeMap<(String, String), (u64, u32)>,
    /// Who may not be terminated, or may again: where it differs from the launch.
    protected: BTreeMap<Arc<str>, bool>,
    /// Instances that were restarted in place: when last.
    pub(crate) rebooted: BTreeMap<Arc<str>, Timestamp>,
    /// When a spot request was cancelled, by its instance.
    pub(crate) cancelled: BTreeMap<Arc<str>, Timestamp>,
    /// The tags of spot requests whose tags were changed after the launch, by the instance.
    pub(crate) request_tags: BTreeMap<Arc<str>, Arc<Tags>>,
}

impl Launched {
    pub(crate) fn add(&mut self, launch: u32, details: Details) {
        if details.spot.as_ref().is_some_and(|spot| spot.persistent) {
            self.persistent.insert(launch);
        }
        self.details.insert(launch, Arc::new(details));
    }

    /// What a launch of EC2 was; the world of the same machines may hold others.
    pub(crate) fn of(&self, launch: u32) -> Option<&Arc<Details>> {
        self.details.get(&launch)
    }

    pub(crate) fn is_protected(&self, view: &MachineView) -> bool {
        let of_launch = || self.of(view.launch).is_some_and(|details| details.protected);
        self.protected.get(&view.id).copied().unwrap_or_else(of_launch)
    }

    pub(crate) fn protect(&mut self, id: &Arc<str>, yes: bool) {
        self.protected.insert(id.clone(), yes);
    }

    /// The tags of an instance's spot request.
    pub(crate) fn request_tags(&self, view: &MachineView) -> Arc<Tags> {
        let own = self.request_tags.get(&view.id);
        let of_launch =
            || self.of(view.launch).and_then(|details| details.spot.as_ref()).map(|spot| &spot.tags);
        own.or_else(of_launch).cloned().unwrap_or_default()
    }
}

/// Starts what EC2 stopped for want of capacity, once there is some: EC2 user guide, "Interruption
/// behavior", stop. Only as long as its request stands.
pub(crate) fn restart_stopped(kernel: &mut Kernel, launched: &mut Launched) {
    let now = kernel.now();
    if launched.persistent.is_empty() || launched.next_restart.is_some_and(|at| now < at) {
        return;
    }
    launched.next_restart = Some(now + RESTART);
    launched.persistent.retain(|launch| kernel.lots[*launch as usize].left > 0);
    let mut stopped = Vec::new();
    for launch in &launched.persistent {
        for m in kernel.lots[*launch as usize].machines() {
            let machine = &kernel.machines[m as usize];
            let by_cloud = machine.halts.last().is_some_and(|halt| halt.notice.is_some());
            let rests = machine.state_at(now) == InstanceState::Stopped;
            if rests && by_cloud && !launched.cancelled.contains_key(&machine.id) {
                stopped.push(machine.id.clone());
            }
        }
    }
    for id in stopped {
        if let Err(refusal) = kernel.start(&id) {
            tracing::debug!(?refusal, instance = %id, "a stopped spot instance stays stopped");
        }
    }
}

/// How often EC2 looks whether there is room again. Ours.
const RESTART: Duration = Duration::from_secs(10);

/// What the instances of one launch have in common.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(crate) reservation: Arc<str>,
    pub(crate) image: String,
    pub(crate) root_device: String,
    pub(crate) key: Option<String>,
    pub(crate) subnet: String,
    pub(crate) vpc: String,
    pub(crate) zone_id: String,
    /// Id and name.
    pub(crate) groups: Vec<(String, String)>,
    /// The ARN of the instance profile.
    pub(crate) profile: Option<String>,
    pub(crate) monitoring: bool,
    pub(crate) ebs_optimized: bool,
    pub(crate) metadata: MetadataTerms,
    pub(crate) client_token: Option<String>,
    pub(crate) fleet: Option<Arc<str>>,
    pub(crate) stops_on_shutdown: bool,
    pub(crate) protected: bool,
    pub(crate) delete_on_termination: bool,
    pub(crate) disk: DiskTerms,
    pub(crate) interface_description: String,
    pub(crate) placement_group: Option<String>,
    pub(crate) tenancy: String,
    /// Only for spot instances.
    pub(crate) spot: Option<SpotTerms>,
}

/// How the metadata service of an instance answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataTerms {
    pub(crate) token_required: bool,
    pub(crate) hop_limit: u32,
    pub(crate) enabled: bool,
    pub(crate) tags: bool,
}

/// The boot volume.
#[derive(Clone, Debug)]
pub(crate) struct DiskTerms {
    pub(crate) kind: String,
    pub(crate) encrypted: bool,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) snapshot: String,
}

/// How a spot instance was asked for.
#[derive(Clone, Debug)]
pub(crate) struct SpotTerms {
    pub(crate) max_price: Option<UsdPerHour>,
    pub(crate) persistent: bool,
    /// `terminate`, `stop` or `hibernate`.
    pub(crate) interruption: &'static str,
    pub(crate) tags: Arc<Tags>,
}

/// EC2's number and name of a state. What goes for good is `shutting-down`, what only rests is
/// `stopping`.
pub(crate) fn state(view: &MachineView) -> (u8, &'static str) {
    match view.state {
        InstanceState::Pending => (0, "pending"),
        InstanceState::Running => (16, "running"),
        InstanceState::Stopping if view.leaving.is_none() => (64, "stopping"),
        InstanceState::Stopping => (32, "shutting-down"),
        InstanceState::Stopped => (80, "stopped"),
        InstanceState::Terminated => (48, "terminated"),
    }
}

/// The reservation of a launch.
pub(crate) fn reservation_id(kernel: &Kernel, launch: u32) -> Arc<str> {
    format!("r-0{:016x}", mix(u64::from(launch) ^ mix(kernel.seed ^ 0x7265_7365))).into()
}

/// The id of the network interface that came with an instance.
pub(crate) fn interface_id(instance: &str) -> String {
    instance.replacen("i-", "eni-", 1)
}

/// The id of an instance's boot volume.
pub(crate) fn volume_id(instance: &str) -> String {
    instance.replacen("i-", "vol-", 1)
}

const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Odd, so that multiplying by it in 40 bits can be undone.
const SCATTER: u64 = 0x9e_3779_b97f;
const MASK: u64 = (1 << 40) - 1;

/// The id of the spot request of machine number `number`: eight letters that look drawn by lot.
pub(crate) fn request_id(number: u32) -> String {
    let scattered = (u64::from(number) + 1).wrapping_mul(SCATTER) & MASK;
    let letter = |place: u32| LETTERS[(scattered >> (place * 5) & 31) as usize] as char;
    format!("sir-{}", (0..8).map(letter).collect::<String>())
}

/// The machine's number in the id of its spot request.
pub(crate) fn request_number(id: &str) -> Option<u32> {
    let letters = id.strip_prefix("sir-").filter(|letters| letters.len() == 8)?;
    let mut scattered = 0u64;
    for (place, letter) in letters.bytes().enumerate() {
        let value = LETTERS.iter().position(|known| *known == letter)? as u64;
        scattered |= value << (place * 5);
    }
    let mut inverse = SCATTER;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(SCATTER.wrapping_mul(inverse)));
    }
    let number = scattered.wrapping_mul(inverse) & MASK;
    u32::try_from(number.checked_sub(1)?).ok()
}

/// An instance of the region that EC2 still knows, whether lists show it already or not.
pub(crate) fn existing(kernel: &Kernel, region: &str, id: &str) -> Option<MachineView> {
    let m = *kernel.by_id.get(id)?;
    let machine = &kernel.machines[m as usize];
    let faded = machine.ended_at.is_some_and(|ended| kernel.now() >= ended + kernel.rules().ended_listed);
    let view = kernel.view(m, kernel.now());
    (!faded && view.region.as_str() == region).then_some(view)
}

/// All different texts of a list, in their order.
pub(crate) fn distinct(texts: Vec<&str>) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    texts.into_iter().filter(|text| seen.insert(*text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_spot_request_tells_its_instance() {
        for number in [0, 1, 2, 77, 10_000, u32::MAX] {
            let id = request_id(number);
            assert_eq!(request_number(&id), Some(number), "{id}");
        }
        assert_eq!(request_number("sir-"), None);
        assert_eq!(request_number("sir-aaaaaaaaa"), None);
        assert_eq!(request_number("i-00000000"), None);
    }
}
