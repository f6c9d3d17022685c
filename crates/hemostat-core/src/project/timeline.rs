//! One incident as a time line and a tree of causes, with the spans by which a repair is judged.
//!
//! A function over the events of an incident: it has no clock, and the same events give the same time line.
//!
//! Invariants:
//! - T-1: the steps stand in log order, and the parent of a step stands before it.
//! - T-2: a parent is what the event itself names as its cause; nothing is guessed. A step whose cause is not among
//!   the events, or stands behind it, has no parent.
//! - T-3: a span is absent where one of its ends is not recorded; it is never 0 for that reason.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    AnomalyKind, Basis, Cause, Change, ContainerRef, Data, Delivery, Event, EventId, EventType, Health,
    HealthAlert, IncidentId, Severity, Subject, Timestamp, Verdict, Verification,
};
use serde::Serialize;

use super::{Incident, Status, summary};

#[cfg(test)]
mod tests;

/// An incident from its first symptom to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// The incident.
    pub id: IncidentId,
    /// The container, as the log names it.
    pub subject: Subject,
    /// The container, as people know it.
    pub container: ContainerRef,
    /// The worst severity of any alert.
    pub severity: Severity,
    /// Every symptom it had at any time, in the order of their kinds.
    pub kinds: Vec<AnomalyKind>,
    /// The root cause as last judged.
    pub cause: Option<Cause>,
    /// How far it has come.
    pub status: Status,
    /// When the incident opened, in log time.
    pub opened_at: Timestamp,
    /// When the symptoms were gone; absent while it is open.
    pub closed_at: Option<Timestamp>,
    /// How long things took.
    pub spans: Spans,
    /// What happened, in log order.
    pub steps: Vec<Step>,
}

/// How long things took, in milliseconds. Absent where one of the ends is not recorded.
///
/// The first symptom is the earliest of: the time the first alert gives for the engine event that showed it
/// (`engine_event_at`), since when its anomalies last (`since`), and the engine's time (`at`) of a death, an OOM kill
/// or a failed health check of the incident before that alert. Times of the engine are by the engine's clock; where
/// that is ahead of the log's, a span that would be negative is 0. *Alerted* is the time of the first alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spans {
    /// When the first symptom showed.
    pub first_symptom_at: Option<Timestamp>,
    /// Time to detect: from the first symptom to the alert.
    pub detect_ms: Option<u64>,
    /// Time to decide: from the alert to the first plan or false alarm.
    pub decide_ms: Option<u64>,
    /// Time to act: from the alert to the first intent.
    pub act_ms: Option<u64>,
    /// Time to repair: from the alert to the first verdict that a repair worked.
    pub repair_ms: Option<u64>,
    /// Time to recover: from the alert to the end of the symptoms.
    pub recover_ms: Option<u64>,
    /// Time to notify: from the alert to the first message that a channel took.
    pub notify_ms: Option<u64>,
}

/// What part of the story a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What showed that the container is sick.
    Symptom,
    /// What else became of the container.
    Change,
    /// An alert, with its evidence.
    Detection,
    /// What a model answered.
    Diagnosis,
    /// A plan, or why there is none.
    Decision,
    /// The intent to act.
    Attempt,
    /// How the attempt ended.
    Outcome,
    /// Whether it helped.
    Verification,
    /// What people were told.
    Notification,
    /// What a person ordered.
    Order,
    /// What could not be handled.
    Failure,
    /// The end of the symptoms.
    Recovery,
}

impl Phase {
    /// The word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symptom => "symptom",
            Self::Change => "change",
            Self::Detection => "detection",
            Self::Diagnosis => "diagnosis",
            Self::Decision => "decision",
            Self::Attempt => "attempt",
            Self::Outcome => "outcome",
            Self::Verification => "verification",
            Self::Notification => "notification",
            Self::Order => "order",
            Self::Failure => "failure",
            Self::Recovery => "recovery",
        }
    }

    const fn of(data: &Data) -> Self {
        match data {
            Data::ContainerChanged(changed) if is_symptom(&changed.change) => Self::Symptom,
            Data::ContainerSample(_) | Data::ContainerChanged(_) => Self::Change,
            Data::HealthAlert(_) => Self::Detection,
            Data::HealthRecovered(_) => Self::Recovery,
            Data::Diagnosis(_) => Self::Diagnosis,
            Data::RemediationNeeded(_) | Data::FalseAlarm(_) => Self::Decision,
            Data::RemediationStarted(_) => Self::Attempt,
            Data::RemediationComplete(_) => Self::Outcome,
            Data::RemediationVerified(_) => Self::Verification,
            Data::Notification(_) => Self::Notification,
            Data::OperatorCommand(_) => Self::Order,
            Data::DeadLetter(_) => Self::Failure,
        }
    }
}

