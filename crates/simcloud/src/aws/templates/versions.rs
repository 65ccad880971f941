use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::Timestamp;

use crate::aws::error::{coded, missing};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::aws::templates::data::LaunchTemplateData;
use crate::aws::templates::{Template, Version, creator, description};
use crate::aws::xml::Items;
use crate::aws::{Request, images};
use crate::refusal::Refusal;

/// `CreateLaunchTemplateVersion`: on its own, or over the content of a source version.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let description = description(&root)?;
    let given = root.node("LaunchTemplateData");
    if !given.is_given() && root.text("SourceVersion").is_none() {
        return Err(missing("LaunchTemplateData"));
    }
    let data = LaunchTemplateData::read(&given)?;
    let (region, token, asked) = (request.region, root.text("ClientToken"), request.query.digest());
    let version = request.call(0, |kernel, state| {
        let template = state.templates.named(region, &root)?;
        let id = template.id.clone();
        let known = state.templates.tokens.known(region, token, asked)?;
        if let Some(number) = known.and_then(|number| number.parse().ok()) {
            template.version(number)?;
            return Ok(told(template, number));
        }
        let data = match root.text("SourceVersion") {
            Some(source) => data.over(&template.version(template.number(source)?)?.data),
            None => data,
        };
        let created = kernel.now();
        let template = state.templates.by_id.get_mut(&id).ok_or_else(|| missing("LaunchTemplateId"))?;
        template.given += 1;
        let number = template.given;
        template.versions.insert(number, Version { description, created, data: Arc::new(data) });
        let answer = told(template, number);
        state.templates.tokens.keep(region, token, asked, &number.to_string());
        Ok(answer)
    })?;
    request.answer(&One { launch_template_version: version })
}

/// `DescribeLaunchTemplateVersions`: of one template, or the latest or default ones of all.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, FILTERS)?;
    let page = Page::read(&root, 1..=200, 200)?;
    let wanted = root.texts("LaunchTemplateVersion");
    let one = root.text("LaunchTemplateId").or(root.text("LaunchTemplateName")).is_some();
    if !one && (wanted.is_empty() || wanted.iter().any(|version| !version.starts_with('$'))) {
        let message = "Without a launch template, the versions must be $Latest, $Default or both.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let bounds = root.text("MinVersion").or(root.text("MaxVersion")).is_some();
    if bounds && !wanted.is_empty() {
        let message = "MinVersion and MaxVersion cannot be used together with Versions.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let resolve = root.flag("ResolveAlias")?.unwrap_or(false);
    let (versions, next_token) = request.call(0, |_, state| {
        let templates: Vec<&Template> = match one {
            true => vec![state.templates.named(request.region, &root)?],
            false => state.templates.by_id.values().filter(|t| t.region == request.region).collect(),
        };
        let mut seen = Vec::new();
        for template in templates {
            for number in numbers(template, &root, &wanted)? {
                seen.push(Seen { template, number, version: template.version(number)? });
            }
        }
        let (page, next) = page.cut(seen.into_iter().filter(|seen| filters.matches(seen)));
        let mut told: Vec<LaunchTemplateVersion> = page.iter().map(|seen| seen.told()).collect();
        if resolve {
            for version in &mut told {
                let image = version.launch_template_data.image_id.clone();
                if let Some(alias) = image.filter(|image| image.starts_with("resolve:")) {
                    let image = images::find(request.region, &alias)?;
                    version.launch_template_data =
                        Arc::new(version.launch_template_data.with_image(&image.id));
                }
            }
        }
        Ok((told.into_iter().collect(), next))
    })?;
    request.answer(&Many { launch_template_version_set: versions, next_token })
}

/// `DeleteLaunchTemplateVersions`: each by itself; the default one stays.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let wanted = root.texts("LaunchTemplateVersion");
    if wanted.is_empty() {
        return Err(missing("LaunchTemplateVersion"));
    }
    if wanted.len() > 200 {
        return Err(coded(
            400,
            "InvalidParameterValue",
            "At most 200 versions can be deleted in one request.",
        ));
    }
    let answer = request.call(0, |_, state: &mut State| {
        let id = state.templates.named(request.region, &root)?.id.clone();
        let template = state.templates.by_id.get_mut(&id).ok_or_else(|| missing("LaunchTemplateId"))?;
        let (mut gone, mut left) = (Items::default(), Items::default());
        for version in &wanted {
            let number = template.number(version)?;
            let refusal = match number == template.default {
                true => Some((
                    "unexpectedError",
                    format!("Version {number} is the default version of the launch template; it cannot be deleted."),
                )),
                false if template.versions.remove(&number).is_none() => Some((
                    "launchTemplateVersionDoesNotExist",
                    format!("Could not find launch template version {number}."),
                )),
                false => None,
            };
            let deleted = Deleted {
                launch_template_id: template.id.clone(),
                launch_template_name: template.name.clone(),
                version_number: number,
                response_error: refusal.map(|(code, message)| ResponseError { code, message }),
            };
            if deleted.response_error.is_some() { left.item.push(deleted) } else { gone.item.push(deleted) }
        }
        Ok(AllDeleted {
            successfully_deleted_launch_template_version_set: gone,
            unsuccessfully_deleted_launch_template_version_set: left,
        })
    })?;
    request.answer(&answer)
}

