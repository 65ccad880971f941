//! Scales, ticks and labels for the timeline.

/// A linear scale.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Where 0 lies.
    pub(crate) zero: f64,
    /// How far 1 lies from 0.
    pub(crate) one: f64,
}

impl Scale {
    pub(crate) fn at(self, value: f64) -> f64 {
        self.zero + self.one * value
    }
}

/// Round numbers of instances up to `most`, about four.
pub(crate) fn count_ticks(most: u32) -> Vec<u32> {
    let step = round_step(f64::from(most) / 4.0).max(1.0) as u32;
    (0..=most).step_by(step as usize).collect()
}

/// Round amounts of dollars up to `most`: 0 and one to three more.
pub(crate) fn dollar_ticks(most: f64) -> Vec<f64> {
    if most <= 0.0 {
        return vec![0.0];
    }
    let step = round_step(most / 3.0);
    (0..).map(|n| f64::from(n) * step).take_while(|dollars| *dollars <= most * 1.05).collect()
}

/// Moments, in seconds, at round times: at most ten.
pub(crate) fn clock_ticks(length: f64) -> Vec<f64> {
    const STEPS: [u32; 17] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];
    let fits = |step: &&u32| length / f64::from(**step) <= 10.0;
    let step =
        STEPS.iter().find(fits).map_or_else(|| 86_400.0 * (length / 864_000.0).ceil(), |s| f64::from(*s));
    (0..).map(|n| f64::from(n) * step).take_while(|seconds| *seconds <= length).collect()
}

/// The next of 1, 2, 5, 10, 20, 50, … that is not smaller.
fn round_step(least: f64) -> f64 {
    if least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= least * 0.999).unwrap_or(least)
}

/// `40 s`, `5 min`, `1:30 h`, by how long the whole is.
pub(crate) fn time_label(seconds: f64, length: f64) -> String {
    let seconds = seconds.round() as u64;
    if seconds == 0 {
        "0".to_owned()
    } else if length <= 180.0 || seconds < 60 {
        format!("{seconds} s")
    } else if length <= 7_200.0 {
        if seconds.is_multiple_of(60) {
            format!("{} min", seconds / 60)
        } else {
            format!("{}:{:02} min", seconds / 60, seconds % 60)
        }
    } else {
        format!("{}:{:02} h", seconds / 3_600, seconds / 60 % 60)
    }
}

/// Dollars with as many decimals as their size needs.
pub(crate) fn dollar_label(dollars: f64) -> String {
    let decimals = match dollars {
        d if d == 0.0 || d >= 100.0 => 0,
        d if d >= 0.1 => 2,
        d if d >= 0.01 => 3,
        _ => 4,
    };
    format!("${dollars:.decimals$}")
}

/// Text inside XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(count_ticks(20), [0, 5, 10, 15, 20]);
        assert_eq!(count_ticks(1), [0, 1]);
        assert_eq!(count_ticks(0), [0]);
        assert_eq!(count_ticks(1_000), [0, 500, 1_000]);
        for length in [1.0, 59.0, 61.0, 3_599.0, 100_000.0, 1e7] {
            let ticks = clock_ticks(length);
            assert!((2..=11).contains(&ticks.len()), "{length}: {ticks:?}");
        }
        assert_eq!(dollar_ticks(0.0), [0.0]);
        for most in [0.0045, 0.01, 0.7, 3.0, 19.9, 1_234.5] {
            let ticks = dollar_ticks(most);
            assert!((2..=4).contains(&ticks.len()), "{most}: {ticks:?}");
        }
    }

    #[test]
    fn labels_fit_the_length_of_the_axis() {
        assert_eq!(time_label(90.0, 170.0), "90 s");
        assert_eq!(time_label(90.0, 600.0), "1:30 min");
        assert_eq!(time_label(5_400.0, 90_000.0), "1:30 h");
        assert_eq!(dollar_label(0.0123), "$0.012");
        assert_eq!(dollar_label(1.5), "$1.50");
    }
}
