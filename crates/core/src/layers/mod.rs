//! Behaviour added around any provider: `Arc<dyn Provider>` in, `Arc<dyn Provider>` out.
