//! How values are spread: a histogram with fixed bounds.

/// Upper bounds for what happens within a process or a round trip or two, in seconds.
pub const FAST: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0];
/// Upper bounds for what an engine does, in seconds.
pub const SLOW: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0];
/// Upper bounds for what people wait for, in seconds.
pub const LONG: [f64; 12] = [0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];
/// Upper bounds for confidences.
pub const CONFIDENCE: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// How values are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    bounds: &'static [f64],
    /// Values up to each bound and above the one before; the last are those above all bounds.
    counts: Vec<u64>,
    /// In millionths: sums of floating point numbers depend on the order in which partitions are read.
    sum_millionths: u64,
}

impl Spread {
    /// Nothing yet, between these bounds.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum_millionths: 0 }
    }

    /// Takes in a value; what is negative or no number counts as 0.
    pub fn add(&mut self, value: f64) {
        let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum_millionths = self.sum_millionths.saturating_add((value * 1e6).round() as u64);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum_millionths as f64 / 1e6
    }

    /// Every bound with the number of values up to it.
    pub fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let cumulative = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(cumulative)
    }
}
