use crate::AwsProvider;
use async_trait::async_trait;
use skyfleet_core::*;
fn later() -> Error {
    Error::new(ErrorKind::Unsupported, "not written yet")
}

#[async_trait]
impl Teardown for AwsProvider {
    async fn terminate(&self, _: &[InstanceId]) -> Result<TerminateReceipt> {
        Err(later())
    }
    async fn inventory(&self, _: &Owner) -> Result<Inventory> {
        Err(later())
    }
    async fn delete(&self, _: &[Resource]) -> Result<DeleteReceipt> {
        Err(later())
    }
}
