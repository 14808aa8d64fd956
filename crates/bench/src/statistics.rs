//! Medians and ranges.

use serde::Serialize;

/// The middle of several measured values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Returns the spread of values that are not NaN; `None` without any.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => (values.get(middle.checked_sub(1)?)? + values[middle]) / 2.0,
        };
        Some(Self {
            median,
            min: values[0],
            max: values[values.len() - 1],
        })
    }

    /// Writes `median (min-max)`, each with the given format.
    pub(crate) fn show(self, format: impl Fn(f64) -> String) -> String {
        format!(
            "{} ({}-{})",
            format(self.median),
            format(self.min),
            format(self.max)
        )
    }
}

/// Returns the value that this share of all values does not exceed; `None` without any. Sorts the values.
pub(crate) fn quantile(values: &mut [u32], share: f64) -> Option<u32> {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_two() {
        let odd = Spread {
            median: 2.0,
            min: 1.0,
            max: 9.0,
        };
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(odd));
        let even = Spread {
            median: 2.5,
            min: 1.0,
            max: 4.0,
        };
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Some(even));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(quantile(&mut values, 0.99), Some(198));
        assert_eq!(quantile(&mut values, 0.5), Some(100));
        assert_eq!(quantile(&mut values, 0.0), Some(1));
        assert_eq!(quantile(&mut [], 0.99), None);
    }
}
