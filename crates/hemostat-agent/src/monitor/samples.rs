//! Writes samples to the log in batches, apart from everything that matters more.
//!
//! Samples are what gives way when the log is away, behind or nearly full; nothing else does. Each one that is not
//! written is counted, and the next one of its container that is says how many are missing and since when.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{Event, Role};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::gaps::Gaps;
use super::tenure::Tenure;
use crate::log::{EventLog, Partition, Pressure};
use crate::telemetry::Telemetry;

/// A handle to the writer of samples; the writer ends with it, and what waits then is dropped.
pub(super) struct Samples {
    queue: mpsc::Sender<Event>,
    gaps: Arc<Gaps>,
    telemetry: Arc<Telemetry>,
    _writer: AbortOnDropHandle<()>,
}

impl Samples {
    /// Hands a sample over; it is dropped when the log is so far behind that the queue is full.
    pub(super) fn offer(&self, sample: Event) {
        if let Err(full) = self.queue.try_send(sample) {
            self.gaps.add(&full.into_inner());
            self.telemetry.samples_shed(1);
        }
    }
}

/// Starts the writer; `partition` is where it writes to.
pub(super) fn spawn(
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
    tenure: Arc<Tenure>,
    partition: Partition,
) -> Samples {
    let (queue, mut waiting) = mpsc::channel(QUEUE);
    let gaps = Arc::new(Gaps::default());
    let mut writer = Writer {
        log,
        telemetry: Arc::clone(&telemetry),
        tenure,
        partition,
        gaps: Arc::clone(&gaps),
        shedding: false,
        looked: None,
    };
    let task = tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await != 0 {
            writer.take(&mut batch).await;
            batch.clear();
            // Gathers what a poll brings, instead of writing it one by one.
            sleep(GATHER).await;
        }
    });
    Samples { queue, gaps, telemetry, _writer: AbortOnDropHandle::new(task) }
}

struct Writer {
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
    tenure: Arc<Tenure>,
    partition: Partition,
    gaps: Arc<Gaps>,
    /// The log was nearly full when it was last looked at.
    shedding: bool,
    looked: Option<Instant>,
}

impl Writer {
    /// Writes a batch, or sheds it.
    async fn take(&mut self, batch: &mut [Event]) {
        // The log does not check who writes samples: two monitors must not sample one engine.
        if !self.tenure.is_certain() {
            return self.shed(batch);
        }
        self.look().await;
        if self.shedding {
            return self.shed(batch);
        }
        self.gaps.tell(batch);
        // One failed try is enough: the next poll brings fresher figures.
        match self.log.append(batch).await {
            Ok(written) => self.telemetry.sampled(written.len()),
            Err(error) => {
                self.telemetry.log_failed(Role::Monitor, &error, 2);
                // They may have been written; then the gap that is told says too much, which is the safer error.
                self.shed(batch);
                // It may have no room.
                self.looked = None;
            }
        }
    }

    fn shed(&self, batch: &[Event]) {
        batch.iter().for_each(|sample| self.gaps.add(sample));
        self.telemetry.samples_shed(batch.len());
    }

    /// Looks whether there is room, now and then. A log that does not say is written to as before.
    async fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        let Ok(pressure) = self.log.pressure(self.partition).await else { return };
        self.looked = Some(Instant::now());
        let most = if self.shedding { Pressure::NORMAL } else { Pressure::HIGH };
        let shedding = most <= pressure.share();
        if shedding != self.shedding {
            self.shedding = shedding;
            self.telemetry.samples_give_way(shedding, pressure);
        }
    }
}

/// Samples that may wait: one poll of a large host.
const QUEUE: usize = 4_096;
/// Most samples in one append.
const BATCH: usize = 256;
/// Time to gather a batch.
const GATHER: Duration = Duration::from_millis(50);
/// Time between two looks at the log's room. Within it a thousand samples a second take about a megabyte.
const LOOK_EVERY: Duration = Duration::from_secs(2);
