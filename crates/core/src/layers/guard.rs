use std::any::Any;
use std::sync::Arc;

use crate::layers::Call;
use crate::layers::wrap::{Around, Next, wrap};
use crate::{
    Capability, Error, ErrorKind, FleetBlueprint, LaunchRequest, Launched, Market, Provider, Result,
};

/// Refuses, before any I/O, what the provider's [`Capability`] excludes and what can never work.
///
/// `Unsupported`: the spot market, a highest price, or all-or-nothing where the provider does not
/// have it. `InvalidRequest`: a launch of no instances, of more than the provider's
/// [`launch_max`](Capability::launch_max), with `count_min` above `count`, without pools, or with
/// a pool of another market; user data over the provider's limit. An expiry where the provider
/// has no [`native_expiry`](Capability::native_expiry) is let through: it is still a tag, and a
/// sweep reads it.
///
/// It also checks that a launch answers with its own instances only: instances of another token
/// are `Unexpected`. (Nothing is hidden by that: whatever was bought carries the owner's tag.)
///
/// An error that does not yet say where it happened is given the operation and the provider's name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guard;

impl Guard {
    /// The provider with this layer around it.
    pub fn layer(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        wrap(*self, provider)
    }
}

impl Around for Guard {
    async fn around<T: Any + Send>(
        &self,
        provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> Result<T> {
        let answer = match check_call(&provider.capability(), call) {
            Ok(()) => next().await,
            Err(error) => Err(error),
        };
        answer.and_then(|answer| check_answer(call, &answer).map(|()| answer)).map_err(|error| {
            if error.operation().is_some() {
                return error;
            }
            error.with("provider", provider.name()).at(call.operation().as_str())
        })
    }
}

fn check_call(capability: &Capability, call: Call<'_>) -> Result<()> {
    match call {
        Call::Launch(request) => check_launch(capability, request),
        Call::Prepare(blueprint) => check_blueprint(capability, blueprint),
        _ => Ok(()),
    }
}

fn check_launch(capability: &Capability, request: &LaunchRequest) -> Result<()> {
    let unsupported = |message| Err(Error::new(ErrorKind::Unsupported, message));
    let invalid = |key, message: String| Err(Error::new(ErrorKind::InvalidRequest, message).with("key", key));
    let LaunchRequest { count, count_min, market, pools, .. } = request;

    if *market == Market::Spot && !capability.spot {
        return unsupported("this provider has no spot market: ask for on-demand");
    }
    if pools.iter().any(|pool| pool.price_max.is_some()) && !capability.price_max {
        return unsupported("this provider cannot keep a highest price: leave price_max out");
    }
    if *count_min > 1 && !capability.all_or_nothing {
        return unsupported("this provider cannot launch all or nothing: leave count_min at 1");
    }
    if *count == 0 {
        return invalid("count", "a launch of no instances: ask for at least 1".to_owned());
    }
    if count_min > count {
        return invalid("count_min", format!("count_min is {count_min}, above the count of {count}"));
    }
    if *count > capability.launch_max {
        let max = capability.launch_max;
        return invalid("count", format!("{count} instances in one launch, at most {max} are possible"));
    }
    if pools.is_empty() {
        return invalid("pools", "a launch without pools: name at least one".to_owned());
    }
    if let Some(pool) = pools.iter().find(|pool| pool.offer.market != *market) {
        return invalid("pools", format!("the launch is {market}, its pool {} is not", pool.offer));
    }
    Ok(())
}

fn check_blueprint(capability: &Capability, blueprint: &FleetBlueprint) -> Result<()> {
    let (size, max) = (blueprint.user_data.len(), capability.user_data_bytes_max);
    if size > max {
        let message = format!("the user data has {size} bytes, at most {max} are possible");
        return Err(Error::new(ErrorKind::InvalidRequest, message).with("key", "user_data"));
    }
    Ok(())
}

fn check_answer(call: Call<'_>, answer: &dyn Any) -> Result<()> {
    let (Call::Launch(request), Some(launched)) = (call, answer.downcast_ref::<Launched>()) else {
        return Ok(());
    };
    match launched.instances.iter().find(|instance| instance.token != request.token) {
        None => Ok(()),
        Some(stranger) => Err(Error::new(
            ErrorKind::Unexpected,
            "the answer to a launch holds an instance of another launch",
        )
        .with("token", &request.token)
        .with("instance", &stranger.id)
        .with("instance_token", &stranger.token)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::fixture::{blueprint, launched, other_token, request};
    use crate::{PoolBid, UsdPerHour, mock};

    /// A mock that expects nothing: any call that reaches it panics.
    fn guarded(capability: Capability) -> Arc<dyn Provider> {
        Guard.layer(Arc::new(mock::provider(capability)))
    }

    #[tokio::test]
    async fn what_the_capability_excludes_never_reaches_the_provider() {
        let all = mock::CAPABILITY;
        let bid = {
            let pool = request(5).pools.remove(0);
            PoolBid { price_max: Some(UsdPerHour::from_micros(1)), ..pool }
        };
        for (capability, request, word) in [
            (Capability { spot: false, ..all }, request(5), "spot"),
            (
                Capability { price_max: false, ..all },
                LaunchRequest { pools: vec![bid], ..request(5) },
                "price_max",
            ),
            (
                Capability { all_or_nothing: false, ..all },
                LaunchRequest { count_min: 5, ..request(5) },
                "count_min",
            ),
        ] {
            let error = guarded(capability).launch(&request).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains(word), "{error}");
            assert_eq!((error.operation(), error.fact("provider")), (Some("launch"), Some("mock")));
        }
    }

    #[tokio::test]
    async fn what_can_never_work_never_reaches_the_provider() {
        let mixed = {
            let mut request = request(5);
            request.pools[0].offer.market = Market::OnDemand;
            request
        };
        let capability = Capability { launch_max: 10, ..mock::CAPABILITY };
        for (request, key, word) in [
            (request(0), "count", "at least 1"),
            (LaunchRequest { count_min: 6, ..request(5) }, "count_min", "6"),
            (request(11), "count", "at most 10"),
            (LaunchRequest { pools: vec![], ..request(5) }, "pools", "at least one"),
            (mixed, "pools", "north-1a small on-demand"),
        ] {
            let error = guarded(capability).launch(&request).await.unwrap_err();
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidRequest, Some(key)));
            assert!(error.message().contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn user_data_over_the_limit_is_refused_with_both_sizes() {
        let capability = Capability { user_data_bytes_max: 8, ..mock::CAPABILITY };
        let error = guarded(capability).prepare(&blueprint()).await.unwrap_err();
        assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidRequest, Some("user_data")));
        assert!(error.message().contains("14 bytes") && error.message().contains("8"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[tokio::test]
    async fn a_launch_at_every_limit_and_an_expiry_pass() {
        let capability = Capability { launch_max: 5, native_expiry: false, ..mock::CAPABILITY };
        let mut mock = mock::provider(capability);
        mock.expect_launch().once().returning(|request| Ok(launched(request)));
        let request =
            LaunchRequest { count_min: 5, expires: Some(crate::Timestamp::UNIX_EPOCH), ..request(5) };
        assert!(Guard.layer(Arc::new(mock)).launch(&request).await.is_ok());
    }

    #[tokio::test]
    async fn an_instance_of_another_launch_in_the_answer_is_unexpected() {
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().once().returning(|request| {
            let mut answer = launched(request);
            answer.instances[1].token = other_token();
            Ok(answer)
        });
        let error = Guard.layer(Arc::new(mock)).launch(&request(2)).await.unwrap_err();
        assert_eq!((error.kind(), error.fact("instance")), (ErrorKind::Unexpected, Some("i-1")));
    }

    #[tokio::test]
    async fn an_error_that_names_its_place_is_left_alone() {
        let mut mock = mock::provider(mock::CAPABILITY);
        let named = Error::new(ErrorKind::Conflict, "taken").at("mock.create_fleet");
        mock.expect_launch().once().return_const(Err(named.clone()));
        assert_eq!(Guard.layer(Arc::new(mock)).launch(&request(1)).await.unwrap_err(), named);
    }
}
