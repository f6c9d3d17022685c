//! What a partition keeps and for whom: who is a member of which group, how far each has come, what may be forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use hemostat_event::{Role, Timestamp};

use super::Part;
use crate::log::{
    Abandoned, Counted, Cursors, EntryId, GroupStatus, HeldBy, Partition, Shelter, StreamName, Trim, Trimmed,
};

/// Who has said that a group is in use, and what it has lost.
#[derive(Debug)]
pub(in crate::memory::log) struct Member {
    seen: Timestamp,
    lost: u64,
}

impl Part {
    /// A member of the group lives.
    pub(in crate::memory::log) fn member_seen(&mut self, stream: &StreamName, role: Role, now: Timestamp) {
        let key = (stream.clone(), role);
        self.members
            .entry(key)
            .and_modify(|member| member.seen = now)
            .or_insert(Member { seen: now, lost: 0 });
    }

    /// Moves a group that reads along.
    pub(in crate::memory::log) fn advance(
        &mut self,
        role: Role,
        stream: &StreamName,
        id: EntryId,
        now: Timestamp,
    ) {
        self.member_seen(stream, role, now);
        // A new stream numbers its entries from there on; in one that ends before, the id is another stream's.
        let exists = self.streams.contains_key(stream);
        let last = self.last_ids.entry(stream.clone()).or_insert(EntryId::ZERO);
        let id = if id == EntryId::MAX { *last } else { id };
        if !exists {
            *last = (*last).max(id);
        }
        let known = id <= *last;
        let group = self.group(stream, role);
        if known {
            group.advance(id);
        }
        let cursor = group.cursor();
        self.cursors.insert((stream.clone(), role), cursor);
    }

    /// A pending entry of the group is not in the stream any more: it is taken off the group and counted.
    pub(in crate::memory::log) fn lost(
        &mut self,
        stream: &StreamName,
        role: Role,
        id: EntryId,
        now: Timestamp,
    ) {
        let key = (stream.clone(), role);
        self.members.entry(key.clone()).or_insert(Member { seen: now, lost: 0 }).lost += 1;
        if let Some(group) = self.groups.get_mut(&key) {
            group.acknowledge(id);
        }
    }

    /// From where groups would go on.
    pub(in crate::memory::log) fn all_cursors(&self) -> Cursors {
        let positions = self.members.keys().map(|key| ((key.1, key.0.clone()), self.cursor(key)));
        Cursors { seq: self.seq, positions: positions.collect() }
    }

    /// How far each group has come, those that were lost among them.
    pub(in crate::memory::log) fn groups(&self, partition: Partition) -> impl Iterator<Item = GroupStatus> {
        let keys: BTreeSet<_> = self.groups.keys().chain(self.members.keys()).collect();
        keys.into_iter().map(move |key| {
            let (stream, role) = key;
            let (group, member) = (self.groups.get(key), self.members.get(key));
            let entries = self.streams.get(stream);
            let delivered = group.map_or_else(|| self.cursor(key), super::Group::delivered);
            let mut unread = self.entries_after(stream, delivered).map(|(id, _)| id);
            let oldest_unread = unread.next();
            let gone = |id: &&EntryId| entries.is_none_or(|entries| !entries.contains_key(*id));
            let gone = group.map_or(0, |group| group.pending().filter(gone).count() as u64);
            GroupStatus {
                partition,
                stream: stream.clone(),
                role: *role,
                exists: group.is_some(),
                pending: group.map_or(0, super::Group::pending_count),
                oldest_pending: group.and_then(super::Group::oldest_pending).map(EntryId::time),
                oldest_unread: oldest_unread.map(EntryId::time),
                unread: Counted::exactly(u64::from(oldest_unread.is_some()) + unread.count() as u64),
                lost: gone + member.map_or(0, |member| member.lost),
                oldest_retained: entries.and_then(|entries| entries.keys().next()).map(|id| id.time()),
                seen: member.map(|member| member.seen),
            }
        })
    }

    /// One step of trimming.
    pub(in crate::memory::log) fn trim(&mut self, step: &Trim, now: Timestamp) -> Trimmed {
        let oldest = EntryId { ms: (now - step.keep).millis(), n: 0 };
        let mut bound = (oldest, HeldBy::Age);
        if step.shelter != Shelter::None {
            let archived = match step.shelter {
                Shelter::Groups { archived } => archived.map(|id| (id, HeldBy::Archive)),
                Shelter::None | Shelter::Archive => None,
            };
            let counts = |role| step.shelter != Shelter::Archive || role == Role::Archiver;
            let keys: BTreeSet<_> = self.groups.keys().chain(self.members.keys()).collect();
            let keys = keys.into_iter().filter(|(stream, role)| *stream == step.stream && counts(*role));
            let needed = keys.map(|key| {
                let by = HeldBy::Group(key.1.to_string());
                match self.groups.get(key) {
                    Some(group) => (group.oldest_pending().unwrap_or(group.delivered()), by),
                    None => (self.cursor(key), by),
                }
            });
            bound = needed
                .chain(archived)
                .fold(bound, |first, other| if other.0 < first.0 { other } else { first });
        }
        let (up_to, held_by) = bound;
        let mut removed = 0;
        if let Some(entries) = self.streams.get_mut(&step.stream) {
            while removed < step.most
                && let Some(entry) = entries.first_entry()
                && *entry.key() < up_to
            {
                entry.remove();
                removed += 1;
            }
        }
        // Containers of which the stream holds no entry any more need no last one.
        let first = self.entries_after(&step.stream, EntryId::ZERO).next().map(|(id, _)| id);
        self.latest
            .retain(|(stream, _), id| *stream != step.stream || first.is_some_and(|first| first <= *id));
        Trimmed { removed, up_to, held_by }
    }

    /// Takes abandoned groups away.
    pub(in crate::memory::log) fn reap(
        &mut self,
        partition: Partition,
        silent: Duration,
        now: Timestamp,
    ) -> Vec<Abandoned> {
        for (stream, role) in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.members.entry((stream, role)).or_insert(Member { seen: now, lost: 0 });
        }
        let abandoned: Vec<_> =
            self.members.extract_if(.., |_, member| silent <= now.since(member.seen)).collect();
        let reap = |(key, member): (_, Member)| {
            if let Some(group) = self.groups.remove(&key) {
                self.cursors.insert(key.clone(), group.cursor());
            }
            let (stream, role) = key;
            Abandoned { partition, stream, group: role.to_string(), seen: member.seen }
        };
        abandoned.into_iter().map(reap).collect()
    }

    /// The position from which a lost group goes on.
    fn cursor(&self, key: &(StreamName, Role)) -> EntryId {
        self.cursors.get(key).copied().unwrap_or(EntryId::ZERO)
    }
}
