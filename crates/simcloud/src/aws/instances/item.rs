//! One instance, as `DescribeInstances` and `RunInstances` write it. Written by hand: lists of
//! thousands are the most frequent answers, and this allocates nothing per instance.

use std::fmt::{self, Write};
use std::net::IpAddr;

use skyfleet_core::{Market, Timestamp};

use crate::aws::ACCOUNT;
use crate::aws::addresses::Addresses;
use crate::aws::launched::{Details, Tags, request_id, state};
use crate::aws::state::State;
use crate::aws::volumes::Volumes;
use crate::catalog::Catalog;
use crate::kernel::Kernel;
use crate::machine::EndCause;
use crate::view::MachineView;

/// What the item of an instance is written from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) volumes: &'a Volumes,
    pub(crate) addresses: &'a Addresses,
}

impl<'a> Source<'a> {
    pub(crate) fn of(kernel: &'a Kernel, state: &'a State) -> Self {
        Self { catalog: kernel.catalog(), volumes: &state.volumes, addresses: &state.addresses }
    }
}

/// XML that grows.
#[derive(Debug, Default)]
pub(crate) struct Xml(pub(crate) String, Option<(Timestamp, String)>);

impl Xml {
    /// With room for so many bytes, so that the text does not move while it grows.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes), None)
    }

    pub(crate) fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(crate) fn part(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.open(name);
        inside(self);
        self.close(name);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        self.escaped(text);
        self.close(name);
    }

    pub(crate) fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// What needs no escaping: numbers, ids, yes and no.
    pub(crate) fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.open(name);
        let _ = write!(self.0, "{value}");
        self.close(name);
    }

    /// Neighbours of one launch have most moments in common: the last one is kept as it was written.
    pub(crate) fn moment(&mut self, name: &str, moment: Timestamp) {
        if self.1.as_ref().is_none_or(|(last, _)| *last != moment) {
            self.1 = Some((moment, Moment(moment).to_string()));
        }
        self.open(name);
        if let Some((_, text)) = &self.1 {
            self.0.push_str(text);
        }
        self.close(name);
    }

    pub(crate) fn tags(&mut self, tags: &Tags) {
        self.part("tagSet", |xml| {
            for (key, value) in tags {
                xml.part("item", |xml| {
                    xml.text("key", key);
                    xml.text("value", value);
                });
            }
        });
    }

    pub(crate) fn groups(&mut self, groups: &[(String, String)]) {
        self.part("groupSet", |xml| {
            for (id, name) in groups {
                xml.part("item", |xml| {
                    xml.text("groupId", id);
                    xml.text("groupName", name);
                });
            }
        });
    }

    fn escaped(&mut self, text: &str) {
        if !text.contains(['<', '>', '&', '"', '\'']) {
            return self.0.push_str(text);
        }
        self.0.push_str(&quick_xml::escape::escape(text));
    }
}

/// A moment as EC2 writes it, in milliseconds: `2026-01-01T00:00:00.000Z`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

/// Why an instance is as it is: EC2's code and message.
pub(crate) fn reason(view: &MachineView) -> Option<(&'static str, &'static str)> {
    match view.cause? {
        EndCause::Reclaimed => Some(("Server.SpotInstanceTermination", "Spot instance termination")),
        EndCause::User => Some(("Client.UserInitiatedShutdown", "User initiated shutdown")),
        _ => Some(("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")),
    }
}

/// An address with dashes: `10-0-0-1`.
struct Dashed(IpAddr);

impl fmt::Display for Dashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                write!(f, "{a}-{b}-{c}-{d}")
            }
            IpAddr::V6(ip) => f.write_str(&ip.to_string().replace(':', "-")),
        }
    }
}

/// `ip-10-0-0-1.ec2.internal`, in other regions `ip-10-0-0-1.eu-west-1.compute.internal`.
pub(crate) fn private_name(ip: IpAddr, region: &str) -> String {
    match region {
        "us-east-1" => format!("ip-{}.ec2.internal", Dashed(ip)),
        region => format!("ip-{}.{region}.compute.internal", Dashed(ip)),
    }
}

/// `ec2-198-18-0-1.compute-1.amazonaws.com`.
pub(crate) fn public_name(ip: IpAddr, region: &str) -> String {
    match region {
        "us-east-1" => format!("ec2-{}.compute-1.amazonaws.com", Dashed(ip)),
        region => format!("ec2-{}.{region}.compute.amazonaws.com", Dashed(ip)),
    }
}

/// A hardware address for an interface of an instance: `0a` and the end of its id.
pub(crate) fn mac(id: &str) -> String {
    let end = id.len().saturating_sub(10);
    let mut mac = String::with_capacity(17);
    mac.push_str("0a");
    for (place, digit) in id[end..].chars().enumerate() {
        if place % 2 == 0 {
            mac.push(':');
        }
        mac.push(digit);
    }
    mac
}

