use serde_json::Value;

use crate::aws::Face;
use crate::aws::error::coded;
use crate::refusal::Refusal;

/// Answers a call of one of the services that speak AWS JSON 1.1. `target` is the header
/// `X-Amz-Target`: the service's name, a dot, the operation.
pub(crate) fn answer_json(
    _face: &Face,
    target: &str,
    _region: &str,
    _body: &[u8],
) -> Result<Value, Refusal> {
    tracing::warn!(target, "this operation is not simulated");
    Err(coded(400, "UnknownOperationException", format!("The operation {target} is not simulated.")))
}
