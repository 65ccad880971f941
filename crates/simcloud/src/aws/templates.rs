pub(crate) mod data;
pub(crate) mod members;
pub(crate) mod versions;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::Timestamp;

use crate::aws::creation::{Tokens, is_id, new_id, tags_at_creation};
use crate::aws::error::{coded, missing};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::aws::templates::data::LaunchTemplateData;
use crate::aws::xml::{Items, Tag, tag_set};
use crate::aws::{ACCOUNT, Request};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The account's launch templates, of all regions.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    pub(crate) by_id: BTreeMap<String, Template>,
    pub(crate) tokens: Tokens,
}

/// One launch template.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) created: Timestamp,
    /// By their number, from 1 on.
    pub(crate) versions: BTreeMap<u64, Version>,
    pub(crate) default: u64,
    /// How many versions there ever were: a number is never given again.
    pub(crate) given: u64,
}

/// One version of a template.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) data: Arc<LaunchTemplateData>,
}

/// A version of a template, as a launch names it.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) data: Arc<LaunchTemplateData>,
}

/// The template and version that a `LaunchTemplateSpecification` (or the `LaunchTemplate` of
/// `RunInstances`) names; without a version the default one.
///
/// # Errors
/// EC2's for a template or a version that does not exist, and for none or two names of it.
pub(crate) fn resolve(state: &State, region: &str, spec: &Node<'_>) -> Result<Resolved, Refusal> {
    let template = state.templates.named(region, spec)?;
    let number = template.number(spec.text("Version").unwrap_or("$Default"))?;
    let version = template.version(number)?;
    Ok(Resolved { id: template.id.clone(), version: number, data: Arc::clone(&version.data) })
}

impl Templates {
    /// The template that a request names, by its id or its name.
    pub(crate) fn named(&self, region: &str, request: &Node<'_>) -> Result<&Template, Refusal> {
        let by_id = |id: &str| self.with_id(region, id);
        match (request.text("LaunchTemplateId"), request.text("LaunchTemplateName")) {
            (Some(_), Some(_)) => {
                let message = "Either LaunchTemplateId or LaunchTemplateName may be specified, not both.";
                Err(coded(400, "InvalidParameterCombination", message))
            }
            (Some(id), None) => by_id(id),
            (None, Some(name)) => self.with_name(region, name),
            (None, None) => Err(missing(request.node("LaunchTemplateId").name())),
        }
    }

    fn with_id(&self, region: &str, id: &str) -> Result<&Template, Refusal> {
        if !is_id("lt", id) {
            let message = format!("Invalid id: \"{id}\" (expecting \"lt-...\")");
            return Err(coded(400, "InvalidLaunchTemplateId.Malformed", message));
        }
        self.by_id.get(id).filter(|template| template.region == region).ok_or_else(|| {
            let message = format!("The specified launch template, with template ID {id}, does not exist.");
            coded(400, "InvalidLaunchTemplateId.NotFound", message)
        })
    }

    fn with_name(&self, region: &str, name: &str) -> Result<&Template, Refusal> {
        self.by_id.values().find(|template| template.region == region && template.name == name).ok_or_else(
            || {
                let message =
                    format!("The specified launch template, with template name {name}, does not exist.");
                coded(400, "InvalidLaunchTemplateName.NotFoundException", message)
            },
        )
    }
}

impl Template {
    /// The highest number that there is.
    pub(crate) fn latest(&self) -> u64 {
        self.versions.keys().next_back().copied().unwrap_or(self.default)
    }

    /// The number that `1`, `$Default` or `$Latest` means.
    pub(crate) fn number(&self, version: &str) -> Result<u64, Refusal> {
        match version {
            "$Default" => Ok(self.default),
            "$Latest" => Ok(self.latest()),
            _ => version.parse().map_err(|_| {
                let message = format!(
                    "Invalid launch template version: {version}. A version is a number, $Default or $Latest."
                );
                coded(400, "InvalidParameterValue", message)
            }),
        }
    }

    pub(crate) fn version(&self, number: u64) -> Result<&Version, Refusal> {
        self.versions.get(&number).ok_or_else(|| {
            let message = format!(
                "Could not find the specified version {number} for the launch template with ID {}.",
                self.id
            );
            coded(400, "InvalidLaunchTemplateId.VersionNotFound", message)
        })
    }
}

