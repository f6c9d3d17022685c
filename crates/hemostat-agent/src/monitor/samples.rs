//! Writes samples to the log in batches, apart from everything that matters more.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{Event, Role};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::tenure::Tenure;
use crate::log::EventLog;
use crate::telemetry::Telemetry;

/// A handle to the writer of samples; the writer ends with it, and what waits then is dropped.
pub(super) struct Samples {
    queue: mpsc::Sender<Event>,
    telemetry: Arc<Telemetry>,
    _writer: AbortOnDropHandle<()>,
}

impl Samples {
    /// Hands a sample over; it is dropped when the log is so far behind that the queue is full.
    pub(super) fn offer(&self, sample: Event) {
        if self.queue.try_send(sample).is_err() {
            self.telemetry.samples_shed(1);
        }
    }
}

/// Starts the writer.
pub(super) fn spawn(log: Arc<dyn EventLog>, telemetry: Arc<Telemetry>, tenure: Arc<Tenure>) -> Samples {
    let (queue, mut waiting) = mpsc::channel(QUEUE);
    let shed = Arc::clone(&telemetry);
    let writer = tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await != 0 {
            // The log does not check who writes samples: two monitors must not sample one engine.
            if tenure.is_certain() {
                write(log.as_ref(), &telemetry, &batch).await;
            } else {
                telemetry.samples_shed(batch.len());
            }
            batch.clear();
            // Gathers what a poll brings, instead of writing it one by one.
            sleep(GATHER).await;
        }
    });
    Samples { queue, telemetry: shed, _writer: AbortOnDropHandle::new(writer) }
}

/// One failed try is enough: the next poll brings fresher figures.
async fn write(log: &dyn EventLog, telemetry: &Telemetry, batch: &[Event]) {
    match log.append(batch).await {
        Ok(written) => telemetry.sampled(written.len()),
        Err(error) => {
            telemetry.log_failed(Role::Monitor, &error, 2);
            telemetry.samples_shed(batch.len());
        }
    }
}

/// Samples that may wait: one poll of a large host.
const QUEUE: usize = 4_096;
/// Most samples in one append.
const BATCH: usize = 256;
/// Time to gather a batch.
const GATHER: Duration = Duration::from_millis(50);
