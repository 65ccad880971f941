use super::{ClockHealth, Verdict};
use crate::{Clock, SystemClock, Timestamp};

/// From here on it is worth setting the clock.
const NOTED_S: i64 = 30;

impl ClockHealth {
    /// What an answer of the cloud's says by its own time, `server`, when this machine asked and had
    /// the answer at these times of its own. A clock that is `refused_s` seconds off makes every call
    /// fail.
    pub fn of(asked: Timestamp, answered: Timestamp, server: Timestamp, refused_s: i64) -> Self {
        // The answer was written somewhere between the two, and its time has whole seconds.
        let skew = match server.as_second() {
            early if early < asked.as_second() - 1 => early - asked.as_second(),
            late if late > answered.as_second() + 1 => late - answered.as_second(),
            _ => 0,
        };
        let verdict = match skew.abs() {
            off if off < NOTED_S => Verdict::Good,
            off if off < refused_s => Verdict::Unclear,
            _ => Verdict::Bad,
        };
        Self { verdict, ahead_s: -skew }
    }
}

/// How many milliseconds ago something began, by the clock of this machine.
pub fn milliseconds_since(began: Timestamp) -> u64 {
    u64::try_from(SystemClock.now().duration_since(began).as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let second = |second| Timestamp::from_second(second).unwrap();
        for (server, verdict, ahead_s) in [
            (1_000, Verdict::Good, 0),
            (999, Verdict::Good, 0),
            (1_003, Verdict::Good, 0),
            (998, Verdict::Good, 2),
            (971, Verdict::Good, 29),
            (970, Verdict::Unclear, 30),
            (1_301, Verdict::Unclear, -299),
            (1_302, Verdict::Bad, -300),
            (0, Verdict::Bad, 1_000),
        ] {
            let told = ClockHealth::of(second(1_000), second(1_002), second(server), 300);
            assert_eq!(told, ClockHealth { verdict, ahead_s }, "{server}");
        }
    }
}
