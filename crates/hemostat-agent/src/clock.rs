//! The log's clock, read without a round trip for every decision.
//!
//! Windows and deadlines are computed in log time, whatever the clock of the host says. [`LogClock`] asks the log
//! now and then and counts on from there with the monotonic clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hemostat_event::Timestamp;
use tokio::time::Instant;

use crate::log::{EventLog, LogError};

/// How long an answer of the log is counted on. Quartz drifts by some 50 µs in a second, so the error stays
/// below a millisecond.
const RESYNC_AFTER: Duration = Duration::from_secs(5);

/// The log's clock.
pub struct LogClock {
    log: Arc<dyn EventLog>,
    resync_after: Duration,
    base: Mutex<Option<(Instant, Timestamp)>>,
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

    /// The log time now.
    ///
    /// # Errors
    /// Those of the log, when it has to be asked and cannot be.
    pub async fn now(&self) -> Result<Timestamp, LogError> {
        let known = *self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, time)) = known
            && at.elapsed() < self.resync_after
        {
            return Ok(time + at.elapsed());
        }
        let asked = Instant::now();
        let answer = self.log.now().await?;
        // The log read its clock somewhere between the question and the answer; the middle halves the error.
        let time = answer + asked.elapsed() / 2;
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), time));
        Ok(if self.resync_after.is_zero() { answer } else { time })
    }
}
