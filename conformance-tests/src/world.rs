use std::fmt;
use std::time::Duration;

use skyfleet_core::{Capability, Connected, InstanceId, OfferId, QuotaId, Result};

/// What an [`Arm`](crate::Arm) connects for one case: a provider, its clock, and whatever can be
/// provoked in its cloud.
#[derive(Debug)]
pub struct World {
    /// The provider under test, bare, and the clock it lives by. A simulated cloud best has a
    /// [`ManualClock::auto`](skyfleet_core::ManualClock::auto): hours then pass in milliseconds.
    pub connected: Connected,
    /// What the suite can do to the cloud behind the provider's back.
    pub levers: Levers,
}

impl World {
    /// A world without levers, as a real cloud is one: the cases that need a lever are ignored.
    pub fn bare(connected: Connected) -> Self {
        Self { connected, levers: Levers::default() }
    }

    pub(crate) fn capability(&self) -> Capability {
        self.connected.provider.capability()
    }
}

/// How calls can be made to fail by [`Levers::fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The cloud answers that there were too many calls, and does nothing.
    Throttled,
    /// The cloud answers that it is out of order, and does nothing.
    Down,
    /// The cloud acts, and its answer gets lost.
    AnswerLost,
}

/// What can be provoked in a cloud from outside the provider: a closure each, over the world that
/// this [`World`] was connected to. A lever that is `None` makes the cases that need it ignored,
/// with that reason.
#[derive(Default)]
#[allow(
    clippy::type_complexity,
    reason = "each closure's type is the lever's signature, to be read in place"
)]
pub struct Levers {
    /// Lifts what the other levers did, as far as it goes on by itself: `room`, `quota`, `stale`,
    /// `fail`.
    pub calm: Option<Box<dyn Fn()>>,
    /// Takes a spot instance back, with the cloud's own lead time.
    pub preempt: Option<Box<dyn Fn(&InstanceId) -> Result<()>>>,
    /// From now on at most this many more instances can start in the pool.
    pub room: Option<Box<dyn Fn(&OfferId, u32) -> Result<()>>>,
    /// From now on the quota's limit is this many vCPUs.
    pub quota: Option<Box<dyn Fn(&QuotaId, u32) -> Result<()>>>,
    /// From now on lists of the cloud show the world as it was this long ago.
    pub stale: Option<Box<dyn Fn(Duration) -> Result<()>>>,
    /// From now on every call of the provider to its cloud fails in this way.
    pub fail: Option<Box<dyn Fn(Failure) -> Result<()>>>,
    /// How many calls the provider has made to its cloud so far, pages and polls included.
    pub calls: Option<Box<dyn Fn() -> u64>>,
    /// How many instances a case may have at once where size is the point, for example 1,200:
    /// more than any page holds. `None` where that would cost real money.
    pub crowd: Option<u32>,
    /// One line for each thing that still costs money or blocks a deletion, as the cloud's own
    /// books have it.
    pub leftovers: Option<Box<dyn Fn() -> Vec<String>>>,
    /// One line for each thing in the cloud's own books that no owner's tag is on, at this moment:
    /// instances, disks, addresses, network parts, templates.
    pub untagged: Option<Box<dyn Fn() -> Vec<String>>>,
    /// A second client of the same world, as after a restart of the program: it shares nothing
    /// with the first but the cloud.
    pub reconnect: Option<Box<dyn Fn() -> Result<Connected>>>,
    /// A client of the same world whose credentials the cloud refuses.
    pub impostor: Option<Box<dyn Fn() -> Result<Connected>>>,
    /// The user data that an instance was given.
    pub user_data: Option<Box<dyn Fn(&InstanceId) -> Result<String>>>,
    /// The secrets that the provider was connected with: they must never show.
    pub secrets: Vec<String>,
}

impl fmt::Debug for Levers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = [
            ("calm", self.calm.is_some()),
            ("preempt", self.preempt.is_some()),
            ("room", self.room.is_some()),
            ("quota", self.quota.is_some()),
            ("stale", self.stale.is_some()),
            ("fail", self.fail.is_some()),
            ("calls", self.calls.is_some()),
            ("crowd", self.crowd.is_some()),
            ("leftovers", self.leftovers.is_some()),
            ("untagged", self.untagged.is_some()),
            ("reconnect", self.reconnect.is_some()),
            ("impostor", self.impostor.is_some()),
            ("user_data", self.user_data.is_some()),
            ("secrets", !self.secrets.is_empty()),
        ];
        f.debug_set().entries(there.iter().filter(|(_, there)| *there).map(|(name, _)| name)).finish()
    }
}
