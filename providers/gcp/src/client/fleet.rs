//! What launching asks Google: networks, images, firewall rules, bulk inserts, instances.

use google_cloud_compute_v1::model::{
    BulkInsertInstanceResource, Firewall, Image, Instance, Network, Operation, Subnetwork,
};
use skyfleet_core::{Error, ErrorKind, FleetName, Owner, Region, Result, tag};

use super::Client;
use super::pages::PAGE;

const PREPARE: &str = "gcp.prepare";

/// What lets through all instances with a label of this owner, and of this fleet or launch.
/// (Compute Engine API reference, `filter`: AIP-160.)
pub(crate) fn labelled(labels: &[(&str, &str)]) -> String {
    let parts: Vec<String> =
        labels.iter().map(|(key, value)| format!("(labels.{key} = \"{value}\")")).collect();
    parts.join(" AND ")
}

/// What lets through everything of an owner, or of a fleet.
pub(crate) fn whose(owner: &Owner, fleet: Option<&FleetName>) -> String {
    let mut labels = vec![(tag::OWNER, owner.as_str())];
    labels.extend(fleet.map(|fleet| (tag::FLEET, fleet.as_str())));
    labelled(&labels)
}

impl Client {
    /// The instances of all zones that pass a filter, in the order of zones.
    ///
    /// # Errors
    /// `Unavailable` also when a zone cannot be asked: what it has would be missing.
    pub(crate) async fn instances_of(&self, operation: &'static str, filter: &str) -> Result<Vec<Instance>> {
        let (instances, unreached) = self.instances_within(operation, filter).await?;
        match unreached.first() {
            None => Ok(instances),
            Some(zone) => {
                let message = format!("the instances of {zone} cannot be listed now");
                Err(Error::new(ErrorKind::Unavailable, message).with("zone", zone).at(operation))
            }
        }
    }

    /// The same, with the places that could not be asked.
    pub(crate) async fn instances_within(
        &self,
        operation: &'static str,
        filter: &str,
    ) -> Result<(Vec<Instance>, Vec<String>)> {
        let request = self.instances().await?.aggregated_list().set_project(self.project().await?);
        let request = request.set_filter(filter).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages(operation, ask, |page| page.next_page_token.clone()).await?;
        let mut all = Vec::new();
        let mut unreached = Vec::new();
        for page in pages {
            // The SDK's map has no order of its own.
            let mut scopes: Vec<_> = page.items.into_iter().collect();
            scopes.sort_by(|a, b| a.0.cmp(&b.0));
            for (scope, found) in scopes {
                let warning = found.warning.as_ref().and_then(|warning| warning.code.as_ref()?.name());
                if warning == Some("UNREACHABLE") {
                    unreached.push(scope);
                }
                all.extend(found.instances);
            }
        }
        Ok((all, unreached))
    }

    /// A network of the project, or of another one that shares its.
    pub(crate) async fn network(&self, project: &str, name: &str) -> Result<Network> {
        let networks = self.networks().await?;
        self.send(PREPARE, networks.get().set_project(project).set_network(name).send()).await
    }

    /// A subnetwork.
    pub(crate) async fn subnetwork(&self, project: &str, region: &str, name: &str) -> Result<Subnetwork> {
        let subnetworks = self.subnetworks().await?;
        let ask = subnetworks.get().set_project(project).set_region(region).set_subnetwork(name);
        self.send(PREPARE, ask.send()).await
    }

    /// The subnetworks of a region.
    pub(crate) async fn subnetworks_of(&self, project: &str, region: &Region) -> Result<Vec<Subnetwork>> {
        let request = self.subnetworks().await?.list().set_project(project).set_region(region.as_str());
        let ask = |token| request.clone().set_max_results(PAGE).set_page_token(token).send();
        let pages = self.pages(PREPARE, ask, |page| page.next_page_token.clone()).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).collect())
    }

    /// An image, or the newest of a family.
    pub(crate) async fn image(&self, project: &str, family: bool, name: &str) -> Result<Image> {
        let images = self.images().await?;
        match family {
            true => {
                let ask = images.get_from_family().set_project(project).set_family(name);
                self.send(PREPARE, ask.send()).await
            }
            false => self.send(PREPARE, images.get().set_project(project).set_image(name).send()).await,
        }
    }

    /// A firewall rule.
    pub(crate) async fn firewall(&self, project: &str, name: &str) -> Result<Firewall> {
        let firewalls = self.firewalls().await?;
        self.send(PREPARE, firewalls.get().set_project(project).set_firewall(name).send()).await
    }

    /// Makes a firewall rule, and waits until it is there.
    pub(crate) async fn create_firewall(&self, project: &str, rule: Firewall) -> Result<()> {
        let firewalls = self.firewalls().await?;
        let begun = self.send(PREPARE, firewalls.insert().set_project(project).set_body(rule).send()).await?;
        self.succeeded(PREPARE, project, begun).await
    }

    /// Gives a firewall rule another description.
    pub(crate) async fn describe_firewall(&self, project: &str, name: &str, text: &str) -> Result<()> {
        let firewalls = self.firewalls().await?;
        let change = Firewall::new().set_description(text);
        let ask = firewalls.patch().set_project(project).set_firewall(name).set_body(change);
        let begun = self.send(PREPARE, ask.send()).await?;
        self.succeeded(PREPARE, project, begun).await
    }

    /// Buys instances: one call, and one operation that is still under way.
    pub(crate) async fn bulk_insert(
        &self,
        region: &Region,
        request_id: &str,
        what: BulkInsertInstanceResource,
    ) -> Result<Operation> {
        let instances = self.region_instances().await?;
        let ask = instances.bulk_insert().set_project(self.project().await?).set_region(region.as_str());
        self.send("gcp.launch", ask.set_request_id(request_id).set_body(what).send()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_every_label() {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        assert_eq!(
            whose(&owner, Some(&fleet)),
            "(labels.skyfleet-owner = \"ada\") AND (labels.skyfleet-fleet = \"words\")"
        );
        assert_eq!(whose(&owner, None), "(labels.skyfleet-owner = \"ada\")");
    }
}
