//! Whether EC2 is simulated on this computer. Then its time may run faster, and its instances may
//! be processes that see this computer's files.

use std::env;

use aws_config::SdkConfig;
use skyfleet_core::settings;

use crate::config::Settings;

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
