use std::env;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Clock, settings};

/// The clouds whose machines have a metadata service that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gcp,
    /// Azure.
    Azure,
}

impl Cloud {
    pub(crate) const ALL: [Self; 3] = [Self::Aws, Self::Gcp, Self::Azure];

    /// Where its metadata service is: where the variable says by which the cloud's own SDKs find it
    /// (`AWS_EC2_METADATA_SERVICE_ENDPOINT`, `GCE_METADATA_HOST`,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`), else where it is on every machine of the cloud.
    pub fn endpoint(self) -> String {
        self.named().unwrap_or_else(|| self.usual().to_owned())
    }

    /// Where its own variable says that the service is.
    pub(crate) fn named(self) -> Option<String> {
        let variable = match self {
            Self::Aws => "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            Self::Gcp => "GCE_METADATA_HOST",
            Self::Azure => "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        };
        env::var(variable).ok().filter(|text| !text.trim().is_empty())
    }

    pub(crate) fn usual(self) -> &'static str {
        match self {
            Self::Aws | Self::Azure => "http://169.254.169.254",
            Self::Gcp => "http://metadata.google.internal",
        }
    }

    /// Whether the cloud's own SDKs are told not to ask.
    pub(crate) fn is_shunned(self) -> bool {
        let variable = match self {
            Self::Aws => "AWS_EC2_METADATA_DISABLED",
            Self::Gcp => "NO_GCE_CHECK",
            Self::Azure => return false,
        };
        env::var(variable).is_ok_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }
}

/// As providers are called in the config: `aws`.
impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        })
    }
}

/// The time that the cloud behind a service lives by: a simulated one on this machine may have its
/// own.
pub(crate) fn clock(endpoint: &str) -> Arc<dyn Clock> {
    let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    settings::clock(settings::is_near(&url))
}