/// One event of the incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The partition it stands in.
    pub partition: u16,
    /// Its number there.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// The event that caused it, whether or not it is here.
    pub cause: Option<EventId>,
    /// The place of that event among the steps, where it is here.
    pub parent: Option<usize>,
    /// Causes above it, up to the one that has none here.
    pub depth: usize,
    /// What part of the story it is.
    pub phase: Phase,
    /// The type of the event.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Who wrote it, as a URI reference.
    pub by: String,
    /// When it happened, in log time.
    pub time: Timestamp,
    /// Time since the step before it, in milliseconds.
    pub after_previous_ms: u64,
    /// Time since its cause, in milliseconds, where that is here.
    pub after_cause_ms: Option<u64>,
    /// What it says, in a line that is safe to show.
    pub summary: String,
    /// Its reasons and evidence in full: texts as they stand in the log, written by whoever could.
    pub details: Vec<Detail>,
}

/// A reason, or a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// What it is: `symptom`, `evidence log`, `reason`, …
    pub name: String,
    /// What it says; may have several lines.
    pub text: String,
}

/// The time line of `incident`. `events` may hold others too, which are passed over; those of the incident stand in
/// log order.
#[must_use]
pub fn timeline(incident: &Incident, events: &[(Position, Event)]) -> Timeline {
    let members: BTreeMap<EventId, Position> =
        incident.events.iter().map(|line| (line.id, line.position)).collect();
    let is_one = |(position, event): &&(Position, Event)| members.get(&event.envelope.id) == Some(position);
    let events: Vec<&(Position, Event)> = events.iter().filter(is_one).collect();
    let mut places = BTreeMap::new();
    let mut steps: Vec<Step> = Vec::with_capacity(events.len());
    for (position, event) in &events {
        let envelope = &event.envelope;
        let parent = envelope.cause.and_then(|cause| places.get(&cause).copied());
        let above: Option<&Step> = parent.map(|place: usize| &steps[place]);
        let before = steps.last().map_or(envelope.time, |step| step.time);
        let step = Step {
            partition: position.partition,
            seq: position.seq,
            id: envelope.id,
            cause: envelope.cause,
            parent,
            depth: above.map_or(0, |above| above.depth + 1),
            phase: Phase::of(&event.data),
            kind: event.event_type(),
            by: envelope.source.uri(),
            time: envelope.time,
            after_previous_ms: millis(envelope.time.since(before)),
            after_cause_ms: above.map(|above| millis(envelope.time.since(above.time))),
            summary: summary(event),
            details: details(&event.data),
        };
        places.insert(envelope.id, steps.len());
        steps.push(step);
    }
    Timeline {
        id: incident.id,
        subject: incident.subject.clone(),
        container: incident.container.clone(),
        severity: incident.severity,
        kinds: incident.kinds.iter().copied().collect(),
        cause: incident.cause(),
        status: incident.status(),
        opened_at: incident.opened_at,
        closed_at: incident.closed_at,
        spans: spans(&events),
        steps,
    }
}

impl Timeline {
    /// The steps as a tree: every step right behind its cause, effects of one cause in log order.
    #[must_use]
    pub fn tree(&self) -> Vec<&Step> {
        let mut below: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (place, step) in self.steps.iter().enumerate() {
            below.entry(step.parent).or_default().push(place);
        }
        let mut tree = Vec::with_capacity(self.steps.len());
        let mut waiting: Vec<usize> = below.remove(&None).unwrap_or_default();
        waiting.reverse();
        while let Some(place) = waiting.pop() {
            tree.push(&self.steps[place]);
            waiting.extend(below.remove(&Some(place)).unwrap_or_default().into_iter().rev());
        }
        tree
    }
}

