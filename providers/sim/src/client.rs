use std::sync::Arc;

use skyfleet_core::{Region, Result};
use skyfleet_simcloud::rules::Rules;
use skyfleet_simcloud::{Call, Cloud, Kernel, Refusal, World};

use crate::error;

/// The only way to the world.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    world: World,
    rules: Arc<Rules>,
}

/// One operation of ours, which may be many calls of the cloud.
///
/// Its first call answers a throttle at once, so that whoever sent the operation can decide. Later
/// ones wait as long as the cloud says: to begin again from the first page, or from the first
/// deletion, would never end.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    client: &'a Client,
    name: &'static str,
    begun: bool,
    /// The number of the last call; 0 before the first.
    request: u64,
}

impl Client {
    pub(crate) fn new(world: World) -> Self {
        let rules = Arc::new(world.look(|kernel| kernel.rules().clone()));
        Self { world, rules }
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Begins an operation; the name is what errors call it: `sim.launch`.
    pub(crate) fn operation(&self, name: &'static str) -> Operation<'_> {
        Operation { client: self, name, begun: false, request: 0 }
    }

    /// Where a list has to be asked for: each region on EC2, once for all elsewhere.
    pub(crate) fn places(&self) -> Vec<Place> {
        match self.rules.cloud {
            Cloud::Aws | Cloud::Neutral => {
                self.world.look(|kernel| kernel.regions()).into_iter().map(Place::Region).collect()
            }
            Cloud::Gcp | Cloud::Azure => vec![Place::Everywhere],
        }
    }
}

/// Where one call of a list looks.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Region(Region),
    Everywhere,
}

impl Place {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Region(region) => region.as_str(),
            Self::Everywhere => "global",
        }
    }

    /// The region that the place restricts to.
    pub(crate) fn region(&self) -> Option<&str> {
        match self {
            Self::Region(region) => Some(region.as_str()),
            Self::Everywhere => None,
        }
    }
}

impl Operation<'_> {
    /// One call of the cloud.
    pub(crate) async fn call<T>(
        &mut self,
        call: Call<'_>,
        act: impl FnMut(&mut Kernel) -> std::result::Result<T, Refusal>,
    ) -> Result<T> {
        self.try_call(call, act).await.map_err(|refusal| self.fails(refusal))
    }

    /// The same, for a caller who does something about the refusal.
    pub(crate) async fn try_call<T>(
        &mut self,
        call: Call<'_>,
        mut act: impl FnMut(&mut Kernel) -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<T, Refusal> {
        let world = &self.client.world;
        world.drive_if_needed();
        let patient = std::mem::replace(&mut self.begun, true);
        let latency = world.latency(call.action);
        if !latency.is_zero() {
            world.clock().sleep(latency).await;
        }
        loop {
            let (request, answer) = world.request(call, &mut act);
            self.request = request;
            match answer {
                Err(Refusal::Throttled(throttle)) if patient => {
                    world.clock().sleep(throttle.retry_after).await;
                }
                answer => return answer,
            }
        }
    }

    /// Asks for the pages after the first of a list that has so many entries.
    pub(crate) async fn pages(&mut self, action: &str, place: &Place, entries: usize) -> Result<()> {
        self.try_pages(action, place, entries).await.map_err(|refusal| self.fails(refusal))
    }

    /// The same, for a caller who does something about the refusal.
    pub(crate) async fn try_pages(
        &mut self,
        action: &str,
        place: &Place,
        entries: usize,
    ) -> std::result::Result<(), Refusal> {
        let page = self.client.rules.page_size.max(1) as usize;
        for _ in 1..entries.div_ceil(page) {
            self.try_call(Call::read(action, place.as_str()), |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Our error for a refusal of the last call.
    pub(crate) fn fails(&self, refusal: Refusal) -> skyfleet_core::Error {
        let error = error::refused(&self.client.rules, refusal).at(self.name);
        match self.request {
            0 => error,
            number => error.with("request_id", format_args!("req-{number:08}")),
        }
    }
}
