use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use skyfleet_core::{Region, Timestamp};

use crate::aws::creation::{Tokens, is_id, new_id, tags_at_creation};
use crate::aws::error::{coded, not_found};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::instances::item::{Xml, mac, private_name, public_name};
use crate::aws::launched::{Details, Tags, distinct, existing, interface_id};
use crate::aws::network::{Subnet, subnets};
use crate::aws::page::Page;
use crate::aws::state::State;
use crate::aws::xml::Done;
use crate::aws::{ACCOUNT, Request, groups};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::{MachineView, Whose};

/// What EC2 keeps of network interfaces beside what comes with instances.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    made: BTreeMap<Arc<str>, Made>,
    /// The tags of interfaces of instances, where they are no longer those of the launch.
    pub(crate) tags: BTreeMap<Arc<str>, Arc<Tags>>,
    tokens: Tokens,
}

/// An interface that was made by itself.
#[derive(Clone, Debug)]
struct Made {
    subnet: Subnet,
    groups: Vec<(String, String)>,
    description: String,
    ip: IpAddr,
}

/// An interface, as lists show it.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) id: String,
    pub(crate) tags: Arc<Tags>,
    region: Region,
    zone: String,
    zone_id: String,
    subnet: String,
    vpc: String,
    groups: Vec<(String, String)>,
    description: String,
    private_ip: Option<IpAddr>,
    public: Option<(IpAddr, &'static str)>,
    /// The instance, since when, and whether it goes with it.
    attached: Option<(Arc<str>, Timestamp, bool)>,
}

impl Interface {
    fn of_instance(kernel: &Kernel, ec2: &State, view: &MachineView, details: &Details) -> Self {
        let id = interface_id(&view.id);
        let own = ec2.interfaces.tags.get(id.as_str()).cloned();
        let elastic = ec2.addresses.of_instance(&view.id).map(|ip| (ip, ACCOUNT));
        Self {
            tags: own.unwrap_or_else(|| kernel.lots[view.launch as usize].interface_tags.clone()),
            id,
            region: view.region.clone(),
            zone: view.offer.zone.to_string(),
            zone_id: details.zone_id.clone(),
            subnet: details.subnet.clone(),
            vpc: details.vpc.clone(),
            groups: details.groups.clone(),
            description: details.interface_description.clone(),
            private_ip: view.private_ip,
            public: elastic.or(view.public_ip.map(|ip| (ip, "amazon"))),
            attached: Some((view.id.clone(), view.launched, details.delete_on_termination)),
        }
    }

    fn alone(kernel: &Kernel, id: &str, made: &Made) -> Option<Self> {
        let fixture = kernel.fixture(id)?;
        Some(Self {
            id: id.to_owned(),
            tags: fixture.tags.clone(),
            region: fixture.region.clone(),
            zone: made.subnet.zone.clone(),
            zone_id: made.subnet.zone_id.clone(),
            subnet: made.subnet.id.clone(),
            vpc: made.subnet.vpc_id.clone(),
            groups: made.groups.clone(),
            description: made.description.clone(),
            private_ip: Some(made.ip),
            public: None,
            attached: None,
        })
    }

    fn status(&self) -> &'static str {
        if self.attached.is_some() { "in-use" } else { "available" }
    }
}

/// All interfaces of a region: of instances that are there, then those that were made.
pub(crate) fn all<'a>(
    kernel: &'a Kernel,
    ec2: &'a State,
    whose: &Whose<'a>,
) -> impl Iterator<Item = Interface> + 'a {
    let region = whose.region;
    let views = kernel.machines(&Whose { region, ..Whose::default() });
    let of_instances = views.into_iter().filter_map(move |view| {
        let there = view.ended.is_none_or(|ended| ended > kernel.now());
        let details = ec2.launched.of(view.launch).filter(|_| there)?;
        Some(Interface::of_instance(kernel, ec2, &view, details))
    });
    let alone = ec2.interfaces.made.iter().filter_map(|(id, made)| Interface::alone(kernel, id, made));
    let here = move |interface: &Interface| region.is_none_or(|region| interface.region.as_str() == region);
    of_instances.chain(alone.filter(here))
}

/// An interface by its id.
pub(crate) fn one(kernel: &Kernel, ec2: &State, region: &str, id: &str) -> Option<Interface> {
    if let Some(made) = ec2.interfaces.made.get(id) {
        return Interface::alone(kernel, id, made).filter(|interface| interface.region.as_str() == region);
    }
    let view = existing(kernel, region, &id.replacen("eni-", "i-", 1))?;
    let there = view.ended.is_none_or(|ended| ended > kernel.now());
    let details = ec2.launched.of(view.launch).filter(|_| there)?;
    Some(Interface::of_instance(kernel, ec2, &view, details))
}

