use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use skyfleet_core::{
    DeleteReceipt, Error, ErrorKind, InstanceId, InstanceState, Inventory, Leftover, Owner, Region, Resource,
    ResourceKind, Result, Retry, Teardown, TerminateReceipt,
};
use skyfleet_simcloud::{Call, Ended, Kernel, Refusal, Whose};

use crate::SimProvider;
use crate::client::{Operation, Place};
use crate::convert;

#[async_trait]
impl Teardown for SimProvider {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        let mut operation = self.client.operation("sim.terminate");
        self.end(&mut operation, instances.iter().collect()).await
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        let mut operation = self.client.operation("sim.inventory");
        let actions = self.client.rules().actions;
        let mut inventory = Inventory::default();
        for place in self.client.places() {
            let whose = Whose { owner: Some(owner.as_str()), region: place.region(), ..Whose::default() };
            let machines = |kernel: &mut Kernel| Ok(machines(kernel, &whose));
            let others = |kernel: &mut Kernel| Ok(others(kernel, &whose));
            let found = async {
                let mut found =
                    operation.try_call(Call::read(actions.list, place.as_str()), machines).await?;
                operation.try_pages(actions.list, &place, found.len()).await?;
                found
                    .extend(operation.try_call(Call::read(actions.inventory, place.as_str()), others).await?);
                Ok(found)
            };
            match (found.await, &place) {
                (Ok(found), _) => inventory.resources.extend(found),
                // One region that is out of order must not hide the others.
                (Err(Refusal::Failed { status: 500.., .. }), Place::Region(region)) => {
                    inventory.unreached.push(region.clone());
                }
                (Err(refusal), _) => return Err(operation.fails(refusal)),
            }
        }
        inventory.resources.sort_by(|a, b| (a.kind, &a.region, &a.id).cmp(&(b.kind, &b.region, &b.id)));
        Ok(inventory)
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        let mut operation = self.client.operation("sim.delete");
        let mut receipt = DeleteReceipt::default();
        let mut todo: Vec<&Resource> = resources.iter().collect::<BTreeSet<_>>().into_iter().collect();
        todo.sort_by_key(|resource| order(resource.kind));
        let (instances, others): (Vec<&Resource>, Vec<&Resource>) =
            todo.into_iter().partition(|resource| resource.kind == ResourceKind::Instance);
        if !instances.is_empty() {
            let ids: Vec<InstanceId> = instances.iter().map(|r| InstanceId::new(r.id.clone())).collect();
            let ended = self.end(&mut operation, ids.iter().collect()).await?;
            let gone: BTreeSet<&str> = ended.gone.iter().map(InstanceId::as_str).collect();
            for resource in instances {
                if gone.contains(&*resource.id) {
                    receipt.deleted.push(resource.clone());
                } else {
                    receipt.pending.push(Leftover { resource: resource.clone(), reason: still_ending() });
                }
            }
        }
        for resource in others {
            match self.delete_one(&mut operation, resource).await {
                Ok(()) => receipt.deleted.push(resource.clone()),
                Err(refusal @ Refusal::InUse { .. }) => {
                    receipt
                        .pending
                        .push(Leftover { resource: resource.clone(), reason: operation.fails(refusal) });
                }
                Err(refusal) => return Err(operation.fails(refusal)),
            }
        }
        Ok(receipt)
    }
}

impl SimProvider {
    /// Ends instances, region by region, as many to a call as the cloud takes.
    async fn end(
        &self,
        operation: &mut Operation<'_>,
        ids: BTreeSet<&InstanceId>,
    ) -> Result<TerminateReceipt> {
        let rules = self.client.rules();
        let mut receipt = TerminateReceipt::default();
        let mut by_region: BTreeMap<Region, Vec<&InstanceId>> = BTreeMap::new();
        self.client.world().look(|kernel| {
            for id in ids {
                match kernel.region_of(id.as_str()) {
                    Some(region) => by_region.entry(region.clone()).or_default().push(id),
                    None => receipt.gone.push(id.clone()),
                }
            }
        });
        for (region, ids) in by_region {
            for batch in ids.chunks(rules.terminate_max.max(1) as usize) {
                let call = Call::write(rules.actions.terminate, region.as_str(), batch.len() as u32);
                let end = |kernel: &mut Kernel| {
                    Ok(batch.iter().map(|id| kernel.terminate(id.as_str())).collect::<Vec<_>>())
                };
                for (id, ended) in batch.iter().zip(operation.call(call, end).await?) {
                    match ended {
                        Ended::Ending => receipt.ending.push((*id).clone()),
                        Ended::Gone => receipt.gone.push((*id).clone()),
                    }
                }
            }
        }
        Ok(receipt)
    }

    async fn delete_one(
        &self,
        operation: &mut Operation<'_>,
        resource: &Resource,
    ) -> std::result::Result<(), Refusal> {
        let action = convert::delete_action(self.client.rules().cloud, resource.kind);
        let call = Call::write(action, resource.region.as_str(), 0);
        let delete = |kernel: &mut Kernel| match resource.kind {
            ResourceKind::Disk => kernel.delete_disk(&resource.id).map(|_| ()),
            ResourceKind::Address => kernel.delete_address(&resource.id).map(|_| ()),
            _ => kernel.delete_fixture(&resource.id).map(|_| ()),
        };
        operation.try_call(call, delete).await
    }
}

/// A resource group goes first and takes all that is in it along; elsewhere what holds goes
/// before what is held.
fn order(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::ResourceGroup => 0,
        ResourceKind::FleetObject => 1,
        ResourceKind::SpotRequest => 2,
        ResourceKind::Instance => 3,
        ResourceKind::Disk => 4,
        ResourceKind::NetworkInterface => 5,
        ResourceKind::Address => 6,
        ResourceKind::Template => 7,
        ResourceKind::Firewall => 8,
        ResourceKind::Network => 9,
        _ => 10,
    }
}

fn still_ending() -> Error {
    Error::new(ErrorKind::Conflict, "the instance is still ending")
        .retrying(Retry::After(None))
        .at("sim.delete")
}

fn machines(kernel: &Kernel, whose: &Whose<'_>) -> Vec<Resource> {
    kernel.machines_as(whose, |view| {
        (view.state != InstanceState::Terminated).then(|| convert::machine_resource(&view))
    })
}

fn others(kernel: &Kernel, whose: &Whose<'_>) -> Vec<Resource> {
    let left = kernel.leftovers(whose).into_iter().map(convert::leftover_resource);
    let here = |region: &Region| whose.region.is_none_or(|wanted| region.as_str() == wanted);
    let fixtures = kernel.fixtures(whose.owner).filter(|fixture| here(&fixture.region));
    left.chain(fixtures.map(convert::fixture_resource)).collect()
}
