//! How much room the log has left, and what its servers have done.

use std::collections::BTreeMap;

/// Memory that the log uses and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Bytes in use, as far as they count against the limit.
    pub used: u64,
    /// Bytes from which on nothing is written any more; absent where there is no limit.
    pub limit: Option<u64>,
}

/// What a server of the log has done since it started, for everybody: calls by command.
pub type Operations = BTreeMap<String, Calls>;

/// How often a command was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// And done.
    pub done: u64,
    /// And refused, or not done for an error.
    pub failed: u64,
}

impl Pressure {
    /// From this share of the limit on samples give way to what matters more. The rest is room for decisions: at a
    /// kilobyte each, a tenth of 100 MB are ten thousand, and the janitor makes room within a minute or two.
    pub const HIGH: f64 = 0.85;
    /// Below this share all is well again; the distance keeps sampling from starting and stopping all the time.
    pub const NORMAL: f64 = 0.80;

    /// The part of the limit that is in use; 0 where there is no limit.
    #[must_use]
    pub fn share(self) -> f64 {
        match self.limit {
            Some(limit) if limit != 0 => self.used as f64 / limit as f64,
            _ => 0.0,
        }
    }
}
