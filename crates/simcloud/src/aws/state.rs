/// What EC2 keeps beside the world. Each part is in the file of the actions that change it.
#[derive(Debug, Default)]
pub(crate) struct State {}
