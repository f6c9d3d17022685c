//! Who has to know?

use hemostat_event::{Event, EventId, NotificationKind, Severity};

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
