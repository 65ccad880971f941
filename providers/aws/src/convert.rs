//! EC2's words and ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ec2::types::{
    Instance as Ec2Instance, InstanceLifecycleType, InstanceStateName, ResourceType, Tag, TagSpecification,
};
use skyfleet_core::{
    Arch, FleetName, Instance, InstanceId, InstanceState, Market, OfferId, Owner, Price, Region, Timestamp,
    Token, tag,
};

/// What an instance's tags say, read once for all instances that have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) owner: Owner,
    pub(crate) fleet: FleetName,
    pub(crate) token: Token,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) labels: Arc<BTreeMap<String, String>>,
}

impl Tags {
    /// `None` for what no fleet of ours launched, and for a dead instance whose tags have faded.
    fn read(tags: &[Tag]) -> Option<Self> {
        let tags = map(tags);
        Some(Self {
            owner: Owner::parse(tags.get(tag::OWNER)?).ok()?,
            fleet: FleetName::parse(tags.get(tag::FLEET)?).ok()?,
            token: Token::parse(tags.get(tag::TOKEN)?)?,
            expires: tag::expires(&tags),
            labels: Arc::new(tags.into_iter().filter(|(key, _)| is_label(key)).collect()),
        })
    }
}

/// Whether a tag is a user's own: neither ours nor one that EC2 puts there (`aws:ec2:fleet-id`).
pub(crate) fn is_label(key: &str) -> bool {
    !key.starts_with("skyfleet-") && !key.starts_with("aws:")
}

/// Reads instances. Those of one launch come one after the other and share what their tags say.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    last: Option<(Vec<Tag>, Option<Tags>)>,
}

impl Reader {
    /// The instance without its price; `None` for one that no fleet of ours launched.
    pub(crate) fn instance(&mut self, region: &Region, instance: &Ec2Instance) -> Option<Instance> {
        let tags = self.tags(instance.tags())?;
        let placement = instance.placement()?;
        Some(Instance {
            id: InstanceId::from(instance.instance_id()?),
            owner: tags.owner,
            fleet: tags.fleet,
            token: tags.token,
            offer: OfferId {
                zone: placement.availability_zone()?.into(),
                instance_type: instance.instance_type()?.as_str().into(),
                market: match instance.instance_lifecycle() {
                    Some(InstanceLifecycleType::Spot) => Market::Spot,
                    _ => Market::OnDemand,
                },
            },
            region: region.clone(),
            state: state(instance.state()?.name()?),
            price: Price::Unknown,
            launched: time(instance.launch_time()?)?,
            labels: tags.labels,
            expires: tags.expires,
            private_ip: instance.private_ip_address().and_then(|ip| ip.parse().ok()),
            public_ip: instance.public_ip_address().and_then(|ip| ip.parse().ok()),
        })
    }

    fn tags(&mut self, tags: &[Tag]) -> Option<Tags> {
        match &self.last {
            Some((last, read)) if last == tags => read.clone(),
            _ => {
                let read = Tags::read(tags);
                self.last = Some((tags.to_vec(), read.clone()));
                read
            }
        }
    }
}

fn state(name: &InstanceStateName) -> InstanceState {
    match name {
        InstanceStateName::Pending => InstanceState::Pending,
        InstanceStateName::Running => InstanceState::Running,
        InstanceStateName::ShuttingDown | InstanceStateName::Stopping => InstanceState::Stopping,
        InstanceStateName::Stopped => InstanceState::Stopped,
        InstanceStateName::Terminated => InstanceState::Terminated,
        // EC2 has six states; a seventh would be there, and cost.
        _ => InstanceState::Running,
    }
}

/// The instruction set of a type, by its name: `g` among the letters behind the generation means
/// Graviton, the only Arm processors that EC2 has (EC2 instance types guide, "Naming conventions");
/// the first generation, `a1`, came before the convention.
pub(crate) fn arch_of(instance_type: &str) -> Arch {
    let family = instance_type.split('.').next().unwrap_or_default();
    let letters = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let options = letters.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_arm = family == "a1" || options.split('-').any(|option| option.contains('g'));
    if is_arm { Arch::Arm64 } else { Arch::X86_64 }
}

pub(crate) fn time(time: &aws_sdk_ec2::primitives::DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

pub(crate) fn map(tags: &[Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// The tags of what a call creates, from its first moment on.
pub(crate) fn tagged(kind: ResourceType, with: &BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags(with))).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::primitives::DateTime;
    use aws_sdk_ec2::types::{InstanceState as Ec2State, InstanceType, Placement};

    #[test]
    fn the_name_of_a_type_tells_its_instruction_set() {
        for arm in [
            "m7g.large",
            "c7gn.xlarge",
            "x2gd.medium",
            "t4g.nano",
            "im4gn.large",
            "is4gen.2xlarge",
            "g5g.xlarge",
            "hpc7g.4xlarge",
            "a1.large",
            "p6e-gb200.36xlarge",
        ] {
            assert_eq!(arch_of(arm), Arch::Arm64, "{arm}");
        }
        for x86 in [
            "m7i.large",
            "m7a.large",
            "g4dn.xlarge",
            "g6e.12xlarge",
            "gr6.4xlarge",
            "m7i-flex.large",
            "u-6tb1.metal",
            "trn1.2xlarge",
            "x2iedn.large",
            "p5en.48xlarge",
            "u7in-16tb.224xlarge",
            "",
        ] {
            assert_eq!(arch_of(x86), Arch::X86_64, "{x86}");
        }
    }

    fn ec2(tags: &[(&str, &str)]) -> Ec2Instance {
        let tags: Vec<Tag> = tags.iter().map(|(k, v)| Tag::builder().key(*k).value(*v).build()).collect();
        Ec2Instance::builder()
            .instance_id("i-0a")
            .instance_type(InstanceType::from("m7g.large"))
            .placement(Placement::builder().availability_zone("us-east-1a").build())
            .state(Ec2State::builder().name(InstanceStateName::ShuttingDown).build())
            .launch_time(DateTime::from_secs(1_767_225_600))
            .private_ip_address("10.0.0.7")
            .instance_lifecycle(InstanceLifecycleType::Spot)
            .set_tags(Some(tags))
            .build()
    }

    #[test]
    fn labels_are_kept_apart_from_our_tags_and_amazons() {
        let instance = ec2(&[
            ("skyfleet-owner", "ada"),
            ("skyfleet-fleet", "words"),
            ("skyfleet-token", "ada_words_3"),
            ("skyfleet-expires", "1767225700"),
            ("aws:ec2:fleet-id", "fleet-1"),
            ("team", "search"),
        ]);
        let read = Reader::default().instance(&"us-east-1".into(), &instance).unwrap();
        assert_eq!(*read.labels, BTreeMap::from([("team".to_owned(), "search".to_owned())]));
        assert_eq!(read.token.to_string(), "ada_words_3");
        assert_eq!(read.expires, Timestamp::from_second(1_767_225_700).ok());
        assert_eq!(read.offer.to_string(), "us-east-1a m7g.large spot");
        assert_eq!(read.state, InstanceState::Stopping);
    }

    #[test]
    fn what_is_not_ours_is_no_instance_of_ours() {
        let mut reader = Reader::default();
        for tags in [
            &[][..],
            &[("skyfleet-owner", "ada")],
            &[("skyfleet-owner", "ada"), ("skyfleet-fleet", "w"), ("skyfleet-token", "?")],
        ] {
            assert_eq!(reader.instance(&"us-east-1".into(), &ec2(tags)), None, "{tags:?}");
        }
    }
}
