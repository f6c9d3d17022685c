//! Which events stand in the log once more because a person had a dead letter redriven.
//!
//! The order and the event are written in one step, so the event stands right behind the order that names it. Any other
//! repetition is unexplained.

use std::collections::BTreeMap;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Command, Data, Event, EventId};

/// Follows the orders.
#[derive(Debug, Default)]
pub(crate) struct Redrives {
    /// By partition: the number after the last order, and the event that has it; any where the letter is about what its
    /// reader could not read.
    next: BTreeMap<u16, (u64, Option<EventId>)>,
}

impl Redrives {
    /// Takes in the next event; whether it is one that was redriven, and so no new one.
    pub(crate) fn take_in(&mut self, position: Position, event: &Event) -> bool {
        let id = event.envelope.id;
        let next = self.next.remove(&position.partition);
        let redriven =
            next.is_some_and(|(seq, dead)| seq == position.seq && dead.is_none_or(|dead| dead == id));
        if let Data::OperatorCommand(order) = &event.data
            && let Command::Redrive { event: dead } = &order.command
        {
            // Where the dead event has no id that is known, the order names the letter.
            let dead = Some(*dead).filter(|dead| Some(*dead) != event.envelope.cause);
            self.next.insert(position.partition, (position.seq + 1, dead));
        }
        redriven
    }
}
