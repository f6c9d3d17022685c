//! News as it is handed to the channels.

use hemostat_event::{Event, EventId, NotificationKind, Severity};

use super::news::News;

/// One piece of news for people, complete in itself: every channel renders it in its own form.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The event it tells of: a receiver tells repetitions by it.
    pub id: EventId,
    /// What the news is.
    pub kind: NotificationKind,
    /// How bad it is.
    pub severity: Severity,
    /// One line: container, what happened.
    pub title: String,
    /// One or two sentences.
    pub text: String,
    /// Name and value, in the order to show them; at most ten.
    pub fields: Vec<(String, String)>,
    /// The event as it stands in the log, for channels that carry it whole.
    pub event: Event,
}

impl Message {
    /// The message that tells `news` about `event`.
    pub(super) fn of(event: &Event, news: News) -> Self {
        let (envelope, container) = (&event.envelope, event.data.container());
        let incident = envelope.incident.map(|incident| incident.short());
        let next = match (&incident, container) {
            (Some(incident), _) => format!("hemostat explain {incident}"),
            (None, Some(container)) => format!("hemostat log --container {}", container.name),
            (None, None) => format!("hemostat log --type {}", event.event_type()),
        };
        let mut fields = Vec::with_capacity(10);
        let mut show = |name: &str, value: String| fields.push((name.to_owned(), value));
        if let Some(container) = container {
            show("Container", container.name.clone());
        }
        show("Host", envelope.host.to_string());
        for (name, value) in news.facts {
            show(name, value);
        }
        if let Some(incident) = incident {
            show("Incident", incident);
        }
        show("What to do", next);
        Self {
            id: envelope.id,
            kind: news.kind,
            severity: news.severity,
            title: news.title,
            text: news.text,
            fields,
            event: event.clone(),
        }
    }
}
