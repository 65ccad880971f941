use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::Cloud;

/// Who may call a simulated cloud. Once somebody is named for a cloud, it refuses everybody else
/// in its own words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Which cloud.
    pub cloud: Cloud,
    /// The name of the key: on AWS the access key id.
    pub key_id: String,
    /// The secret that signs.
    pub secret: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("cloud", &self.cloud)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
