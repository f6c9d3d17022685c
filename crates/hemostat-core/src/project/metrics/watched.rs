//! Containers and hosts as they are now.

use std::time::Duration;

use hemostat_event::{
    ActionKind, ContainerId, ContainerRef, Data, Event, IncidentId, Outcome, RemediationComplete, Sample,
    Timestamp,
};

use super::{Day, outcome_word};

/// A container as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The container, as it was last named.
    pub container: ContainerRef,
    /// When its monitor last said something of it, its removal included.
    pub seen_at: Timestamp,
    /// The last event about it that is no sample.
    pub(super) decided_at: Timestamp,
    measured: Option<Measured>,
    removed: bool,
    open: Option<Open>,
    /// What its labels ask for as the time between two actions, and when an alert or plan said so.
    cooldown_secs: Option<(Timestamp, u64)>,
    acted: Option<Acted>,
}

/// The end of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acted {
    /// When its outcome was appended.
    pub at: Timestamp,
    /// What was done.
    pub action: ActionKind,
    /// The word for its outcome.
    pub outcome: &'static str,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    /// When it was taken, and when it was appended.
    taken_at: Timestamp,
    at: Timestamp,
    sample: Sample,
}

/// An incident that is open.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    id: Option<IncidentId>,
    opened_at: Timestamp,
    /// The last alert about it.
    told_at: Timestamp,
    repaired: bool,
}

impl Watched {
    pub(super) fn new(container: ContainerRef) -> Self {
        Self {
            container,
            measured: None,
            seen_at: Timestamp::default(),
            decided_at: Timestamp::default(),
            removed: false,
            open: None,
            cooldown_secs: None,
            acted: None,
        }
    }

    /// Whether it is gone.
    #[must_use]
    pub const fn is_removed(&self) -> bool {
        self.removed
    }

    /// When anybody last said something of it.
    pub(super) fn told_at(&self) -> Timestamp {
        self.seen_at.max(self.decided_at)
    }

    /// Since when it is sick, where it is. The alert is repeated as long as it is, so one that was not is over.
    #[must_use]
    pub fn sick_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.open.as_ref().filter(|open| Day::read_from(now) <= open.told_at).map(|open| open.opened_at)
    }

    /// What its labels ask for as the time between two actions, as far as every reader knows it at `now`.
    #[must_use]
    pub fn cooldown_secs(&self, now: Timestamp) -> Option<u64> {
        self.cooldown_secs.filter(|(said, _)| Day::read_from(now) <= *said).map(|(_, secs)| secs)
    }

    /// The last action on it, as far as every reader knows it at `now`.
    #[must_use]
    pub fn acted(&self, now: Timestamp) -> Option<Acted> {
        self.acted.filter(|acted| Day::read_from(now) <= acted.at)
    }

    /// Its last measurement, when it was appended within `silence` before `now`.
    #[must_use]
    pub fn sample(&self, now: Timestamp, silence: Duration) -> Option<&Sample> {
        self.measured.as_ref().filter(|measured| now < measured.at + silence).map(|measured| &measured.sample)
    }

    /// When the container with this id was last measured.
    pub(super) fn sampled_at(&self, id: &ContainerId) -> Option<Timestamp> {
        self.measured.as_ref().filter(|_| self.container.id == *id).map(|measured| measured.taken_at)
    }

    /// Takes in an event about the container that was appended at `at`.
    pub(super) fn fold(&mut self, event: &Event, at: Timestamp, removed: bool) {
        let Some(container) = event.data.container() else { return };
        let seen = is_observation(&event.data);
        if !matches!(event.data, Data::ContainerSample(_)) {
            self.decided_at = self.decided_at.max(at);
        }
        let another = container.id != self.container.id;
        // What is decided about the container that had the name before, and its removal, say nothing about this one.
        if another && self.seen_at != Timestamp::default() && (!seen || removed) {
            return;
        }
        if seen {
            self.seen_at = self.seen_at.max(at);
        }
        if another {
            self.acted = None;
            self.measured = None;
            self.removed = false;
        }
        if self.container != *container {
            self.container = container.clone();
        }
        match &event.data {
            // An id does not come back: this was taken before the removal.
            Data::ContainerSample(_) if self.removed => {}
            Data::ContainerSample(measured) => {
                let taken_at = event.envelope.time;
                if self.measured.as_ref().is_none_or(|before| before.taken_at <= taken_at) {
                    self.measured = Some(Measured { taken_at, at, sample: measured.sample.clone() });
                }
            }
            Data::HealthAlert(alert) => {
                let (id, opened_at) = (event.envelope.incident, alert.opened_at);
                match self.open.as_mut().filter(|open| open.id == id) {
                    Some(open) => open.told_at = at,
                    None => self.open = Some(Open { id, opened_at, told_at: at, repaired: false }),
                }
                self.cooldown_secs = alert.policy.cooldown_secs.map(|secs| (at, secs));
            }
            Data::HealthRecovered(_) => self.open = None,
            Data::RemediationNeeded(needed) => {
                self.cooldown_secs = needed.plan.policy.cooldown_secs.map(|secs| (at, secs));
            }
            Data::RemediationComplete(done) if was_done(done) => {
                let (action, outcome) = (done.action.kind(), outcome_word(&done.outcome));
                self.acted = Some(Acted { at, action, outcome });
            }
            _ => {}
        }
        if removed {
            self.removed = true;
            self.measured = None;
            self.open = None;
        }
    }

    /// When the incident began that this outcome is the first repair of.
    pub(super) fn repairs(&mut self, done: &RemediationComplete) -> Option<Timestamp> {
        if done.dry_run || done.outcome != Outcome::Success {
            return None;
        }
        let open = self.open.as_mut().filter(|open| !open.repaired)?;
        open.repaired = true;
        Some(open.opened_at)
    }
}

/// Whether the engine was asked for something.
fn was_done(done: &RemediationComplete) -> bool {
    let asked = matches!(done.outcome, Outcome::Success | Outcome::Failed { .. } | Outcome::Unknown { .. });
    asked && !done.dry_run && done.action.kind() != ActionKind::Escalate
}

/// Whether it was the monitor that saw this: only it knows which container has the name now.
const fn is_observation(data: &Data) -> bool {
    matches!(
        data,
        Data::ContainerSample(_)
            | Data::ContainerChanged(_)
            | Data::HealthAlert(_)
            | Data::HealthRecovered(_)
    )
}

/// A host, as its monitor shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostFigures {
    /// When its last sample was appended.
    pub sampled_at: Timestamp,
    /// Time between the last two samples of one of its containers.
    pub interval: Option<Duration>,
}

impl HostFigures {
    pub(super) fn sampled(&mut self, at: Timestamp, taken: Timestamp, before: Option<Timestamp>, gap: bool) {
        self.sampled_at = self.sampled_at.max(at);
        // What was not recorded in between says nothing about the monitor's pace.
        if let Some(before) = before.filter(|before| !gap && *before < taken) {
            self.interval = Some(taken.since(before));
        }
    }
}
