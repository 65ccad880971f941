//! Images: those that every cloud has, and those of one's own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skyfleet_core::{Arch, Result};

use super::blueprint::invalid;

/// An image that every cloud has, by its publisher, offer and sku (Azure documentation, "Linux
/// distributions endorsed on Azure"): Azure takes the newest version at each launch.
struct NeutralImage {
    name: &'static str,
    publisher: &'static str,
    offer: &'static str,
    x86_64: &'static str,
    arm64: &'static str,
}

const NEUTRAL_IMAGES: [NeutralImage; 4] = [
    NeutralImage {
        name: "ubuntu-24.04",
        publisher: "Canonical",
        offer: "ubuntu-24_04-lts",
        x86_64: "server",
        arm64: "server-arm64",
    },
    NeutralImage {
        name: "ubuntu-22.04",
        publisher: "Canonical",
        offer: "0001-com-ubuntu-server-jammy",
        x86_64: "22_04-lts-gen2",
        arm64: "22_04-lts-arm64",
    },
    NeutralImage {
        name: "debian-13",
        publisher: "Debian",
        offer: "debian-13",
        x86_64: "13-gen2",
        arm64: "13-arm64",
    },
    NeutralImage {
        name: "debian-12",
        publisher: "Debian",
        offer: "debian-12",
        x86_64: "12-gen2",
        arm64: "12-arm64",
    },
];

/// The disk of all of these is this large; a smaller one cannot be had.
const NEUTRAL_GIB: u32 = 30;

/// Which image is meant: how a machine's profile names it, for each instruction set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedImage {
    pub(super) references: BTreeMap<Arch, Value>,
    /// The least disk that holds it, where that is known.
    pub(super) disk_gib_min: u32,
}

impl WantedImage {
    /// Reads a neutral name, `PUBLISHER:OFFER:SKU:VERSION`, or the id of an image of one's own or of
    /// a gallery. Costs no call.
    ///
    /// # Errors
    /// `InvalidRequest` for another text, and for an image that is for none of the instruction sets.
    pub(super) fn of(text: &str, archs: &[Arch]) -> Result<Self> {
        if let Some(image) = NEUTRAL_IMAGES.iter().find(|image| image.name == text) {
            let reference = |arch: &Arch| {
                let sku = match arch {
                    Arch::X86_64 => image.x86_64,
                    Arch::Arm64 => image.arm64,
                };
                (*arch, platform(image.publisher, image.offer, sku, "latest"))
            };
            return Ok(Self { references: archs.iter().map(reference).collect(), disk_gib_min: NEUTRAL_GIB });
        }
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = text.split(':').collect();
        let (reference, only) = match parts[..] {
            [publisher, offer, sku, version] if parts.iter().all(|part| is_word(part)) => {
                // Platform images say it in their names.
                let arch =
                    if sku.to_ascii_lowercase().contains("arm64") { Arch::Arm64 } else { Arch::X86_64 };
                (platform(publisher, offer, sku, version), Some(arch))
            }
            [id] if lower.starts_with("/subscriptions/")
                && lower.contains("/providers/microsoft.compute/") =>
            {
                (json!({ "id": id }), None)
            }
            [id] if lower.starts_with("/communitygalleries/") => {
                (json!({ "communityGalleryImageId": id }), None)
            }
            [id] if lower.starts_with("/sharedgalleries/") => (json!({ "sharedGalleryImageId": id }), None),
            _ => {
                let known: Vec<&str> = NEUTRAL_IMAGES.iter().map(|image| image.name).collect();
                let known = known.join(", ");
                let message = format!(
                    "there is no image {text:?}; known: {known}, or PUBLISHER:OFFER:SKU:VERSION, or the id of an \
                     image"
                );
                return Err(invalid("image", message));
            }
        };
        let archs: Vec<Arch> =
            archs.iter().copied().filter(|arch| only.is_none_or(|only| only == *arch)).collect();
        match (archs.is_empty(), only) {
            (true, Some(only)) => {
                Err(invalid("image", format!("{text} is for {only}, and the fleet wants others")))
            }
            _ => {
                let references = archs.into_iter().map(|arch| (arch, reference.clone())).collect();
                Ok(Self { references, disk_gib_min: 0 })
            }
        }
    }
}

fn is_word(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn platform(publisher: &str, offer: &str, sku: &str, version: &str) -> Value {
    json!({ "publisher": publisher, "offer": offer, "sku": sku, "version": version })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Arch; 2] = [Arch::X86_64, Arch::Arm64];

    #[test]
    fn an_image_is_named_in_every_way_that_azure_has() {
        let neutral = WantedImage::of("debian-12", &BOTH).unwrap();
        assert_eq!(neutral.references[&Arch::Arm64], platform("Debian", "debian-12", "12-arm64", "latest"));
        assert_eq!((neutral.references.len(), neutral.disk_gib_min), (2, 30));
        let urn = WantedImage::of("Canonical:ubuntu-24_04-lts:server:24.04.202601010", &BOTH).unwrap();
        assert_eq!(urn.references.keys().collect::<Vec<_>>(), [&Arch::X86_64]);
        let own = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/g/images/i";
        for (text, member) in [
            (own, "id"),
            ("/CommunityGalleries/g/Images/i/Versions/latest", "communityGalleryImageId"),
            ("/SharedGalleries/g/Images/i/Versions/latest", "sharedGalleryImageId"),
        ] {
            let image = WantedImage::of(text, &BOTH).unwrap();
            assert_eq!(image.references[&Arch::X86_64], json!({ member: text }));
        }
    }

    #[test]
    fn what_is_no_image_of_the_fleet_is_refused() {
        for text in ["", "no-such-image", "a:b:c", "a:b:c:", "a:b:c:d/e", "/subscriptions/s/resourceGroups/g"]
        {
            assert!(WantedImage::of(text, &BOTH).is_err(), "{text}");
        }
        let error = WantedImage::of("a:b:server-arm64:latest", &[Arch::X86_64]).unwrap_err();
        assert!(error.message().contains("arm64"), "{error}");
    }
}
