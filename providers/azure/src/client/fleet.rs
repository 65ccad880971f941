//! What launching, watching and ending ask Azure.

use std::collections::BTreeMap;

use azure_core_021 as legacy;
use azure_mgmt_compute::models::VirtualMachine;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use skyfleet_core::{InstanceId, InstanceState, Region, Result, Timestamp};

use super::arm::Call;
use super::{Answer, Client};
use crate::convert::{Addresses, id, power};
use crate::names::Machine;

/// The versions of the services that the generated client does not have.
pub(crate) const RESOURCES: &str = "2021-04-01";
pub(crate) const NETWORK: &str = "2024-05-01";
pub(crate) const COMPUTE: &str = "2024-07-01";
pub(crate) const FLEETS: &str = "2026-08-01";
pub(crate) const DISKS: &str = "2024-03-02";
pub(crate) const GRAPH: &str = "2021-03-01";
const ACTIVITY: &str = "2015-04-01";
const SCHEDULE: &str = "2025-05-01";

/// The most machines that one call ends (Microsoft.ComputeSchedule, `virtualMachinesExecuteDelete`).
pub(crate) const DELETE_MAX: usize = 100;

impl Client {
    /// The path of something in a resource group: `Microsoft.AzureFleet/fleets/NAME`.
    pub(crate) fn within(&self, group: &str, what: &str) -> Result<String> {
        let subscription = self.subscription()?;
        Ok(format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{what}"))
    }

    /// The path of something in the whole subscription.
    pub(crate) fn everywhere(&self, what: &str) -> Result<String> {
        Ok(format!("/subscriptions/{}/providers/{what}", self.subscription()?))
    }

    /// The path of a resource group.
    pub(crate) fn group_path(&self, group: &str) -> Result<String> {
        Ok(format!("/subscriptions/{}/resourceGroups/{group}", self.subscription()?))
    }

    /// All machines of the subscription.
    pub(crate) async fn machines(&self, operation: &'static str) -> Result<Vec<VirtualMachine>> {
        let ask = self.compute().await?.virtual_machines_client().list_all(self.subscription()?);
        self.collect(operation, ask.into_stream()).await
    }

    /// The power states of all machines of the subscription, by one question.
    pub(crate) async fn power_states(
        &self,
        operation: &'static str,
    ) -> Result<BTreeMap<InstanceId, InstanceState>> {
        let ask = self.compute().await?.virtual_machines_client().list_all(self.subscription()?);
        let listed = self.collect(operation, ask.status_only("true").into_stream()).await?;
        let state = |machine: &VirtualMachine| {
            let view = machine.properties.as_ref()?.instance_view.as_ref()?;
            Some((id(machine)?, power(view)?))
        };
        Ok(listed.iter().filter_map(state).collect())
    }

    async fn collect(
        &self,
        operation: &'static str,
        pages: legacy::Pageable<azure_mgmt_compute::models::VirtualMachineListResult, legacy::error::Error>,
    ) -> Result<Vec<VirtualMachine>> {
        let mut pages = Box::pin(pages);
        let mut machines = Vec::new();
        while let Some(page) = pages.next().await {
            machines.extend(self.read(operation, page)?.value);
        }
        Ok(machines)
    }

    /// The addresses of machines, out of all network interfaces of the subscription; and where
    /// public ones are, out of all addresses.
    pub(crate) async fn addresses(&self, operation: &'static str) -> Result<BTreeMap<InstanceId, Addresses>> {
        let path = self.everywhere("Microsoft.Network/networkInterfaces")?;
        let interfaces = self.list(operation, path, NETWORK).await?;
        let mut public: BTreeMap<String, InstanceId> = BTreeMap::new();
        let mut found: BTreeMap<InstanceId, Addresses> = BTreeMap::new();
        for interface in &interfaces {
            let machine = interface.pointer("/properties/virtualMachine/id").and_then(Value::as_str);
            let Some(machine) = machine.and_then(Machine::parse) else { continue };
            let first = interface.pointer("/properties/ipConfigurations/0/properties");
            let text = |at: &str| first.and_then(|first| first.pointer(at)).and_then(Value::as_str);
            let private = text("/privateIPAddress").and_then(|ip| ip.parse().ok());
            found.entry(machine.id()).or_default().private = private;
            if let Some(address) = text("/publicIPAddress/id") {
                public.insert(address.to_ascii_lowercase(), machine.id());
            }
        }
        if !public.is_empty() {
            let path = self.everywhere("Microsoft.Network/publicIPAddresses")?;
            for address in self.list(operation, path, NETWORK).await? {
                let own = address.get("id").and_then(Value::as_str).map(str::to_ascii_lowercase);
                let Some(machine) = own.and_then(|own| public.get(&own)) else { continue };
                let ip = address.pointer("/properties/ipAddress").and_then(Value::as_str);
                found.entry(machine.clone()).or_default().public = ip.and_then(|ip| ip.parse().ok());
            }
        }
        Ok(found)
    }

    /// Begins to end machines of one region, at most [`DELETE_MAX`]. Answers what is said of each.
    /// A batch that comes after another one waits for the throttle.
    pub(crate) async fn end(
        &self,
        operation: &'static str,
        region: &Region,
        machines: &[&InstanceId],
        correlation: &str,
        patient: bool,
    ) -> Result<Vec<Value>> {
        let what = format!("Microsoft.ComputeSchedule/locations/{region}/virtualMachinesExecuteDelete");
        let body = json!({
            "resources": { "ids": machines },
            "forceDeletion": true,
            "executionParameters": { "retryPolicy": { "retryCount": 3, "retryWindowInMinutes": 30 } },
            "correlationid": correlation,
        });
        let call = Call::with(Method::POST, operation, self.everywhere(&what)?, SCHEDULE, &body);
        let answer = self.patiently(&call, patient).await?;
        Ok(answer.get("results").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// A request for many machines: one call, and one operation that is under way after it.
    pub(crate) async fn put_fleet(&self, group: &str, name: &str, body: &Value) -> Result<Answer> {
        let path = self.within(group, &format!("Microsoft.AzureFleet/fleets/{name}"))?;
        self.ask(&Call::with(Method::PUT, "azure.launch", path, FLEETS, body)).await
    }

    /// What became of such a request; `None` when there is none of this name.
    pub(crate) async fn fleet(&self, group: &str, name: &str) -> Result<Option<Value>> {
        let path = self.within(group, &format!("Microsoft.AzureFleet/fleets/{name}"))?;
        self.found(&Call::get("azure.launch", path, FLEETS)).await
    }

    /// The requests of a resource group.
    pub(crate) async fn fleets(&self, group: &str) -> Result<Vec<Value>> {
        let path = self.within(group, "Microsoft.AzureFleet/fleets")?;
        self.list("azure.launch", path, FLEETS).await
    }

    /// The machines of a request, each with what became of it.
    pub(crate) async fn fleet_machines(&self, group: &str, name: &str) -> Result<Vec<Value>> {
        let path = self.within(group, &format!("Microsoft.AzureFleet/fleets/{name}/virtualMachines"))?;
        self.list("azure.launch", path, FLEETS).await
    }

    /// What the activity log says that Compute did between two moments, in one resource group or in
    /// all.
    pub(crate) async fn activity(
        &self,
        operation: &'static str,
        group: Option<&str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Value>> {
        let within = match group {
            Some(group) => format!("resourceGroupName eq '{group}'"),
            None => "resourceProvider eq 'Microsoft.Compute'".to_owned(),
        };
        let filter = format!("eventTimestamp ge '{from}' and eventTimestamp le '{to}' and {within}");
        let members = "eventTimestamp,operationName,resourceId,status";
        let what =
            format!("Microsoft.Insights/eventtypes/management/values?$filter={filter}&$select={members}");
        self.list(operation, self.everywhere(&what)?, ACTIVITY).await
    }
}
