//! Order within a replica: one lane per container.
//!
//! Invariant LN-1: of one container at most one input, entry or timer, is being dealt with, and inputs are begun in
//! the order in which they came. An input that waits for its next try keeps its lane: a later one must not overtake
//! it, because it would be decided on a state that lacks the earlier one's outcome. It does not keep its turn
//! ([`Stepper`]): other containers go on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hemostat_core::role::{Decide, Timer};
use hemostat_event::Subject;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Perform;
use super::room::Place;
use super::step::Stepper;
use crate::log::{Entry, EntryRef};

/// An input with its place among those in flight; the place is given back when the work is dropped.
pub(super) enum Work {
    Entry(Box<Entry>, Place<EntryRef>),
    Timer(Timer, Place<Timer>),
}

/// Deals with the work until `stop`, then lets what runs end within `drain`.
pub(super) async fn run<D, P>(
    stepper: Arc<Stepper<D, P>>,
    mut work: mpsc::Receiver<Work>,
    drain: Duration,
    stop: CancellationToken,
) where
    D: Decide + Send + Sync + 'static,
    P: Perform<D> + 'static,
{
    let mut lanes = Lanes::default();
    let mut running: JoinSet<Subject> = JoinSet::new();
    loop {
        let begun = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = running.join_next() => lanes.done(finished(done)),
            next = work.recv() => match next {
                Some(work) => lanes.push(stepper.subject(&work), work),
                None => break,
            },
        };
        if let Some((subject, work)) = begun {
            let stepper = Arc::clone(&stepper);
            running.spawn(async move {
                stepper.deal_with(&subject, work).await;
                subject
            });
        }
    }
    let ended = timeout(drain, async { while running.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        stepper.telemetry.drain_cut(D::ROLE, running.len());
        running.shutdown().await;
    }
}

fn finished(done: Result<Subject, JoinError>) -> Subject {
    done.unwrap_or_else(|error| super::resume(error))
}

/// Inputs that wait, by the container for which one is being dealt with.
#[derive(Default)]
struct Lanes(BTreeMap<Subject, VecDeque<Work>>);

impl Lanes {
    /// Puts an input into its lane; hands it back when it can be begun at once.
    fn push(&mut self, subject: Subject, work: Work) -> Option<(Subject, Work)> {
        if let Some(waiting) = self.0.get_mut(&subject) {
            waiting.push_back(work);
            return None;
        }
        self.0.insert(subject.clone(), VecDeque::new());
        Some((subject, work))
    }

    /// Notes that an input of `subject` was dealt with; the next one, which is begun now.
    fn done(&mut self, subject: Subject) -> Option<(Subject, Work)> {
        let next = self.0.get_mut(&subject).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.0.remove(&subject);
        }
        Some((subject, next?))
    }
}
