//! What a metric is.

/// A metric: its name, and what operators have to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Whether it only grows, is a level, or says how values are spread.
    pub kind: Kind,
    /// Its unit; empty for plain numbers.
    pub unit: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Who shows it.
    pub by: By,
    /// What it says.
    pub help: &'static str,
}

/// Whether a metric only grows, is a level, or says how values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until it begins anew.
    Counter,
    /// It is a level.
    Gauge,
    /// It says how values are spread.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Who shows a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Every process about itself.
    Process,
    /// Every process, about the log as a whole: all show the same.
    Everybody,
    /// The exporter, `hemostat metrics`.
    Exporter,
}
