use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MICRO: i64 = 1_000_000;

/// An amount of US dollars, exact to the micro-dollar.
///
/// ```
/// use skyfleet_core::Usd;
/// let total: Usd = [Usd::from_micros(1_250_000), Usd::from_micros(4)].into_iter().sum();
/// assert_eq!(total.to_string(), "$1.250004");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(i64);

/// A price in US dollars per hour, exact to the micro-dollar.
///
/// ```
/// use skyfleet_core::{Usd, UsdPerHour};
/// use std::time::Duration;
/// let price = UsdPerHour::from_micros(39_200);
/// assert_eq!(price.over(Duration::from_secs(1_800)), Usd::from_micros(19_600));
/// assert_eq!(price.to_string(), "$0.0392/h");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerHour(i64);

macro_rules! amount {
    ($name:ident) => {
        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// From a whole number of micro-dollars.
            pub const fn from_micros(micros: i64) -> Self {
                Self(micros)
            }

            /// The whole number of micro-dollars.
            pub const fn micros(self) -> i64 {
                self.0
            }

            /// From dollars as a person or a price list writes them, rounded to the micro-dollar;
            /// `None` for what is no amount (not finite, or beyond 9 million million dollars).
            pub fn from_dollars(dollars: f64) -> Option<Self> {
                let micros = (dollars * MICRO as f64).round();
                (micros.is_finite() && micros.abs() < 9e18).then_some(Self(micros as i64))
            }

            /// For charts and ratios only: money that is added up stays in micro-dollars.
            pub fn to_dollars(self) -> f64 {
                self.0 as f64 / MICRO as f64
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<u32> for $name {
            type Output = Self;
            fn mul(self, times: u32) -> Self {
                Self(self.0 * i64::from(times))
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self::ZERO, Add::add)
            }
        }
    };
}

amount!(Usd);
amount!(UsdPerHour);

impl UsdPerHour {
    /// What this price costs over a time, to the nearest micro-dollar (half away from zero).
    pub fn over(self, time: Duration) -> Usd {
        const HOUR: i128 = 3_600_000_000_000;
        let exact = i128::from(self.0) * time.as_nanos() as i128;
        let half = if exact < 0 { -HOUR / 2 } else { HOUR / 2 };
        Usd(((exact + half) / HOUR) as i64)
    }
}

/// `$1.23`: as many of the six decimals as say something, at least two.
fn write_dollars(f: &mut fmt::Formatter<'_>, micros: i64, unit: &str) -> fmt::Result {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / MICRO as u64, micros.unsigned_abs() % MICRO as u64);
    let mut decimals = format!("{rest:06}");
    while decimals.len() > 2 && decimals.ends_with('0') {
        decimals.pop();
    }
    f.pad(&format!("{sign}${whole}.{decimals}{unit}"))
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dollars(f, self.0, "")
    }
}

impl fmt::Display for UsdPerHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dollars(f, self.0, "/h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dollars_print_as_people_write_them() {
        for (micros, text) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (2_500_000, "$2.50"),
            (-39_200, "-$0.0392"),
            (1_000_000, "$1.00"),
        ] {
            assert_eq!(Usd::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for dollars in [f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(Usd::from_dollars(dollars), None);
        }
        assert_eq!(UsdPerHour::from_dollars(0.002585), Some(UsdPerHour::from_micros(2_585)));
    }

    proptest! {
        #[test]
        fn a_price_over_whole_hours_is_exact(micros in 0i64..1_000_000_000, hours in 0u32..10_000) {
            let cost = UsdPerHour::from_micros(micros).over(Duration::from_secs(u64::from(hours) * 3600));
            prop_assert_eq!(cost, Usd::from_micros(micros) * hours);
        }

        #[test]
        fn splitting_a_time_never_shifts_a_cost_by_more_than_rounding(
            micros in 0i64..1_000_000_000, first in 0u64..100_000, second in 0u64..100_000,
        ) {
            let price = UsdPerHour::from_micros(micros);
            let secs = Duration::from_secs;
            let apart = price.over(secs(first)) + price.over(secs(second));
            let whole = price.over(secs(first + second));
            prop_assert!((apart.micros() - whole.micros()).abs() <= 1);
        }
    }
}
