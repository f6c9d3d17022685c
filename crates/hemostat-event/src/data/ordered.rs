//! What people order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Action, EventId, Subject, Timestamp};

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
}
