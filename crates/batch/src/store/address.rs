//! What a store's URL means.

use std::path::PathBuf;

use opendal::{Configurator, Operator, OperatorUri};
use skyfleet_core::{Error, ErrorKind, Result};

/// The schemes that exist, the feature that each needs, and whether this build has it.
const SCHEMES: [(&str, &str, bool); 4] = [
    ("file", "", true),
    ("s3", "s3", cfg!(feature = "s3")),
    ("gs", "gcs", cfg!(feature = "gcs")),
    ("az", "azblob", cfg!(feature = "azblob")),
];

pub(super) fn refusal(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

pub(super) fn without_query(url: &str) -> &str {
    if url.contains("://") { url.split('?').next().unwrap_or(url) } else { url }
}

/// The path that a URL or a plain path means; `None` when it is remote.
pub(super) fn local_path(url: &str) -> Result<Option<PathBuf>> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url {
            "" => Err(refusal("it is empty; a path or a URL is needed")),
            path => Ok(Some(path.into())),
        };
    };
    if scheme != "file" {
        return Ok(None);
    }
    if !rest.starts_with('/') {
        return Err(refusal("a file URL has three slashes: file:///path"));
    }
    if rest.contains('?') {
        return Err(refusal("a file URL has no query"));
    }
    let uri = OperatorUri::new(url, []).map_err(|e| refusal(e.to_string()))?;
    Ok(Some(format!("/{}", uri.root().unwrap_or_default()).into()))
}

fn unknown_scheme(scheme: &str) -> Error {
    if let Some((_, feature, _)) = SCHEMES.iter().find(|(known, ..)| *known == scheme) {
        return refusal(format!(
            "{scheme}:// is not in this build: build with the feature {feature:?} of skyfleet-batch"
        ));
    }
    let known: Vec<&str> = SCHEMES.iter().filter(|(.., built)| *built).map(|(scheme, ..)| *scheme).collect();
    let near = match scheme {
        "gcs" => "gs",
        "azblob" | "abfs" | "wasb" => "az",
        "s3a" | "s3n" => "s3",
        _ => "",
    };
    let near = if near.is_empty() { String::new() } else { format!("; {near:?} is meant, perhaps") };
    refusal(format!(
        "{scheme:?} is no known scheme: this build has {}, and plain paths{near}",
        known.join(", ")
    ))
}

pub(super) fn open_remote(scheme: &str, url: &str) -> Result<Operator> {
    let _ = url;
    match scheme {
        #[cfg(feature = "s3")]
        "s3" => remote::<opendal::services::S3Config>(url, &[]),
        #[cfg(feature = "gcs")]
        "gs" => remote::<opendal::services::GcsConfig>(url, &[]),
        #[cfg(feature = "azblob")]
        "az" => remote::<opendal::services::AzblobConfig>(
            url,
            &[("sas_token", "AZURE_STORAGE_SAS_TOKEN"), ("account_name", "AZURE_STORAGE_ACCOUNT")],
        ),
        _ => Err(unknown_scheme(scheme)),
    }
}

/// Opens a remote service, strictly: OpenDAL itself drops keys that it does not know. Gives it the
/// HTTP client of this build, unless the program has installed one already.
#[cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azblob")),
    expect(dead_code, reason = "this build has no remote store")
)]
fn remote<C: Configurator + Default>(url: &str, environment: &[(&str, &str)]) -> Result<Operator> {
    opendal::install_default();
    let uri = OperatorUri::new(url, []).map_err(|e| refusal(e.to_string()))?;
    if uri.name().is_none() {
        return Err(refusal("the bucket or container is missing: scheme://bucket/prefix"));
    }
    let known: Vec<String> = match serde_json::to_value(C::default()) {
        Ok(serde_json::Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    };
    for key in uri.options().keys() {
        if ["secret", "token", "password", "credential", "key_id", "account_key"]
            .iter()
            .any(|s| key.contains(s))
        {
            return Err(refusal(format!(
                "{key:?} does not belong into a URL: credentials come from the environment"
            )));
        }
        if !known.contains(key) {
            let near = known.iter().max_by(|a, b| {
                strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)).then_with(|| b.cmp(a))
            });
            let near = near.map(String::as_str).unwrap_or_default();
            return Err(refusal(format!("the query key {key:?} is not known; the nearest is {near:?}")));
        }
    }
    let extra = environment.iter().filter(|(key, _)| !uri.options().contains_key(*key));
    let extra = extra.filter_map(|(key, variable)| Some(((*key).to_owned(), std::env::var(variable).ok()?)));
    let uri = OperatorUri::new(url, extra).map_err(|e| refusal(e.to_string()))?;
    let config = C::from_uri(&uri).map_err(|e| refusal(e.message()))?;
    Operator::from_config(config).map_err(|e| refusal(e.message().to_owned()).because(e))
}
