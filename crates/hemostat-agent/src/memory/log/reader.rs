//! A group member's read position.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use hemostat_event::Timestamp;
use tokio::sync::futures::Notified;
use tokio::time::timeout;

use super::{Clock, MemoryLog, State};
use crate::log::{
    ConsumerName, Entry, EntryId, EntryRef, EventLog, GroupReader, LogError, Membership, Partition,
    StreamName, is_for_another,
};

pub(super) struct MemoryReader {
    log: MemoryLog,
    membership: Membership,
    /// The streams it reads, each in the partitions that can have it.
    places: Vec<(Partition, StreamName)>,
    /// What its consumer left unfinished before it joined and it has not handed out yet.
    unfinished: BTreeSet<EntryRef>,
}

impl MemoryReader {
    pub(super) fn new(log: MemoryLog, membership: Membership, state: &mut State, now: Timestamp) -> Self {
        let everywhere = |stream: &StreamName| match stream {
            StreamName::Plans(host) => vec![(log.partition_of(host), stream.clone())],
            StreamName::Type(_) => {
                log.partitions().into_iter().map(|place| (place, stream.clone())).collect()
            }
        };
        let places: Vec<_> = membership.streams.iter().flat_map(everywhere).collect();
        let mut unfinished = BTreeSet::new();
        let heir: Option<ConsumerName> = membership.consumer.parse().ok();
        if let Some(heir) = &heir {
            log.partitions().into_iter().for_each(|place| state.part(place).inherit_timers(heir));
        }
        for (partition, stream) in &places {
            state.part(*partition).member_seen(stream, membership.role, now);
            let group = state.part(*partition).group(stream, membership.role);
            if let Some(heir) = &heir {
                group.inherit(heir, now);
            }
            unfinished.extend(group.held_by(&membership.consumer).map(|id| place(*partition, stream, id)));
        }
        Self { log, membership, places, unfinished }
    }

    /// Takes what there is to hand out.
    fn take(&mut self, state: &mut State, now: Timestamp) -> Vec<Entry> {
        for (partition, stream) in &self.places {
            state.part(*partition).member_seen(stream, self.membership.role, now);
        }
        let mut taken = Vec::new();
        while taken.len() < self.membership.batch
            && let Some(at) = self.unfinished.pop_first()
        {
            let group = state.part(at.partition).group(&at.stream, self.membership.role);
            if group.holder(at.id) == Some(self.membership.consumer.as_str()) {
                taken.extend(self.deliver(state, at, now));
            }
        }
        while taken.len() < self.membership.batch
            && let Some(at) = self.idle(state, now).or_else(|| self.unread(state))
        {
            taken.extend(self.deliver(state, at, now));
        }
        taken
    }

    /// The first entry that was left idle.
    fn idle(&self, state: &mut State, now: Timestamp) -> Option<EntryRef> {
        self.places.iter().find_map(|(partition, stream)| {
            let group = state.part(*partition).group(stream, self.membership.role);
            let id = group.idle_for(self.membership.claim_after, now).next()?;
            Some(place(*partition, stream, id))
        })
    }

    /// The oldest entry of all streams that was never delivered, so that no stream waits for another.
    fn unread(&self, state: &mut State) -> Option<EntryRef> {
        let next = self.places.iter().filter_map(|(partition, stream)| {
            let part = state.part(*partition);
            let delivered = part.group(stream, self.membership.role).delivered();
            let (id, _) = part.entries_after(stream, delivered).next()?;
            Some(place(*partition, stream, id))
        });
        next.min_by_key(|at| at.id)
    }

    fn deliver(&self, state: &mut State, at: EntryRef, now: Timestamp) -> Option<Entry> {
        let part = state.part(at.partition);
        let group = part.group(&at.stream, self.membership.role);
        let attempts = group.deliver(at.id, &self.membership.consumer, now);
        let Some(fields) = part.fields(&at.stream, at.id) else {
            part.lost(&at.stream, self.membership.role, at.id, now);
            return None;
        };
        if is_for_another(self.membership.role, fields) {
            part.acknowledge_entry(self.membership.role, &at);
            return None;
        }
        Some(Entry::read(at, attempts, fields))
    }
}

/// Waits for a change of the log, or for the end of a wait where time goes by itself.
async fn wait(clock: Clock, changed: Notified<'_>, span: Duration) {
    match clock {
        Clock::Manual => changed.await,
        Clock::Tokio { .. } => {
            let _ended = timeout(span, changed).await;
        }
    }
}

#[async_trait]
impl GroupReader for MemoryReader {
    async fn read(&mut self) -> Result<Vec<Entry>, LogError> {
        let log = self.log.clone();
        let mut end = None;
        loop {
            // Made before looking, so that a change in between ends the wait below.
            let changed = log.changed.notified();
            let (taken, now) = {
                let (mut state, now) = log.asked()?;
                (self.take(&mut state, now), now)
            };
            let end = *end.get_or_insert(now + self.membership.block);
            if !taken.is_empty() || end <= now {
                return Ok(taken);
            }
            wait(log.clock, changed, end.since(now)).await;
        }
    }

    async fn renew(&mut self, entries: &[EntryRef]) -> Result<(), LogError> {
        let (mut state, now) = self.log.asked()?;
        for at in entries {
            let group = state.part(at.partition).group(&at.stream, self.membership.role);
            group.renew(at.id, &self.membership.consumer, now);
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), LogError> {
        let Membership { role, ref consumer, claim_after, .. } = self.membership;
        {
            let (mut state, now) = self.log.asked()?;
            for (partition, stream) in &self.places {
                state.part(*partition).group(stream, role).hand_over(consumer, claim_after, now);
            }
        }
        self.log.changed.notify_waiters();
        Ok(())
    }
}

fn place(partition: Partition, stream: &StreamName, id: EntryId) -> EntryRef {
    EntryRef { partition, stream: stream.clone(), id }
}
