/// What this process learned about capacity: which scopes are closed, and until when.
#[derive(Clone, Debug, Default)]
pub struct CapacityMemory {}