impl Filtered for Interface {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let attached = self.attached.as_ref();
        let text: Cow<'_, str> = match filter {
            "addresses.private-ip-address" | "private-ip-address" => self.private_ip?.to_string().into(),
            "association.public-ip" | "addresses.association.public-ip" => self.public?.0.to_string().into(),
            "association.ip-owner-id" => self.public?.1.into(),
            "attachment.delete-on-termination" => attached?.2.to_string().into(),
            "attachment.device-index" => attached.map(|_| "0")?.into(),
            "attachment.instance-id" => (&*attached?.0).into(),
            "attachment.instance-owner-id" => attached.map(|_| ACCOUNT)?.into(),
            "attachment.status" => attached.map(|_| "attached")?.into(),
            "availability-zone" => self.zone.as_str().into(),
            "availability-zone-id" => self.zone_id.as_str().into(),
            "description" => self.description.as_str().into(),
            "group-id" => return Some(self.groups.iter().map(|(id, _)| id.as_str().into()).collect()),
            "group-name" => return Some(self.groups.iter().map(|(_, name)| name.as_str().into()).collect()),
            "interface-type" => "interface".into(),
            "mac-address" => mac(&self.id).into(),
            "network-interface-id" => self.id.as_str().into(),
            "owner-id" => ACCOUNT.into(),
            "requester-managed" => "false".into(),
            "source-dest-check" => "true".into(),
            "status" => self.status().into(),
            "subnet-id" => self.subnet.as_str().into(),
            "vpc-id" => self.vpc.as_str().into(),
            _ => return None,
        };
        Some(vec![text])
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

const FILTERS: &[&str] = &[
    "addresses.association.public-ip",
    "addresses.private-ip-address",
    "association.ip-owner-id",
    "association.public-ip",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.instance-owner-id",
    "attachment.status",
    "availability-zone",
    "availability-zone-id",
    "description",
    "group-id",
    "group-name",
    "interface-type",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-ip-address",
    "requester-managed",
    "source-dest-check",
    "status",
    "subnet-id",
    "vpc-id",
];

/// `DescribeNetworkInterfaces`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, FILTERS)?;
    let ids = distinct(root.texts("NetworkInterfaceId"));
    if !ids.is_empty() && root.text("MaxResults").is_some() {
        let message = "The parameter networkInterfaceSet cannot be used with the parameter maxResults";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let page = Page::read(&root, 5..=1_000, 1_000)?;
    let whole = filters.is_empty() && ids.is_empty() && root.text("MaxResults").is_none();
    let action = if whole { "DescribeNetworkInterfaces unfiltered" } else { request.action };
    let xml = request.call_as(action, 0, |kernel, ec2| {
        let whose = Whose { region: Some(request.region), ..Whose::default() };
        let found: Vec<Interface> = match ids.is_empty() {
            true => all(kernel, ec2, &whose).collect(),
            false => ids
                .iter()
                .map(|id| one(kernel, ec2, request.region, id).ok_or_else(|| unknown(id)))
                .collect::<Result<_, _>>()?,
        };
        let (found, next) = page.cut(found.into_iter().filter(|interface| filters.matches(interface)));
        let mut xml = Xml::default();
        xml.part("networkInterfaceSet", |xml| {
            for interface in &found {
                xml.part("item", |xml| item(xml, interface));
            }
        });
        xml.maybe("nextToken", next.as_deref());
        Ok(xml)
    })?;
    Ok(request.answer_written(xml.0))
}

/// `CreateNetworkInterface`: it costs nothing and holds its groups.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let tags = Arc::new(tags_at_creation(&root, "network-interface")?);
    let (subnet, token) = (root.required("SubnetId")?, root.text("ClientToken"));
    let digest = request.query.digest();
    let xml = request.call(0, |kernel, ec2| {
        let known = ec2.interfaces.tokens.known(request.region, token, digest)?.map(str::to_owned);
        let id = match known {
            Some(id) => id,
            None => {
                let here = subnets(kernel, request.region);
                let subnet = here
                    .into_iter()
                    .find(|known| known.id == subnet)
                    .ok_or_else(|| not_found("InvalidSubnetID.NotFound", "subnet ID", subnet))?;
                let mut held: Vec<(String, String)> = root
                    .texts("SecurityGroupId")
                    .into_iter()
                    .map(|id| groups::named_id(ec2, request.region, id))
                    .collect::<Result<_, _>>()?;
                if held.is_empty() {
                    held.push((groups::default_id(request.region), "default".to_owned()));
                }
                let id = new_id(kernel, ec2, "eni");
                let made = Made {
                    subnet,
                    groups: held,
                    description: root.text("Description").unwrap_or_default().to_owned(),
                    ip: Ipv4Addr::from(0xac1f_0000 | (ec2.ids_given as u32 & 0xffff)).into(),
                };
                put(kernel, ec2, request.region, &id, made, tags);
                ec2.interfaces.tokens.keep(request.region, token, digest, &id);
                id
            }
        };
        let interface = one(kernel, ec2, request.region, &id).ok_or_else(|| unknown(&id))?;
        let mut xml = Xml::default();
        xml.part("networkInterface", |xml| item(xml, &interface));
        xml.maybe("clientToken", token);
        Ok(xml)
    })?;
    Ok(request.answer_written(xml.0))
}

