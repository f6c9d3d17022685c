//! Sends the commits of all lanes together.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::Role;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::log::{Commit, CommitAnswer, EventLog, LogError};
use crate::telemetry::Telemetry;

/// Most commits in one call: beyond 64 nothing is gained (measured, redis-streams.md section 2).
const BATCH_MAX: usize = 64;
/// First wait before a failed batch is sent again; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before a failed batch is sent again.
const RETRY_MAX: Duration = Duration::from_secs(2);

type Request = (Commit, oneshot::Sender<Result<CommitAnswer, Arc<LogError>>>);

/// A handle to the committer.
#[derive(Clone)]
pub(super) struct Commits(mpsc::Sender<Request>);

impl Commits {
    /// Makes a commit, waiting as long as the log is away; its key makes a repetition harmless.
    ///
    /// # Errors
    /// Only what no waiting can mend.
    pub(super) async fn commit(&self, commit: Commit) -> Result<CommitAnswer, Arc<LogError>> {
        let (answer_tx, answer_rx) = oneshot::channel();
        self.0.send((commit, answer_tx)).await.expect("the committer lives as long as the lanes");
        answer_rx.await.expect("the committer answers every request")
    }
}

/// Starts the committer.
pub(super) fn spawn(log: Arc<dyn EventLog>, telemetry: Arc<Telemetry>, role: Role) -> (Commits, JoinHandle<()>) {
    let (requests_tx, mut requests) = mpsc::channel::<Request>(BATCH_MAX);
    let task = tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while requests.recv_many(&mut batch, BATCH_MAX).await != 0 {
            let (commits, waiting): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            match send(log.as_ref(), &commits, &telemetry, role).await {
                Ok(answers) => {
                    for (waiting, answer) in waiting.into_iter().zip(answers) {
                        // The lane may have been cut off at the end of a drain.
                        let _cut_off = waiting.send(Ok(answer));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for waiting in waiting {
                        let _cut_off = waiting.send(Err(Arc::clone(&error)));
                    }
                }
            }
        }
    });
    (Commits(requests_tx), task)
}

async fn send(
    log: &dyn EventLog,
    commits: &[Commit],
    telemetry: &Telemetry,
    role: Role,
) -> Result<Vec<CommitAnswer>, LogError> {
    let mut failures = 0;
    loop {
        match log.commit(commits).await {
            Err(error @ (LogError::Unavailable(_) | LogError::Indefinite(_))) => {
                failures += 1;
                telemetry.log_failed(role, &error, failures);
                tokio::time::sleep(RETRY_FIRST.saturating_mul(1 << failures.min(6)).min(RETRY_MAX)).await;
            }
            answer => return answer,
        }
    }
}
