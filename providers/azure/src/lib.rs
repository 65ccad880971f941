//! The skyfleet provider for Azure.
