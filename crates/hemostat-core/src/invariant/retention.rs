//! L-4: nothing is trimmed before it is archived, where there is an archive, and acknowledged by every registered group.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_event::Role;
use hemostat_event::cloudevents::Position;

use super::{Invariant, Violation};

/// Follows the entries of one stream from their append to their trim. It is told what happens in the order in which it
/// happens; samples, which are trimmed by age alone, are not its business.
#[derive(Debug, Default)]
pub struct Retention {
    archive: bool,
    registered: BTreeSet<Role>,
    entries: BTreeMap<Position, Done>,
}

/// What was done with an entry.
#[derive(Debug, Default)]
struct Done {
    archived: bool,
    acknowledged: BTreeSet<Role>,
}

impl Retention {
    /// Nothing has happened yet; `archive` says whether there is one.
    #[must_use]
    pub fn new(archive: bool) -> Self {
        Self { archive, ..Self::default() }
    }

    /// A group reads the stream, from its oldest entry on or from where it was.
    pub fn registered(&mut self, group: Role) {
        self.registered.insert(group);
    }

    /// A group was taken away because nobody was a member of it any more.
    pub fn reaped(&mut self, group: Role) {
        self.registered.remove(&group);
    }

    /// An entry was appended.
    pub fn appended(&mut self, at: Position) {
        self.entries.insert(at, Done::default());
    }

    /// A group has dealt with an entry.
    pub fn acknowledged(&mut self, group: Role, at: Position) {
        self.entries.entry(at).or_default().acknowledged.insert(group);
    }

    /// The archive has an entry.
    pub fn archived(&mut self, at: Position) {
        self.entries.entry(at).or_default().archived = true;
    }

    /// An entry is not in the stream any more.
    pub fn trimmed(&mut self, at: Position) -> Vec<Violation> {
        let done = self.entries.remove(&at).unwrap_or_default();
        let missing = self.registered.difference(&done.acknowledged);
        let mut reasons: Vec<_> = missing.map(|group| format!("`{group}` had acknowledged it")).collect();
        if self.archive && !done.archived {
            reasons.push("it was archived".to_owned());
        }
        let violation = |reason| {
            Violation::new(
                Invariant::AcknowledgedFirst,
                [at],
                format!("an entry was trimmed before {reason}"),
            )
        };
        reasons.into_iter().map(violation).collect()
    }
}
