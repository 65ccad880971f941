use skyfleet_core::{Clock, ScaledClock};

use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::server::{Server, Urls};

impl Server {
    /// The environment variables that point programs at it: the official SDKs, the clouds' own
    /// command lines, and skyfleet, which keeps the time of `clock` then. In the order in which they
    /// are told; the clock's is the last.
    pub fn environment(&self, clock: Option<&ScaledClock>) -> Vec<(&'static str, String)> {
        let mut variables = of_clouds(&self.urls, &self.credentials);
        variables.push(("SIMCLOUD_ADMIN", self.urls.admin.clone()));
        variables.extend(clock.and_then(Clock::told).map(|told| ("SIMCLOUD_CLOCK", told)));
        variables
    }
}

/// Names that begin with `SKYFLEET_` are keys of skyfleet's config, so none of these does.
fn of_clouds(urls: &Urls, keys: &[Credential]) -> Vec<(&'static str, String)> {
    let of = |cloud| keys.iter().find(|key| key.cloud == cloud);
    let (aws, gcp, azure) = (of(Cloud::Aws), of(Cloud::Gcp), of(Cloud::Azure));
    let key_id = aws.map_or("AKIASIMCLOUD", |key| &key.key_id);
    let secret = aws.map_or("simcloud", |key| &key.secret);
    let project = gcp.map_or("simcloud", |key| &key.key_id);
    let token = gcp.map_or("simcloud", |key| &key.secret);
    let client = azure.map_or("00000000-0000-4000-8000-000000000003", |key| &key.key_id);
    let client_secret = azure.map_or("simcloud", |key| &key.secret);
    vec![
        ("AWS_ENDPOINT_URL", urls.aws.clone()),
        ("AWS_ENDPOINT_URL_EC2", urls.aws.clone()),
        ("AWS_ACCESS_KEY_ID", key_id.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", format!("{}/compute/v1/", urls.gcp)),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING", format!("{}/", urls.gcp)),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", format!("{}/", urls.gcp)),
        ("CLOUDSDK_CORE_PROJECT", project.to_owned()),
        ("CLOUDSDK_AUTH_ACCESS_TOKEN", token.to_owned()),
        ("GOOGLE_CLOUD_PROJECT", project.to_owned()),
        ("GCE_METADATA_HOST", host(&urls.gcp)),
        ("GCE_METADATA_IP", host(&urls.gcp)),
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", urls.azure.clone()),
        ("AZURE_AUTHORITY_HOST", urls.azure.clone()),
        ("AZURE_SUBSCRIPTION_ID", "00000000-0000-4000-8000-000000000001".to_owned()),
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000002".to_owned()),
        ("AZURE_CLIENT_ID", client.to_owned()),
        ("AZURE_CLIENT_SECRET", client_secret.to_owned()),
    ]
}

/// Where Google's libraries ask for the credentials of the machine that they run on: a host and a
/// port.
fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}