/// The head of a reservation.
pub(crate) fn reservation(xml: &mut Xml, details: &Details, inside: impl FnOnce(&mut Xml)) {
    xml.text("reservationId", &details.reservation);
    xml.text("ownerId", ACCOUNT);
    xml.part("groupSet", |_| {});
    xml.part("instancesSet", inside);
    // An instance that a fleet launched says who asked for it.
    if details.fleet.is_some() {
        xml.text("requesterId", "AROAFLEETSERVICEROLE0");
    }
}

/// The members of `Instance`, EC2 service model.
pub(crate) fn instance(xml: &mut Xml, source: Source<'_>, view: &MachineView, details: &Details) {
    let (code, name) = state(view);
    let gone = code == 48;
    let region = view.region.as_str();
    let public = source
        .addresses
        .of_instance(&view.id)
        .map(|ip| (ip, ACCOUNT))
        .or(view.public_ip.map(|ip| (ip, "amazon")));
    xml.text("instanceId", &view.id);
    xml.text("imageId", &details.image);
    xml.part("instanceState", |xml| {
        xml.plain("code", code);
        xml.text("name", name);
    });
    let private_name =
        view.private_ip.filter(|_| !gone).map(|ip| private_name(ip, region)).unwrap_or_default();
    let public_name = public.filter(|_| !gone).map(|(ip, _)| public_name(ip, region)).unwrap_or_default();
    xml.text("privateDnsName", &private_name);
    xml.text("dnsName", &public_name);
    xml.open("reason");
    if let (Some((code, _)), Some(at)) = (reason(view), view.leaving.or(view.ended)) {
        match code {
            "Client.UserInitiatedShutdown" => {
                let _ = write!(xml.0, "User initiated ({})", at.strftime("%Y-%m-%d %H:%M:%S GMT"));
            }
            code => xml.0.push_str(code),
        }
    }
    xml.close("reason");
    xml.maybe("keyName", details.key.as_deref());
    xml.plain("amiLaunchIndex", view.index);
    xml.part("productCodes", |_| {});
    xml.text("instanceType", view.offer.instance_type.as_str());
    xml.moment("launchTime", view.started);
    xml.part("placement", |xml| {
        xml.text("availabilityZone", view.offer.zone.as_str());
        xml.text("availabilityZoneId", &details.zone_id);
        xml.text("groupName", details.placement_group.as_deref().unwrap_or_default());
        xml.text("tenancy", &details.tenancy);
    });
    xml.part("monitoring", |xml| xml.text("state", if details.monitoring { "enabled" } else { "disabled" }));
    if !gone {
        xml.text("subnetId", &details.subnet);
        xml.text("vpcId", &details.vpc);
        if let Some(ip) = view.private_ip {
            xml.plain("privateIpAddress", ip);
        }
        if let Some((ip, _)) = public {
            xml.plain("ipAddress", ip);
        }
        xml.plain("sourceDestCheck", true);
    }
    xml.groups(if gone { &[] } else { &details.groups });
    if let Some((code, message)) = reason(view) {
        xml.part("stateReason", |xml| {
            xml.text("code", code);
            xml.open("message");
            xml.0.push_str(code);
            xml.0.push_str(": ");
            xml.0.push_str(message);
            xml.close("message");
        });
    }
    let spec = source.catalog.instance_type(view.offer.instance_type.as_str());
    if let Some(spec) = spec {
        xml.plain("architecture", spec.arch);
    }
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", &details.root_device);
    xml.part("blockDeviceMapping", |xml| {
        if gone {
            return;
        }
        if view.disk_gib > 0 {
            device(xml, view, details, &details.root_device);
        }
        for (device_name, volume, attached) in source.volumes.of_instance(&view.id) {
            xml.part("item", |xml| {
                xml.text("deviceName", device_name);
                xml.part("ebs", |xml| {
                    xml.text("volumeId", volume);
                    xml.text("status", "attached");
                    xml.moment("attachTime", attached);
                    xml.plain("deleteOnTermination", false);
                });
            });
        }
    });
    xml.text("virtualizationType", "hvm");
    if view.offer.market == Market::Spot {
        xml.text("instanceLifecycle", "spot");
        xml.text("spotInstanceRequestId", &request_id(view.number));
    }
    xml.text("clientToken", details.client_token.as_deref().unwrap_or_default());
    xml.tags(&view.tags);
    xml.text("hypervisor", "xen");
    xml.part("networkInterfaceSet", |xml| {
        if !gone {
            xml.part("item", |xml| interface(xml, view, details, public, &private_name, &public_name));
        }
    });
    if let Some(arn) = &details.profile {
        xml.part("iamInstanceProfile", |xml| {
            xml.text("arn", arn);
            xml.plain("id", format_args!("AIPA{:0>17}", view.launch));
        });
    }
    xml.plain("ebsOptimized", details.ebs_optimized);
    xml.plain("enaSupport", true);
    if let Some(spec) = spec {
        let threads = if spec.arch == skyfleet_core::Arch::X86_64 && spec.vcpus > 1 { 2 } else { 1 };
        xml.part("cpuOptions", |xml| {
            xml.plain("coreCount", (spec.vcpus / threads).max(1));
            xml.plain("threadsPerCore", threads);
        });
    }
    xml.part("capacityReservationSpecification", |xml| xml.text("capacityReservationPreference", "open"));
    let hibernates = details.spot.as_ref().is_some_and(|spot| spot.interruption == "hibernate");
    xml.part("hibernationOptions", |xml| xml.plain("configured", hibernates));
    metadata(xml, details, code == 0);
    xml.part("enclaveOptions", |xml| xml.plain("enabled", false));
    xml.text("platformDetails", "Linux/UNIX");
    xml.text("usageOperation", "RunInstances");
    xml.moment("usageOperationUpdateTime", view.launched);
    xml.part("privateDnsNameOptions", |xml| {
        xml.text("hostnameType", "ip-name");
        xml.plain("enableResourceNameDnsARecord", false);
        xml.plain("enableResourceNameDnsAAAARecord", false);
    });
    xml.part("maintenanceOptions", |xml| xml.text("autoRecovery", "default"));
}

