//! Fetches the states that the lanes need together: one round trip for all that wait at a time.

use std::sync::Arc;

use hemostat_event::{Role, Subject};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::log::{EventLog, Versioned};

/// Most states in one request, as many as there are commits in one call.
const BATCH_MAX: usize = 64;

type Request = (Subject, oneshot::Sender<Versioned>);

/// A handle to the loader.
#[derive(Clone)]
pub(super) struct Loads(mpsc::Sender<Request>);

impl Loads {
    /// The state of `subject` as the log has it; `None` when the request failed, for whatever reason.
    pub(super) async fn load(&self, subject: &Subject) -> Option<Versioned> {
        let (answer_tx, answer_rx) = oneshot::channel();
        self.0.send((subject.clone(), answer_tx)).await.expect("the loader lives as long as the lanes");
        answer_rx.await.ok()
    }
}

/// Starts the loader; it ends with its handle.
pub(super) fn spawn(log: Arc<dyn EventLog>, role: Role) -> (Loads, AbortOnDropHandle<()>) {
    let (requests_tx, mut requests) = mpsc::channel::<Request>(BATCH_MAX);
    let task = tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while requests.recv_many(&mut batch, BATCH_MAX).await != 0 {
            let (subjects, waiting): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            // Those who wait are told of a failure by the end of their channel.
            let Ok(states) = log.load(role, &subjects).await else { continue };
            for (waiting, state) in waiting.into_iter().zip(states) {
                // The lane may have been cut off at the end of a drain.
                let _cut_off = waiting.send(state);
            }
        }
    });
    (Loads(requests_tx), AbortOnDropHandle::new(task))
}
