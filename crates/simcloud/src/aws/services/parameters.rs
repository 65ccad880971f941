use serde_json::{Value, json};

use crate::aws::error::coded;
use crate::aws::images::{RELEASES, images};
use crate::refusal::Refusal;

/// The image that a public parameter names: `/aws/service/…`.
pub(crate) fn image_of(region: &str, parameter: &str) -> Option<String> {
    let of_release = |release: &&'static crate::aws::images::Release| {
        release.arch_names().into_iter().find(|(_, called)| {
            release.parameters.iter().any(|name| name.replace("{arch}", called) == parameter)
        })
    };
    let (release, (arch, _)) =
        RELEASES.iter().find_map(|release| of_release(&release).map(|found| (release, found)))?;
    images(region).find(|image| image.is_of(release) && image.architecture == arch).map(|image| image.id)
}

/// SSM `GetParameter`.
pub(crate) fn get_parameter(region: &str, body: &Value) -> Result<Value, Refusal> {
    let name = body["Name"].as_str().unwrap_or_default();
    match parameter(region, name) {
        Some(parameter) => Ok(json!({ "Parameter": parameter })),
        None => Err(coded(400, "ParameterNotFound", format!("Parameter {name} not found."))),
    }
}

/// SSM `GetParameters`: those that there are, and the names of the others.
pub(crate) fn get_parameters(region: &str, body: &Value) -> Result<Value, Refusal> {
    let names: Vec<&str> = body["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !(1..=10).contains(&names.len()) {
        let message = "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length between 1 and 10";
        return Err(coded(400, "ValidationException", message));
    }
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| parameter(region, name).is_some());
    let known: Vec<Value> = known.into_iter().filter_map(|name| parameter(region, name)).collect();
    Ok(json!({ "Parameters": known, "InvalidParameters": unknown }))
}

fn parameter(region: &str, name: &str) -> Option<Value> {
    let plain = name.split_once(':').map_or(name, |(name, _version)| name);
    let id = image_of(region, plain)?;
    Some(json!({
        "Name": plain,
        "Type": "String",
        "Value": id,
        "Version": 1,
        "LastModifiedDate": images(region).find(|image| image.id == id).map(|image| image.created_s()),
        "ARN": format!("arn:aws:ssm:{region}::parameter{plain}"),
        "DataType": "aws:ec2:image",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_publisher_gives_leads_to_an_image_of_its_line_and_architecture() {
        for (name, part) in [
            (
                "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
                "noble-24.04-amd64",
            ),
            (
                "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
                "jammy-22.04-arm64",
            ),
            ("/aws/service/debian/release/12/latest/amd64", "debian-12-amd64-20261006"),
            ("/aws/service/debian/release/13/latest/arm64", "debian-13-arm64"),
            (
                "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
                "20261020.0-kernel-6.1-x86_64",
            ),
        ] {
            let id = image_of("eu-west-1", name).unwrap();
            let image = images("eu-west-1").find(|image| image.id == id).unwrap();
            assert!(image.name.contains(part), "{name}: {}", image.name);
        }
        assert_eq!(image_of("eu-west-1", "/aws/service/debian/release/11/latest/amd64"), None);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let error = get_parameter("us-east-1", &json!({ "Name": "/mine" })).unwrap_err();
        assert!(matches!(error, Refusal::Coded { code, .. } if code == "ParameterNotFound"));
        let names = json!({ "Names": ["/mine", "/aws/service/debian/release/12/latest/amd64"] });
        let answer = get_parameters("us-east-1", &names).unwrap();
        assert_eq!(
            (answer["Parameters"].as_array().unwrap().len(), &answer["InvalidParameters"][0]),
            (1, &json!("/mine"))
        );
    }
}
