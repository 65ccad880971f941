use serde::{Deserialize, Serialize};
use skyfleet_core::Instance;

/// One place of the fleet, by number. A replacement takes over the place of what it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// From 0 to the target less one.
    pub index: u32,
    /// Who holds it now.
    pub instance: Option<Instance>,
    /// How many instances have held it, the present one included.
    pub generation: u32,
}
