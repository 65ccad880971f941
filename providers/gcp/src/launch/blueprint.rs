//! What of a blueprint can be told to be wrong without asking Google.

use std::collections::BTreeMap;

use skyfleet_core::{Error, ErrorKind, FleetBlueprint, Region, Result, tag};

use super::image::WantedImage;
use crate::config::Settings;
use crate::{convert, user_data};

/// A blueprint that may be asked for, with the labels of everything that is made for it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) blueprint: &'a FleetBlueprint,
    pub(super) settings: &'a Settings,
    pub(super) image: WantedImage,
    pub(super) tags: BTreeMap<String, String>,
}

/// Compute Engine takes 64 labels (Compute Engine documentation, "Label resources"); five are ours.
const LABELS_MAX: usize = 59;
const LABEL_MAX: usize = 63;

/// The largest disk, in GiB (Compute Engine documentation, "Persistent Disk", limits).
const DISK_GIB_MAX: u32 = 65_536;

/// Checks a blueprint; `regions` are those in scope.
pub(super) fn check<'a>(
    blueprint: &'a FleetBlueprint,
    settings: &'a Settings,
    regions: &[&Region],
) -> Result<Wanted<'a>> {
    blueprint.check(regions.iter().copied(), user_data::BYTES_MAX)?;
    if blueprint.disk_gib > DISK_GIB_MAX {
        return Err(invalid("disk_gib", format!("there is no disk of {} GiB", blueprint.disk_gib)));
    }
    labels(&blueprint.labels)?;
    Ok(Wanted {
        blueprint,
        settings,
        image: WantedImage::of(settings.image.as_deref().unwrap_or(&blueprint.image))?,
        tags: tag::of_fleet(&blueprint.owner, &blueprint.fleet, blueprint.expires),
    })
}

/// Compute Engine documentation, "Label resources": what does not fit is refused here, because the
/// launch would be refused much later, and a label that is changed is another one.
fn labels(labels: &BTreeMap<String, String>) -> Result<()> {
    if labels.len() > LABELS_MAX {
        let message = format!("there are {}, at most {LABELS_MAX} fit beside our own", labels.len());
        return Err(invalid("labels", message));
    }
    for (key, value) in labels {
        // Letters of every script that has no capitals are allowed.
        let legal = |c: char| (c.is_alphabetic() && !c.is_uppercase()) || c.is_numeric() || "_-".contains(c);
        let illegal = |text: &str| text.chars().find(|c| !legal(*c));
        let fault = if key.is_empty() || key.chars().count() > LABEL_MAX {
            format!("a key has 1 to {LABEL_MAX} characters on Google Cloud")
        } else if !key.starts_with(|c: char| c.is_alphabetic()) {
            "a key begins with a small letter on Google Cloud".to_owned()
        } else if let Some(c) = illegal(key) {
            format!("{c:?} is not allowed in a key on Google Cloud, only small letters, digits, '_' and '-'")
        } else if !convert::is_label(key) {
            "the key is reserved".to_owned()
        } else if value.chars().count() > LABEL_MAX {
            format!("a value has at most {LABEL_MAX} characters on Google Cloud")
        } else if let Some(c) = illegal(value) {
            format!(
                "{c:?} is not allowed in a value on Google Cloud, only small letters, digits, '_' and '-'"
            )
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
    use skyfleet_core::{Arch, FleetName, Owner};

    use super::*;

    fn blueprint() -> FleetBlueprint {
        FleetBlueprint {
            owner: Owner::parse("ada").unwrap(),
            fleet: FleetName::parse("words").unwrap(),
            regions: vec!["us-central1".into()],
            archs: vec![Arch::X86_64],
            image: "debian-12".to_owned(),
            user_data: "#!/bin/sh\n".into(),
            disk_gib: 20,
            public_ip: false,
            inbound_ports: Vec::new(),
            labels: [("team".to_owned(), "search_2-a".to_owned())].into(),
            expires: None,
        }
    }

    fn checked(blueprint: &FleetBlueprint) -> Result<()> {
        check(blueprint, &Settings::default(), &[&"us-central1".into()]).map(drop)
    }

    #[test]
    fn what_can_never_work_is_refused_with_its_key() {
        checked(&blueprint()).unwrap();
        let with_label = |key: &str, value: &str| FleetBlueprint {
            labels: [(key.to_owned(), value.to_owned())].into(),
            ..blueprint()
        };
        let crowd = (0..=LABELS_MAX).map(|n| (format!("l{n}"), String::new())).collect();
        for (bad, key, part) in [
            (FleetBlueprint { regions: vec!["atlantis-1".into()], ..blueprint() }, "regions", "us-central1"),
            (FleetBlueprint { regions: Vec::new(), ..blueprint() }, "regions", "at least one"),
            (FleetBlueprint { archs: Vec::new(), ..blueprint() }, "archs", "at least one"),
            (FleetBlueprint { image: "no-such-image".to_owned(), ..blueprint() }, "image", "debian-12"),
            (FleetBlueprint { user_data: "x".repeat(262_145).into(), ..blueprint() }, "user_data", "262144"),
            (FleetBlueprint { disk_gib: 70_000, ..blueprint() }, "disk_gib", "70000"),
            (with_label("Team", "a"), "labels", "'T'"),
            (with_label("team", "A b"), "labels", "'A'"),
            (with_label("", "a"), "labels", "1 to 63"),
            (with_label("2x", "a"), "labels", "begins with"),
            (with_label("goog-x", "a"), "labels", "reserved"),
            (with_label("skyfleet-x", "a"), "labels", "reserved"),
            (with_label("team", &"a".repeat(64)), "labels", "63"),
            (FleetBlueprint { labels: crowd, ..blueprint() }, "labels", "at most 59"),
        ] {
            let error = checked(&bad).unwrap_err();
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidRequest, Some(key)), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }
}
