//! What a doctor asks: which subscription, what is registered there, what the caller may do, what time
//! it is at Azure. Nothing here changes anything.

use serde_json::Value;
use skyfleet_core::{Result, Timestamp};

use super::Client;
use super::arm::Call;
use super::fleet::{NETWORK, RESOURCES};
use super::market::written;

/// The name under which errors of a doctor are known.
const DOCTOR: &str = "azure.doctor";

const SUBSCRIPTIONS: &str = "2022-12-01";
const PERMISSIONS: &str = "2022-04-01";

impl Client {
    /// The subscription itself, and what time it was at Azure.
    pub(crate) async fn subscription_info(&self) -> Result<(Value, Option<Timestamp>)> {
        let path = format!("/subscriptions/{}", self.subscription()?);
        let answer = self.call(&Call::get(DOCTOR, path, SUBSCRIPTIONS)).await?;
        let told = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok((told, written(&answer)))
    }

    /// A provider of resources, as the subscription has it registered.
    pub(crate) async fn provider_info(&self, namespace: &str) -> Result<Value> {
        self.value(&Call::get(DOCTOR, self.everywhere(namespace)?, RESOURCES)).await
    }

    /// What the caller may do: in the resource group of the settings, else in the subscription.
    pub(crate) async fn granted(&self) -> Result<Vec<Value>> {
        const WHAT: &str = "Microsoft.Authorization/permissions";
        let path = match &self.settings().resource_group {
            Some(group) => self.within(group, WHAT)?,
            None => self.everywhere(WHAT)?,
        };
        self.list(DOCTOR, path, PERMISSIONS).await
    }

    /// A network; `None` when it is not there.
    pub(crate) async fn network_info(&self, path: &str) -> Result<Option<Value>> {
        self.found(&Call::get(DOCTOR, path.to_owned(), NETWORK)).await
    }
}
