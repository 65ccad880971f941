//! What of a blueprint can be told to be wrong without asking Azure.

use std::collections::{BTreeMap, BTreeSet};

use skyfleet_core::{Error, ErrorKind, FleetBlueprint, Region, Result, tag};

use super::image::WantedImage;
use crate::config::Settings;
use crate::{convert, user_data};

/// A blueprint that may be asked for, with the tags of everything that is made for it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) blueprint: &'a FleetBlueprint,
    pub(super) settings: &'a Settings,
    pub(super) image: WantedImage,
    pub(super) tags: BTreeMap<String, String>,
}

/// A resource has 50 tags (Azure documentation, "Use tags to organize your Azure resources"); six
/// are ours, and Azure puts some of its own on machines.
const LABELS_MAX: usize = 40;
const KEY_MAX: usize = 512;
const VALUE_MAX: usize = 256;

/// The largest system disk, in GiB (Azure documentation, "Introduction to Azure managed disks").
const DISK_GIB_MAX: u32 = 4_095;

/// Checks a blueprint; `regions` are those in scope.
pub(super) fn check<'a>(
    blueprint: &'a FleetBlueprint,
    settings: &'a Settings,
    regions: &[Region],
) -> Result<Wanted<'a>> {
    blueprint.check(regions, user_data::BYTES_MAX)?;
    if blueprint.disk_gib > DISK_GIB_MAX {
        return Err(invalid("disk_gib", format!("there is no system disk of {} GiB", blueprint.disk_gib)));
    }
    labels(&blueprint.labels)?;
    Ok(Wanted {
        blueprint,
        settings,
        image: WantedImage::of(settings.image.as_deref().unwrap_or(&blueprint.image), &blueprint.archs)?,
        tags: tag::of_fleet(&blueprint.owner, &blueprint.fleet, blueprint.expires),
    })
}

/// Azure documentation, "Use tags to organize your Azure resources", "Limitations": what does not
/// fit is refused here, because the launch would be refused much later, and a label that is changed
/// is another one.
fn labels(labels: &BTreeMap<String, String>) -> Result<()> {
    if labels.len() > LABELS_MAX {
        let message = format!("there are {}, at most {LABELS_MAX} fit beside our own", labels.len());
        return Err(invalid("labels", message));
    }
    let mut seen = BTreeSet::new();
    for (key, value) in labels {
        let fault = if key.is_empty() || key.chars().count() > KEY_MAX {
            format!("a key has 1 to {KEY_MAX} characters on Azure")
        } else if let Some(c) = key.chars().find(|c| "<>%&\\?/".contains(*c) || c.is_control()) {
            format!("{c:?} is not allowed in a key on Azure")
        } else if !convert::is_label(key) {
            "the key is reserved".to_owned()
        } else if !seen.insert(key.to_lowercase()) {
            "Azure does not tell keys apart by their case, and there is another one".to_owned()
        } else if value.chars().count() > VALUE_MAX {
            format!("a value has at most {VALUE_MAX} characters on Azure")
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
pub(super) mod tests {
    use skyfleet_core::{Arch, FleetName, Owner};

    use super::*;

    pub(in crate::launch) fn blueprint() -> FleetBlueprint {
        FleetBlueprint {
            owner: Owner::parse("ada").unwrap(),
            fleet: FleetName::parse("words").unwrap(),
            regions: vec!["eastus".into()],
            archs: vec![Arch::X86_64],
            image: "debian-12".to_owned(),
            user_data: "#!/bin/sh\n".into(),
            disk_gib: 20,
            public_ip: false,
            inbound_ports: Vec::new(),
            labels: [("Team".to_owned(), "search & find".to_owned())].into(),
            expires: None,
        }
    }

    fn checked(blueprint: &FleetBlueprint) -> Result<()> {
        check(blueprint, &Settings::default(), &["eastus".into()]).map(drop)
    }

    #[test]
    fn what_can_never_work_is_refused_with_its_key() {
        checked(&blueprint()).unwrap();
        let with_label = |key: &str, value: &str| FleetBlueprint {
            labels: [(key.to_owned(), value.to_owned())].into(),
            ..blueprint()
        };
        let crowd = (0..=LABELS_MAX).map(|n| (format!("l{n}"), String::new())).collect();
        let twins = [("team".to_owned(), String::new()), ("Team".to_owned(), String::new())].into();
        for (bad, key, part) in [
            (FleetBlueprint { regions: vec!["atlantis".into()], ..blueprint() }, "regions", "eastus"),
            (FleetBlueprint { image: "no-such-image".to_owned(), ..blueprint() }, "image", "debian-12"),
            (FleetBlueprint { user_data: "x".repeat(65_536).into(), ..blueprint() }, "user_data", "65535"),
            (FleetBlueprint { disk_gib: 5_000, ..blueprint() }, "disk_gib", "5000"),
            (with_label("a/b", "a"), "labels", "'/'"),
            (with_label("", "a"), "labels", "1 to 512"),
            (with_label("Microsoft.x", "a"), "labels", "reserved"),
            (with_label("skyfleet-x", "a"), "labels", "reserved"),
            (with_label("team", &"a".repeat(257)), "labels", "256"),
            (FleetBlueprint { labels: crowd, ..blueprint() }, "labels", "at most 40"),
            (FleetBlueprint { labels: twins, ..blueprint() }, "labels", "case"),
        ] {
            let error = checked(&bad).unwrap_err();
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidRequest, Some(key)), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }
}
