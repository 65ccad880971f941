use skyfleet_core::Result;

use crate::catalog::{Catalog, Cloud};
use crate::server::{CLOUDS, ServerOptions, share};
use crate::world::{World, WorldOptions};
use crate::{aws, azure, gcp};

/// A world for each cloud, and what the faces keep beside it.
#[derive(Clone, Debug)]
pub(crate) struct Worlds {
    pub(crate) aws: aws::Face,
    pub(crate) gcp: gcp::Face,
    pub(crate) azure: azure::Face,
}

impl Worlds {
    /// One clock and one seed for all; each has its own share of the scenario and of the regions.
    pub(crate) fn new(options: &ServerOptions) -> Result<Self> {
        let catalogs = CLOUDS.map(Catalog::of);
        let [for_aws, for_gcp, for_azure] = share::scenario(&options.scenario, &catalogs)?;
        let [in_aws, in_gcp, in_azure] = share::regions(&options.regions, &catalogs)?;
        let world = |cloud, scenario, regions| {
            World::new(WorldOptions {
                cloud,
                seed: options.seed,
                clock: options.clock.clone(),
                scenario,
                regions,
                processes: options.processes,
                state: None,
            })
        };
        Ok(Self {
            aws: aws::Face::new(world(Cloud::Aws, for_aws, in_aws)?),
            gcp: gcp::Face::new(world(Cloud::Gcp, for_gcp, in_gcp)?),
            azure: azure::Face::new(world(Cloud::Azure, for_azure, in_azure)?),
        })
    }

    /// The world of a cloud, as it is now; none for the neutral one.
    pub(crate) fn of(&self, cloud: Cloud) -> Option<&World> {
        match cloud {
            Cloud::Aws => Some(self.aws.current()),
            Cloud::Gcp => Some(self.gcp.current()),
            Cloud::Azure => Some(self.azure.current()),
            Cloud::Neutral => None,
        }
    }

    /// All of them, as they are now, in the order of the clouds' ports.
    pub(crate) fn all(&self) -> [(Cloud, &World); 3] {
        [
            (Cloud::Aws, self.aws.current()),
            (Cloud::Gcp, self.gcp.current()),
            (Cloud::Azure, self.azure.current()),
        ]
    }
}
