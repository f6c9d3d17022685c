//! What is counted, over one day.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{
    ActionKind, AnomalyKind, Channel, Data, Delivery, Event, EventType, HostName, NotificationKind, Outcome,
    Rejection, Role, Severity, Subject, Verification,
};

use super::Placed;
use super::spread::{CONFIDENCE, FAST, LONG, SLOW, Spread};

/// What is counted, over one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Events by type; samples are not counted.
    pub events: BTreeMap<EventType, u64>,
    /// Entries that hold no event that can be read.
    pub unreadable: u64,
    /// What is counted about single containers.
    pub containers: BTreeMap<Subject, PerContainer>,
    /// Alerts about the containers of a host.
    pub alerts: BTreeMap<(HostName, Severity), u64>,
    /// Outcomes of plans about the containers of a host.
    pub outcomes: BTreeMap<(HostName, ActionKind, &'static str), u64>,
    /// Plans to repair.
    pub plans: Judged,
    /// False alarms.
    pub false_alarms: Judged,
    /// The symptoms of false alarms.
    pub false_alarm_kinds: BTreeMap<AnomalyKind, u64>,
    /// Time from an alert to what the analyzer says of it.
    pub analysis: Spread,
    /// Time an action took.
    pub actions: BTreeMap<ActionKind, Spread>,
    /// Plans that the policy did not allow.
    pub rejections: BTreeMap<Rejection, u64>,
    /// Verdicts of verification.
    pub verdicts: BTreeMap<(ActionKind, &'static str), u64>,
    /// What people were told.
    pub notifications: BTreeMap<(Channel, NotificationKind, &'static str), u64>,
    /// Time from the first symptom to the first alert in the log.
    pub detection: Spread,
    /// Time from the beginning of an incident to its first repair.
    pub repair: Spread,
    /// How long incidents lasted that are over.
    pub incidents: Spread,
    /// Time from an event to the answer of an agent.
    pub hops: BTreeMap<(Role, EventType), Spread>,
    /// Dead letters by group, stream and partition.
    pub dead_letters: BTreeMap<(Role, String, u16), u64>,
}

/// What the analyzer said, of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// How often.
    pub count: u64,
    /// How sure it was.
    pub confidence: Spread,
}

impl Default for Judged {
    fn default() -> Self {
        Self { count: 0, confidence: Spread::new(&CONFIDENCE) }
    }
}

/// What is counted about one container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PerContainer {
    /// Alerts by severity.
    pub alerts: BTreeMap<Severity, u64>,
    /// Anomalies in alerts by kind.
    pub anomalies: BTreeMap<AnomalyKind, u64>,
    /// Outcomes of plans.
    pub attempts: BTreeMap<(ActionKind, &'static str), u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            unreadable: 0,
            containers: BTreeMap::new(),
            alerts: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            plans: Judged::default(),
            false_alarms: Judged::default(),
            false_alarm_kinds: BTreeMap::new(),
            analysis: Spread::new(&FAST),
            actions: BTreeMap::new(),
            rejections: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            notifications: BTreeMap::new(),
            detection: Spread::new(&LONG),
            repair: Spread::new(&LONG),
            incidents: Spread::new(&LONG),
            hops: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
        }
    }
}

impl Counts {
    /// Counts what an event says; `hop` is the time since its cause, `subject` the container to count it under.
    pub(super) fn take_in(
        &mut self,
        event: &Event,
        placed: Placed,
        hop: Option<Duration>,
        subject: Option<&Subject>,
    ) {
        one(&mut self.events, event.event_type());
        match &event.data {
            Data::HealthAlert(alert) => {
                one(&mut self.alerts, (event.envelope.host.clone(), alert.severity));
                if let Some(of) = self.of(subject) {
                    one(&mut of.alerts, alert.severity);
                    for anomaly in &alert.anomalies {
                        one(&mut of.anomalies, anomaly.kind);
                    }
                }
            }
            Data::HealthRecovered(recovered) => {
                self.incidents.add(Duration::from_millis(recovered.lasted_ms).as_secs_f64());
            }
            Data::RemediationNeeded(needed) => {
                self.plans.count += 1;
                self.plans.confidence.add(needed.verdict.confidence);
                self.analysed(hop);
            }
            Data::FalseAlarm(alarm) => {
                self.false_alarms.count += 1;
                self.false_alarms.confidence.add(alarm.verdict.confidence);
                for kind in &alarm.kinds {
                    one(&mut self.false_alarm_kinds, *kind);
                }
                self.analysed(hop);
            }
            Data::RemediationComplete(done) => {
                let (action, outcome) = (done.action.kind(), outcome_word(&done.outcome));
                one(&mut self.outcomes, (event.envelope.host.clone(), action, outcome));
                if let Some(of) = self.of(subject) {
                    one(&mut of.attempts, (action, outcome));
                }
                if let Outcome::Rejected { rejection, .. } = &done.outcome {
                    one(&mut self.rejections, *rejection);
                }
                if let Some(took) = done.duration_ms {
                    let spread = self.actions.entry(action).or_insert_with(|| Spread::new(&SLOW));
                    spread.add(Duration::from_millis(took).as_secs_f64());
                }
            }
            Data::RemediationVerified(verified) => {
                one(&mut self.verdicts, (verified.action, verdict_word(verified.verdict)));
            }
            Data::Notification(told) => {
                one(&mut self.notifications, (told.channel, told.kind, delivery_word(&told.delivery)));
            }
            Data::DeadLetter(letter) => {
                one(&mut self.dead_letters, (letter.group, stream_word(&letter.stream), placed.partition));
            }
            _ => {}
        }
    }

    fn of(&mut self, subject: Option<&Subject>) -> Option<&mut PerContainer> {
        Some(self.containers.entry(subject?.clone()).or_default())
    }

    fn analysed(&mut self, hop: Option<Duration>) {
        if let Some(took) = hop {
            self.analysis.add(took.as_secs_f64());
        }
    }
}

fn one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

/// A stream that a letter names: one of the log's own, because a letter may say anything.
fn stream_word(stream: &str) -> String {
    let kind = stream.split(':').next().unwrap_or_default();
    if kind.parse::<EventType>().is_ok() && stream.len() <= STREAM_MAX {
        stream.to_owned()
    } else {
        "other".to_owned()
    }
}

/// Longest name of a stream: a type, and a host.
const STREAM_MAX: usize = 300;

/// Every word for an outcome.
pub const OUTCOMES: [&str; 5] = ["success", "failed", "rejected", "not_applicable", "unknown"];

/// The word for an outcome.
#[must_use]
pub const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failed { .. } => "failed",
        Outcome::Rejected { .. } => "rejected",
        Outcome::NotApplicable { .. } => "not_applicable",
        Outcome::Unknown { .. } => "unknown",
    }
}

/// The word for what became of a notification.
#[must_use]
pub const fn delivery_word(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Sent { .. } => "sent",
        Delivery::Deduplicated => "deduplicated",
        Delivery::Grouped { .. } => "grouped",
        Delivery::Failed { .. } => "failed",
    }
}

/// The word for a verdict of verification.
#[must_use]
pub const fn verdict_word(verdict: Verification) -> &'static str {
    match verdict {
        Verification::Verified => "verified",
        Verification::NotFixed => "not_fixed",
        Verification::Unknown => "unknown",
    }
}