/// The versions that a request wants of a template, newest first, as EC2 lists them.
fn numbers(template: &Template, root: &Node<'_>, wanted: &[&str]) -> Result<Vec<u64>, Refusal> {
    if !wanted.is_empty() {
        return wanted.iter().map(|version| template.number(version)).collect();
    }
    let bound = |name: &str, usual: u64| root.text(name).map_or(Ok(usual), |text| template.number(text));
    let range: RangeInclusive<u64> = bound("MinVersion", 0)?..=bound("MaxVersion", u64::MAX)?;
    Ok(template.versions.keys().rev().filter(|number| range.contains(number)).copied().collect())
}

/// EC2 API, `DescribeLaunchTemplateVersions`, filters.
const FILTERS: &[&str] = &[
    "create-time",
    "ebs-optimized",
    "http-endpoint",
    "http-protocol-ipv4",
    "host-resource-group-arn",
    "http-tokens",
    "iam-instance-profile",
    "image-id",
    "instance-type",
    "is-default-version",
    "kernel-id",
    "license-configuration-arn",
    "network-card-index",
    "ram-disk-id",
];

struct Seen<'a> {
    template: &'a Template,
    number: u64,
    version: &'a Version,
}

impl Seen<'_> {
    fn told(&self) -> LaunchTemplateVersion {
        LaunchTemplateVersion {
            launch_template_id: self.template.id.clone(),
            launch_template_name: self.template.name.clone(),
            version_number: self.number,
            version_description: self.version.description.clone(),
            create_time: self.version.created,
            created_by: creator(),
            default_version: self.number == self.template.default,
            launch_template_data: Arc::clone(&self.version.data),
        }
    }
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let (data, given) = (&self.version.data, &self.version.data.given);
        let value = match filter {
            "create-time" => Some(self.version.created.to_string()),
            "ebs-optimized" => Some(data.ebs_optimized.unwrap_or(false).to_string()),
            "http-endpoint" => given.part("metadataOptions").and_then(|part| part.owned("httpEndpoint")),
            "http-tokens" => given.part("metadataOptions").and_then(|part| part.owned("httpTokens")),
            "host-resource-group-arn" => {
                given.part("placement").and_then(|part| part.owned("hostResourceGroupArn"))
            }
            "iam-instance-profile" => {
                data.profile.as_ref().and_then(|profile| profile.arn.clone().or(profile.name.clone()))
            }
            "image-id" => data.image_id.clone(),
            "instance-type" => data.instance_type.clone(),
            "is-default-version" => Some((self.number == self.template.default).to_string()),
            "kernel-id" => given.owned("kernelId"),
            "ram-disk-id" => given.owned("ramDiskId"),
            _ => None,
        };
        value.map(|value| vec![value.into()])
    }
}

fn told(template: &Template, number: u64) -> Option<LaunchTemplateVersion> {
    let version = template.versions.get(&number)?;
    Some(Seen { template, number, version }.told())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    #[serde(skip_serializing_if = "Option::is_none")]
    launch_template_version: Option<LaunchTemplateVersion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    launch_template_version_set: Items<LaunchTemplateVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaunchTemplateVersion {
    launch_template_id: String,
    launch_template_name: String,
    version_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_description: Option<String>,
    create_time: Timestamp,
    created_by: String,
    default_version: bool,
    launch_template_data: Arc<LaunchTemplateData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllDeleted {
    successfully_deleted_launch_template_version_set: Items<Deleted>,
    unsuccessfully_deleted_launch_template_version_set: Items<Deleted>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    launch_template_id: String,
    launch_template_name: String,
    version_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_error: Option<ResponseError>,
}

#[derive(Serialize)]
struct ResponseError {
    code: &'static str,
    message: String,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn versions_are_numbered_once_and_the_default_one_stays() {
        let trial = Trial::new();
        let made = "LaunchTemplateName=lt-run&LaunchTemplateData.ImageId=resolve:ssm:/aws/service/debian/release/12/latest/amd64";
        trial.ask("CreateLaunchTemplate", made).unwrap();
        let another = "LaunchTemplateName=lt-run&LaunchTemplateData.InstanceType=m7i.large";
        assert_eq!(trial.get("CreateLaunchTemplateVersion", another, "versionNumber"), "2");
        let gone = "LaunchTemplateName=lt-run&LaunchTemplateVersion.1=2&LaunchTemplateVersion.2=1";
        let answer = trial.ask("DeleteLaunchTemplateVersions", gone).unwrap();
        assert_eq!(texts(&answer, "code"), ["unexpectedError"]);
        assert_eq!(trial.get("CreateLaunchTemplateVersion", another, "versionNumber"), "3");
        let all = trial.ask("DescribeLaunchTemplateVersions", "LaunchTemplateName=lt-run").unwrap();
        assert_eq!(texts(&all, "versionNumber"), ["3", "1"]);
        let form = "LaunchTemplateName=lt-run&SetDefaultVersion=3";
        assert_eq!(trial.get("ModifyLaunchTemplate", form, "defaultVersionNumber"), "3");
        let form = "LaunchTemplateName=lt-run&SetDefaultVersion=2";
        assert_eq!(trial.refusal("ModifyLaunchTemplate", form), "InvalidLaunchTemplateId.VersionNotFound");
        let first = "LaunchTemplateName=lt-run&LaunchTemplateVersion.1=1&ResolveAlias=true";
        let image = trial.get("DescribeLaunchTemplateVersions", first, "imageId");
        assert!(image.starts_with("ami-0"), "{image}");
        assert_eq!(trial.refusal("DescribeLaunchTemplateVersions", ""), "InvalidParameterCombination");
    }
}
