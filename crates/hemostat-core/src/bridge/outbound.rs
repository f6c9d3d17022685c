//! From events to messages.
//!
//! What the old agents said with a request to repair is more than our plan has: the figures of the alert behind it. They
//! are remembered from the alert, or read from the history of alerts that is kept for the old analyzer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hemostat_event::{Data, Event, EventId, EventType, Role, Subject, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::keys::{self, Before, Write};
use super::payload::{Context, payload};
use super::words::{isoformat, metrics};
use super::{Message, OldChannel};

/// What goes out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Channels that are spoken on.
    pub channels: BTreeSet<OldChannel>,
    /// Whose keys are written: those that the old agent of this role wrote.
    pub keys: BTreeSet<Role>,
    /// Actions that the responder's budget allows within its window.
    pub budget: u32,
    /// Actions in a row that did not help and open the responder's breaker.
    pub breaker_failures: u32,
}

/// What has to be done for an event, as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// What is done only once, whoever does it; a repetition of the others does no harm.
    pub once: Option<EventId>,
    /// What is said.
    pub message: Option<Message>,
    /// What is written.
    pub writes: Vec<Write>,
}

/// Makes messages and keys of events.
#[derive(Debug, Clone)]
pub struct Outbound {
    settings: Settings,
    figures: Figures,
}

/// The types of events that it wants to see.
pub const READS: [EventType; 7] = [
    EventType::ContainerSample,
    EventType::ContainerChanged,
    EventType::HealthAlert,
    EventType::RemediationNeeded,
    EventType::FalseAlarm,
    EventType::RemediationComplete,
    EventType::RemediationVerified,
];

impl Outbound {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, figures: Figures::default() }
    }

    /// The keys whose present values [`Outbound::say`] needs.
    #[must_use]
    pub fn reads(&self, event: &Event) -> Vec<String> {
        keys::reads(event)
    }

    /// What has to be done for an event; nothing for most. `before` has the present values of [`Outbound::reads`].
    pub fn say(&mut self, event: &Event, before: &Before, now: Timestamp) -> Option<Saying> {
        if event.envelope.source.role == Role::Bridge {
            return None;
        }
        if let (Data::HealthAlert(alert), Some(subject)) = (&event.data, &event.envelope.subject) {
            self.figures.learn(subject, metrics(&alert.sample));
        }
        let context = self.context(event, before);
        let said = payload(event, &context, now);
        let writes = keys::keys(event, said.as_ref(), &context, before, &self.settings, now);
        let message = said
            .filter(|(channel, _)| self.settings.channels.contains(channel))
            .map(|(channel, data)| message(channel, event.envelope.time, &data));
        if message.is_none() && writes.is_empty() {
            return None;
        }
        let once = event.event_type() != EventType::ContainerSample;
        Some(Saying { once: once.then_some(event.envelope.id), message, writes })
    }

    fn context(&self, event: &Event, before: &Before) -> Context {
        let known = event.envelope.subject.as_ref().and_then(|subject| self.figures.of(subject));
        let name = event.data.container().map_or("", |container| container.name.as_str());
        let metrics = known.cloned().or_else(|| keys::last_metrics(name, before)).unwrap_or_default();
        let failures = keys::failures(name, before).unwrap_or(self.settings.breaker_failures);
        Context { metrics, failures, budget: self.settings.budget }
    }
}

fn message(channel: OldChannel, time: Timestamp, data: &Value) -> Message {
    // In the order of the old agents, for people who read along.
    #[derive(Serialize)]
    struct Envelope<'a> {
        event_type: &'a str,
        timestamp: String,
        agent: &'a str,
        data: &'a Value,
    }
    let envelope = Envelope {
        event_type: channel.event_type(),
        timestamp: isoformat(time),
        agent: channel.agent(),
        data,
    };
    let body = serde_json::to_string(&envelope).expect("an envelope has only what JSON can write");
    Message { channel, body }
}

/// Containers whose last figures are remembered.
const FIGURES_MAX: usize = 4_096;

/// The figures of the last alert of each container, of the latest [`FIGURES_MAX`] containers.
#[derive(Debug, Clone, Default)]
struct Figures {
    of: BTreeMap<Subject, Map<String, Value>>,
    order: VecDeque<Subject>,
}

impl Figures {
    fn learn(&mut self, subject: &Subject, metrics: Map<String, Value>) {
        if self.of.insert(subject.clone(), metrics).is_none() {
            self.order.push_back(subject.clone());
        }
        if FIGURES_MAX < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.of.remove(&oldest);
        }
    }

    fn of(&self, subject: &Subject) -> Option<&Map<String, Value>> {
        self.of.get(subject)
    }
}
