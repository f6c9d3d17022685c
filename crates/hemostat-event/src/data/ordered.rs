//! What people order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Action, EventId, IncidentId, Subject, Timestamp};

/// What a person ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorCommand {
    /// The order.
    #[serde(flatten)]
    pub command: Command,
    /// By whom.
    pub by: String,
}

/// An order of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Carry out a plan that waits for approval.
    Approve {
        /// The plan: the id of its event.
        plan: EventId,
    },
    /// Do not carry it out.
    Deny {
        /// The plan: the id of its event.
        plan: EventId,
        /// Why not.
        reason: String,
    },
    /// Tell nobody about a container for a while.
    Silence {
        /// The container.
        target: Subject,
        /// Until when.
        until: Timestamp,
    },
    /// Act on nothing.
    Pause {
        /// Until when; for ever when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Act again.
    Resume,
    /// Hand a dead letter to its group once more.
    Redrive {
        /// The dead event.
        event: EventId,
    },
    /// Carry out an action now.
    Act {
        /// The container.
        target: Subject,
        /// The action.
        action: Action,
    },
    /// Take the bodies of events out of the archive, for good. Their headers stay.
    Redact {
        /// The events.
        events: Vec<EventId>,
        /// Why.
        reason: String,
    },
    /// Neither take out nor let expire what meets all that is named here. The hold has the id of this event.
    Hold {
        /// Events about this container.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<Subject>,
        /// Events of this incident.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<IncidentId>,
        /// Events since then, in log time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// Events until then, in log time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Why.
        reason: String,
    },
    /// End a hold.
    Release {
        /// The hold: the id of the event that ordered it.
        hold: EventId,
        /// Why.
        reason: String,
    },
}