fn spans(events: &[&(Position, Event)]) -> Spans {
    let events = || events.iter().map(|(_, event)| event);
    let first = |wanted: &dyn Fn(&Data) -> bool| {
        events().find(|event| wanted(&event.data)).map(|event| event.envelope.time)
    };
    let alert = events().find_map(|event| match &event.data {
        Data::HealthAlert(alert) => Some((event.envelope.time, alert)),
        _ => None,
    });
    let Some((alerted_at, alert)) = alert else { return Spans::default() };
    let shown = events()
        .take_while(|event| !matches!(event.data, Data::HealthAlert(_)))
        .filter_map(|event| shown_at(&event.data));
    let first_symptom_at = symptoms_at(alert).chain(shown).min();
    let after = |end: Option<Timestamp>| end.map(|end| millis(end.since(alerted_at)));
    Spans {
        first_symptom_at,
        detect_ms: first_symptom_at.map(|symptom| millis(alerted_at.since(symptom))),
        decide_ms: after(first(&|data| matches!(data, Data::RemediationNeeded(_) | Data::FalseAlarm(_)))),
        act_ms: after(first(&|data| matches!(data, Data::RemediationStarted(_)))),
        repair_ms: after(first(
            &|data| matches!(data, Data::RemediationVerified(verified) if verified.verdict == Verification::Verified),
        )),
        recover_ms: after(first(&|data| matches!(data, Data::HealthRecovered(_)))),
        notify_ms: after(first(
            &|data| matches!(data, Data::Notification(told) if matches!(told.delivery, Delivery::Sent { .. })),
        )),
    }
}

fn symptoms_at(alert: &HealthAlert) -> impl Iterator<Item = Timestamp> + '_ {
    alert.anomalies.iter().map(|anomaly| anomaly.since).chain(alert.engine_event_at)
}

/// When the engine says that a symptom showed; the engine's "never" is no time.
fn shown_at(data: &Data) -> Option<Timestamp> {
    let Data::ContainerChanged(changed) = data else { return None };
    Some(changed.at).filter(|at| is_symptom(&changed.change) && *at != Timestamp::EPOCH)
}

const fn is_symptom(change: &Change) -> bool {
    match change {
        Change::Died { .. } | Change::OomKilled => true,
        Change::HealthChanged { health } => matches!(health, Health::Unhealthy),
        _ => false,
    }
}

fn details(data: &Data) -> Vec<Detail> {
    let mut details = Vec::new();
    let mut say = |name: &str, text: String| details.push(Detail { name: name.to_owned(), text });
    match data {
        Data::HealthAlert(alert) => {
            for anomaly in &alert.anomalies {
                say("symptom", format!("{}: {}", anomaly.kind.as_str(), anomaly.detail));
            }
            for item in &alert.evidence.items {
                say(&format!("evidence {}", item.id), item.text.clone());
            }
            if 0 < alert.evidence.redactions {
                say("redacted", format!("{} secrets were taken out", alert.evidence.redactions));
            }
        }
        Data::Diagnosis(diagnosis) => {
            say("explanation", diagnosis.explanation.clone());
            say("confidence", format!("says of itself {:.0} %", diagnosis.stated_confidence * 100.0));
            if !diagnosis.cited.is_empty() {
                say("rests on", diagnosis.cited.join(", "));
            }
        }
        Data::RemediationNeeded(needed) => {
            details = judged(&needed.verdict);
            details.push(Detail { name: "expires".to_owned(), text: needed.plan.expires_at.to_string() });
        }
        Data::FalseAlarm(alarm) => details = judged(&alarm.verdict),
        Data::RemediationStarted(started) => {
            say("attempt", format!("{} of {} in the budget's window", started.attempt, started.budget));
        }
        Data::RemediationComplete(done) => say("reason", done.reason.clone()),
        Data::RemediationVerified(verified) => say("seen", verified.detail.clone()),
        Data::DeadLetter(letter) => {
            for error in &letter.errors {
                say("error", error.clone());
            }
        }
        Data::ContainerSample(_)
        | Data::ContainerChanged(_)
        | Data::HealthRecovered(_)
        | Data::Notification(_)
        | Data::OperatorCommand(_) => {}
    }
    details
}

fn judged(verdict: &Verdict) -> Vec<Detail> {
    let basis = match &verdict.basis {
        Basis::Rule { rule } => format!("rule {rule}"),
        Basis::Model { provider, model } => format!("{provider} {model}"),
    };
    let detail = |name: &str, text: String| Detail { name: name.to_owned(), text };
    let mut details = vec![
        detail("reason", verdict.reason.clone()),
        detail("confidence", format!("{:.0} %, {basis}", verdict.confidence * 100.0)),
    ];
    if !verdict.cited.is_empty() {
        details.push(detail("rests on", verdict.cited.join(", ")));
    }
    details
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
