//! What code finds out about the machine that it runs on: which cloud it is of, what it is, whose it
//! is, and when it will be taken back. All of it comes from the metadata service of the cloud, which
//! asks for no credentials.
//!
//! The answers are not trusted: each is bounded in size and time and checked before anything is made
//! of it. What cannot be read is an error, or nothing.
//!
//! | to find | look in |
//! |---|---|
//! | the machine, its fleet and its slot | [`Machine`] |
//! | what it is | [`Identity`], [`Cloud`] |
//! | what it is told about its end | [`Machine::notices`], [`notices`], [`notices_at`] |
//!
//! On the simulated cloud it works the same: its machines have the same services, and find them by
//! the variables by which the clouds' own SDKs find them.
//!
//! ```
//! # use std::sync::Arc;
//! # use skyfleet_core::{ManualClock, Market, PoolBid, Spread, Timestamp};
//! # use skyfleet_simcloud::{Cloud as Simulated, MachineSpec, Order, Server, ServerOptions};
//! use futures::StreamExt;
//! use skyfleet_on_instance::{Cloud, Machine};
//!
//! # let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
//! # let server = Server::start(ServerOptions::manual(clock.clone()))?;
//! # let world = server.world(Simulated::Aws);
//! # let offer = world.look(|kernel| kernel.offers(|offer| offer.market == Market::Spot).remove(0));
//! # let order = Order {
//! #     token: None, region: offer.region.clone(), market: Market::Spot,
//! #     pools: vec![PoolBid { offer: offer.id(), price_max: None }], count: 1, count_min: 1,
//! #     spread: Spread::Packed, spec: MachineSpec::default(), tags: Arc::default(),
//! #     disk_tags: Arc::default(), interface_tags: Arc::default(), native_expiry: None,
//! #     name_prefix: String::new(), names: Vec::new(),
//! # };
//! # let id = world.look(|kernel| kernel.launch(&order)).unwrap().machines[0].id.to_string();
//! # clock.advance(std::time::Duration::from_secs(300));
//! # let endpoint = format!("{}/imds/aws/{id}", server.urls().admin);
//! # let _runtime = tokio::runtime::Runtime::new().unwrap().block_on(async {
//! // On a machine of a fleet: `Machine::find()`. Here a simulated one, from outside.
//! let machine = Machine::at(Cloud::Aws, &endpoint, Arc::new(clock)).await?;
//! assert_eq!(machine.identity().market, Market::Spot);
//! # world.look(|kernel| kernel.inject(skyfleet_simcloud::Fault::Preempt {
//! #     cloud: Some(Simulated::Aws), instance_id: Some(id), nth: None, count: None, notice_seconds: None,
//! # }))?;
//!
//! let mut notices = std::pin::pin!(machine.notices());
//! let notice = notices.next().await.expect("a spot machine is told before it goes");
//! // Until then there is time to save what was done.
//! assert!(notice.at > machine.clock().now());
//! # Ok::<(), skyfleet_core::Error>(())
//! # })?;
//! # Ok::<(), skyfleet_core::Error>(())
//! ```

mod aws;
mod azure;
mod cloud;
mod gcp;
mod http;
mod identity;
mod machine;
mod notices;

pub use cloud::Cloud;
pub use identity::Identity;
pub use machine::Machine;
pub use notices::{notices, notices_at};
