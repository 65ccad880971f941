//! Whether there is a network for the machines, in each region.

use google_cloud_compute_v1::model::Network;
use skyfleet_core::{ErrorKind, Result};

use crate::client::Client;
use crate::client::market::RegionInfo;
use crate::whereabouts::last;

/// The network of each region, or why there is none.
pub(super) async fn in_regions(
    client: &Client,
    regions: &[RegionInfo],
) -> Vec<std::result::Result<String, String>> {
    match &client.settings().subnetwork {
        Some(named) => {
            let asked = regions.iter().map(|region| subnetwork(client, region, named));
            futures::future::join_all(asked).await
        }
        None => {
            let named = client.settings().network.as_deref().unwrap_or("default");
            let network = network(client, named).await;
            regions.iter().map(|region| within(named, &network, region)).collect()
        }
    }
}

/// The project of a path, and the name at its end.
fn home<'a>(path: &'a str, own: &'a str) -> (&'a str, &'a str) {
    let project = path.strip_prefix("projects/").and_then(|rest| rest.split('/').next());
    (project.unwrap_or(own), last(path))
}

async fn network(client: &Client, named: &str) -> std::result::Result<Network, String> {
    let told: Result<Network> = async {
        let (project, name) = home(named, client.project().await?);
        client.network_info(project, name).await
    }
    .await;
    told.map_err(|error| match error.kind() {
        ErrorKind::NotFound if named == "default" => {
            "there is no network `default`: name one by `network`, or make it with `gcloud compute networks \
             create default`"
                .to_owned()
        }
        ErrorKind::NotFound => format!("there is no network {named}"),
        _ => error.to_string(),
    })
}

/// A machine needs a subnetwork in its region; the oldest networks have none, and need none.
fn within(
    named: &str,
    network: &std::result::Result<Network, String>,
    region: &RegionInfo,
) -> std::result::Result<String, String> {
    let network = network.as_ref().map_err(Clone::clone)?;
    let part = format!("/regions/{}/", region.name);
    let legacy = network.auto_create_subnetworks.is_none() && network.subnetworks.is_empty();
    if legacy || network.subnetworks.iter().any(|url| url.contains(&part)) {
        Ok(last(named).to_owned())
    } else {
        Err(format!("the network {named} has no subnetwork here: leave the region out, or make one"))
    }
}

async fn subnetwork(
    client: &Client,
    region: &RegionInfo,
    named: &str,
) -> std::result::Result<String, String> {
    let there: Result<bool> = async {
        let (project, name) = home(named, client.project().await?);
        // A path names one region.
        let elsewhere = named.contains('/') && !named.contains(&format!("/regions/{}/", region.name));
        Ok(!elsewhere && client.has_subnetwork(project, region.name.as_str(), name).await?)
    }
    .await;
    match there {
        Ok(true) => Ok(last(named).to_owned()),
        Ok(false) => Err(format!("there is no subnetwork {named} here")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_serves_the_regions_that_it_has_a_subnetwork_in() {
        let region = |name: &str| RegionInfo { name: name.into(), zones: Vec::new(), limits: None };
        let network = Network::new().set_auto_create_subnetworks(true).set_subnetworks([
            "https://www.googleapis.com/compute/v1/projects/p/regions/us-east1/subnetworks/default",
        ]);
        let found = Ok(network);
        assert_eq!(within("default", &found, &region("us-east1")), Ok("default".to_owned()));
        assert!(within("default", &found, &region("us-east4")).unwrap_err().contains("no subnetwork"));
        assert_eq!(
            within("projects/h/global/networks/n", &Ok(Network::new()), &region("x")),
            Ok("n".to_owned())
        );
        assert_eq!(within("n", &Err("gone".to_owned()), &region("x")), Err("gone".to_owned()));
    }

    #[test]
    fn a_path_names_its_project() {
        assert_eq!(home("default", "own"), ("own", "default"));
        assert_eq!(home("projects/host/global/networks/n", "own"), ("host", "n"));
    }
}
