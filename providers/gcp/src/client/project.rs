//! Which project is meant.

use std::env;
use std::path::PathBuf;

use reqwest::header::HeaderName;
use skyfleet_core::{Error, ErrorKind, Result};

use super::Client;

/// In the order in which Google's own libraries look (google-auth, `_default.py`), gcloud's last.
const VARIABLES: [&str; 3] = ["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"];
const KEY_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// What tells a question to the metadata server from a forged one, and its answer from a
/// stranger's.
const FLAVOUR: HeaderName = HeaderName::from_static("metadata-flavor");

/// The project of the settings, else of the environment, of the key file, of gcloud's file of
/// default credentials, of the machine.
pub(super) async fn found(client: &Client) -> Result<String> {
    if let Some(project) = &client.settings().project {
        return Ok(project.clone());
    }
    let of_environment =
        VARIABLES.iter().find_map(|name| env::var(name).ok().filter(|name| !name.is_empty()));
    if let Some(project) = of_environment.or_else(of_key_file) {
        return Ok(project);
    }
    // Credentials that were handed over, or that a file holds, are not those of this machine.
    if client.0.given.is_none() && env::var_os(KEY_FILE).is_none() {
        let hold = client.clock().hold();
        let told = Box::pin(of_machine()).await;
        drop(hold);
        if let Some(project) = told {
            return Ok(project);
        }
    }
    let message = "it is not known which Google Cloud project is meant: set `project` below [providers.gcp], \
                   or GOOGLE_CLOUD_PROJECT";
    Err(Error::new(ErrorKind::InvalidConfig, message).with("key", "providers.gcp.project"))
}

/// What the file of credentials says: `project_id` in a service account's key, `quota_project_id`
/// in what `gcloud auth application-default login` writes.
fn of_key_file() -> Option<String> {
    let path = match env::var_os(KEY_FILE) {
        Some(path) => PathBuf::from(path),
        None => {
            let folder = env::var_os("CLOUDSDK_CONFIG").map(PathBuf::from);
            let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".config/gcloud"));
            folder.or_else(home)?.join("application_default_credentials.json")
        }
    };
    project_of(&std::fs::read_to_string(path).ok()?)
}

fn project_of(file: &str) -> Option<String> {
    let file: serde_json::Value = serde_json::from_str(file).ok()?;
    let named = ["project_id", "quota_project_id"].iter().find_map(|key| file[*key].as_str());
    named.filter(|project| !project.is_empty()).map(str::to_owned)
}

/// What the metadata server says, on a machine of Google's.
async fn of_machine() -> Option<String> {
    if env::var("NO_GCE_CHECK").is_ok_and(|no| no == "true") {
        return None;
    }
    let host = env::var("GCE_METADATA_HOST").unwrap_or_else(|_| "metadata.google.internal".to_owned());
    let url = format!("http://{host}/computeMetadata/v1/project/project-id");
    // Google's libraries wait as long for it (GCE_METADATA_TIMEOUT).
    let http =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(std::time::Duration::from_secs(3));
    let answer = http.build().ok()?.get(url).header(FLAVOUR, "Google").send().await.ok()?;
    if !answer.status().is_success() || !answer.headers().contains_key(FLAVOUR) {
        return None;
    }
    Some(answer.text().await.ok()?.trim().to_owned()).filter(|project| !project.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_credentials_names_its_project() {
        for (file, project) in [
            (r#"{"type": "service_account", "project_id": "a"}"#, Some("a")),
            (r#"{"type": "authorized_user", "quota_project_id": "b"}"#, Some("b")),
            (r#"{"type": "authorized_user"}"#, None),
            ("nonsense", None),
        ] {
            assert_eq!(project_of(file).as_deref(), project, "{file}");
        }
    }
}
