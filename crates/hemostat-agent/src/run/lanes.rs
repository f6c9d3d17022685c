//! Order within a replica: one lane per container.
//!
//! Invariant LN-1: of one container at most one input, entry or timer, is being dealt with, and inputs are begun in
//! the order in which they came. An input that waits for its next try keeps its lane: a later one must not overtake
//! it, because it would be decided on a state that lacks the earlier one's outcome. It does not keep its turn
//! ([`Stepper`]): other containers go on.
//!
//! Invariant LN-2: an input that is early goes back into its lane behind those before it in its stream. An earlier
//! input comes later where it was taken over from a replica that died, and must not wait behind the one that waits
//! for it.

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
    /// And how often it was early, and for which consumer it is pending.
    Entry(Box<Entry>, Place<EntryRef>, u32, Arc<str>),
    /// And which consumer has taken it.
    Timer(Timer, Place<Timer>, Arc<str>),
}

impl Work {
    fn step_aside(&mut self) {
        match self {
            Self::Entry(_, place, ..) => place.step_aside(),
            Self::Timer(_, place, _) => place.step_aside(),
        }
    }

    /// Whether it stands behind `other` in the same stream.
    fn is_after(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entry(this, ..), Self::Entry(other, ..)) => {
                let same = this.at.partition == other.at.partition && this.at.stream == other.at.stream;
                same && other.at.id < this.at.id
            }
            _ => false,
        }
    }
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
    let mut running: JoinSet<(Subject, Option<Work>)> = JoinSet::new();
    loop {
        let begun = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = running.join_next() => {
                let (subject, early) = finished(done);
                lanes.done(subject, early)
            }
            next = work.recv() => match next {
                Some(work) => lanes.push(stepper.subject(&work), work),
                None => break,
            },
        };
        if let Some((subject, work)) = begun {
            let stepper = Arc::clone(&stepper);
            running.spawn(async move {
                let early = stepper.deal_with(&subject, work).await;
                (subject, early)
            });
        }
    }
    let ended = timeout(drain, async { while running.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        stepper.telemetry.drain_cut(D::ROLE, running.len());
        running.shutdown().await;
    }
}

fn finished<T>(done: Result<T, JoinError>) -> T {
    done.unwrap_or_else(|error| super::resume(error))
}

/// Inputs that wait, by the container for which one is being dealt with.
#[derive(Default)]
struct Lanes(BTreeMap<Subject, VecDeque<Work>>);

impl Lanes {
    /// Puts an input into its lane; hands it back when it can be begun at once.
    fn push(&mut self, subject: Subject, mut work: Work) -> Option<(Subject, Work)> {
        if let Some(waiting) = self.0.get_mut(&subject) {
            work.step_aside();
            waiting.push_back(work);
            return None;
        }
        self.0.insert(subject.clone(), VecDeque::new());
        Some((subject, work))
    }

    /// Notes that an input of `subject` was dealt with, or was early; the next one, which is begun now.
    fn done(&mut self, subject: Subject, early: Option<Work>) -> Option<(Subject, Work)> {
        if let (Some(mut early), Some(waiting)) = (early, self.0.get_mut(&subject)) {
            early.step_aside();
            let behind = waiting.iter().rposition(|other| early.is_after(other));
            waiting.insert(behind.map_or(0, |place| place + 1), early);
        }
        let next = self.0.get_mut(&subject).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.0.remove(&subject);
        }
        Some((subject, next?))
    }
}
