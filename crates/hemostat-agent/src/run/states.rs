//! The states a replica remembers between two inputs of a container, so that not every decision costs a round trip.
//!
//! Invariant S-1: a remembered state may be behind the log (another replica wrote meanwhile), so a decision on it
//! counts only once a commit has checked its version. A decision that commits nothing (an effect without an intent,
//! another try) is made again on a loaded state before it is acted on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hemostat_event::Subject;

/// A state with its version and stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known<S> {
    /// Events folded into it.
    pub(super) version: u64,
    /// The stored form, as the log has it.
    pub(super) bytes: Vec<u8>,
    /// The same, read.
    pub(super) state: S,
}

/// The remembered states. Taking one forgets it: only a step that ends well puts the next one back.
pub(super) struct States<S> {
    generation_max: usize,
    kept: Mutex<Generations<S>>,
}

/// States put lately, and those put before. When the young fill up, what was not used since goes with the old.
struct Generations<S> {
    young: HashMap<Subject, Known<S>>,
    old: HashMap<Subject, Known<S>>,
}

impl<S> States<S> {
    /// Remembers at most `states_max` states.
    pub(super) fn new(states_max: usize) -> Self {
        let kept = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generation_max: states_max / 2, kept: Mutex::new(kept) }
    }

    /// Takes what is remembered of `subject`.
    pub(super) fn take(&self, subject: &Subject) -> Option<Known<S>> {
        let mut kept = self.lock();
        kept.young.remove(subject).or_else(|| kept.old.remove(subject))
    }

    /// Remembers, and forgets what has not been used for longest when there is no more room.
    pub(super) fn put(&self, subject: &Subject, known: Known<S>) {
        let mut kept = self.lock();
        kept.old.remove(subject);
        kept.young.insert(subject.clone(), known);
        if self.generation_max <= kept.young.len() {
            kept.old = std::mem::take(&mut kept.young);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations<S>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
