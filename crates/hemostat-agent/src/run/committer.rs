//! Sends the commits of all lanes together.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hemostat_event::Role;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::wait_for_log;
use crate::log::{Commit, CommitAnswer, EventLog, LogError};
use crate::telemetry::Telemetry;

/// Most commits in one call: beyond 64 nothing is gained (measured, redis-streams.md section 2).
const BATCH_MAX: usize = 64;
/// Calls under way at a time: while the log works on one, the next is made. They may be done in any order, because
/// a lane has one commit at a time and different lanes have nothing to do with each other.
const CALLS_MAX: usize = 2;

type Answer = Result<CommitAnswer, Arc<LogError>>;
type Request = (Commit, oneshot::Sender<(Commit, Answer)>);

/// A handle to the committer.
#[derive(Clone)]
pub(super) struct Commits(mpsc::Sender<Request>);

impl Commits {
    /// Makes a commit, waiting as long as the log is away; its key makes a repetition harmless. Gives it back with
    /// the answer; an error is only what no waiting can mend.
    pub(super) async fn commit(&self, commit: Commit) -> (Commit, Answer) {
        let (answer_tx, answer_rx) = oneshot::channel();
        self.0.send((commit, answer_tx)).await.expect("the committer lives as long as the lanes");
        answer_rx.await.expect("the committer answers every request")
    }
}

/// Starts the committer; it ends with its handle.
pub(super) fn spawn(
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
    role: Role,
) -> (Commits, AbortOnDropHandle<()>) {
    let (requests_tx, mut requests) = mpsc::channel::<Request>(BATCH_MAX);
    let committer = Committer { log, telemetry, role };
    let task = tokio::spawn(async move {
        let mut calls = FuturesUnordered::new();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                Some(()) = calls.next(), if !calls.is_empty() => {}
                count = requests.recv_many(&mut batch, BATCH_MAX), if calls.len() < CALLS_MAX => {
                    if count == 0 {
                        return;
                    }
                    calls.push(committer.make_and_answer(std::mem::take(&mut batch)));
                }
            }
        }
    });
    (Commits(requests_tx), AbortOnDropHandle::new(task))
}

struct Committer {
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
    role: Role,
}

impl Committer {
    async fn make_and_answer(&self, requests: Vec<Request>) {
        let (commits, waiting): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let answers = self.make(&commits).await;
        for (waiting, answered) in waiting.into_iter().zip(commits.into_iter().zip(answers)) {
            // The lane may have been cut off at the end of a drain.
            let _cut_off = waiting.send(answered);
        }
    }

    /// Makes commits; the answers have their order.
    async fn make(&self, commits: &[Commit]) -> Vec<Answer> {
        match self.send(commits).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(_refused) if 1 < commits.len() => {
                // One that the log refuses must not take its neighbours with it.
                let mut answers = Vec::with_capacity(commits.len());
                for commit in commits {
                    answers.extend(self.send(std::slice::from_ref(commit)).await.map_or_else(
                        |error| vec![Err(Arc::new(error))],
                        |answers| answers.into_iter().map(Ok).collect(),
                    ));
                }
                answers
            }
            Err(error) => vec![Err(Arc::new(error))],
        }
    }

    /// Sends commits in one call, again and again while the log is away.
    async fn send(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        let mut failures = 0;
        loop {
            match self.log.commit(commits).await {
                Err(error @ (LogError::Unavailable(_) | LogError::Indefinite(_))) => {
                    failures += 1;
                    self.telemetry.log_failed(self.role, &error, failures);
                    sleep(wait_for_log(failures)).await;
                }
                answer => return answer,
            }
        }
    }
}
