use std::fmt::Debug;

/// A metadata service of the instances that are local processes: each gets an address of its own,
/// which its environment names.
///
/// Whoever implements it holds the world by a [`WeakWorld`](crate::WeakWorld): the world holds the
/// service.
pub trait Metadata: Send + Sync + Debug {
    /// An instance's user data are about to begin: gives the variables for their environment. It
    /// may look at the world. An instance that starts again soon after a stop may be opened again
    /// without having been closed.
    fn open(&self, instance: &str) -> Vec<(String, String)>;

    /// The last process of an instance has ended. It must not ask the world to do anything.
    fn close(&self, instance: &str);
}
