//! The log's clock, read without a round trip for every decision.
//!
//! Windows and deadlines are computed in log time, whatever the clock of the host says. [`LogClock`] asks the log
//! now and then and counts on from there with the monotonic clock, also while the log is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hemostat_event::Timestamp;
use tokio::time::Instant;

use crate::log::{EventLog, LogError};

#[cfg(test)]
mod tests;

/// How long an answer of the log is counted on. Quartz drifts by some 50 µs in a second, so the error stays
/// below a millisecond.
const RESYNC_AFTER: Duration = Duration::from_secs(5);

/// The log's clock.
pub struct LogClock {
    log: Arc<dyn EventLog>,
    resync_after: Duration,
    base: Mutex<Option<Base>>,
}

/// What is counted on from.
#[derive(Debug, Clone, Copy)]
struct Base {
    /// When the log last answered, and what.
    at: Instant,
    time: Timestamp,
    /// When the log was last asked.
    asked: Instant,
}

impl Base {
    fn now(&self) -> Timestamp {
        self.time + self.at.elapsed()
    }
}

impl LogClock {
    /// A clock that asks `log` every five seconds.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, resync_after: RESYNC_AFTER, base: Mutex::new(None) }
    }

    /// A clock that asks `log` every time: for logs whose time is moved by hand.
    #[must_use]
    pub fn exact(log: Arc<dyn EventLog>) -> Self {
        Self { log, resync_after: Duration::ZERO, base: Mutex::new(None) }
    }

    /// The log time now. While the log is away it is counted on from its last answer: an hour adds some 0.2 s of
    /// error.
    ///
    /// # Errors
    /// Those of the log, when it cannot be asked and never answered before.
    pub async fn now(&self) -> Result<Timestamp, LogError> {
        if self.resync_after.is_zero() {
            return self.log.now().await;
        }
        let known = self.base();
        if let Some(base) = known
            && base.asked.elapsed() < self.resync_after
        {
            return Ok(base.now());
        }
        let asked = Instant::now();
        match (self.log.now().await, known) {
            (Ok(answer), _) => {
                // The log read its clock somewhere between the question and the answer; the middle halves the error.
                let time = answer + asked.elapsed() / 2;
                let at = Instant::now();
                self.set(Base { at, time, asked: at });
                Ok(time)
            }
            (Err(LogError::Unavailable(_) | LogError::Indefinite(_)), Some(base)) => {
                // Asked again only later: a log that is away may take seconds to say so.
                self.set(Base { asked: Instant::now(), ..base });
                Ok(base.now())
            }
            (Err(error), _) => Err(error),
        }
    }

    fn base(&self) -> Option<Base> {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, base: Base) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = Some(base);
    }
}
