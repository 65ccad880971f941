//! The skyfleet provider for Amazon EC2.
