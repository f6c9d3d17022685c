//! One partition: its streams, states, timers and leases, changed by one request at a time.

mod keeping;
mod redriving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use hemostat_core::role::Timer;
use hemostat_event::{
    DeadLetter, Event, EventId, EventType, HostName, Role, Source, Subject, Timestamp, codec,
};

use super::defect::Defect;
use super::group::Group;
use crate::log::{
    AgentPresence, Commit, CommitAnswer, CommitInput, ConsumerName, Entry, EntryId, EntryRef, FIELD_EVENT,
    FIELD_PREV, FIELD_SEQ, Lease, StreamName, Versioned, letter_event,
};

/// How long a key or an event's id is known: the port's promise.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The fields of an entry.
pub(super) type Fields = Vec<(String, Vec<u8>)>;

#[derive(Debug, Default)]
pub(super) struct Part {
    /// Number of the last event.
    seq: u64,
    streams: BTreeMap<StreamName, BTreeMap<EntryId, Fields>>,
    /// The last id of every stream there ever was: ids of a stream grow also over its loss.
    last_ids: BTreeMap<StreamName, EntryId>,
    /// The last entry about each container in each stream.
    latest: BTreeMap<(StreamName, Subject), EntryId>,
    groups: BTreeMap<(StreamName, Role), Group>,
    cursors: BTreeMap<(StreamName, Role), EntryId>,
    members: BTreeMap<(StreamName, Role), keeping::Member>,
    states: BTreeMap<(Role, Subject), Versioned>,
    timers: BTreeMap<TimerKey, Deadline>,
    known: Known,
    /// The letters that were redriven.
    redriven: BTreeSet<EventId>,
    leases: BTreeMap<String, Held>,
    agents: BTreeMap<(Role, String), (AgentPresence, Timestamp)>,
    defect: Option<Defect>,
}

/// Identity of a timer: role, subject, name, cause.
type TimerKey = (Role, Subject, String, EventId);

#[derive(Debug)]
struct Deadline {
    due: Timestamp,
    /// Who has taken it, and until when nobody else may.
    taken: Option<(String, Timestamp)>,
}

impl Deadline {
    /// Whether it is this very timer, not moved since, that `consumer` has taken.
    fn is_taken(&self, timer: &Timer, consumer: &str) -> bool {
        self.due == timer.due && self.taken.as_ref().is_some_and(|(by, _)| by == consumer)
    }
}

#[derive(Debug)]
struct Held {
    epoch: u64,
    /// Whose it is, and until when; nobody's after a release.
    by: Option<(String, Timestamp)>,
}

/// Keys and ids of the last [`KNOWN_FOR`].
#[derive(Debug, Default)]
struct Known {
    since: BTreeMap<EventId, Timestamp>,
    order: VecDeque<(Timestamp, EventId)>,
}

/// Whose the input of a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// The committing consumer's.
    Mine,
    /// There is nothing to hold: not pending for anybody, or no such timer.
    Nobodys,
    /// Not the committing consumer's.
    NotMine,
}

