//! What operators see of the bridge.

use std::error::Error;

use hemostat_core::bridge::OldChannel;
use prometheus::{IntCounter, IntCounterVec, Registry};
use tracing::{debug, info, warn};

use super::{Telemetry, chain, counter, counters, names};

/// What becomes of a message that was heard.
const OUTCOMES: [&str; 6] = ["taken", "repeated", "own", "refused", "malformed", "dropped"];

/// The metrics of the bridge; none of them has a series where there is none.
pub(super) struct Bridge {
    said: IntCounterVec,
    heard: IntCounterVec,
    keys_failed: IntCounter,
    errors: IntCounter,
}

impl Bridge {
    pub(super) fn register(r: &Registry) -> Self {
        Self {
            said: counters(r, names::BRIDGE_SAID),
            heard: counters(r, names::BRIDGE_HEARD),
            keys_failed: counter(r, names::BRIDGE_KEYS_FAILED),
            errors: counter(r, names::BRIDGE_ERRORS),
        }
    }

    /// Shows the counters before they count.
    pub(super) fn begin(&self) {
        for channel in OldChannel::ALL {
            self.said.with_label_values(&[channel.as_str()]);
            for outcome in OUTCOMES {
                self.heard.with_label_values(&[channel.as_str(), outcome]);
            }
        }
    }
}

impl Telemetry {
    /// A message went out.
    pub fn bridge_said(&self, channel: OldChannel) {
        self.bridge.said.with_label_values(&[channel.as_str()]).inc();
        debug!(%channel, "said");
    }

    /// A message came in: `taken`, `repeated`, `own`, or `dropped` because too many wait.
    pub fn bridge_heard(&self, channel: OldChannel, outcome: &'static str) {
        self.bridge.heard.with_label_values(&[channel.as_str(), outcome]).inc();
        if outcome == "dropped" {
            warn!(%channel, "a message was dropped: too many wait, or the log refuses it");
        } else {
            debug!(%channel, outcome, "heard");
        }
    }

    /// A message came in and is not taken: `refused`, or `malformed`.
    pub fn bridge_refused(&self, channel: OldChannel, outcome: &'static str, refusal: &dyn Error) {
        self.bridge.heard.with_label_values(&[channel.as_str(), outcome]).inc();
        warn!(%channel, outcome, reason = chain(refusal), "a message was not taken");
    }

    /// Keys hold something else than the old agents put there, and were left as they are.
    pub fn bridge_keys_failed(&self, count: u64) {
        self.bridge.keys_failed.inc_by(count);
        warn!(count, "keys of the Python agents hold something else, and were not written");
    }

    /// The Redis of the old agents did not do what it was asked.
    pub fn bridge_failed(&self, error: &dyn Error, failures: u32) {
        self.bridge.errors.inc();
        // The first failure is news; the following ones say the same.
        if failures <= 1 {
            warn!(error = chain(error), "the Redis of the Python agents is away; waiting for it");
        } else {
            debug!(failures, error = chain(error), "the Redis of the Python agents is still away");
        }
    }

    /// It answers again.
    pub fn bridge_reached(&self) {
        info!("the bridge goes on");
    }
}
