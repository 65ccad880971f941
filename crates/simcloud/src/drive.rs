use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::time::Duration;

use skyfleet_core::Result;

use crate::kernel::{Errand, Kernel};
use crate::metadata::Metadata;
use crate::process::{Consoles, Hooks, Power, ProcessHost};
use crate::world::{Shared, World};

/// How long a process may go on after SIGTERM, in real time.
const GRACE: Duration = Duration::from_secs(2);

impl World {
    /// Keeps the world going by itself, so that processes start and end at their time. Without it
    /// the world catches up whenever it is called. Must be called inside a tokio runtime; calling
    /// it again changes nothing.
    pub fn drive(&self) {
        if self.0.driven.swap(true, Ordering::Relaxed) {
            return;
        }
        let (weak, clock, sooner) = (Arc::downgrade(&self.0), self.0.clock.clone(), self.0.sooner.clone());
        tokio::spawn(async move {
            // The handle is let go before each wait: a world that nobody else holds ends.
            while let Some(next) = weak.upgrade().map(|shared| Self(shared).look(|kernel| kernel.next_due()))
            {
                let Some(next) = next else {
                    sooner.notified().await;
                    continue;
                };
                let wait = Duration::try_from(next.duration_since(clock.now())).unwrap_or_default();
                tokio::select! {
                    () = clock.sleep(wait) => {}
                    () = sooner.notified() => {}
                }
            }
        });
    }

    /// [`drive`](World::drive), when machines run processes and a tokio runtime is there.
    pub fn drive_if_needed(&self) {
        if !self.0.driven.load(Ordering::Relaxed)
            && self.0.processes.is_some()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            self.drive();
        }
    }
}

/// A handle of a world that does not keep it going.
#[derive(Clone, Debug)]
pub struct WeakWorld(pub(crate) Weak<Shared>);

impl WeakWorld {
    /// The world, while somebody else still holds it.
    pub fn upgrade(&self) -> Option<World> {
        self.0.upgrade().map(World)
    }
}

/// The machines of a world that are local processes.
///
/// What the world decides waits in a queue and is done when the world is free again: whoever does
/// it may ask the world something.
#[derive(Debug)]
pub(crate) struct Processes {
    host: Mutex<ProcessHost>,
    queue: Mutex<VecDeque<Chore>>,
    consoles: Consoles,
    around: Arc<Around>,
}

/// What must be done for a machine's process.
#[derive(Debug)]
enum Chore {
    Start { id: Arc<str>, script: Arc<str>, env: Vec<(String, String)> },
    Stop(Arc<str>),
    KillAll,
}

/// What the processes are connected with.
#[derive(Debug, Default)]
struct Around {
    world: OnceLock<WeakWorld>,
    metadata: Mutex<Option<Arc<dyn Metadata>>>,
}

impl Processes {
    pub(crate) fn new() -> Result<Self> {
        let around = Arc::<Around>::default();
        let host = ProcessHost::with_hooks(around.clone())?;
        Ok(Self { consoles: host.consoles(), host: Mutex::new(host), queue: Mutex::default(), around })
    }

    /// Says whose machines they are: to that world they tell when one shuts down.
    pub(crate) fn belong_to(&self, world: &World) {
        let _ = self.around.world.set(world.downgrade());
    }

    pub(crate) fn serve(&self, metadata: Arc<dyn Metadata>) {
        *lock(&self.around.metadata) = Some(metadata);
    }

    pub(crate) fn console(&self, instance: &str) -> Option<Vec<u8>> {
        self.consoles.read(instance)
    }

    pub(crate) fn kill_all(&self) {
        lock(&self.queue).push_back(Chore::KillAll);
        self.work();
    }

    /// Takes the world's errands, in their order.
    pub(crate) fn take(&self, kernel: &Kernel, errands: &[Errand]) {
        lock(&self.queue).extend(errands.iter().map(|errand| Chore::of(kernel, errand)));
    }

    /// Does what waits, unless somebody else is at it, who then does it all.
    pub(crate) fn work(&self) {
        while !lock(&self.queue).is_empty() {
            let mut host = match self.host.try_lock() {
                Ok(host) => host,
                Err(TryLockError::Poisoned(host)) => host.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // One at a time: the queue is free while the chore is done.
            while let Some(chore) = self.next() {
                self.around.run(&mut host, chore);
            }
        }
    }

    fn next(&self) -> Option<Chore> {
        lock(&self.queue).pop_front()
    }
}

impl Chore {
    fn of(kernel: &Kernel, errand: &Errand) -> Self {
        let m = match errand {
            Errand::Stop(id) => return Self::Stop(id.clone()),
            Errand::Start(m) => *m,
        };
        let view = kernel.view(m, kernel.now());
        let script = kernel.lots[view.launch as usize].spec.user_data.clone();
        let env = [
            ("SKYFLEET_INSTANCE_ID", view.id.to_string()),
            ("SKYFLEET_REGION", view.region.to_string()),
            ("SKYFLEET_ZONE", view.offer.zone.to_string()),
            ("SKYFLEET_INSTANCE_TYPE", view.offer.instance_type.to_string()),
            ("SKYFLEET_MARKET", view.offer.market.to_string()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).into();
        Self::Start { id: view.id, script, env }
    }
}

impl Around {
    fn run(&self, host: &mut ProcessHost, chore: Chore) {
        match chore {
            Chore::Stop(id) => host.stop(&id, GRACE),
            Chore::KillAll => host.running().iter().for_each(|id| host.kill(id)),
            Chore::Start { id, script, mut env } => {
                let metadata = lock(&self.metadata).clone();
                env.extend(metadata.iter().flat_map(|metadata| metadata.open(&id)));
                // What runs in the machine lives by the world's time, as it does in a cloud.
                let world = self.world.get().and_then(WeakWorld::upgrade);
                let told = world.and_then(|world| world.clock().told());
                env.extend(told.map(|told| ("SIMCLOUD_CLOCK".to_owned(), told)));
                let env: Vec<(&str, &str)> =
                    env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                if let Err(error) = host.start(&id, &script, &env) {
                    tracing::warn!(%error, instance = %id, "the user data did not start");
                    self.gone(&id);
                }
            }
        }
    }
}

impl Hooks for Around {
    fn power(&self, instance: &str, power: Power) {
        let Some(world) = self.world.get().and_then(WeakWorld::upgrade) else { return };
        let done = world.with(true, |kernel| match power {
            Power::OffIn(after) => kernel.plan_shutdown(instance, after),
            Power::OffAt(second) => kernel.plan_shutdown_at(instance, second),
            Power::Stay => kernel.cancel_shutdown(instance),
            Power::Reboot => {}
        });
        if let Err(error) = done {
            tracing::warn!(%error, instance, "the shutdown of an instance was not noted");
        }
    }

    fn gone(&self, instance: &str) {
        let metadata = lock(&self.metadata).clone();
        if let Some(metadata) = metadata {
            metadata.close(instance);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
