//! Search against a simulated Compute Engine.
