//! Order within a replica: one lane per container.
//!
//! Invariant LN-1: of one container at most one input is being dealt with, and inputs are begun in the order in
//! which they came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hemostat_core::role::Decide;
use hemostat_event::Subject;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Perform;
use super::reader::Work;
use super::step::Stepper;

/// Deals with the work until `stop`, then lets what runs end within `drain`.
pub(super) async fn run<D, P>(
    stepper: Arc<Stepper<D, P>>,
    mut work: mpsc::Receiver<Work>,
    concurrency: usize,
    drain: Duration,
    stop: CancellationToken,
) where
    D: Decide + Send + Sync + 'static,
    P: Perform<D> + 'static,
{
    let mut lanes = Lanes::default();
    let mut running: JoinSet<Subject> = JoinSet::new();
    loop {
        while running.len() < concurrency
            && let Some((subject, work)) = lanes.next()
        {
            let stepper = Arc::clone(&stepper);
            running.spawn(async move {
                stepper.deal_with(&subject, work).await;
                subject
            });
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = running.join_next() => lanes.done(&finished(done)),
            next = work.recv() => match next {
                Some(work) => {
                    let subject = stepper.subject(&work.what);
                    lanes.push(subject, work);
                }
                None => break,
            },
        }
    }
    let ended = timeout(drain, async { while running.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        stepper.telemetry.drain_cut(D::ROLE, running.len());
        running.shutdown().await;
    }
}

fn finished(done: Result<Subject, tokio::task::JoinError>) -> Subject {
    done.unwrap_or_else(|error| super::resume(error))
}

/// Inputs that wait, by container, and the order in which containers are served.
#[derive(Default)]
struct Lanes {
    /// Waiting inputs of every container that has any or is being served.
    waiting: BTreeMap<Subject, VecDeque<Work>>,
    /// Containers that have waiting inputs and are not being served, first come first served.
    idle: VecDeque<Subject>,
}

impl Lanes {
    fn push(&mut self, subject: Subject, work: Work) {
        if let Some(queue) = self.waiting.get_mut(&subject) {
            queue.push_back(work);
        } else {
            self.waiting.insert(subject.clone(), VecDeque::from([work]));
            self.idle.push_back(subject);
        }
    }

    /// The next input of a container that is not being served; the container is from now on.
    fn next(&mut self) -> Option<(Subject, Work)> {
        let subject = self.idle.pop_front()?;
        let work = self.waiting.get_mut(&subject).and_then(VecDeque::pop_front);
        Some((subject, work.expect("an idle container has a waiting input")))
    }

    fn done(&mut self, subject: &Subject) {
        let empty = self.waiting.get(subject).is_none_or(VecDeque::is_empty);
        if empty {
            self.waiting.remove(subject);
        } else {
            self.idle.push_back(subject.clone());
        }
    }
}
