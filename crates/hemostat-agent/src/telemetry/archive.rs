//! What operators see of the archiver.

use std::error::Error;
use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec, Registry};
use tracing::{debug, info, warn};

use super::{Telemetry, chain, counters, int_gauges, names};
use crate::log::Partition;

/// The metrics of the archiver, each by partition; none of them has a series where nothing is archived.
pub(super) struct Archive {
    segments: IntCounterVec,
    events: IntCounterVec,
    bytes: IntCounterVec,
    behind: IntGaugeVec,
    lost: IntCounterVec,
    errors: IntCounterVec,
}

impl Archive {
    pub(super) fn register(r: &Registry) -> Self {
        Self {
            segments: counters(r, names::ARCHIVE_SEGMENTS),
            events: counters(r, names::ARCHIVE_EVENTS),
            bytes: counters(r, names::ARCHIVE_BYTES),
            behind: int_gauges(r, names::ARCHIVE_BEHIND),
            lost: counters(r, names::ARCHIVE_LOST),
            errors: counters(r, names::ARCHIVE_ERRORS),
        }
    }
}

impl Telemetry {
    /// A segment is in the archive.
    pub fn segment_sealed(&self, partition: Partition, number: u64, events: u64, bytes: u64) {
        let label = [&partition.0.to_string()];
        self.archive.segments.with_label_values(&label).inc();
        self.archive.events.with_label_values(&label).inc_by(events);
        self.archive.bytes.with_label_values(&label).inc_by(bytes);
        debug!(partition = partition.0, segment = number, events, bytes, "segment archived");
    }

    /// How old the oldest event is that was read and is not in the archive; 0 where there is none.
    pub fn archive_behind(&self, partition: Partition, behind: Duration) {
        let secs = i64::try_from(behind.as_secs()).unwrap_or(i64::MAX);
        let label = [&partition.0.to_string()];
        self.archive.behind.with_label_values(&label).set(secs);
        // The others begin with 0: a counter that is absent until something happens hides the first time.
        let Archive { segments, events, bytes, behind: _, lost, errors } = &self.archive;
        for counter in [segments, events, bytes, lost, errors] {
            counter.with_label_values(&label);
        }
    }

    /// Entries were gone before they could be archived; the head of the segment names them.
    pub fn archive_lost(&self, partition: Partition, first_seq: u64, last_seq: u64) {
        let count = last_seq.saturating_sub(first_seq).saturating_add(1);
        self.archive.lost.with_label_values(&[&partition.0.to_string()]).inc_by(count);
        warn!(
            partition = partition.0,
            first_seq, last_seq, "events were gone from the log before they were archived"
        );
    }

    /// The log had lost its numbers and begun anew; what it lost that was not archived is not known.
    pub fn archived_log_began_anew(&self, partition: Partition, expected_seq: u64, found_seq: u64) {
        warn!(
            partition = partition.0,
            expected_seq, found_seq, "the log began anew; the archive goes on with another epoch"
        );
    }

    /// Another archiver has made the segment; this one begins anew behind it.
    pub fn archive_overtaken(&self, partition: Partition) {
        info!(partition = partition.0, "another archiver made this segment; going on behind it");
    }

    /// Entries whose time was over were let go; those that a hold keeps stay.
    pub fn archive_expired(
        &self,
        partition: Partition,
        segment: u64,
        events: u64,
        held: u64,
        bytes_freed: u64,
    ) {
        info!(partition = partition.0, segment, events, held, bytes_freed, "events expired in the archive");
    }

    /// An object that nothing needs was removed: somebody died half-way.
    pub fn archive_swept(&self, partition: Partition, path: &str, bytes: u64) {
        info!(
            partition = partition.0,
            path, bytes, "an object that nothing needs was removed from the archive"
        );
    }

    /// The key was rotated; segments are sealed with the new one from now on.
    pub fn archive_key_changed(&self, partition: Partition, key: &dyn std::fmt::Display) {
        info!(partition = partition.0, %key, "the key of the archive was rotated; sealing with the new one");
    }

    /// The archive did not do what it was asked; the log keeps the events meanwhile.
    pub fn archive_failed(&self, partition: Partition, error: &dyn Error, failures: u32) {
        self.archive.errors.with_label_values(&[&partition.0.to_string()]).inc();
        // The first failure is news; the following ones say the same.
        if failures <= 1 {
            warn!(
                partition = partition.0,
                error = chain(error),
                "the archive cannot be written; trying again"
            );
        } else {
            debug!(
                partition = partition.0,
                failures,
                error = chain(error),
                "the archive still cannot be written"
            );
        }
    }

    /// The archive takes segments again.
    pub fn archive_reached(&self, partition: Partition) {
        info!(partition = partition.0, "the archive goes on");
    }
}
