//! Google's error codes and our kinds.

use skyfleet_core::{Error, ErrorKind};

/// Our error for a call that failed.
pub(crate) fn refused(operation: &'static str, error: &google_cloud_gax::error::Error) -> Error {
    Error::new(ErrorKind::Unexpected, error.to_string()).at(operation)
}
