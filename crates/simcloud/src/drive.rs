use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::kernel::{Errand, Kernel};
use crate::process::ProcessHost;
use crate::world::World;

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
            && self.lock().host.is_some()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            self.drive();
        }
    }
}

/// Does for a machine's process what the world decided.
pub(crate) fn run(kernel: &Kernel, host: &mut ProcessHost, errand: &Errand) {
    let m = match errand {
        Errand::Stop(id) => return host.stop(id, GRACE),
        Errand::Start(m) => *m,
    };
    let view = kernel.view(m, kernel.now());
    let script = &kernel.lots[kernel.machines[m as usize].lot as usize].spec.user_data;
    let market = view.offer.market.to_string();
    let env = [
        ("SKYFLEET_INSTANCE_ID", &*view.id),
        ("SKYFLEET_REGION", view.region.as_str()),
        ("SKYFLEET_ZONE", view.offer.zone.as_str()),
        ("SKYFLEET_INSTANCE_TYPE", view.offer.instance_type.as_str()),
        ("SKYFLEET_MARKET", &market),
    ];
    if let Err(error) = host.start(&view.id, script, &env) {
        tracing::warn!(%error, instance = %view.id, "the user data did not start");
    }
}
