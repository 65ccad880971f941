use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Kernel;
use crate::world::World;

/// What a cloud's face keeps beside the world: groups, templates, operations.
pub(crate) trait Beside: Default + fmt::Debug + Send + 'static {
    /// What has happened by itself since somebody looked last.
    fn tend(&mut self, kernel: &mut Kernel);
}

/// One cloud, as its face shows it: the world, and what the face keeps beside it. A cheap handle.
pub(crate) struct Face<B> {
    pub(crate) world: World,
    beside: Arc<Mutex<B>>,
}

impl<B: Beside> Face<B> {
    pub(crate) fn new(world: World) -> Self {
        Self { world, beside: Arc::default() }
    }

    /// The world after what happened by itself: a group whose deletion is over is in no book.
    pub(crate) fn current(&self) -> &World {
        self.look(|_, _| ());
        &self.world
    }

    /// Both, past all rate limits and faults: for the metadata service and the admin face.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Kernel, &mut B) -> T) -> T {
        self.world.look(|kernel| self.with(kernel, look))
    }

    /// What is beside the world, for whoever has the world already.
    pub(crate) fn with<T>(&self, kernel: &mut Kernel, act: impl FnOnce(&mut Kernel, &mut B) -> T) -> T {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.tend(kernel);
        act(kernel, &mut beside)
    }

    /// An empty world, with nothing beside it: what is beside an old one names machines that the new
    /// one has not.
    pub(crate) fn reset(&self) {
        self.world.reset_with(|| {
            *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = B::default();
        });
    }
}

impl<B> Clone for Face<B> {
    fn clone(&self) -> Self {
        Self { world: self.world.clone(), beside: self.beside.clone() }
    }
}

impl<B: fmt::Debug> fmt::Debug for Face<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Face").field("world", &self.world).finish_non_exhaustive()
    }
}
