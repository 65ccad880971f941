use std::fmt;
use std::panic::Location;

use futures::future::LocalBoxFuture;
use skyfleet_core::{Capability, Error};

use crate::bed::Bed;
use crate::world::World;

/// One proof: what a clause of the contract means in calls and answers.
pub(crate) struct Case {
    /// The clause of CONTRACT.md that it proves.
    pub(crate) clause: &'static str,
    /// What it claims.
    pub(crate) name: &'static str,
    /// Without all of these the case does not apply.
    pub(crate) needs: &'static [Need],
    pub(crate) run: for<'a> fn(&'a Bed) -> LocalBoxFuture<'a, Proof>,
}

impl Case {
    /// The first need that this world does not meet.
    pub(crate) fn unmet(&self, world: &World) -> Option<&'static str> {
        self.needs.iter().find(|need| !(need.met)(world)).map(|need| need.what)
    }
}

/// Writes one line of a chapter's table.
macro_rules! case {
    ($clause:literal, $run:ident) => {
        case!($clause, $run, [])
    };
    ($clause:literal, $run:ident, [$($need:expr),*]) => {
        $crate::case::Case {
            clause: $clause,
            name: stringify!($run),
            needs: &[$($need),*],
            run: |bed| Box::pin($run(bed)),
        }
    };
}
pub(crate) use case;

/// Ends the case as a failure that says what happened, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::case::Fault::new(format!($($what)+)));
        }
    };
}
pub(crate) use ensure;

/// How a case ends: proven, or with what happened instead.
pub(crate) type Proof<T = ()> = Result<T, Fault>;

/// What happened instead of what the clause demands, and where the case saw it.
pub(crate) struct Fault {
    what: String,
    at: &'static Location<'static>,
}

impl Fault {
    #[track_caller]
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: Location::caller() }
    }
}

/// A call that must succeed did not.
impl From<Error> for Fault {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::new(format!("the call failed: {error:?}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (seen at {}:{})", self.what.trim_end(), self.at.file(), self.at.line())
    }
}

/// Something that a case cannot do without.
pub(crate) struct Need {
    what: &'static str,
    met: fn(&World) -> bool,
}

/// A lever that the case's needs say is there.
#[track_caller]
pub(crate) fn pull<F>(lever: &Option<F>) -> &F {
    lever.as_ref().expect("the case's needs name the lever")
}

macro_rules! needs {
    ($($name:ident: $what:literal, $met:expr;)+) => {
        $(pub(crate) const $name: Need = Need { what: $what, met: $met };)+
    };
}

fn can(world: &World) -> Capability {
    world.capability()
}

needs! {
    SPOT: "applies with the capability `spot`", |w| can(w).spot;
    NO_SPOT: "applies without the capability `spot`", |w| !can(w).spot;
    PRICE_MAX: "applies with the capabilities `spot` and `price_max`", |w| can(w).spot && can(w).price_max;
    NO_PRICE_MAX: "applies without the capability `price_max`", |w| !can(w).price_max;
    ALL_OR_NOTHING: "applies with the capability `all_or_nothing`", |w| can(w).all_or_nothing;
    NO_ALL_OR_NOTHING: "applies without the capability `all_or_nothing`", |w| !can(w).all_or_nothing;
    NATIVE_EXPIRY: "applies with the capability `native_expiry`", |w| can(w).native_expiry;
    NOTICE: "applies with the capabilities `spot` and `notice`", |w| can(w).spot && can(w).notice.is_some();
    NO_NOTICE: "applies without the capability `notice`", |w| can(w).notice.is_none();
    SCORES: "applies with the capability `capacity_scores`", |w| can(w).capacity_scores;
    NO_SCORES: "applies without the capability `capacity_scores`", |w| !can(w).capacity_scores;
    QUOTAS: "applies with the capability `quotas`", |w| can(w).quotas;
    NO_QUOTAS: "applies without the capability `quotas`", |w| !can(w).quotas;
    PREEMPT: "needs the lever `preempt`", |w| w.levers.preempt.is_some();
    ROOM: "needs the lever `room`", |w| w.levers.room.is_some();
    QUOTA: "needs the lever `quota`", |w| w.levers.quota.is_some();
    FAIL: "needs the levers `fail` and `calm`", |w| w.levers.fail.is_some() && w.levers.calm.is_some();
    CALLS: "needs the lever `calls`", |w| w.levers.calls.is_some();
    CROWD: "needs a world that can take a crowd", |w| w.levers.crowd.is_some();
    RECONNECT: "needs the lever `reconnect`", |w| w.levers.reconnect.is_some();
    IMPOSTOR: "needs the lever `impostor`", |w| w.levers.impostor.is_some();
    USER_DATA: "needs the lever `user_data`", |w| w.levers.user_data.is_some();
    SECRETS: "needs the secrets that the provider was connected with", |w| !w.levers.secrets.is_empty();
}
