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
}
