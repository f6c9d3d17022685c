//! Writes samples to the log in batches, apart from everything that matters more.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{Event, Role};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::log::EventLog;
use crate::telemetry::Telemetry;

/// A handle to the writer of samples.
#[derive(Clone)]
pub(super) struct Samples {
    queue: mpsc::Sender<Event>,
    telemetry: Arc<Telemetry>,
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
pub(super) fn spawn(
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
) -> (Samples, JoinHandle<()>) {
    let (queue, mut samples) = mpsc::channel(QUEUE);
    let handle = Samples { queue, telemetry: Arc::clone(&telemetry) };
    let task = tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = samples.recv_many(&mut batch, BATCH) => if taken == 0 { break },
            }
            // One failed try is enough: the next poll brings fresher figures.
            match log.append(&batch).await {
                Ok(written) => telemetry.sampled(written.len()),
                Err(error) => {
                    telemetry.log_failed(Role::Monitor, &error, 2);
                    telemetry.samples_shed(batch.len());
                }
            }
            batch.clear();
            // Gathers what a poll brings, instead of writing it one by one.
            let _stopped = tokio::time::timeout(GATHER, stop.cancelled()).await;
        }
    });
    (handle, task)
}

/// Samples that may wait: one poll of a large host.
const QUEUE: usize = 4_096;
/// Most samples in one append.
const BATCH: usize = 256;
/// Time to gather a batch.
const GATHER: Duration = Duration::from_millis(50);
