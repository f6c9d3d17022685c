//! What people were told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ContainerRef, EventId};

/// What people were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// The container, where the news is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRef>,
    /// What the news is.
    pub kind: NotificationKind,
    /// Through which channel.
    pub channel: Channel,
    /// What became of it.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Container and kind: within the window the same key is told once.
    pub dedup_key: String,
}

/// What a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A person has to look.
    Escalation,
    /// An action was taken.
    Remediated,
    /// An action failed.
    RemediationFailed,
    /// The policy did not allow an action.
    RemediationRejected,
    /// The repair worked.
    Verified,
    /// The repair did not work, or nobody knows.
    NotFixed,
    /// The incident is over.
    Recovered,
    /// An event could not be handled.
    DeadLetter,
}

impl NotificationKind {
    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Escalation => "escalation",
            Self::Remediated => "remediated",
            Self::RemediationFailed => "remediation_failed",
            Self::RemediationRejected => "remediation_rejected",
            Self::Verified => "verified",
            Self::NotFixed => "not_fixed",
            Self::Recovered => "recovered",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// A way to reach people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Slack incoming webhook.
    Slack,
    /// Generic webhook.
    Webhook,
    /// The terminal or the log of the alert agent.
    Terminal,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slack, Self::Webhook, Self::Terminal];

    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Terminal => "terminal",
        }
    }
}

/// What became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "delivery", rename_all = "snake_case")]
pub enum Delivery {
    /// The channel took it.
    Sent {
        /// 1 when it went at the first try.
        attempt: u32,
    },
    /// The same was told within the window.
    Deduplicated,
    /// It was joined to another message.
    Grouped {
        /// The notification that carries it.
        into: EventId,
    },
    /// The channel will not take it.
    Failed {
        /// Tries made.
        attempt: u32,
        /// What the channel answered.
        error: String,
    },
}
