use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::aws::creation::check_tags;
use crate::aws::error::{coded, missing};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::launched::{Tags, distinct, request_number};
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::aws::xml::{Done, Items};
use crate::aws::{Request, interfaces, network, spot};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::Whose;

/// EC2 API, `CreateTags`: at most a thousand resources per call.
const MOST: usize = 1_000;

/// `CreateTags`: on all of the resources, or on none.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let (ids, tags) = (ids(&root)?, root.tags()?);
    if tags.is_empty() {
        return Err(missing("Tag"));
    }
    check_tags(&tags)?;
    request.call(0, |kernel, ec2| {
        for id in &ids {
            let mut changed = (*of(kernel, ec2, request.region, id)?).clone();
            changed.extend(tags.clone());
            // EC2 user guide: its own tags do not count.
            changed.retain(|key, _| !key.starts_with("aws:"));
            check_tags(&changed)?;
        }
        ids.iter().try_for_each(|id| change(kernel, ec2, id, |own| own.extend(tags.clone())))
    })?;
    request.answer(&Done { done: true })
}

/// `DeleteTags`: without tags all of the user's, without a value whatever the value is.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let ids = ids(&root)?;
    let named: Vec<(&str, Option<&str>)> = root
        .list("Tag")
        .iter()
        .map(|tag| {
            let value = tag.node("Value");
            Ok((tag.required("Key")?, value.is_given().then(|| value.value())))
        })
        .collect::<Result<_, Refusal>>()?;
    request.call(0, |kernel, ec2| {
        for id in &ids {
            of(kernel, ec2, request.region, id)?;
        }
        let goes = |key: &str, value: &str| match named.is_empty() {
            true => !key.starts_with("aws:"),
            false => {
                named.iter().any(|(own, wanted)| *own == key && wanted.is_none_or(|wanted| wanted == value))
            }
        };
        ids.iter()
            .try_for_each(|id| change(kernel, ec2, id, |own| own.retain(|key, value| !goes(key, value))))
    })?;
    request.answer(&Done { done: true })
}

fn ids<'a>(root: &Node<'a>) -> Result<Vec<&'a str>, Refusal> {
    let ids = distinct(root.texts("ResourceId"));
    match ids.len() {
        0 => Err(missing("ResourceId")),
        1..=MOST => Ok(ids),
        count => {
            let message = format!("A call names at most {MOST} resources, not {count}.");
            Err(coded(400, "InvalidParameterValue", message))
        }
    }
}

/// The tags of a resource.
///
/// # Errors
/// EC2's code for an id of its type that names nothing.
fn of(kernel: &Kernel, ec2: &State, region: &str, id: &str) -> Result<Arc<Tags>, Refusal> {
    let found = match id.split('-').next().unwrap_or_default() {
        "eni" => interfaces::one(kernel, ec2, region, id).map(|interface| interface.tags),
        "sir" => request_number(id)
            .and_then(|number| spot::requests(kernel, ec2, region, number).next())
            .filter(|request| request.id == id)
            .map(|request| request.tags),
        "subnet" | "vpc" => Some(own(ec2, id)).filter(|_| network::is_own(kernel, id)),
        "sg" if network::is_own(kernel, id) => Some(own(ec2, id)),
        _ => kernel.tags_of(id).or_else(|| ec2.fleets.by_id.get(id).map(|fleet| fleet.tags.clone())),
    };
    found.ok_or_else(|| {
        let (code, what) = match id.split('-').next().unwrap_or_default() {
            "i" => ("InvalidInstanceID.NotFound", "instance ID"),
            "vol" => ("InvalidVolume.NotFound", "volume"),
            "eni" => ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
            "eipalloc" => ("InvalidAllocationID.NotFound", "allocation ID"),
            "sg" => ("InvalidGroup.NotFound", "security group"),
            "subnet" => ("InvalidSubnetID.NotFound", "subnet ID"),
            "vpc" => ("InvalidVpcID.NotFound", "vpc ID"),
            "lt" => ("InvalidLaunchTemplateId.NotFound", "launch template"),
            "key" => ("InvalidKeyPair.NotFound", "key pair"),
            "sir" => ("InvalidSpotInstanceRequestID.NotFound", "spot instance request ID"),
            "fleet" => ("InvalidFleetId.NotFound", "fleet ID"),
            "pg" => ("InvalidPlacementGroup.Unknown", "placement group"),
            _ => {
                let message = format!("The ID '{id}' is not valid");
                return coded(400, "InvalidID", message);
            }
        };
        coded(400, code, format!("The {what} '{id}' does not exist"))
    })
}

fn own(ec2: &State, id: &str) -> Arc<Tags> {
    Arc::new(ec2.own_tags.get(id).cloned().unwrap_or_default())
}