fn put(kernel: &mut Kernel, ec2: &mut State, region: &str, id: &str, made: Made, tags: Arc<Tags>) {
    hold(kernel, &made, true);
    kernel.make_fixture(FixtureKind::Interface, id, region, tags);
    ec2.interfaces.made.insert(id.into(), made);
}

/// A group stays as long as an interface is in it.
fn hold(kernel: &mut Kernel, made: &Made, yes: bool) {
    for (group, _) in &made.groups {
        if let Some(kept) = kernel.fixtures.get_mut(group.as_str()) {
            kept.holders = if yes { kept.holders + 1 } else { kept.holders.saturating_sub(1) };
        }
    }
}

/// `DeleteNetworkInterface`: not of an instance.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let id = root.required("NetworkInterfaceId")?;
    request.call(0, |kernel, ec2| {
        let interface = one(kernel, ec2, request.region, id).ok_or_else(|| unknown(id))?;
        if interface.attached.is_some() {
            let message = format!("Network interface '{id}' is currently in use.");
            return Err(coded(400, "InvalidNetworkInterface.InUse", message));
        }
        if let Some(made) = ec2.interfaces.made.remove(id) {
            hold(kernel, &made, false);
        }
        kernel.delete_fixture(id)?;
        Ok(())
    })?;
    request.answer(&Done { done: true })
}

fn unknown(id: &str) -> Refusal {
    if !is_id("eni", id) {
        return coded(400, "InvalidNetworkInterfaceId.Malformed", format!("Invalid id: \"{id}\""));
    }
    let message = format!("The networkInterface ID '{id}' does not exist");
    coded(400, "InvalidNetworkInterfaceID.NotFound", message)
}

/// `NetworkInterface`, EC2 service model.
fn item(xml: &mut Xml, interface: &Interface) {
    let region = interface.region.as_str();
    let association = |xml: &mut Xml| {
        if let Some((ip, owner)) = interface.public {
            xml.part("association", |xml| {
                xml.text("ipOwnerId", owner);
                xml.text("publicDnsName", &public_name(ip, region));
                xml.plain("publicIp", ip);
            });
        }
    };
    association(xml);
    if let Some((instance, since, goes)) = &interface.attached {
        xml.part("attachment", |xml| {
            xml.moment("attachTime", *since);
            xml.text("attachmentId", &interface.id.replacen("eni-", "eni-attach-", 1));
            xml.plain("deleteOnTermination", goes);
            xml.plain("deviceIndex", 0);
            xml.plain("networkCardIndex", 0);
            xml.text("instanceId", instance);
            xml.text("instanceOwnerId", ACCOUNT);
            xml.text("status", "attached");
        });
    }
    xml.text("availabilityZone", &interface.zone);
    xml.text("availabilityZoneId", &interface.zone_id);
    xml.text("description", &interface.description);
    xml.groups(&interface.groups);
    xml.text("interfaceType", "interface");
    xml.part("ipv6AddressesSet", |_| {});
    xml.text("macAddress", &mac(&interface.id));
    xml.text("networkInterfaceId", &interface.id);
    xml.text("ownerId", ACCOUNT);
    if let Some(ip) = interface.private_ip {
        let name = private_name(ip, region);
        xml.text("privateDnsName", &name);
        xml.plain("privateIpAddress", ip);
        xml.part("privateIpAddressesSet", |xml| {
            xml.part("item", |xml| {
                association(xml);
                xml.plain("primary", true);
                xml.text("privateDnsName", &name);
                xml.plain("privateIpAddress", ip);
            });
        });
    }
    xml.text("requesterId", ACCOUNT);
    xml.plain("requesterManaged", false);
    xml.plain("sourceDestCheck", true);
    xml.text("status", interface.status());
    xml.text("subnetId", &interface.subnet);
    xml.tags(&interface.tags);
    xml.text("vpcId", &interface.vpc);
}
