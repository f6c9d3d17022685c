//! L-5: within any window at most as many actions start on a container as the budget allows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, Subject, Timestamp};

use super::{Invariant, Scope, Violation};

#[derive(Debug)]
pub(super) struct Budget {
    budget: Option<u32>,
    window: Duration,
    /// Starts within the window, oldest first, by container; real ones and those of dry runs apart.
    starts: BTreeMap<(Subject, bool), VecDeque<(Timestamp, Position)>>,
}

impl Budget {
    pub(super) fn new(scope: &Scope) -> Self {
        Self { budget: scope.budget, window: scope.window, starts: BTreeMap::new() }
    }

    pub(super) fn take_in(&mut self, position: Position, event: &Event, found: &mut Vec<Violation>) {
        let Data::RemediationStarted(started) = &event.data else { return };
        let Some(subject) = &event.envelope.subject else {
            let detail = "an action on no container".to_owned();
            found.push(Violation::new(Invariant::Budget, [position], detail));
            return;
        };
        let now = event.envelope.time;
        let starts = self.starts.entry((subject.clone(), started.dry_run)).or_default();
        starts.retain(|(at, _)| now < *at + self.window);
        starts.push_back((now, position));
        let budget = self.budget.unwrap_or(started.budget);
        if (budget as usize) < starts.len() {
            let dry = if started.dry_run { "dry-run " } else { "" };
            let detail = format!(
                "{} {dry}actions on {subject} within {} s, and the budget is {budget}",
                starts.len(),
                self.window.as_secs()
            );
            found.push(Violation::new(Invariant::Budget, starts.iter().map(|(_, at)| *at), detail));
        }
    }
}
