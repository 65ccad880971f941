use std::fmt;
use std::panic::Location;

use futures::future::LocalBoxFuture;
use skyfleet_core::{Capability, Error};

use crate::bed::Bed;
use crate::runner::Stack;
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
    /// The first need that this world and stack do not meet.
    pub(crate) fn unmet(&self, world: &World, stack: Stack) -> Option<&'static str> {
        self.needs.iter().find(|need| !(need.met)(world, stack)).map(|need| need.what)
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
    met: fn(&World, Stack) -> bool,
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

fn calm_weather(_: &World, stack: Stack) -> bool {
    stack != Stack::Faults
}

fn can(world: &World) -> Capability {
    world.capability()
}

needs! {
    SPOT: "applies with the capability `spot`", |w, _| can(w).spot;
    NO_SPOT: "applies without the capability `spot`", |w, _| !can(w).spot;
    PRICE_MAX: "applies with the capabilities `spot` and `price_max`", |w, _| can(w).spot && can(w).price_max;
    NO_PRICE_MAX: "applies without the capability `price_max`", |w, _| !can(w).price_max;
    ALL_OR_NOTHING: "applies with the capability `all_or_nothing`", |w, _| can(w).all_or_nothing;
    NO_ALL_OR_NOTHING: "applies without the capability `all_or_nothing`", |w, _| !can(w).all_or_nothing;
    NATIVE_EXPIRY: "applies with the capability `native_expiry`", |w, _| can(w).native_expiry;
    NOTICE: "applies with the capabilities `spot` and `notice`", |w, _| can(w).spot && can(w).notice.is_some();
    NO_NOTICE: "applies without the capability `notice`", |w, _| can(w).notice.is_none();
    SCORES: "applies with the capability `capacity_scores`", |w, _| can(w).capacity_scores;
    NO_SCORES: "applies without the capability `capacity_scores`", |w, _| !can(w).capacity_scores;
    QUOTAS: "applies with the capability `quotas`", |w, _| can(w).quotas;
    NO_QUOTAS: "applies without the capability `quotas`", |w, _| !can(w).quotas;
    PREEMPT: "needs the lever `preempt`", |w, _| w.levers.preempt.is_some();
    ROOM: "needs the lever `room`", |w, _| w.levers.room.is_some();
    QUOTA: "needs the lever `quota`", |w, _| w.levers.quota.is_some();
    FAIL: "needs the levers `fail` and `calm`", |w, _| w.levers.fail.is_some() && w.levers.calm.is_some();
    CALLS: "needs the lever `calls`", |w, _| w.levers.calls.is_some();
    CROWD: "needs a world that can take a crowd", |w, _| w.levers.crowd.is_some();
    UNTAGGED: "needs the lever `untagged`", |w, _| w.levers.untagged.is_some();
    RECONNECT: "needs the lever `reconnect`", |w, _| w.levers.reconnect.is_some();
    IMPOSTOR: "needs the lever `impostor`", |w, _| w.levers.impostor.is_some();
    USER_DATA: "needs the lever `user_data`", |w, _| w.levers.user_data.is_some();
    SECRETS: "needs the secrets that the provider was connected with", |w, _| !w.levers.secrets.is_empty();
    PROVOKES: "not under faults: the case provokes the errors itself and looks at them", calm_weather;
    COUNTS: "not under faults: the case counts calls, and a retry is a call", calm_weather;
    // A crash is told from an outage by its error, which the layers would change.
    CRASHES: "not under faults: the case says itself at which call the client stops", calm_weather;
    GUARDS: "not under faults: the case puts its own layers around the provider", calm_weather;
}
