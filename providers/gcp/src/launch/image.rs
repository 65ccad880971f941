//! Images: those that every cloud has, and those of one's own.

use std::collections::BTreeMap;

use google_cloud_compute_v1::model::image::Architecture;
use skyfleet_core::{Arch, Error, ErrorKind, Result};

use super::blueprint::invalid;
use crate::client::Client;

/// An image that every cloud has, by the families that its publisher keeps up to date (Compute
/// Engine documentation, "Operating system details"): Compute Engine looks for the newest at each
/// launch.
struct NeutralImage {
    name: &'static str,
    project: &'static str,
    x86_64: &'static str,
    arm64: &'static str,
}

const NEUTRAL_IMAGES: [NeutralImage; 4] = [
    NeutralImage {
        name: "ubuntu-24.04",
        project: "ubuntu-os-cloud",
        x86_64: "ubuntu-2404-lts-amd64",
        arm64: "ubuntu-2404-lts-arm64",
    },
    NeutralImage {
        name: "ubuntu-22.04",
        project: "ubuntu-os-cloud",
        x86_64: "ubuntu-2204-lts",
        arm64: "ubuntu-2204-lts-arm64",
    },
    NeutralImage {
        name: "debian-13",
        project: "debian-cloud",
        x86_64: "debian-13",
        arm64: "debian-13-arm64",
    },
    NeutralImage {
        name: "debian-12",
        project: "debian-cloud",
        x86_64: "debian-12",
        arm64: "debian-12-arm64",
    },
];

/// Which image is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WantedImage {
    /// One that every cloud has.
    Neutral(String),
    /// One of a project, by its own name or that of its family.
    Own { project: Option<String>, family: bool, name: String },
}

impl WantedImage {
    /// Reads a neutral name, or `[projects/P/]global/images/[family/]NAME` with or without an
    /// address in front, or `family/NAME`.
    pub(super) fn of(text: &str) -> Result<Self> {
        if NEUTRAL_IMAGES.iter().any(|image| image.name == text) {
            return Ok(Self::Neutral(text.to_owned()));
        }
        let path = text.find("projects/").map_or(text, |start| &text[start..]);
        let (project, rest) = match path.strip_prefix("projects/").and_then(|rest| rest.split_once('/')) {
            Some((project, rest)) => (Some(project.to_owned()), rest),
            None => (None, path),
        };
        let rest =
            rest.strip_prefix("global/images/").or_else(|| rest.starts_with("family/").then_some(rest));
        let named = rest.map(|rest| match rest.strip_prefix("family/") {
            Some(name) => (true, name),
            None => (false, rest),
        });
        match named {
            Some((family, name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self::Own { project, family, name: name.to_owned() })
            }
            _ => {
                let known: Vec<&str> = NEUTRAL_IMAGES.iter().map(|image| image.name).collect();
                let known = known.join(", ");
                let message = format!(
                    "there is no image {text:?}; known: {known}, or projects/PROJECT/global/images/NAME, \
                     or projects/PROJECT/global/images/family/NAME"
                );
                Err(invalid("image", message))
            }
        }
    }

    /// The name of the image for each instruction set, as a launch takes it. A neutral one costs no
    /// call.
    ///
    /// # Errors
    /// `InvalidRequest` when it is not there, or is for none of them.
    pub(super) async fn found(&self, client: &Client, archs: &[Arch]) -> Result<BTreeMap<Arch, String>> {
        let (project, family, name) = match self {
            Self::Neutral(name) => return Ok(neutral(name, archs)),
            Self::Own { project, family, name } => (project, *family, name),
        };
        let project = match project {
            Some(project) => project.as_str(),
            None => client.project().await?,
        };
        let found = match client.image(project, family, name).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(absent(format!("the project {project} has no such image: {}", error.message())));
            }
            found => found?,
        };
        let arch = match found.architecture {
            Some(Architecture::Arm64) => Arch::Arm64,
            _ => Arch::X86_64,
        };
        if !archs.contains(&arch) {
            let wanted: Vec<String> = archs.iter().map(ToString::to_string).collect();
            return Err(absent(format!(
                "the image {name} is for {arch}, the fleet wants {}",
                wanted.join(" or ")
            )));
        }
        let folder = if family { "global/images/family" } else { "global/images" };
        Ok([(arch, format!("projects/{project}/{folder}/{name}"))].into())
    }
}

fn absent(message: String) -> Error {
    invalid("image", message).at("gcp.prepare")
}

fn neutral(name: &str, archs: &[Arch]) -> BTreeMap<Arch, String> {
    let Some(image) = NEUTRAL_IMAGES.iter().find(|image| image.name == name) else { return BTreeMap::new() };
    let path = |arch: &Arch| {
        let family = match arch {
            Arch::X86_64 => image.x86_64,
            Arch::Arm64 => image.arm64,
        };
        (*arch, format!("projects/{}/global/images/family/{family}", image.project))
    };
    archs.iter().map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_in_every_way_that_google_has() {
        let own = |project: Option<&str>, family, name: &str| WantedImage::Own {
            project: project.map(str::to_owned),
            family,
            name: name.to_owned(),
        };
        for (text, image) in [
            ("debian-12", WantedImage::Neutral("debian-12".to_owned())),
            ("projects/p/global/images/i-1", own(Some("p"), false, "i-1")),
            ("projects/p/global/images/family/f", own(Some("p"), true, "f")),
            ("https://www.googleapis.com/compute/v1/projects/p/global/images/i", own(Some("p"), false, "i")),
            ("global/images/i", own(None, false, "i")),
            ("family/f", own(None, true, "f")),
        ] {
            assert_eq!(WantedImage::of(text).unwrap(), image, "{text}");
        }
        for text in ["", "no-such-image", "projects/p/global/images/", "projects/p/zones/z/images/i"] {
            assert!(WantedImage::of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_neutral_image_is_the_newest_of_its_publisher() {
        let images = neutral("debian-12", &[Arch::Arm64]);
        assert_eq!(images[&Arch::Arm64], "projects/debian-cloud/global/images/family/debian-12-arm64");
        assert_eq!(images.len(), 1);
    }
}
