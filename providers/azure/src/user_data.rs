//! What a machine is given to run: the user's own script, unchanged. Azure hands it to cloud-init as
//! custom data, which runs a script and understands its own format.

/// The most bytes that custom data may have before it is encoded (Compute's API reference,
/// `customData`).
pub(crate) const BYTES_MAX: usize = 65_535;
