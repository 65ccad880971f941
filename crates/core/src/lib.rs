//! The contracts and the vocabulary of skyfleet.
//!
//! This crate does no I/O and knows no cloud. A provider depends on it and on nothing else of
//! skyfleet; the facade (`skyfleet`) drives any provider through it.
//!
//! | to find | look in |
//! |---|---|
//! | the four contracts | [`CapacitySearch`], [`FleetLaunch`], [`PreemptionHandling`], [`Teardown`] |
//! | one provider, and how it is selected | [`Provider`], [`Driver`], [`Capability`] |
//! | what went wrong and what to do about it | [`Error`], [`ErrorKind`], [`Retry`], [`Scope`], [`Chain`] |
//! | words for things | [`Offer`], [`Draw`], [`InstanceType`], [`Instance`], [`Market`], [`Usd`], [`UsdPerHour`], the ids |
//! | time | [`Clock`], [`SystemClock`], [`ScaledClock`], [`ManualClock`] |
//! | behaviour added around any provider | [`layers`] |
//! | whether a fleet could be had, said beforehand | [`doctor`] |
//! | advice about capacity, which may be refused | [`advice`] |
//! | answers of a cloud that stay true for a while | [`kept`] |
//! | regions, zones and types by name, in scope and asked about | [`places`] |
//! | reading a provider's own table of the config | [`settings`] |
//! | how far a reader of preemptions has come | [`read_to`] |
//! | mocks for unit tests (feature `mock`) | `mock` |

pub mod advice;
mod capability;
mod capacity_search;
mod chain;
mod clock;
pub mod doctor;
mod error;
mod fleet_launch;
mod id;
mod instance;
pub mod kept;
pub mod layers;
#[cfg(any(test, feature = "mock"))]
pub mod mock;
mod money;
mod offer;
pub mod places;
mod preemption_handling;
mod provider;
mod quota;
pub mod read_to;
pub mod settings;
pub mod tag;
mod teardown;

pub use capability::Capability;
pub use capacity_search::{CapacitySearch, OfferQuery, Signal, SignalQuery};
pub use chain::Chain;
pub use clock::{Clock, Hold, ManualClock, ScaledClock, SystemClock};
pub use error::{Error, ErrorKind, Result, Retry, Scope};
pub use fleet_launch::{
    FleetBlueprint, FleetLaunch, LaunchRequest, Launched, PoolBid, Prepared, Selector, Shortfall, Spread,
};
pub use id::{Cursor, FleetName, InstanceId, Owner, QuotaId, Region, Token, TypeName, Zone};
pub use instance::{Instance, InstanceState};
pub use jiff::Timestamp;
pub use money::{Usd, UsdPerHour};
pub use offer::{Arch, Availability, Gpu, InstanceType, Market, Offer, OfferId, Price};
pub use preemption_handling::{
    MachineNotice, Preemption, PreemptionHandling, PreemptionKind, PreemptionPage,
};
pub use provider::{Connected, Driver, Provider};
pub use quota::{Counts, Draw};
pub use teardown::{DeleteReceipt, Inventory, Leftover, Resource, ResourceKind, Teardown, TerminateReceipt};
