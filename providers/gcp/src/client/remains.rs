//! What teardown asks Google: what there is, and to end it.

use std::future::Future;

use futures::StreamExt;
use google_cloud_compute_v1::model::{Address, Disk, Firewall, Instance, Operation};
use skyfleet_core::{ErrorKind, Region, Result, Zone};

use super::Client;
use super::pages::{Calls, PAGE};
use crate::whereabouts::{Place, Whereabouts, region_of};

const INVENTORY: &str = "gcp.inventory";

/// How many places are asked at once.
const AT_ONCE: usize = 16;

/// A part of an inventory: what was found, and where nobody could be asked.
#[derive(Debug)]
pub(crate) struct Part<T> {
    pub(crate) found: Vec<T>,
    pub(crate) unreached: Vec<Region>,
}

impl<T> Part<T> {
    fn of(found: Vec<T>, scopes: &[String]) -> Self {
        // `zones/us-central1-a`, `regions/us-central1`
        let region = |scope: &String| match scope.split_once('/') {
            Some(("zones", zone)) => region_of(zone),
            Some((_, region)) => region.into(),
            None => scope.as_str().into(),
        };
        Self { found, unreached: scopes.iter().map(region).collect() }
    }
}

impl Client {
    /// The instances of all zones with these labels.
    pub(crate) async fn all_instances(&self, filter: &str, zones: &[Zone]) -> Result<Part<Instance>> {
        match self.instances_within(INVENTORY, filter).await {
            Ok((found, scopes)) => Ok(Part::of(found, &scopes)),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let places =
                    zones.iter().map(|zone| (region_of(zone.as_str()), self.zone_instances(zone, filter)));
                each(places.collect()).await
            }
            Err(error) => Err(error),
        }
    }

    async fn zone_instances(&self, zone: &Zone, filter: &str) -> Result<Vec<Instance>> {
        let request =
            self.instances().await?.list().set_project(self.project().await?).set_zone(zone.as_str());
        let request = request.set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(INVENTORY, ask, |page| page.next_page_token.clone()).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).collect())
    }

    /// The disks of all zones with these labels.
    pub(crate) async fn all_disks(&self, filter: &str, zones: &[Zone]) -> Result<Part<Disk>> {
        let request = self.disks().await?.aggregated_list().set_project(self.project().await?);
        let request = request.set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = match self.pages(INVENTORY, ask, |page| page.next_page_token.clone()).await {
            Ok(pages) => pages,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let places =
                    zones.iter().map(|zone| (region_of(zone.as_str()), self.zone_disks(zone, filter)));
                return each(places.collect()).await;
            }
            Err(error) => return Err(error),
        };
        let (mut found, mut scopes) = (Vec::new(), Vec::new());
        for (scope, disks) in pages.into_iter().flat_map(|page| page.items) {
            if disks.warning.as_ref().and_then(|w| w.code.as_ref()?.name()) == Some(UNREACHABLE) {
                scopes.push(scope);
            }
            found.extend(disks.disks);
        }
        Ok(Part::of(found, &scopes))
    }

    async fn zone_disks(&self, zone: &Zone, filter: &str) -> Result<Vec<Disk>> {
        let request = self.disks().await?.list().set_project(self.project().await?).set_zone(zone.as_str());
        let request = request.set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(INVENTORY, ask, |page| page.next_page_token.clone()).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).collect())
    }

    /// The reserved addresses of all regions with these labels.
    pub(crate) async fn all_addresses(&self, filter: &str, regions: &[Region]) -> Result<Part<Address>> {
        let request = self.addresses().await?.aggregated_list().set_project(self.project().await?);
        let request = request.set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = match self.pages(INVENTORY, ask, |page| page.next_page_token.clone()).await {
            Ok(pages) => pages,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let places =
                    regions.iter().map(|region| (region.clone(), self.region_addresses(region, filter)));
                return each(places.collect()).await;
            }
            Err(error) => return Err(error),
        };
        let (mut found, mut scopes) = (Vec::new(), Vec::new());
        for (scope, addresses) in pages.into_iter().flat_map(|page| page.items) {
            if addresses.warning.as_ref().and_then(|w| w.code.as_ref()?.name()) == Some(UNREACHABLE) {
                scopes.push(scope);
            }
            found.extend(addresses.addresses);
        }
        Ok(Part::of(found, &scopes))
    }

    async fn region_addresses(&self, region: &Region, filter: &str) -> Result<Vec<Address>> {
        let request = self.addresses().await?.list().set_project(self.project().await?);
        let request = request.set_region(region.as_str()).set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(INVENTORY, ask, |page| page.next_page_token.clone()).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).collect())
    }

    /// The firewall rules whose names begin with this.
    pub(crate) async fn firewalls_named(&self, prefix: &str) -> Result<Vec<Firewall>> {
        let request = self.firewalls().await?.list().set_project(self.project().await?);
        let request = request.set_filter(format!("name eq \"{prefix}.*\"")).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(INVENTORY, ask, |page| page.next_page_token.clone()).await?;
        let rules = pages.into_iter().flat_map(|page| page.items);
        Ok(rules.filter(|rule| rule.name.as_deref().is_some_and(|name| name.starts_with(prefix))).collect())
    }

    /// Begins to delete an instance.
    pub(crate) async fn delete_instance(
        &self,
        calls: &mut Calls<'_>,
        zone: &Zone,
        name: &str,
    ) -> Result<Operation> {
        let request = self.instances().await?.delete().set_project(self.project().await?);
        let request = request.set_zone(zone.as_str()).set_instance(name);
        calls.send(|| request.clone().send()).await
    }

    /// Begins to delete a disk, an address or a firewall rule; `None` for what is none of these.
    pub(crate) async fn delete_thing(
        &self,
        calls: &mut Calls<'_>,
        what: &Whereabouts,
    ) -> Result<Option<Operation>> {
        let (project, name) = (self.project().await?, what.name.as_str());
        let begun = match (&what.place, what.collection.as_str()) {
            (Place::Zone(zone), "disks") => {
                let request = self.disks().await?.delete().set_project(project).set_zone(zone.as_str());
                calls.send(|| request.clone().set_disk(name).send()).await?
            }
            (Place::Region(region), "addresses") => {
                let request =
                    self.addresses().await?.delete().set_project(project).set_region(region.as_str());
                calls.send(|| request.clone().set_address(name).send()).await?
            }
            (Place::Global, "firewalls") => {
                let request = self.firewalls().await?.delete().set_project(project).set_firewall(name);
                calls.send(|| request.clone().send()).await?
            }
            _ => return Ok(None),
        };
        Ok(Some(begun))
    }
}

const UNREACHABLE: &str = "UNREACHABLE";

/// Asks place by place, so that one that is out of order does not hide the others.
async fn each<T, F>(places: Vec<(Region, F)>) -> Result<Part<T>>
where
    F: Future<Output = Result<Vec<T>>>,
{
    let asks = places.into_iter().map(|(region, ask)| async move { (region, ask.await) });
    let answers: Vec<_> = futures::stream::iter(asks).buffered(AT_ONCE).collect().await;
    let mut part = Part { found: Vec::new(), unreached: Vec::new() };
    for (region, answer) in answers {
        match answer {
            Ok(found) => part.found.extend(found),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(%region, %error, "a place cannot be asked what is there");
                part.unreached.push(region);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(part)
}
