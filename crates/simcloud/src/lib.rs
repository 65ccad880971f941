//! A simulated cloud: capacity that runs out, spot markets, quotas, throttles, faults, and an exact
//! ledger of money. It plays one of three real clouds by its own rules, or a neutral one.
//!
//! | to find | look in |
//! |---|---|
//! | the world and how it is made | [`World`], [`WorldOptions`] |
//! | what a call may do in it | [`Kernel`] |
//! | what is bought and what comes of it | [`Order`], [`Bought`], [`MachineView`] |
//! | why the world refuses | [`Refusal`], [`Closed`] |
//! | what it costs, and what is left | [`LedgerReport`] |
//! | what goes wrong on purpose | [`fault`], [`scenario`] |
//! | a cloud's catalogue, rules and rate limits | [`catalog`], [`rules`], [`limits`] |
//! | how spot prices and reclaims move | [`market`] |
//! | user data run as local processes | [`process`] |
//! | the clouds on the wire (feature `server`) | `Server`, `ServerOptions` |

mod address;
#[cfg(feature = "server")]
mod aws;
#[cfg(feature = "server")]
mod azure;
/// What each cloud sells, where, and at what list price.
pub mod catalog;
mod credential;
mod disk;
mod drive;
mod end;
mod event;
#[cfg(feature = "server")]
mod face;
/// What goes wrong on purpose.
pub mod fault;
mod fixture;
#[cfg(feature = "server")]
mod gcp;
mod kernel;
mod launch;
mod ledger;
/// How fast each cloud lets its API be called.
pub mod limits;
mod machine;
/// How spot prices and spot capacity move.
pub mod market;
mod metadata;
#[cfg(feature = "server")]
mod method;
mod name;
mod order;
mod place;
mod pool;
/// Machines that are real local processes.
pub mod process;
#[cfg(feature = "server")]
mod range;
mod reclaim;
mod refusal;
/// How each cloud behaves.
pub mod rules;
/// What happens in a world, told beforehand.
pub mod scenario;
mod seed;
#[cfg(feature = "server")]
mod server;
mod snapshot;
mod stop;
mod supply;
mod tags;
mod thing;
mod trouble;
mod view;
mod world;

pub use address::Address;
pub use catalog::{Catalog, Cloud};
pub use credential::Credential;
pub use disk::Disk;
pub use drive::WeakWorld;
pub use end::Ended;
pub use event::{EventKind, WorldEvent};
pub use fault::Fault;
pub use fixture::{Fixture, FixtureKind};
pub use kernel::Kernel;
pub use ledger::{BillLine, LedgerReport, LineKind, LiveLine, MarketTotal};
pub use machine::EndCause;
pub use metadata::Metadata;
pub use order::{Bought, Goes, MachineSpec, Missing, OnReclaim, OnShutdown, Order};
pub use refusal::{Closed, Refusal};
pub use scenario::Scenario;
#[cfg(feature = "server")]
pub use server::{Server, ServerOptions, Urls, aws_actions, azure_methods, gcp_methods};
pub use tags::Tags;
pub use trouble::FaultId;
pub use view::{Leftover, MachineView, Whose};
pub use world::{Call, CallCount, World, WorldOptions};
