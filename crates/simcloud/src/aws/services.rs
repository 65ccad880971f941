pub(crate) mod identity;
pub(crate) mod parameters;
pub(crate) mod price_list;
pub(crate) mod pricing;
pub(crate) mod quotas;

use serde_json::Value;

use crate::aws::Face;
use crate::aws::error::coded;
use crate::refusal::Refusal;
use crate::world::Call;

/// Answers a call of one of the services that speak AWS JSON 1.1. `target` is the header
/// `X-Amz-Target`: the service's name, a dot, the operation.
pub(crate) fn answer_json(face: &Face, target: &str, region: &str, body: &[u8]) -> Result<Value, Refusal> {
    let body: Value = match body.is_empty() {
        true => Value::Object(serde_json::Map::new()),
        false => serde_json::from_slice(body)
            .map_err(|error| coded(400, "SerializationException", format!("The body is no JSON: {error}")))?,
    };
    let body = &body;
    let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation);
    let answer = |act: &dyn Fn(&crate::kernel::Kernel) -> Result<Value, Refusal>| {
        face.world.call(Call::read(operation, region), |kernel| act(kernel))
    };
    match target {
        "AWSPriceListService.DescribeServices" => answer(&|kernel| pricing::describe_services(kernel, body)),
        "AWSPriceListService.GetAttributeValues" => {
            answer(&|kernel| pricing::get_attribute_values(kernel, body))
        }
        "AWSPriceListService.GetProducts" => answer(&|kernel| pricing::get_products(kernel, body)),
        "AmazonSSM.GetParameter" => answer(&|_| parameters::get_parameter(region, body)),
        "AmazonSSM.GetParameters" => answer(&|_| parameters::get_parameters(region, body)),
        "ServiceQuotasV20190624.GetAWSDefaultServiceQuota" => answer(&|_| quotas::get_default(region, body)),
        "ServiceQuotasV20190624.GetServiceQuota" => answer(&|kernel| quotas::get(kernel, region, body)),
        "ServiceQuotasV20190624.ListAWSDefaultServiceQuotas" => {
            answer(&|_| quotas::list_defaults(region, body))
        }
        "ServiceQuotasV20190624.ListServiceQuotas" => answer(&|kernel| quotas::list(kernel, region, body)),
        _ => {
            tracing::warn!(target, "this operation is not simulated");
            let message = format!("The operation {target} is not simulated.");
            Err(coded(400, "UnknownOperationException", message))
        }
    }
}
