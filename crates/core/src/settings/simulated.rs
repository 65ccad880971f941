use std::env;
use std::sync::Arc;

use crate::{Clock, ScaledClock, SystemClock};

/// Where a simulated cloud says how its time goes: as [`ScaledClock::told`].
const VARIABLE: &str = "SIMCLOUD_CLOCK";

/// The time that a cloud lives by: the machine's, unless the cloud is simulated on this machine
/// ([`is_near`](super::is_near)) and the environment variable `SIMCLOUD_CLOCK` says otherwise.
pub fn clock(near: bool) -> Arc<dyn Clock> {
    let told = env::var(VARIABLE).ok().filter(|_| near);
    match told.as_deref().map(ScaledClock::shared) {
        Some(Some(clock)) => Arc::new(clock),
        Some(None) => {
            tracing::warn!("{VARIABLE} tells of no clock: the machine's time is used");
            Arc::new(SystemClock)
        }
        None => Arc::new(SystemClock),
    }
}
