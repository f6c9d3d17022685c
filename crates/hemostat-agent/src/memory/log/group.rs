//! One group on one stream: how far it has come, and what is pending for whom.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::Timestamp;

use crate::log::{ConsumerName, EntryId};

#[derive(Debug)]
pub(super) struct Group {
    /// The last entry that was delivered.
    delivered: EntryId,
    pending: BTreeMap<EntryId, Pending>,
}

#[derive(Debug)]
struct Pending {
    consumer: String,
    /// The last delivery or renewal.
    since: Timestamp,
    attempts: u32,
}

impl Group {
    /// A group that has come to `cursor`.
    pub(super) fn at(cursor: EntryId) -> Self {
        Self { delivered: cursor, pending: BTreeMap::new() }
    }

    pub(super) fn delivered(&self) -> EntryId {
        self.delivered
    }

    /// Moves on to `id` without a delivery.
    pub(super) fn advance(&mut self, id: EntryId) {
        self.delivered = self.delivered.max(id);
    }

    pub(super) fn pending_count(&self) -> u64 {
        self.pending.len() as u64
    }

    pub(super) fn oldest_pending(&self) -> Option<EntryId> {
        self.pending.keys().next().copied()
    }

    /// What is pending for anybody, in order.
    pub(super) fn pending(&self) -> impl Iterator<Item = &EntryId> {
        self.pending.keys()
    }

    /// The position from which nothing that is not acknowledged would be left out.
    pub(super) fn cursor(&self) -> EntryId {
        self.oldest_pending().map_or(self.delivered, EntryId::before)
    }

    /// For whom an entry is pending.
    pub(super) fn holder(&self, id: EntryId) -> Option<&str> {
        self.pending.get(&id).map(|pending| pending.consumer.as_str())
    }

    /// What is pending for `consumer`, in order.
    pub(super) fn held_by(&self, consumer: &str) -> impl Iterator<Item = EntryId> {
        self.pending.iter().filter(move |(_, pending)| pending.consumer == consumer).map(|(id, _)| *id)
    }

    /// What nobody has touched for `span`, in order.
    pub(super) fn idle_for(&self, span: Duration, now: Timestamp) -> impl Iterator<Item = EntryId> {
        self.pending.iter().filter(move |(_, pending)| span <= now.since(pending.since)).map(|(id, _)| *id)
    }

    /// Delivers an entry to `consumer`; answers how often it has been delivered.
    pub(super) fn deliver(&mut self, id: EntryId, consumer: &str, now: Timestamp) -> u32 {
        self.delivered = self.delivered.max(id);
        let pending =
            self.pending.entry(id).or_insert(Pending { consumer: String::new(), since: now, attempts: 0 });
        consumer.clone_into(&mut pending.consumer);
        pending.since = now;
        pending.attempts += 1;
        pending.attempts
    }

    /// Notes that `consumer` still works on an entry, if it is pending for it.
    pub(super) fn renew(&mut self, id: EntryId, consumer: &str, now: Timestamp) {
        if let Some(pending) = self.pending.get_mut(&id)
            && pending.consumer == consumer
        {
            pending.since = now;
        }
    }

    /// Gives back what is pending for `consumer`, as if nobody had touched it for `span`.
    pub(super) fn hand_over(&mut self, consumer: &str, span: Duration, now: Timestamp) {
        for pending in self.pending.values_mut().filter(|pending| pending.consumer == consumer) {
            pending.since = pending.since.min(now - span);
            pending.attempts = pending.attempts.saturating_sub(1);
        }
    }

    /// Gives `heir` what is pending for those who had its slot before.
    pub(super) fn inherit(&mut self, heir: &ConsumerName, now: Timestamp) {
        for pending in self.pending.values_mut().filter(|pending| heir.succeeds_name(&pending.consumer)) {
            pending.consumer = heir.to_string();
            pending.since = now;
        }
    }

    /// Whether the entry was pending.
    pub(super) fn acknowledge(&mut self, id: EntryId) -> bool {
        self.pending.remove(&id).is_some()
    }
}
