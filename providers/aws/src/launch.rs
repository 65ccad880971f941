use crate::AwsProvider;
use async_trait::async_trait;
use skyfleet_core::*;
fn later() -> Error {
    Error::new(ErrorKind::Unsupported, "not written yet")
}

#[async_trait]
impl FleetLaunch for AwsProvider {
    async fn prepare(&self, _: &FleetBlueprint) -> Result<Prepared> {
        Err(later())
    }
    async fn launch(&self, _: &LaunchRequest) -> Result<Launched> {
        Err(later())
    }
    async fn list(&self, _: &Selector) -> Result<Vec<Instance>> {
        Err(later())
    }
}
