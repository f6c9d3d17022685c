//! The figures of a log: what stands behind the metrics that are read from it.
//!
//! A projection: [`Figures`] is a pure fold over the events of a log and the times at which they were appended. It has
//! no clock; what is shown at a moment is asked for with that moment. Two readers of the same log show the same.
//!
//! Invariants:
//! - F-1: counters are functions of the log alone. They count the events of one day, 00:00 UTC to 00:00 UTC by the time
//!   of their append ([`Day`]), so a reader that began an hour ago has counted the same as one that runs for a month.
//!   What a day has counted is shown until [`HAND_OVER`] after its end, and then the next day's from its beginning: to
//!   Prometheus that is a counter that was reset, of which nothing is lost.
//! - F-2: a container is shown while it is there: until it is removed, or has been silent for a while. The counters
//!   that name it are hidden a while after its last sign of life, and go on where they were when it comes back.
//! - F-3: everything has a limit: containers, remembered causes, days.

mod count;
mod spread;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_event::{
    Change, ContainerId, Data, Event, EventId, EventType, HostName, Recovery, Role, Subject, Timestamp,
};

pub use count::{Counts, Judged, OUTCOMES, PerContainer, delivery_word, outcome_word, verdict_word};
pub use spread::{CONFIDENCE, FAST, LONG, SLOW, Spread};
pub use watched::{Acted, HostFigures, Watched};

/// How long a day's counters are shown after its end: several scrapes see what it came to.
pub const HAND_OVER: Duration = Duration::from_secs(60);
/// Containers remembered; more are left out.
pub const CONTAINERS_MAX: usize = 50_000;
/// Causes remembered, with the time of their append.
const CAUSES_MAX: usize = 100_000;

/// An alert this close to the beginning of its incident is the first: when another incident ended within the same
/// moment, the two are a microsecond apart.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Longest time after the removal of a container in which samples may come that were taken before it.
const LATE: Duration = Duration::from_secs(600);

const DAY_SECS: u64 = 86_400;

/// A day of the log: days since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u64);

impl Day {
    /// The day of a moment.
    #[must_use]
    pub const fn of(at: Timestamp) -> Self {
        Self(at.millis() / 1_000 / DAY_SECS)
    }

    /// The day whose counters are shown at `now`.
    #[must_use]
    pub fn shown_at(now: Timestamp) -> Self {
        Self::of(now - HAND_OVER)
    }

    /// Its beginning.
    #[must_use]
    pub fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.0 * DAY_SECS * 1_000)
    }

    /// From when on events have to be folded, so that at `now` everything shown is right: a day before the one that is
    /// counted, because what is open was opened earlier. An alert about a sick container is repeated every two hours.
    #[must_use]
    pub fn read_from(now: Timestamp) -> Timestamp {
        Self::shown_at(now).before()
    }

    /// The beginning of the day before it: what every reader knows that counts this day.
    fn before(self) -> Timestamp {
        Self(self.0.saturating_sub(1)).begin()
    }
}

/// Where and when an event was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// When, by the log's clock.
    pub at: Timestamp,
    /// The partition.
    pub partition: u16,
}

/// What the events of a log come to.
#[derive(Debug, Default)]
pub struct Figures {
    containers: BTreeMap<Subject, Watched>,
    hosts: BTreeMap<HostName, HostFigures>,
    days: BTreeMap<Day, Counts>,
    /// Containers that were removed: a sample that was taken before may come after.
    removed: BTreeMap<ContainerId, Timestamp>,
    causes: BTreeMap<EventId, Timestamp>,
    causes_in_order: VecDeque<EventId>,
}

impl Figures {
    /// Takes in one event. One that stands in the log a second time, because a dead letter was redriven, is not for this.
    pub fn fold(&mut self, event: &Event, placed: Placed) {
        if let (Some(subject), Some(_)) = (&event.envelope.subject, event.data.container()) {
            self.watch(subject, event, placed.at);
        }
        // Nobody reads the samples of a whole day, so nothing is counted of them.
        if event.event_type() != EventType::ContainerSample {
            self.count(event, placed);
            self.remember(event.envelope.id, placed.at);
        }
    }

    /// Takes in an entry, of another stream than that of samples, that holds no event that can be read.
    pub fn unreadable(&mut self, placed: Placed) {
        self.counts(placed.at).unreadable += 1;
    }

    /// Forgets what is not shown any more at `now`; `silence` as for [`Figures::present`].
    pub fn forget(&mut self, now: Timestamp, silence: Duration) {
        let day = Day::shown_at(now);
        self.days.retain(|of, _| day <= *of);
        self.removed.retain(|_, at| now < *at + LATE);
        self.hosts.retain(|_, host| now < host.sampled_at + silence);
        // An incident that is open is not forgotten: its outcome is still to be measured.
        let from = Day::read_from(now);
        self.containers.retain(|_, watched| now < watched.seen_at + silence || from < watched.decided_at);
    }

    /// The containers that are there at `now`: those that were not removed, and have been silent for less than
    /// `silence`.
    pub fn present(&self, now: Timestamp, silence: Duration) -> impl Iterator<Item = (&Subject, &Watched)> {
        self.containers
            .iter()
            .filter(move |(_, watched)| !watched.is_removed() && now < watched.seen_at + silence)
    }

