use std::collections::BTreeMap;

use crate::aws::addresses::Addresses;
use crate::aws::fleet::{Fleets, upkeep};
use crate::aws::groups::Groups;
use crate::aws::interfaces::Interfaces;
use crate::aws::keys::Keys;
use crate::aws::launched::Launched;
use crate::aws::placement::PlacementGroups;
use crate::aws::spot::scores::Scored;
use crate::aws::templates::Templates;
use crate::aws::volumes::Volumes;
use crate::face::Beside;
use crate::kernel::Kernel;

/// What EC2 keeps beside the world. Each part is in the file of the actions that change it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// How many ids were given: see [`new_id`](crate::aws::creation::new_id).
    pub(crate) ids_given: u64,
    /// The tags of what the account has from the start, by id.
    pub(crate) own_tags: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) groups: Groups,
    pub(crate) keys: Keys,
    pub(crate) placement_groups: PlacementGroups,
    pub(crate) scored: Scored,
    pub(crate) templates: Templates,
    /// What launches of EC2 were made of.
    pub(crate) launched: Launched,
    pub(crate) fleets: Fleets,
    pub(crate) interfaces: Interfaces,
    pub(crate) volumes: Volumes,
    pub(crate) addresses: Addresses,
}

impl Beside for State {
    fn tend(&mut self, kernel: &mut Kernel) {
        upkeep::tend(kernel, self);
    }
}
