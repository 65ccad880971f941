use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use skyfleet_core::Result;

use crate::Store;

/// Where the machines find the tasks' inputs.
#[derive(Clone, Debug)]
pub(crate) enum Inputs {
    /// There are none.
    None,
    /// Where they are anyway.
    InPlace(Store),
    /// In a local folder that no machine sees: they are copied to below this prefix of the job's store.
    Uploaded { from: Store, to: Store, prefix: String },
}

/// How many files are uploaded at once.
const UPLOADS: usize = 8;

impl Inputs {
    pub(crate) fn new(inputs: Option<Store>, store: &Store, job: &str) -> Self {
        match inputs {
            None => Self::None,
            Some(from) if from.is_local() && !store.is_local() => {
                Self::Uploaded { from, to: store.clone(), prefix: format!("{job}/inputs") }
            }
            Some(inputs) => Self::InPlace(inputs),
        }
    }

    /// Brings them to where the machines find them.
    pub(crate) async fn upload(&self, names: &[String]) -> Result<()> {
        let Self::Uploaded { from, to, prefix } = self else { return Ok(()) };
        let copy = |name: String| async move { to.copy_from(from, &name, &format!("{prefix}/{name}")).await };
        stream::iter(names.iter().cloned().map(copy)).buffer_unordered(UPLOADS).try_collect().await
    }

    /// Where a machine reads one of them; `None` without inputs.
    pub(crate) async fn location(&self, name: &str, lifetime: Duration) -> Result<Option<String>> {
        let found = match self {
            Self::None => return Ok(None),
            Self::InPlace(store) => store.location(name, lifetime).await?,
            Self::Uploaded { to, prefix, .. } => to.location(&format!("{prefix}/{name}"), lifetime).await?,
        };
        Ok(Some(found.place))
    }
}