/// `CreateLaunchTemplate`.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let name = root.required("LaunchTemplateName")?;
    check_name(name)?;
    let description = description(&root)?;
    let given = root.node("LaunchTemplateData");
    if !given.is_given() {
        return Err(missing("LaunchTemplateData"));
    }
    let data = Arc::new(LaunchTemplateData::read(&given)?);
    let tags = tags_at_creation(&root, "launch-template")?;
    let (region, token, asked) = (request.region, root.text("ClientToken"), request.query.digest());
    let template = request.call(0, |kernel, state| {
        if let Some(known) = state.templates.tokens.known(region, token, asked)? {
            let template = state.templates.with_id(region, known)?;
            return Ok(told(kernel, template));
        }
        if state.templates.with_name(region, name).is_ok() {
            let message = "Launch template name already in use.";
            return Err(coded(400, "InvalidLaunchTemplateName.AlreadyExistsException", message));
        }
        let id = new_id(kernel, state, "lt");
        kernel.make_fixture(FixtureKind::Template, id.as_str(), region, tags);
        let version = Version { description, created: kernel.now(), data };
        let template = Template {
            id: id.clone(),
            name: name.to_owned(),
            region: region.to_owned(),
            created: kernel.now(),
            versions: BTreeMap::from([(1, version)]),
            default: 1,
            given: 1,
        };
        let answer = told(kernel, &template);
        state.templates.tokens.keep(region, token, asked, &id);
        state.templates.by_id.insert(id, template);
        Ok(answer)
    })?;
    request.answer(&One { launch_template: template })
}

/// `ModifyLaunchTemplate`: chooses the default version.
pub(crate) fn modify(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let template = request.call(0, |kernel, state| {
        let template = state.templates.named(request.region, &root)?;
        let (id, default) = match root.text("SetDefaultVersion") {
            Some(version) => (template.id.clone(), template.number(version)?),
            None => (template.id.clone(), template.default),
        };
        template.version(default)?;
        let template = state.templates.by_id.get_mut(&id).ok_or_else(|| missing("LaunchTemplateId"))?;
        template.default = default;
        Ok(told(kernel, template))
    })?;
    request.answer(&One { launch_template: template })
}

/// `DeleteLaunchTemplate`, with all its versions.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let template = request.call(0, |kernel, state| {
        let template = state.templates.named(request.region, &root)?;
        let (id, answer) = (template.id.clone(), told(kernel, template));
        kernel.delete_fixture(&id)?;
        state.templates.by_id.remove(&id);
        Ok(answer)
    })?;
    request.answer(&One { launch_template: template })
}

/// `DescribeLaunchTemplates`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, &["create-time", "launch-template-name"])?;
    let page = Page::read(&root, 1..=200, 200)?;
    let (ids, names) = (root.texts("LaunchTemplateId"), root.texts("LaunchTemplateName"));
    let (templates, next_token) = request.call(0, |kernel, state| {
        let all = &state.templates;
        for id in &ids {
            all.with_id(request.region, id)?;
        }
        for name in &names {
            all.with_name(request.region, name)?;
        }
        let wanted = |template: &&Template| {
            let named = ids.is_empty() && names.is_empty()
                || ids.contains(&template.id.as_str())
                || names.contains(&template.name.as_str());
            template.region == request.region && named
        };
        let seen: Vec<Seen<'_>> =
            all.by_id.values().filter(wanted).map(|template| Seen::of(kernel, template)).collect();
        let (page, next) = page.cut(seen.into_iter().filter(|seen| filters.matches(seen)));
        Ok((page.iter().map(Seen::told).collect(), next))
    })?;
    request.answer(&Many { launch_templates: templates, next_token })
}

/// EC2 API, `CreateLaunchTemplate`: 3 to 128 letters, digits and `( ) . / _ -`.
fn check_name(name: &str) -> Result<(), Refusal> {
    let known = |c: char| c.is_ascii_alphanumeric() || "()./_-".contains(c);
    match (3..=128).contains(&name.len()) && name.chars().all(known) {
        true => Ok(()),
        false => {
            let message = "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: - ( ) . / _.";
            Err(coded(400, "InvalidLaunchTemplateName.MalformedException", message))
        }
    }
}

