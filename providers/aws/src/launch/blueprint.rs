//! What of a blueprint can be told to be wrong without asking EC2.

use std::collections::BTreeMap;

use skyfleet_core::{Error, ErrorKind, FleetBlueprint, Region, Result, tag};

use super::site::NEUTRAL_IMAGES;
use crate::config::{Named, Settings};
use crate::user_data;

/// A blueprint that may be asked for, with the tags of everything that is made for it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) blueprint: &'a FleetBlueprint,
    pub(super) settings: &'a Settings,
    pub(super) image: WantedImage<'a>,
    pub(super) tags: BTreeMap<String, String>,
}

/// Which image is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WantedImage<'a> {
    /// One that every cloud has.
    Neutral(&'a str),
    /// One of the account's own, or anybody's by its id.
    Own(Named),
}

/// EC2 takes 50 tags; four are ours (EC2 user guide, "Tag restrictions").
const LABELS_MAX: usize = 46;
const LABEL_KEY_MAX: usize = 127;
const LABEL_VALUE_MAX: usize = 255;

/// Checks a blueprint; `regions` are those in scope.
pub(super) fn check<'a>(
    blueprint: &'a FleetBlueprint,
    settings: &'a Settings,
    regions: &[Region],
) -> Result<Wanted<'a>> {
    blueprint.check(regions, user_data::BYTES_MAX)?;
    if i32::try_from(blueprint.disk_gib).is_err() {
        return Err(invalid("disk_gib", format!("there is no disk of {} GiB", blueprint.disk_gib)));
    }
    if !settings.security_groups.is_empty() && !blueprint.inbound_ports.is_empty() {
        let message = "the security groups of providers.aws.security_groups say who may come in: \
                       leave these ports out, or the groups";
        return Err(invalid("inbound_ports", message));
    }
    labels(&blueprint.labels)?;
    Ok(Wanted {
        blueprint,
        settings,
        image: image(&blueprint.image, settings.image.as_ref())?,
        tags: tag::of_fleet(&blueprint.owner, &blueprint.fleet, blueprint.expires),
    })
}

fn image<'a>(name: &'a str, configured: Option<&Named>) -> Result<WantedImage<'a>> {
    if let Some(configured) = configured {
        return Ok(WantedImage::Own(configured.clone()));
    }
    if NEUTRAL_IMAGES.iter().any(|image| image.name == name) {
        return Ok(WantedImage::Neutral(name));
    }
    if name.starts_with("ami-") {
        return Named::parse(name, "ami").map(WantedImage::Own).map_err(|wrong| invalid("image", wrong));
    }
    let known: Vec<&str> = NEUTRAL_IMAGES.iter().map(|image| image.name).collect();
    Err(invalid("image", format!("there is no image {name:?}; known: {}, or an ami-…", known.join(", "))))
}

/// The machine reads its tags from the metadata service, where they are parts of a path: that
/// restricts the characters of their keys (EC2 user guide, "Instance tags in instance metadata").
fn labels(labels: &BTreeMap<String, String>) -> Result<()> {
    if labels.len() > LABELS_MAX {
        let message = format!("there are {}, at most {LABELS_MAX} fit beside our own tags", labels.len());
        return Err(invalid("labels", message));
    }
    for (key, value) in labels {
        let legal = |c: char| c.is_ascii_alphanumeric() || "+-=.,_:@".contains(c);
        let fault = if key.is_empty() || key.len() > LABEL_KEY_MAX {
            format!("a key has 1 to {LABEL_KEY_MAX} characters")
        } else if let Some(c) = key.chars().find(|c| !legal(*c)) {
            format!("{c:?} is not allowed in a key, only letters, digits and + - = . , _ : @")
        } else if [".", "..", "_index"].contains(&key.as_str()) || !crate::convert::is_label(key) {
            "the key is reserved".to_owned()
        } else if value.len() > LABEL_VALUE_MAX {
            format!("a value has at most {LABEL_VALUE_MAX} bytes")
        } else {
            continue;
        };
        return Err(invalid("labels", format!("the label {key:?}: {fault}")));
    }
    Ok(())
}

pub(super) fn invalid(key: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message).with("key", key)
}

#[cfg(test)]
mod tests {
    use skyfleet_core::{FleetName, Owner};

    use super::*;

    fn blueprint() -> FleetBlueprint {
        FleetBlueprint::new(&Owner::parse("ada").unwrap(), &FleetName::parse("words").unwrap(), "us-east-1")
    }

    #[test]
    fn what_ec2_could_not_serve_is_refused_with_its_key() {
        type Change = fn(&mut FleetBlueprint, &mut Settings);
        let label = |key: &str| BTreeMap::from([(key.to_owned(), String::new())]);
        let wrong: [(&str, &str, Change); 9] = [
            ("regions", "at least one", |b, _| b.regions.clear()),
            ("regions", "known: us-east-1, us-west-2", |b, _| b.regions.push("mars-1".into())),
            ("archs", "instruction set", |b, _| b.archs.clear()),
            ("image", "debian-13", |b, _| b.image = "windows-3.1".to_owned()),
            ("image", "ami-0123456789abcdef0", |b, _| b.image = "ami-x".to_owned()),
            ("user_data", "at most", |b, _| b.user_data = "#".repeat(16_384).into()),
            ("disk_gib", "4294967295", |b, _| b.disk_gib = u32::MAX),
            ("labels", "at most 46", |b, _| {
                b.labels = (0..47).map(|n| (n.to_string(), String::new())).collect()
            }),
            ("inbound_ports", "security_groups", |b, s| {
                b.inbound_ports.push(22);
                s.security_groups.push(Named::Id("sg-0123456789abcdef0".to_owned()));
            }),
        ];
        let regions = [Region::from("us-east-1"), "us-west-2".into()];
        for (key, part, change) in wrong {
            let (mut blueprint, mut settings) = (blueprint(), Settings::default());
            change(&mut blueprint, &mut settings);
            let error = check(&blueprint, &settings, &regions).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
            assert_eq!(error.fact("key"), Some(key), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
        for bad in ["", "a b", "a/b", "ü", "aws:x", "skyfleet-owner", ".."] {
            let mut blueprint = blueprint();
            blueprint.labels = label(bad);
            let error = check(&blueprint, &Settings::default(), &regions).unwrap_err();
            assert_eq!(error.fact("key"), Some("labels"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_image_of_the_settings_takes_the_place_of_the_fleets() {
        let own = Named::Tag { key: "role".to_owned(), value: "worker".to_owned() };
        let settings = Settings { image: Some(own.clone()), ..Settings::default() };
        let blueprint = blueprint();
        let wanted = check(&blueprint, &settings, &["us-east-1".into()]).unwrap();
        assert_eq!(wanted.image, WantedImage::Own(own));
    }
}
