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
