//! What a machine is given to run: the user's own script, unchanged.

/// The most bytes that one metadata value may have (Compute Engine documentation, "VM metadata").
pub(crate) const BYTES_MAX: usize = 256 * 1_024;

/// The metadata key under which a machine finds its user data: the guest agent of Google's images
/// runs a script at each boot, and only cloud-init, where an image has it, understands its own
/// format (Compute Engine documentation, "About startup scripts").
pub(crate) fn key(user_data: &str) -> &'static str {
    if user_data.starts_with("#cloud-config") { "user-data" } else { "startup-script" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_for_googles_agent_and_a_config_for_cloud_init() {
        assert_eq!(key("#!/bin/sh\ntrue\n"), "startup-script");
        assert_eq!(key("#cloud-config\nusers: []\n"), "user-data");
    }
}
