use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{Error, ErrorKind, ManualClock, Region, Result};
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, World};

use crate::{permissions, simcloud};

/// A simulated cloud on ports of this machine, in virtual time, with [`plenty`](simcloud::scenario)
/// of everything. What it was asked for is [noted](permissions::note) when it ends.
#[derive(Debug)]
pub struct Bench {
    /// All faces of it.
    pub server: Server,
    /// The time by which it and its provider live.
    pub clock: ManualClock,
    cloud: Cloud,
}

impl Bench {
    /// A fresh cloud from a seed: only these regions of it, and only these callers.
    ///
    /// # Errors
    /// Those of [`Server::start`].
    pub fn new(seed: u64, cloud: Cloud, regions: &[&str], callers: &[(&str, &str)]) -> Result<Arc<Self>> {
        let clock = ManualClock::auto(simcloud::START);
        let mut options = ServerOptions::manual(clock.clone());
        options.seed = seed;
        options.regions = regions.iter().copied().map(Region::from).collect();
        options.scenario = simcloud::scenario();
        let credential = |(key_id, secret): &(&str, &str)| Credential {
            cloud,
            key_id: (*key_id).to_owned(),
            secret: (*secret).to_owned(),
        };
        options.credentials = callers.iter().map(credential).collect();
        Ok(Arc::new(Self { server: Server::start(options)?, clock, cloud }))
    }

    /// The world behind the cloud's face.
    pub fn sim(&self) -> &World {
        self.server.world(self.cloud)
    }

    /// Lets something go wrong, as the admin face takes it.
    ///
    /// # Errors
    /// `InvalidRequest` for what is no fault, or not in this cloud.
    pub fn inject(&self, fault: serde_json::Value) -> Result<()> {
        let fault = serde_json::from_value(fault)
            .map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("that is no fault: {error}")))?;
        self.sim().inject(fault)?;
        Ok(())
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        simcloud::calm(self.sim());
    }

    /// How often the cloud was called, by method.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.sim().calls().into_iter().map(|(method, count)| (method, count.calls)).collect()
    }

    /// What was called since, without the looks at operations that were under way.
    pub fn calls_since(&self, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let is_look = |method: &str| method.to_ascii_lowercase().ends_with("operations.get");
        let more = |(method, count): (String, u64)| {
            let more = count - before.get(&method).copied().unwrap_or(0);
            (more > 0 && !is_look(&method)).then_some((method, more))
        };
        self.calls().into_iter().filter_map(more).collect()
    }

    /// What still costs money, or blocks what comes after it, by the cloud's own books.
    pub fn leftovers(&self) -> Vec<String> {
        simcloud::leftovers(self.sim())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        permissions::note(self.sim().calls().into_keys().filter(|action| action != simcloud::ACTION));
    }
}
