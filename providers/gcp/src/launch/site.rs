//! What a project has for a fleet: networks and zones. Only looks, makes nothing.

use std::collections::BTreeMap;

use google_cloud_compute_v1::model::Subnetwork;
use skyfleet_core::{ErrorKind, Region, Result};

use super::blueprint::{Wanted, invalid};
use crate::client::Client;
use crate::whereabouts::last;

/// The network that a fleet's machines are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The project that the network belongs to: another one's where networks are shared.
    pub(super) project: String,
    /// As a machine's interface names it: `global/networks/default`, `projects/…`.
    pub(super) network: String,
    /// The subnetwork of each region; empty where the network has one in each by itself.
    pub(super) subnetworks: BTreeMap<Region, String>,
}

/// The network that a project has from its first day on.
const DEFAULT: &str = "default";

impl Site {
    /// Looks for the network of the settings, else the default one: one call, and one for each
    /// region where subnetworks are one's own.
    ///
    /// # Errors
    /// `InvalidRequest` when something that is named is not there.
    pub(super) async fn survey(client: &Client, wanted: &Wanted<'_>) -> Result<Self> {
        match &wanted.settings.subnetwork {
            Some(named) => Self::of_subnetwork(client, wanted, named).await,
            None => Self::of_network(client, wanted).await,
        }
    }

    async fn of_network(client: &Client, wanted: &Wanted<'_>) -> Result<Self> {
        let named = wanted.settings.network.as_deref().unwrap_or(DEFAULT);
        let (project, name) = (project_of(client, named).await?, last(named));
        let network = match client.network(project, name).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let message = format!(
                    "the project {project} has no network {name:?}; name one in providers.gcp.network, or make \
                     it with `gcloud compute networks create {name} --subnet-mode=auto`"
                );
                return Err(invalid("network", message).at("gcp.prepare"));
            }
            network => network?,
        };
        let path = network_path(named, name);
        let mut site = Self { project: project.to_owned(), network: path, subnetworks: BTreeMap::new() };
        if network.auto_create_subnetworks == Some(true) {
            return Ok(site);
        }
        for region in &wanted.blueprint.regions {
            let of_network = |subnetwork: &Subnetwork| subnetwork.network.as_deref().map(last) == Some(name);
            let found = client.subnetworks_of(project, region).await?;
            let mut names: Vec<String> =
                found.into_iter().filter(of_network).filter_map(|subnetwork| subnetwork.name).collect();
            names.sort();
            match names.first() {
                Some(first) => {
                    drop(site.subnetworks.insert(region.clone(), site.path_of(named, region, first)))
                }
                None => {
                    let message = format!("the network {name} has no subnetwork in {region}");
                    return Err(invalid("network", message).with("region", region).at("gcp.prepare"));
                }
            }
        }
        Ok(site)
    }

    async fn of_subnetwork(client: &Client, wanted: &Wanted<'_>, named: &str) -> Result<Self> {
        let (project, name) = (project_of(client, named).await?, last(named));
        let own_region = named.split_once("/regions/").and_then(|(_, rest)| rest.split('/').next());
        let mut site: Option<Self> = None;
        for region in &wanted.blueprint.regions {
            let wrong = |message: String| {
                Err(invalid("subnetwork", message).with("region", region).at("gcp.prepare"))
            };
            if own_region.is_some_and(|own| own != region.as_str()) {
                return wrong(format!(
                    "{named} is not in {region}: name it without its region, or leave {region} out"
                ));
            }
            let found = match client.subnetwork(project, region.as_str(), name).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return wrong(format!("{region} has no subnetwork {name:?} in the project {project}"));
                }
                found => found?,
            };
            let network = found.network.as_deref().map(last).unwrap_or(DEFAULT);
            let told = wanted.settings.network.as_deref().map(last);
            if told.is_some_and(|told| told != network) {
                return wrong(format!("the subnetwork {name} is in the network {network}"));
            }
            let site = site.get_or_insert_with(|| Self {
                project: project.to_owned(),
                network: network_path(named, network),
                subnetworks: BTreeMap::new(),
            });
            if last(&site.network) != network {
                return wrong(format!(
                    "the subnetworks {name} of the fleet's regions are in several networks"
                ));
            }
            site.subnetworks.insert(region.clone(), site.path_of(named, region, name));
        }
        site.ok_or_else(|| invalid("regions", "a fleet needs at least one region").at("gcp.prepare"))
    }

    /// A subnetwork as a machine's interface names it, shared if what was named is.
    fn path_of(&self, named: &str, region: &Region, name: &str) -> String {
        let path = format!("regions/{region}/subnetworks/{name}");
        if named.starts_with("projects/") { format!("projects/{}/{path}", self.project) } else { path }
    }
}

/// The project of what is named: that of its path, else one's own.
async fn project_of<'a>(client: &'a Client, named: &'a str) -> Result<&'a str> {
    match named.strip_prefix("projects/").and_then(|rest| rest.split('/').next()) {
        Some(project) => Ok(project),
        None => client.project().await,
    }
}

fn network_path(named: &str, network: &str) -> String {
    match named.strip_prefix("projects/").and_then(|rest| rest.split('/').next()) {
        Some(project) => format!("projects/{project}/global/networks/{network}"),
        None => format!("global/networks/{network}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_named_with_its_project() {
        assert_eq!(network_path("batch", "batch"), "global/networks/batch");
        let shared = "projects/host/regions/us-east1/subnetworks/s";
        assert_eq!(network_path(shared, "n"), "projects/host/global/networks/n");
        let site = Site { project: "host".into(), network: String::new(), subnetworks: BTreeMap::new() };
        let region = Region::from("us-east1");
        assert_eq!(site.path_of(shared, &region, "s"), shared);
        assert_eq!(site.path_of("s", &region, "s"), "regions/us-east1/subnetworks/s");
    }
}
