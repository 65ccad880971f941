use crate::azure::operation::Operations;
use crate::face::Beside;
use crate::kernel::Kernel;

/// What Azure keeps beside the world. Each part is in the file of the methods that change it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) operations: Operations,
}

impl Beside for State {
    fn tend(&mut self, _: &mut Kernel) {}
}
