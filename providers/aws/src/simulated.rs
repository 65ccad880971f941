//! What is different when EC2 is simulated on this computer: the time may run faster, and the
//! instances may be processes that see its files.

use std::env;
use std::sync::Arc;

use aws_config::SdkConfig;
use skyfleet_core::{Clock, ScaledClock, SystemClock, settings};

use crate::config::Settings;

/// Where a simulated cloud says how its time goes.
const CLOCK: &str = "SIMCLOUD_CLOCK";

/// Whether EC2's endpoint is on this computer, by the settings, the SDK config handed over, or the
/// variables that the SDK reads.
pub(crate) fn is_near(settings: &Settings, given: Option<&SdkConfig>) -> bool {
    let of_environment = || {
        let ignored = env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        if ignored.is_ok_and(|ignored| ignored.eq_ignore_ascii_case("true")) {
            return None;
        }
        env::var("AWS_ENDPOINT_URL_EC2").or_else(|_| env::var("AWS_ENDPOINT_URL")).ok()
    };
    let named = settings.endpoint_url.clone();
    let named = named.or_else(|| match given {
        Some(given) => given.endpoint_url().map(str::to_owned),
        None => of_environment(),
    });
    named.is_some_and(|url| settings::is_near(&url))
}

/// The time that EC2 lives by: the machine's, unless a simulated one says otherwise.
pub(crate) fn clock(near: bool) -> Arc<dyn Clock> {
    let told = env::var(CLOCK).ok().filter(|_| near);
    match told.as_deref().map(ScaledClock::shared) {
        Some(Some(clock)) => Arc::new(clock),
        Some(None) => {
            tracing::warn!("{CLOCK} tells of no clock: the machine's time is used");
            Arc::new(SystemClock)
        }
        None => Arc::new(SystemClock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_endpoint_of_this_computer_is_near() {
        let settings =
            Settings { endpoint_url: Some("http://127.0.0.1:1".to_owned()), ..Settings::default() };
        assert!(is_near(&settings, None));
        let given = SdkConfig::builder().build();
        assert!(!is_near(&Settings::default(), Some(&given)));
    }
}
