//! The images that Google and its partners publish, by the projects that they are in. Names as of
//! 2026; dates in names are of one build, families always mean the latest.

use skyfleet_core::Arch;

/// A published image.
#[derive(Debug)]
pub(crate) struct Public {
    pub(crate) project: &'static str,
    pub(crate) family: &'static str,
    pub(crate) name: &'static str,
    pub(crate) arch: Arch,
    pub(crate) disk_gib: u32,
    pub(crate) description: &'static str,
}

/// Whether everybody may read the images of a project.
pub(crate) fn is_public(project: &str) -> bool {
    IMAGES.iter().any(|image| image.project == project)
}

const fn image(
    project: &'static str,
    (family, name): (&'static str, &'static str),
    arch: Arch,
    disk_gib: u32,
    description: &'static str,
) -> Public {
    Public { project, family, name, arch, disk_gib, description }
}

/// Compute Engine documentation, "Operating system details".
pub(crate) const IMAGES: &[Public] = &[
    image(
        "cos-cloud",
        ("cos-stable", "cos-stable-121-18867-199-52"),
        Arch::X86_64,
        10,
        "Google, Container-Optimized OS, stable, x86_64",
    ),
    image(
        "cos-cloud",
        ("cos-arm64-stable", "cos-arm64-stable-121-18867-199-52"),
        Arch::Arm64,
        10,
        "Google, Container-Optimized OS, stable, arm64",
    ),
    image(
        "debian-cloud",
        ("debian-11", "debian-11-bullseye-v20260915"),
        Arch::X86_64,
        10,
        "Debian, Debian GNU/Linux, 11 (bullseye), amd64",
    ),
    image(
        "debian-cloud",
        ("debian-12", "debian-12-bookworm-v20260915"),
        Arch::X86_64,
        10,
        "Debian, Debian GNU/Linux, 12 (bookworm), amd64",
    ),
    image(
        "debian-cloud",
        ("debian-12-arm64", "debian-12-bookworm-arm64-v20260915"),
        Arch::Arm64,
        10,
        "Debian, Debian GNU/Linux, 12 (bookworm), arm64",
    ),
    image(
        "debian-cloud",
        ("debian-13", "debian-13-trixie-v20260915"),
        Arch::X86_64,
        10,
        "Debian, Debian GNU/Linux, 13 (trixie), amd64",
    ),
    image(
        "debian-cloud",
        ("debian-13-arm64", "debian-13-trixie-arm64-v20260915"),
        Arch::Arm64,
        10,
        "Debian, Debian GNU/Linux, 13 (trixie), arm64",
    ),
    image(
        "deeplearning-platform-release",
        ("common-cu128-ubuntu-2204-nvidia-570", "common-cu128-ubuntu-2204-nvidia-570-v20260901"),
        Arch::X86_64,
        50,
        "Google, Deep Learning VM with CUDA 12.8, Ubuntu 22.04, NVIDIA driver 570",
    ),
    image(
        "rocky-linux-cloud",
        ("rocky-linux-8", "rocky-linux-8-v20260910"),
        Arch::X86_64,
        20,
        "Rocky Linux, Rocky Linux, 8, x86_64",
    ),
    image(
        "rocky-linux-cloud",
        ("rocky-linux-9", "rocky-linux-9-v20260910"),
        Arch::X86_64,
        20,
        "Rocky Linux, Rocky Linux, 9, x86_64",
    ),
    image(
        "rocky-linux-cloud",
        ("rocky-linux-9-arm64", "rocky-linux-9-arm64-v20260910"),
        Arch::Arm64,
        20,
        "Rocky Linux, Rocky Linux, 9, aarch64",
    ),
    image(
        "rocky-linux-cloud",
        ("rocky-linux-9-optimized-gcp", "rocky-linux-9-optimized-gcp-v20260910"),
        Arch::X86_64,
        20,
        "Rocky Linux, Rocky Linux, 9 optimized for GCP, x86_64",
    ),
    image(
        "rocky-linux-cloud",
        ("rocky-linux-9-optimized-gcp-arm64", "rocky-linux-9-optimized-gcp-arm64-v20260910"),
        Arch::Arm64,
        20,
        "Rocky Linux, Rocky Linux, 9 optimized for GCP, aarch64",
    ),
    image(
        "ubuntu-os-cloud",
        ("ubuntu-2204-lts", "ubuntu-2204-jammy-v20260912"),
        Arch::X86_64,
        10,
        "Canonical, Ubuntu, 22.04 LTS, amd64 jammy",
    ),
    image(
        "ubuntu-os-cloud",
        ("ubuntu-2204-lts-arm64", "ubuntu-2204-jammy-arm64-v20260912"),
        Arch::Arm64,
        10,
        "Canonical, Ubuntu, 22.04 LTS, arm64 jammy",
    ),
    image(
        "ubuntu-os-cloud",
        ("ubuntu-2404-lts-amd64", "ubuntu-2404-noble-amd64-v20260912"),
        Arch::X86_64,
        10,
        "Canonical, Ubuntu, 24.04 LTS, amd64 noble",
    ),
    image(
        "ubuntu-os-cloud",
        ("ubuntu-2404-lts-arm64", "ubuntu-2404-noble-arm64-v20260912"),
        Arch::Arm64,
        10,
        "Canonical, Ubuntu, 24.04 LTS, arm64 noble",
    ),
    image(
        "ubuntu-os-cloud",
        ("ubuntu-minimal-2404-lts-amd64", "ubuntu-minimal-2404-noble-amd64-v20260912"),
        Arch::X86_64,
        10,
        "Canonical, Ubuntu, 24.04 LTS Minimal, amd64 noble",
    ),
    image(
        "ubuntu-os-cloud",
        ("ubuntu-minimal-2404-lts-arm64", "ubuntu-minimal-2404-noble-arm64-v20260912"),
        Arch::Arm64,
        10,
        "Canonical, Ubuntu, 24.04 LTS Minimal, arm64 noble",
    ),
];
