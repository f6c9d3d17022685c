//! L-2: the sequence of a partition is strictly increasing and without gaps.

use std::collections::BTreeMap;

use hemostat_event::cloudevents::Position;

use super::{Invariant, Scope, Violation};

#[derive(Debug)]
pub(super) struct Sequence {
    from_start: bool,
    every_event: bool,
    /// The last number of each partition.
    last: BTreeMap<u16, u64>,
}

impl Sequence {
    pub(super) fn new(scope: &Scope) -> Self {
        Self { from_start: scope.from_start, every_event: scope.every_event, last: BTreeMap::new() }
    }

    pub(super) fn take_in(&mut self, position: Position, found: &mut Vec<Violation>) {
        let before = self.last.insert(position.partition, position.seq);
        let expected = match before {
            Some(last) => last.saturating_add(1),
            None if self.from_start => 1,
            None => position.seq.max(1),
        };
        let broken = if position.seq < expected {
            // A gap behind it was reported when it came; the highest number counts from here on.
            self.last.insert(position.partition, before.unwrap_or(0).max(position.seq));
            Some(format!(
                "number {} comes where {expected} was expected: repeated or out of order",
                position.seq
            ))
        } else if expected < position.seq && self.every_event {
            Some(format!("{} is missing before {}", missing(expected, position.seq - 1), position.seq))
        } else {
            None
        };
        if let Some(detail) = broken {
            found.push(Violation::new(Invariant::GapFree, [position], detail));
        }
    }
}

fn missing(from: u64, to: u64) -> String {
    if from == to { format!("number {from}") } else { format!("what stood from {from} to {to}") }
}
