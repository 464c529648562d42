//! Where a value stands in a plot.

use crate::findings::Plot;

/// Ratios by their logarithm, so that twice as much and half as much stand equally far from 1, which is where
/// their bars begin; everything else from zero, as it is.
pub struct Scale {
    logarithmic: bool,
    low: f64,
    high: f64,
}

impl Scale {
    pub fn of(plot: &Plot) -> Self {
        let values = || {
            let of_rows = plot.rows.iter().flat_map(|row| {
                let target = row.target.map(|target| target.value());
                [row.value, row.quartiles[0], row.quartiles[1]].into_iter().chain(target)
            });
            of_rows.filter(|value| value.is_finite())
        };
        let logarithmic = plot.is_ratio() && values().all(|value| value > 0.0);
        let high = values().fold(f64::MIN_POSITIVE, f64::max);
        if logarithmic {
            let low = values().fold(1.0, f64::min);
            Self { logarithmic, low: low.min(0.9) / 1.1, high: high.max(1.2) * 1.1 }
        } else {
            Self { logarithmic, low: 0.0, high: high * 1.05 }
        }
    }

    /// Between 0, the left end, and 1.
    pub fn at(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        part.clamp(0.0, 1.0)
    }

    /// Where bars begin.
    pub fn base(&self) -> f64 {
        if self.logarithmic { 1.0 } else { 0.0 }
    }

    /// The values to be marked: some round ones.
    pub fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            let rough = self.high / 6.0;
            let power = 10_f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
            let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
            return (0..).map(|at| f64::from(at) * step).take_while(|tick| *tick <= self.high).collect();
        }
        let steps: &[f64] = match self.high / self.low {
            wide if wide > 50.0 => &[1.0, 3.0],
            wide if wide > 6.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 9.0],
        };
        let all = (-4..5).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }
}
