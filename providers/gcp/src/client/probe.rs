//! What a doctor asks: which project, what the caller may do there, what time it is at Google.
//! Nothing here changes anything.

use google_cloud_auth::credentials::CacheableResource;
use google_cloud_compute_v1::model::{Network, Project};
use reqwest::header::DATE;
use serde::Deserialize;
use serde_json::json;
use skyfleet_core::{Error, ErrorKind, Result, Timestamp};

use super::{Api, Client, endpoint};
use crate::error;

/// The name under which errors of a doctor are known.
const DOCTOR: &str = "gcp.doctor";

const RESOURCE_MANAGER: &str = "https://cloudresourcemanager.googleapis.com";

#[derive(Default, Deserialize)]
struct Granted {
    #[serde(default)]
    permissions: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: Reason,
}

#[derive(Default, Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
}

impl Client {
    /// The project itself.
    pub(crate) async fn project_info(&self) -> Result<Project> {
        let projects = self.projects().await?;
        self.send(DOCTOR, projects.get().set_project(self.project().await?).send()).await
    }

    /// A network, of this project or of another that shares it.
    pub(crate) async fn network_info(&self, project: &str, name: &str) -> Result<Network> {
        let networks = self.networks().await?;
        self.send(DOCTOR, networks.get().set_project(project).set_network(name).send()).await
    }

    /// Whether a subnetwork is in a region.
    pub(crate) async fn has_subnetwork(&self, project: &str, region: &str, name: &str) -> Result<bool> {
        let subnetworks = self.subnetworks().await?;
        let request = subnetworks.get().set_project(project).set_region(region).set_subnetwork(name);
        match self.send(DOCTOR, request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the price list can be read: by asking for its first line.
    pub(crate) async fn price_sample(&self) -> Result<()> {
        let catalogue = self.catalogue().await?;
        let request = catalogue.list_skus().set_parent(super::market::COMPUTE_ENGINE).set_page_size(1);
        self.send(DOCTOR, request.send()).await.map(drop)
    }

    /// Which of these permissions the caller has, and what time it is at Google as its answer says
    /// it, also when it refuses.
    pub(crate) async fn granted(&self, permissions: &[&str]) -> (Result<Vec<String>>, Option<Timestamp>) {
        let hold = self.clock().hold();
        let answer = Box::pin(self.ask(permissions)).await;
        drop(hold);
        match answer {
            Ok((granted, time)) => (granted, time),
            Err(error) => (Err(error.at(DOCTOR)), None),
        }
    }

    async fn ask(&self, permissions: &[&str]) -> Result<(Result<Vec<String>>, Option<Timestamp>)> {
        let root = endpoint(self.settings(), Api::ResourceManager);
        let root = root.as_deref().unwrap_or(RESOURCE_MANAGER);
        let url = format!("{root}/v3/projects/{}:testIamPermissions", self.project().await?);
        let credentials = self.credentials().await?;
        let headers = credentials.headers(http::Extensions::new()).await.map_err(|refused| {
            Error::new(ErrorKind::Unauthenticated, "Google's credentials give no token").because(refused)
        })?;
        let CacheableResource::New { data: headers, .. } = headers else {
            return Err(Error::new(ErrorKind::Unexpected, "Google's credentials say that nothing is new"));
        };
        let mut http = reqwest::Client::builder().timeout(super::CALL);
        if skyfleet_core::settings::is_near(root) {
            // No certificates are needed for it, and no proxy leads back to this machine.
            http = http.no_proxy().tls_certs_only([]);
        }
        let unreached = |error: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, format!("{root} cannot be reached")).because(error)
        };
        let http = http.build().map_err(unreached)?;
        let asked = http.post(&url).headers(headers).json(&json!({ "permissions": permissions }));
        let answer = asked.send().await.map_err(unreached)?;
        let time = answer.headers().get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(unreached)?;
        if status != 200 {
            return Ok((Err(refusal(status, &body)), time));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|wrong| {
            Error::new(ErrorKind::Unexpected, "an answer about permissions cannot be read").because(wrong)
        })?;
        Ok((Ok(granted.permissions), time))
    }
}

fn refusal(status: u16, body: &[u8]) -> Error {
    let Refused { error: Reason { message, status: code } } =
        serde_json::from_slice(body).unwrap_or_default();
    let message = if message.is_empty() { format!("refused with status {status}") } else { message };
    Error::new(error::guess(Some(status)), message).with("code", code).with("status", status)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let at = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_refusal_says_what_google_says() {
        let body = br#"{"error":{"code":403,"message":"The caller does not","status":"PERMISSION_DENIED"}}"#;
        let error = refusal(403, body);
        assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "The caller does not"));
        assert_eq!(refusal(502, b"<html>").kind(), ErrorKind::Unavailable);
    }
}