impl Part {
    /// Appends those of `events` that are new.
    pub(super) fn append(&mut self, events: &[Event], now: Timestamp) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(events.len());
        for event in events {
            if !self.known.has(event.envelope.id, now) {
                numbers.push(self.write(event, now));
            }
        }
        numbers
    }

    /// Makes a commit, or says why not.
    pub(super) fn commit(&mut self, commit: &Commit, now: Timestamp) -> CommitAnswer {
        let hold = self.hold(commit);
        let acknowledges = acknowledges(&commit.input);
        if let Some(answer) = self.check(hold, commit.key, acknowledges, now) {
            if answer == CommitAnswer::Duplicate && acknowledges {
                self.acknowledge(commit.role, &commit.input);
            }
            return answer;
        }
        if let CommitInput::Entry { at, prev, .. } = &commit.input
            && self.is_early(commit.role, at, *prev)
        {
            return CommitAnswer::Early;
        }
        let key = (commit.role, commit.subject.clone());
        if let Some(change) = &commit.state {
            let version = self.states.get(&key).map_or(0, |state| state.version);
            if version != change.expected && self.defect != Some(Defect::ChecksNoVersion) {
                return CommitAnswer::Conflict;
            }
            if change.next.version != change.expected {
                self.states.insert(key, change.next.clone());
            }
        }
        let numbers = commit.emit.iter().map(|event| self.write(event, now)).collect();
        self.known.add(commit.key, now);
        if acknowledges {
            self.acknowledge(commit.role, &commit.input);
        }
        for timer in &commit.timers {
            self.timers.insert(timer_key(commit.role, timer), Deadline { due: timer.due, taken: None });
        }
        CommitAnswer::Committed(numbers)
    }

    /// Moves an entry to the dead letters.
    pub(super) fn bury(
        &mut self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &Source,
        letter: DeadLetter,
        now: Timestamp,
    ) -> CommitAnswer {
        let role = letter.group;
        let fields = self.streams.get(&at.stream).and_then(|entries| entries.get(&at.id));
        let event = letter_event(at, fields.map_or(&[], Vec::as_slice), host, source, letter, now);
        let hold = self.entry_hold(role, at, consumer);
        if let Some(answer) = self.check(hold, event.envelope.id, true, now) {
            if answer == CommitAnswer::Duplicate {
                self.acknowledge_entry(role, at);
            }
            return answer;
        }
        let fields = self.fields(&at.stream, at.id).map_or(&[][..], Vec::as_slice);
        let prev = Entry::read(at.clone(), 0, fields).prev;
        if self.is_early(role, at, prev) {
            return CommitAnswer::Early;
        }
        let number = self.write(&event, now);
        self.acknowledge_entry(role, at);
        CommitAnswer::Committed(vec![number])
    }

    /// Takes or renews a lease; answers with its epoch.
    pub(super) fn lease(&mut self, name: &str, owner: &str, now: Timestamp, ttl: Duration) -> Option<u64> {
        let held = self.leases.entry(name.to_owned()).or_insert(Held { epoch: 0, by: None });
        match &held.by {
            Some((by, until)) if now < *until && by != owner => return None,
            Some((_, until)) if now < *until => {}
            _ => held.epoch += 1,
        }
        held.by = Some((owner.to_owned(), now + ttl));
        Some(held.epoch)
    }

    pub(super) fn release(&mut self, lease: &Lease, owner: &str) {
        if let Some(held) = self.leases.get_mut(&lease.name)
            && held.epoch == lease.epoch
            && held.by.as_ref().is_some_and(|(by, _)| by == owner)
        {
            held.by = None;
        }
    }

    pub(super) fn announce(&mut self, presence: &AgentPresence, now: Timestamp, ttl: Duration) {
        self.agents.retain(|_, (_, until)| now < *until);
        let key = (presence.role, presence.instance.clone());
        self.agents.insert(key, (presence.clone(), now + ttl));
    }

    pub(super) fn agents(&self, now: Timestamp) -> impl Iterator<Item = AgentPresence> {
        self.agents.values().filter(move |(_, until)| now < *until).map(|(presence, _)| presence.clone())
    }

    /// The timers that are due and not taken.
    pub(super) fn due(&self, role: Role, now: Timestamp) -> impl Iterator<Item = Timer> {
        let free = move |deadline: &Deadline| {
            deadline.due <= now && deadline.taken.as_ref().is_none_or(|(_, until)| *until <= now)
        };
        let due = self.timers.iter().filter(move |(key, deadline)| key.0 == role && free(deadline));
        due.map(|((_, subject, name, cause), deadline)| Timer {
            subject: subject.clone(),
            name: name.clone(),
            cause: *cause,
            due: deadline.due,
        })
    }

    pub(super) fn take_timer(&mut self, role: Role, timer: &Timer, consumer: &str, until: Timestamp) {
        if let Some(deadline) = self.timers.get_mut(&timer_key(role, timer)) {
            deadline.taken = Some((consumer.to_owned(), until));
        }
    }

    pub(super) fn give_timer_back(&mut self, role: Role, timer: &Timer, consumer: &str) {
        if let Some(deadline) = self.timers.get_mut(&timer_key(role, timer))
            && deadline.is_taken(timer, consumer)
        {
            deadline.taken = None;
        }
    }

    /// Gives the timers back that those took who had the heir's slot before.
    pub(super) fn inherit_timers(&mut self, heir: &ConsumerName) {
        let of_role = self.timers.iter_mut().filter(|(key, _)| key.0 == heir.role);
        for deadline in of_role.map(|(_, deadline)| deadline) {
            deadline.taken.take_if(|(by, _)| heir.succeeds_name(by));
        }
    }

    pub(super) fn state(&self, role: Role, subject: &Subject) -> Versioned {
        self.states.get(&(role, subject.clone())).cloned().unwrap_or_default()
    }

    pub(super) fn states_of(&self, role: Role, host: &HostName) -> Vec<(Subject, Versioned)> {
        let states = self.states.iter().filter(|((of, subject), _)| *of == role && subject.host() == *host);
        states.map(|((_, subject), state)| (subject.clone(), state.clone())).collect()
    }

    pub(super) fn streams(&self) -> Vec<StreamName> {
        self.streams.keys().cloned().collect()
    }

    pub(super) fn entries_after(
        &self,
        stream: &StreamName,
        after: EntryId,
    ) -> impl Iterator<Item = (EntryId, &Fields)> {
        let entries = self.streams.get(stream).into_iter();
        entries
            .flat_map(move |entries| entries.range((Bound::Excluded(after), Bound::Unbounded)))
            .map(|(id, fields)| (*id, fields))
    }

    pub(super) fn fields(&self, stream: &StreamName, id: EntryId) -> Option<&Fields> {
        self.streams.get(stream)?.get(&id)
    }

    /// The group of `role` on `stream`; both are made where they are missing, the group at its cursor.
    pub(super) fn group(&mut self, stream: &StreamName, role: Role) -> &mut Group {
        let key = (stream.clone(), role);
        if !self.groups.contains_key(&key) {
            self.streams.entry(stream.clone()).or_default();
        }
        let cursor = &self.cursors;
        self.groups
            .entry(key)
            .or_insert_with_key(|key| Group::at(cursor.get(key).copied().unwrap_or(EntryId::ZERO)))
    }

    /// Adds an entry, without a number of its own.
    pub(super) fn add(&mut self, stream: &StreamName, fields: Fields, now: Timestamp) -> EntryId {
        let last = self.last_ids.entry(stream.clone()).or_insert(EntryId::ZERO);
        *last = if last.ms < now.millis() {
            EntryId { ms: now.millis(), n: 0 }
        } else {
            EntryId { n: last.n + 1, ..*last }
        };
        self.streams.entry(stream.clone()).or_default().insert(*last, fields);
        *last
    }

    pub(super) fn lose_groups(&mut self) {
        self.groups.clear();
    }

    pub(super) fn lose_stream(&mut self, stream: &StreamName) {
        self.streams.remove(stream);
        self.groups.retain(|(of, _), _| of != stream);
    }

    pub(super) fn lose_everything(&mut self) {
        let last_ids = std::mem::take(&mut self.last_ids);
        *self = Self { last_ids, defect: self.defect, ..Self::default() };
    }

    pub(super) fn set_defect(&mut self, defect: Defect) {
        self.defect = Some(defect);
    }

    /// The first half of a commit that is not atomic.
    pub(super) fn acknowledge_first(&mut self, commit: &Commit, now: Timestamp) {
        let acknowledges = acknowledges(&commit.input);
        if acknowledges && self.check(self.hold(commit), commit.key, true, now).is_none() {
            self.acknowledge(commit.role, &commit.input);
        }
    }

    /// Writes an event as the next in the sequence and remembers its id; samples are too many to be remembered.
    fn write(&mut self, event: &Event, now: Timestamp) -> u64 {
        self.seq += 1;
        let stream = StreamName::of(event);
        let seq = (FIELD_SEQ.to_owned(), self.seq.to_string().into_bytes());
        let fields = vec![seq, (FIELD_EVENT.to_owned(), codec::encode(event))];
        if event.event_type() == EventType::ContainerSample {
            self.add(&stream, fields, now);
            return self.seq;
        }
        self.known.add(event.envelope.id, now);
        self.add_in_order(&stream, event.envelope.subject.as_ref(), fields, now);
        self.seq
    }

    /// Adds an entry, with the position of the one before it about its container.
    fn add_in_order(
        &mut self,
        stream: &StreamName,
        subject: Option<&Subject>,
        mut fields: Fields,
        now: Timestamp,
    ) {
        let Some(subject) = subject else {
            self.add(stream, fields, now);
            return;
        };
        let latest = (stream.clone(), subject.clone());
        let prev = self.latest.get(&latest);
        fields.extend(prev.map(|id| (FIELD_PREV.to_owned(), id.to_string().into_bytes())));
        let id = self.add(stream, fields, now);
        self.latest.insert(latest, id);
    }

    /// The answer to a commit that cannot be made, apart from the version of the state.
    fn check(&self, hold: Hold, key: EventId, acknowledges: bool, now: Timestamp) -> Option<CommitAnswer> {
        let known = self.known.has(key, now) && self.defect != Some(Defect::KnowsNoKeys);
        match hold {
            Hold::Nobodys | Hold::NotMine if self.defect == Some(Defect::FencesNobody) => {
                known.then_some(CommitAnswer::Duplicate)
            }
            // It was acknowledged by this very commit, a moment ago.
            Hold::Nobodys if self.defect == Some(Defect::AcknowledgesFirst) && !known => None,
            Hold::Mine if known => Some(CommitAnswer::Duplicate),
            Hold::Mine => None,
            // The acknowledgement whose answer did not arrive.
            Hold::Nobodys if known && acknowledges => Some(CommitAnswer::Duplicate),
            Hold::Nobodys | Hold::NotMine => Some(CommitAnswer::Fenced),
        }
    }

    /// Whether an earlier entry about the same container waits for anybody of the group.
    fn is_early(&self, role: Role, at: &EntryRef, prev: Option<EntryId>) -> bool {
        let group = self.groups.get(&(at.stream.clone(), role));
        let waits = group.zip(prev).is_some_and(|(group, prev)| group.holder(prev).is_some());
        waits && self.defect != Some(Defect::KeepsNoOrder)
    }

    fn hold(&self, commit: &Commit) -> Hold {
        match &commit.input {
            CommitInput::Entry { at, consumer, .. } => self.entry_hold(commit.role, at, consumer),
            CommitInput::Timer { timer, consumer, .. } => {
                match self.timers.get(&timer_key(commit.role, timer)) {
                    None => Hold::Nobodys,
                    Some(deadline) if deadline.is_taken(timer, consumer) => Hold::Mine,
                    Some(_) => Hold::NotMine,
                }
            }
            CommitInput::Lease { lease } => {
                let held = self.leases.get(&lease.name).filter(|held| held.epoch == lease.epoch);
                if held.is_some_and(|held| held.by.is_some()) { Hold::Mine } else { Hold::NotMine }
            }
        }
    }

    fn entry_hold(&self, role: Role, at: &EntryRef, consumer: &str) -> Hold {
        let group = self.groups.get(&(at.stream.clone(), role));
        match group.and_then(|group| group.holder(at.id)) {
            None => Hold::Nobodys,
            Some(holder) if holder == consumer => Hold::Mine,
            Some(_) => Hold::NotMine,
        }
    }

    fn acknowledge(&mut self, role: Role, input: &CommitInput) {
        match input {
            CommitInput::Entry { at, .. } => self.acknowledge_entry(role, at),
            CommitInput::Timer { timer, .. } => {
                self.timers.remove(&timer_key(role, timer));
            }
            CommitInput::Lease { .. } => {}
        }
    }

    pub(super) fn acknowledge_entry(&mut self, role: Role, at: &EntryRef) {
        let key = (at.stream.clone(), role);
        if let Some(group) = self.groups.get_mut(&key)
            && group.acknowledge(at.id)
        {
            self.cursors.insert(key, group.cursor());
        }
    }
}

impl Known {
    fn has(&self, id: EventId, now: Timestamp) -> bool {
        self.since.get(&id).is_some_and(|since| now.since(*since) < KNOWN_FOR)
    }

    fn add(&mut self, id: EventId, now: Timestamp) {
        while let Some((since, oldest)) = self.order.front().copied()
            && KNOWN_FOR <= now.since(since)
        {
            self.order.pop_front();
            // An id that was added again since stands further back, too.
            if self.since.get(&oldest) == Some(&since) {
                self.since.remove(&oldest);
            }
        }
        if self.since.insert(id, now) != Some(now) {
            self.order.push_back((now, id));
        }
    }
}

/// Whether a commit is the last one for its input.
fn acknowledges(input: &CommitInput) -> bool {
    match input {
        CommitInput::Entry { acknowledge, .. } | CommitInput::Timer { acknowledge, .. } => *acknowledge,
        CommitInput::Lease { .. } => false,
    }
}

fn timer_key(role: Role, timer: &Timer) -> TimerKey {
    (role, timer.subject.clone(), timer.name.clone(), timer.cause)
}