fn device(xml: &mut Xml, view: &MachineView, details: &Details, name: &str) {
    xml.part("item", |xml| {
        xml.text("deviceName", name);
        xml.part("ebs", |xml| {
            xml.open("volumeId");
            xml.0.push_str("vol-");
            xml.0.push_str(view.id.strip_prefix("i-").unwrap_or(&view.id));
            xml.close("volumeId");
            xml.text("status", "attached");
            xml.moment("attachTime", view.launched);
            xml.plain("deleteOnTermination", details.delete_on_termination);
        });
    });
}

fn interface(
    xml: &mut Xml,
    view: &MachineView,
    details: &Details,
    public: Option<(IpAddr, &str)>,
    private_name: &str,
    public_name: &str,
) {
    let rest = view.id.strip_prefix("i-").unwrap_or(&view.id);
    let association = |xml: &mut Xml| {
        if let Some((ip, owner)) = public {
            xml.part("association", |xml| {
                xml.text("ipOwnerId", owner);
                xml.text("publicDnsName", public_name);
                xml.plain("publicIp", ip);
            });
        }
    };
    association(xml);
    xml.part("attachment", |xml| {
        xml.moment("attachTime", view.launched);
        xml.plain("attachmentId", format_args!("eni-attach-{rest}"));
        xml.plain("deleteOnTermination", details.delete_on_termination);
        xml.plain("deviceIndex", 0);
        xml.text("status", "attached");
        xml.plain("networkCardIndex", 0);
    });
    xml.text("description", &details.interface_description);
    xml.groups(&details.groups);
    xml.part("ipv6AddressesSet", |_| {});
    xml.text("macAddress", &mac(&view.id));
    xml.plain("networkInterfaceId", format_args!("eni-{rest}"));
    xml.text("ownerId", ACCOUNT);
    if let Some(ip) = view.private_ip {
        xml.text("privateDnsName", private_name);
        xml.plain("privateIpAddress", ip);
        xml.part("privateIpAddressesSet", |xml| {
            xml.part("item", |xml| {
                association(xml);
                xml.plain("primary", true);
                xml.text("privateDnsName", private_name);
                xml.plain("privateIpAddress", ip);
            });
        });
    }
    xml.plain("sourceDestCheck", true);
    xml.text("status", "in-use");
    xml.text("subnetId", &details.subnet);
    xml.text("vpcId", &details.vpc);
    xml.text("interfaceType", "interface");
}

fn metadata(xml: &mut Xml, details: &Details, pending: bool) {
    let on = |on| if on { "enabled" } else { "disabled" };
    let terms = details.metadata;
    xml.part("metadataOptions", |xml| {
        xml.text("state", if pending { "pending" } else { "applied" });
        xml.text("httpTokens", if terms.token_required { "required" } else { "optional" });
        xml.plain("httpPutResponseHopLimit", terms.hop_limit);
        xml.text("httpEndpoint", on(terms.enabled));
        xml.text("httpProtocolIpv6", "disabled");
        xml.text("instanceMetadataTags", on(terms.tags));
    });
}