/// The description of a version: at most 255 characters, EC2 service model.
pub(crate) fn description(root: &Node<'_>) -> Result<Option<String>, Refusal> {
    match root.text("VersionDescription") {
        Some(text) if text.chars().count() > 255 => {
            Err(coded(400, "InvalidParameterValue", "A version description has at most 255 characters."))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// A template with the tags that it has now.
struct Seen<'a> {
    template: &'a Template,
    tags: Arc<BTreeMap<String, String>>,
}

impl<'a> Seen<'a> {
    fn of(kernel: &Kernel, template: &'a Template) -> Self {
        let fixture = kernel.fixture(&template.id);
        Self { template, tags: fixture.map(|fixture| Arc::clone(&fixture.tags)).unwrap_or_default() }
    }

    fn told(&self) -> LaunchTemplate {
        LaunchTemplate {
            launch_template_id: self.template.id.clone(),
            launch_template_name: self.template.name.clone(),
            create_time: self.template.created,
            created_by: creator(),
            default_version_number: self.template.default,
            latest_version_number: self.template.latest(),
            tag_set: tag_set(&self.tags),
        }
    }
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        match filter {
            "launch-template-name" => Some(vec![self.template.name.as_str().into()]),
            "create-time" => Some(vec![self.template.created.to_string().into()]),
            _ => None,
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

fn told(kernel: &Kernel, template: &Template) -> LaunchTemplate {
    Seen::of(kernel, template).told()
}

/// Who made everything in this account.
pub(crate) fn creator() -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/skyfleet")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    launch_template: LaunchTemplate,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    launch_templates: Items<LaunchTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaunchTemplate {
    launch_template_id: String,
    launch_template_name: String,
    create_time: Timestamp,
    created_by: String,
    default_version_number: u64,
    latest_version_number: u64,
    tag_set: Items<Tag>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::query::Query;
    use crate::aws::trial::{Trial, texts};

    const MADE: &str = "LaunchTemplateName=lt-run&LaunchTemplateData.ImageId=ami-12345678&ClientToken=t";

    #[test]
    fn a_name_and_a_token_are_given_once() {
        let trial = Trial::new();
        let id = trial.get("CreateLaunchTemplate", MADE, "launchTemplateId");
        assert_eq!(trial.get("CreateLaunchTemplate", MADE, "launchTemplateId"), id);
        for (form, code) in [
            (&*MADE.replace("12345678", "87654321"), "IdempotentParameterMismatch"),
            (&*MADE.replace("&ClientToken=t", ""), "InvalidLaunchTemplateName.AlreadyExistsException"),
            (&*MADE.replace("lt-run", "l"), "InvalidLaunchTemplateName.MalformedException"),
            ("LaunchTemplateName=lt-other", "MissingParameter"),
            ("LaunchTemplateName=lt-other&LaunchTemplateData.UserData=%25", "InvalidUserData.Malformed"),
        ] {
            assert_eq!(trial.refusal("CreateLaunchTemplate", form), code, "{form}");
        }
        // Another region has names of its own.
        assert!(trial.ask_in("eu-west-1", "CreateLaunchTemplate", MADE).is_ok());
    }

    #[test]
    fn a_template_is_left_until_it_is_deleted_and_shows_the_tags_that_it_has_now() {
        let trial = Trial::new();
        let tagged = "&TagSpecification.1.ResourceType=launch-template&TagSpecification.1.Tag.1.Key=a";
        let id = trial.get("CreateLaunchTemplate", &format!("{MADE}{tagged}"), "launchTemplateId");
        assert_eq!(trial.face.world.ledger().blocking.len(), 1);
        let tagged =
            trial.face.look(|kernel, _| kernel.retag(&id, |tags| drop(tags.insert("b".into(), "2".into()))));
        assert!(tagged);
        let found = trial.ask("DescribeLaunchTemplates", "Filter.1.Name=tag:b&Filter.1.Value.1=2").unwrap();
        assert_eq!(texts(&found, "key"), ["a", "b"]);
        trial.ask("DeleteLaunchTemplate", "LaunchTemplateName=lt-run").unwrap();
        assert!(trial.face.world.ledger().proves_empty());
        let form = format!("LaunchTemplateId={id}");
        assert_eq!(trial.refusal("DeleteLaunchTemplate", &form), "InvalidLaunchTemplateId.NotFound");
        let form = "LaunchTemplateName.1=lt-run";
        assert_eq!(
            trial.refusal("DescribeLaunchTemplates", form),
            "InvalidLaunchTemplateName.NotFoundException"
        );
    }

    #[test]
    fn a_launch_finds_the_version_that_it_names() {
        let trial = Trial::new();
        let id = trial.get("CreateLaunchTemplate", MADE, "launchTemplateId");
        let second =
            format!("LaunchTemplateId={id}&SourceVersion=1&LaunchTemplateData.InstanceType=m7g.large");
        trial.ask("CreateLaunchTemplateVersion", &second).unwrap();
        let find = |form: &str| {
            let query = Query::parse(form.as_bytes());
            trial.face.look(|_, state| resolve(state, "us-east-1", &query.root()))
        };
        let newest = find("LaunchTemplateName=lt-run&Version=$Latest").unwrap();
        assert_eq!((newest.version, newest.data.instance_type.as_deref()), (2, Some("m7g.large")));
        assert_eq!(newest.data.image_id.as_deref(), Some("ami-12345678"));
        assert_eq!(find(&format!("LaunchTemplateId={id}")).unwrap().version, 1);
        assert!(find("LaunchTemplateName=lt-run&Version=3").is_err());
        assert!(find("Version=1").is_err());
    }
}
