use crate::AwsProvider;
use async_trait::async_trait;
use skyfleet_core::*;
fn later() -> Error {
    Error::new(ErrorKind::Unsupported, "not written yet")
}

#[async_trait]
impl PreemptionHandling for AwsProvider {
    async fn preemptions(&self, _: &Selector, _: &Cursor) -> Result<PreemptionPage> {
        Err(later())
    }
}