    /// The hosts whose monitors have been silent for less than `silence` at `now`.
    pub fn hosts(
        &self,
        now: Timestamp,
        silence: Duration,
    ) -> impl Iterator<Item = (&HostName, &HostFigures)> {
        self.hosts.iter().filter(move |(_, host)| now < host.sampled_at + silence)
    }

    /// What is counted, as it is shown at `now`; nothing when nothing happened since its day began.
    #[must_use]
    pub fn counted(&self, now: Timestamp) -> Option<&Counts> {
        self.days.get(&Day::shown_at(now))
    }

    /// What is counted about single containers, as it is shown at `now`: of those that have given a sign of life, their
    /// removal included, within `silence`.
    pub fn counted_of_containers(
        &self,
        now: Timestamp,
        silence: Duration,
    ) -> impl Iterator<Item = (&Subject, &PerContainer)> {
        let counts = self.counted(now).into_iter().flat_map(|counts| &counts.containers);
        counts.filter(move |(subject, _)| {
            self.containers.get(*subject).is_some_and(|watched| now < watched.told_at() + silence)
        })
    }

    /// What is known of a container, there or not.
    #[must_use]
    pub fn watched(&self, subject: &Subject) -> Option<&Watched> {
        self.containers.get(subject)
    }

    /// Whether there are as many containers as are remembered: more are not shown.
    #[must_use]
    pub fn is_full(&self) -> bool {
        CONTAINERS_MAX <= self.containers.len()
    }

    fn counts(&mut self, at: Timestamp) -> &mut Counts {
        self.days.entry(Day::of(at)).or_default()
    }

    /// Takes in what an event says about the container as it is now.
    fn watch(&mut self, subject: &Subject, event: &Event, at: Timestamp) {
        let Some(container) = event.data.container() else { return };
        let removed = self.removed.get(&container.id).is_some_and(|removed| at < *removed + LATE);
        if removed && event.event_type() == EventType::ContainerSample {
            return;
        }
        if self.is_full() && !self.containers.contains_key(subject) {
            return;
        }
        if let Data::ContainerSample(sample) = &event.data {
            let before = self.containers.get(subject).and_then(|watched| watched.sampled_at(&container.id));
            let host = self.hosts.entry(event.envelope.host.clone()).or_default();
            host.sampled(at, event.envelope.time, before, sample.gap.is_some());
        }
        let removed = match &event.data {
            Data::ContainerChanged(changed) => changed.change == Change::Removed,
            Data::HealthRecovered(recovered) => recovered.reason == Recovery::Removed,
            _ => false,
        };
        if removed {
            self.removed.insert(container.id.clone(), at);
        }
        let watched =
            self.containers.entry(subject.clone()).or_insert_with(|| Watched::new(container.clone()));
        watched.fold(event, at, removed);
    }

    /// Counts what an event says.
    fn count(&mut self, event: &Event, placed: Placed) {
        let at = placed.at;
        let since_cause =
            event.envelope.cause.and_then(|cause| self.causes.get(&cause)).map(|c| at.since(*c));
        let subject = event.envelope.subject.as_ref();
        let watched = subject.and_then(|subject| self.containers.get_mut(subject));
        let subject = subject.filter(|_| watched.is_some());
        let repairs = match (watched, &event.data) {
            (Some(watched), Data::RemediationComplete(done)) => watched.repairs(done),
            _ => None,
        };
        // Of what began earlier not every reader knows whether it was repaired before.
        let repairs = repairs.filter(|opened_at| Day::of(at).before() <= *opened_at);
        let hop = is_hop(event).then_some(since_cause).flatten();
        let counts = self.counts(at);
        if let Some(took) = hop {
            let key = (event.envelope.source.role, event.event_type());
            counts.hops.entry(key).or_insert_with(|| Spread::new(&FAST)).add(took.as_secs_f64());
        }
        counts.take_in(event, placed, hop, subject);
        if let Data::HealthAlert(alert) = &event.data
            // Its first alert: the others tell of it again.
            && event.envelope.time.since(alert.opened_at) <= AT_ONCE
        {
            let first = alert.anomalies.iter().map(|anomaly| anomaly.since).min();
            let began = alert.engine_event_at.or(first).unwrap_or(alert.opened_at);
            counts.detection.add(at.since(began).as_secs_f64());
        }
        if let Some(opened_at) = repairs {
            counts.repair.add(at.since(opened_at).as_secs_f64());
        }
    }

    fn remember(&mut self, id: EventId, at: Timestamp) {
        if self.causes.insert(id, at).is_none() {
            self.causes_in_order.push_back(id);
        }
        if CAUSES_MAX < self.causes_in_order.len()
            && let Some(oldest) = self.causes_in_order.pop_front()
        {
            self.causes.remove(&oldest);
        }
    }
}

/// Whether an event answers to its cause at once: a verdict waits for its window, and observations have no cause.
fn is_hop(event: &Event) -> bool {
    matches!(event.envelope.source.role, Role::Analyzer | Role::Responder | Role::Alert)
        && !matches!(event.event_type(), EventType::RemediationVerified | EventType::DeadLetter)
}