/// Changes the tags of a resource that is there.
fn change(kernel: &mut Kernel, ec2: &mut State, id: &str, change: impl Fn(&mut Tags)) -> Result<(), Refusal> {
    match id.split('-').next().unwrap_or_default() {
        "eni" if kernel.fixture(id).is_none() => {
            let instance = id.replacen("eni-", "i-", 1);
            let Some(m) = kernel.by_id.get(instance.as_str()) else { return Ok(()) };
            let of_launch = kernel.lots[kernel.machines[*m as usize].lot as usize].interface_tags.clone();
            change(Arc::make_mut(ec2.interfaces.tags.entry(id.into()).or_insert(of_launch)));
        }
        "sir" => {
            let Some(number) = request_number(id) else { return Ok(()) };
            let view = kernel.view(number, kernel.now());
            let mut tags = ec2.launched.request_tags(&view);
            change(Arc::make_mut(&mut tags));
            ec2.launched.request_tags.insert(view.id, tags);
        }
        _ if network::is_own(kernel, id) => {
            network::retag_own(kernel, ec2, id, change);
        }
        _ if kernel.retag(id, &change) => {}
        _ => {
            if let Some(fleet) = ec2.fleets.by_id.get_mut(id) {
                change(Arc::make_mut(&mut fleet.tags));
            }
        }
    }
    Ok(())
}

/// `DescribeTags`: of everything that has tags.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, &["key", "resource-id", "resource-type", "value"])?;
    let page = Page::read(&root, 5..=1_000, 1_000)?;
    let (tag_set, next_token) = request.call(0, |kernel, ec2| {
        let mut rows = Vec::new();
        each(kernel, ec2, request.region, |id, kind, tags| {
            for (key, value) in tags {
                let row = Row { key, value, id, kind, one: BTreeMap::from([(key.clone(), value.clone())]) };
                if filters.matches(&row) {
                    rows.push(Item {
                        key: key.clone(),
                        resource_id: id.to_owned(),
                        resource_type: kind,
                        value: value.clone(),
                    });
                }
            }
        });
        Ok(page.cut(rows))
    })?;
    request.answer(&Described { next_token, tag_set: tag_set.into_iter().collect() })
}

/// Everything of a region that has tags: its id, its type and its tags.
fn each(kernel: &Kernel, ec2: &State, region: &str, mut see: impl FnMut(&str, &'static str, &Tags)) {
    let whose = Whose { region: Some(region), ..Whose::default() };
    for view in kernel.machines(&whose).iter().filter(|view| !view.tags.is_empty()) {
        see(&view.id, "instance", &view.tags);
    }
    for disk in kernel.disks(&whose) {
        see(&disk.id, "volume", &disk.tags);
    }
    for interface in interfaces::all(kernel, ec2, &whose) {
        see(&interface.id, "network-interface", &interface.tags);
    }
    for address in kernel.addresses(&whose) {
        see(&address.id, "elastic-ip", &address.tags);
    }
    for request in spot::requests(kernel, ec2, region, 0) {
        see(&request.id, "spot-instances-request", &request.tags);
    }
    for fleet in ec2.fleets.by_id.values().filter(|fleet| fleet.region == region) {
        if kernel.fixture(&fleet.id).is_none() {
            see(&fleet.id, "fleet", &fleet.tags);
        }
    }
    for fixture in kernel.fixtures(None).filter(|fixture| fixture.region.as_str() == region) {
        let kind = match fixture.kind {
            FixtureKind::Template => "launch-template",
            FixtureKind::Firewall => "security-group",
            FixtureKind::KeyPair => "key-pair",
            FixtureKind::PlacementGroup => "placement-group",
            FixtureKind::Fleet => "fleet",
            FixtureKind::Network => "vpc",
            // Those that were made are among the interfaces.
            FixtureKind::Interface | FixtureKind::ResourceGroup => continue,
        };
        see(&fixture.id, kind, &fixture.tags);
    }
    let here = network::own_ids(kernel, region);
    for (id, kind, tags) in network::own_tags(ec2).filter(|(id, _, _)| here.iter().any(|own| own == id)) {
        see(id, kind, tags);
    }
}

/// One tag, as a filter sees it.
struct Row<'a> {
    key: &'a str,
    value: &'a str,
    id: &'a str,
    kind: &'static str,
    /// For `tag:KEY`.
    one: Tags,
}

impl Filtered for Row<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        Some(vec![Cow::Borrowed(match filter {
            "key" => self.key,
            "value" => self.value,
            "resource-id" => self.id,
            "resource-type" => self.kind,
            _ => return None,
        })])
    }

    fn tags(&self) -> &Tags {
        &self.one
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    tag_set: Items<Item>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    key: String,
    resource_id: String,
    resource_type: &'static str,
    value: String,
}
