//! Watches every request as the log carries it out, and knows what no log tells afterwards: who had an entry, a timer
//! or a lease at that moment.
//!
//! - F-1 (`fencing`): a commit is made only for an input that is its consumer's at that moment: the entry was delivered
//!   to it last, the timer was taken by it last, the lease has that epoch and was not given back.
//! - RM-1: the engine is asked to restart a container only when an intent for it is in the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hemostat_agent::log::{Commit, CommitAnswer, CommitInput, EntryRef, Lease};
use hemostat_core::role::Timer;
use hemostat_event::{ContainerId, Data, EventId, Role, Subject};

/// A promise that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Its name.
    pub(super) promise: &'static str,
    pub(super) detail: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Referee(Mutex<Knowledge>);

#[derive(Debug, Default)]
struct Knowledge {
    /// To whom an entry of a group was delivered last.
    entries: BTreeMap<(Role, EntryRef), String>,
    /// Who took a timer last.
    timers: BTreeMap<(Role, Subject, String, EventId), String>,
    /// Who has a lease, under which epoch; nobody after it was given back.
    leases: BTreeMap<String, (u64, Option<String>)>,
    /// The targets of the intents in the log, by plan, and whether the plan has its outcome.
    intents: BTreeMap<ContainerId, BTreeMap<EventId, bool>>,
    findings: Vec<Finding>,
}

/// Whether an action is covered by an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    /// The intent is open.
    Open,
    /// All intents have their outcomes: the action comes late.
    Closed,
}

impl Referee {
    /// An entry is delivered; answers whether another had it before.
    pub(super) fn delivered(&self, role: Role, at: &EntryRef, consumer: &str) -> bool {
        let before = self.lock().entries.insert((role, at.clone()), consumer.to_owned());
        before.is_some_and(|before| before != consumer)
    }

    pub(super) fn groups_lost(&self) {
        self.lock().entries.clear();
    }

    pub(super) fn taken(&self, role: Role, timers: &[Timer], consumer: &str) {
        let mut known = self.lock();
        for timer in timers {
            known.timers.insert(timer_key(role, timer), consumer.to_owned());
        }
    }

    /// A lease is taken or renewed; answers whether another had it before.
    pub(super) fn leased(&self, lease: &Lease, owner: &str) -> bool {
        let held = (lease.epoch, Some(owner.to_owned()));
        let before = self.lock().leases.insert(lease.name.clone(), held);
        before.is_some_and(|(_, before)| before.is_some_and(|before| before != owner))
    }

    pub(super) fn released(&self, lease: &Lease, owner: &str) {
        if let Some((epoch, by)) = self.lock().leases.get_mut(&lease.name)
            && *epoch == lease.epoch
        {
            by.take_if(|by| by == owner);
        }
    }

    pub(super) fn committed(&self, commit: &Commit, answer: &CommitAnswer) {
        let mut known = self.lock();
        if matches!(answer, CommitAnswer::Committed(_)) {
            known.check(commit);
            known.take_in(commit);
        }
        let done = matches!(answer, CommitAnswer::Committed(_) | CommitAnswer::Duplicate);
        match &commit.input {
            CommitInput::Entry { at, acknowledge: true, .. } if done => {
                known.entries.remove(&(commit.role, at.clone()));
            }
            CommitInput::Timer { timer, acknowledge: true, .. } if done => {
                known.timers.remove(&timer_key(commit.role, timer));
            }
            _ => {}
        }
        if matches!(answer, CommitAnswer::Committed(_)) {
            for timer in &commit.timers {
                // Set, and with that nobody's.
                known.timers.remove(&timer_key(commit.role, timer));
            }
        }
    }

    pub(super) fn buried(&self, role: Role, at: &EntryRef, consumer: &str, answer: &CommitAnswer) {
        let mut known = self.lock();
        let holder = match answer {
            CommitAnswer::Committed(_) => known.entries.remove(&(role, at.clone())),
            _ => return,
        };
        if holder.as_deref() != Some(consumer) {
            let detail = format!("{consumer} buried {}/{}, which {holder:?} had", at.stream, at.id);
            known.findings.push(Finding { promise: "fencing", detail });
        }
    }

    /// Answers whether an action on `target` is covered at this moment, and notes it when it is not.
    pub(super) fn acts(&self, target: &ContainerId) -> Cover {
        let mut known = self.lock();
        match known.intents.get(target) {
            Some(plans) if plans.values().any(|complete| !complete) => Cover::Open,
            Some(_) => Cover::Closed,
            None => {
                let detail = format!("a restart of {target} without an intent in the log");
                known.findings.push(Finding { promise: "RM-1", detail });
                Cover::Closed
            }
        }
    }

    pub(super) fn find(&self, promise: &'static str, detail: String) {
        self.lock().findings.push(Finding { promise, detail });
    }

    /// What was found.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.lock().findings.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Knowledge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Knowledge {
    /// F-1.
    fn check(&mut self, commit: &Commit) {
        let (holder, consumer, input) = match &commit.input {
            CommitInput::Entry { at, consumer, .. } => {
                let holder = self.entries.get(&(commit.role, at.clone()));
                (holder.cloned(), consumer.clone(), format!("{}/{}", at.stream, at.id))
            }
            CommitInput::Timer { timer, consumer, .. } => {
                let holder = self.timers.get(&timer_key(commit.role, timer));
                (holder.cloned(), consumer.clone(), format!("the timer `{}`", timer.name))
            }
            CommitInput::Lease { lease } => {
                let held = self.leases.get(&lease.name).filter(|(_, by)| by.is_some());
                let holder = held.map(|(epoch, _)| format!("epoch {epoch}"));
                (holder, format!("epoch {}", lease.epoch), format!("the lease `{}`", lease.name))
            }
        };
        if holder.as_ref() != Some(&consumer) {
            let who = commit.emit.first().map(|event| event.envelope.source.instance.clone());
            let detail = format!(
                "a commit of {consumer} ({}) on {} was made, and {holder:?} had {input}",
                who.unwrap_or_default(),
                commit.subject
            );
            self.findings.push(Finding { promise: "fencing", detail });
        }
    }

    fn take_in(&mut self, commit: &Commit) {
        for event in &commit.emit {
            match &event.data {
                Data::RemediationStarted(started) => {
                    self.intents.entry(started.target.clone()).or_default().insert(started.plan, false);
                }
                Data::RemediationComplete(complete) => {
                    for plans in self.intents.values_mut() {
                        plans.entry(complete.plan).and_modify(|done| *done = true);
                    }
                }
                _ => {}
            }
        }
    }
}

fn timer_key(role: Role, timer: &Timer) -> (Role, Subject, String, EventId) {
    (role, timer.subject.clone(), timer.name.clone(), timer.cause)
}
