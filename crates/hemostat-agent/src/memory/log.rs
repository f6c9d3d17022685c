//! An event log in memory: deterministic, with faults a test can cause.
//!
//! Nothing is random, entry ids follow from the clock and a counter, and everything is kept in order, so the same
//! calls give the same log. A request is done in one step under one lock and never waits, except
//! [`GroupReader::read`], which waits for a change of the log.
//!
//! The clock is one of two:
//! - [`MemoryLog::new`] goes with the clock of tokio, which a test can pause; then waiting costs no real time.
//!   [`MemoryLog::advance`] makes it jump.
//! - [`MemoryLog::manual`] moves only by [`MemoryLog::advance`]. The wait of a read ends by an entry or by
//!   advancing past its end: whoever waits for a reader to give up has to advance.
//!
//! It behaves as the log on Redis does where that matters to its users: a lost group begins at its cursor, before
//! the oldest entry that is not acknowledged, and repeats what was acknowledged after that.

mod defect;
mod group;
mod partition;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::role::Timer;
use hemostat_event::{DeadLetter, Event, HostName, Role, Source, Subject, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::log::{
    Abandoned, AgentPresence, BoxError, Commit, CommitAnswer, CommitInput, Cursors, EntryId, EntryRef,
    EventLog, GroupReader, GroupStatus, Lease, LogError, Membership, Partition, Pressure, Redriven, Stored,
    StreamName, Trim, Trimmed, Versioned,
};
pub use defect::Defect;
use partition::Part;
use reader::MemoryReader;

/// The log. Clones are clients of the same log.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    clock: Clock,
    partitions: u16,
    state: Arc<Mutex<State>>,
    /// Wakes the readers, in the order in which they began to wait: a `watch` wakes them in a random one.
    changed: Arc<Notify>,
    defect: Option<Defect>,
}

#[derive(Debug, Clone, Copy)]
enum Clock {
    /// Stands at `State::now`.
    Manual,
    /// So long after `start` as tokio's clock is after `began`, and `State::ahead` of that.
    Tokio { start: Timestamp, began: Instant },
}

#[derive(Debug)]
struct State {
    /// The latest log time that was seen; the log time itself where the clock is manual.
    now: Timestamp,
    /// How far the log's time was moved by hand beyond tokio's clock.
    ahead: Duration,
    down: bool,
    /// Answers to writing requests that will be lost.
    lost_answers: u32,
    /// What the log says of its room.
    pressure: Pressure,
    parts: BTreeMap<Partition, Part>,
}

impl MemoryLog {
    /// An empty log of `partitions` partitions whose time begins at `start` and goes with tokio's clock.
    ///
    /// # Panics
    /// When `partitions` is 0.
    #[must_use]
    pub fn new(partitions: u16, start: Timestamp) -> Self {
        Self::make(Clock::Tokio { start, began: Instant::now() }, partitions, start)
    }

    /// An empty log of `partitions` partitions whose time stands at `start` until it is moved.
    ///
    /// # Panics
    /// When `partitions` is 0.
    #[must_use]
    pub fn manual(partitions: u16, start: Timestamp) -> Self {
        Self::make(Clock::Manual, partitions, start)
    }

    /// Moves the log's time at once. A log that goes with tokio's clock is so much ahead of it from then on, as when
    /// a server with another clock takes over.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        match self.clock {
            Clock::Manual => state.now = state.now + by,
            Clock::Tokio { .. } => state.ahead += by,
        }
        drop(state);
        self.wake();
    }

    /// Makes every request fail as unavailable, or stops doing so. Waiting reads fail when it goes down.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
        self.wake();
    }

    /// Makes the log say that it has this much room; it takes in more all the same.
    pub fn set_pressure(&self, pressure: Pressure) {
        self.lock().pressure = pressure;
    }

    /// Loses the answers to the next `count` writing requests: each is carried out and answered with
    /// [`LogError::Indefinite`].
    pub fn lose_answers(&self, count: u32) {
        self.lock().lost_answers = count;
    }

    /// Writes an entry with these fields, whatever they are.
    ///
    /// # Panics
    /// When the log has no such partition: the test is wrong.
    pub fn put_raw(&self, partition: Partition, stream: &StreamName, fields: &[(&str, &[u8])]) -> EntryId {
        let mut state = self.lock();
        let now = self.time(&mut state);
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let part = state.parts.get_mut(&partition).expect("the test names a partition of the log");
        let id = part.add(stream, fields, now);
        drop(state);
        self.wake();
        id
    }

    /// Takes all groups of all streams away. Their cursors stay.
    pub fn lose_groups(&self) {
        self.lock().parts.values_mut().for_each(Part::lose_groups);
        self.wake();
    }

    /// Takes a stream away, with its groups. Their cursors stay.
    pub fn lose_stream(&self, partition: Partition, stream: &StreamName) {
        if let Some(part) = self.lock().parts.get_mut(&partition) {
            part.lose_stream(stream);
        }
        self.wake();
    }

    /// Takes everything away, cursors and states too.
    pub fn lose_everything(&self) {
        self.lock().parts.values_mut().for_each(Part::lose_everything);
        self.wake();
    }

    fn make(clock: Clock, partitions: u16, now: Timestamp) -> Self {
        assert!(0 < partitions, "a log has at least one partition");
        let parts = (0..partitions).map(|number| (Partition(number), Part::default())).collect();
        let (ahead, pressure) = (Duration::ZERO, Pressure::default());
        let state = State { now, ahead, down: false, lost_answers: 0, pressure, parts };
        Self { clock, partitions, state: Arc::new(Mutex::new(state)), changed: Arc::default(), defect: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.notify_waiters();
    }

    fn time(&self, state: &mut State) -> Timestamp {
        if let Clock::Tokio { start, began } = self.clock {
            state.now = state.now.max(start + began.elapsed() + state.ahead);
        }
        state.now
    }

    /// Lets a request through unless the log is down.
    fn asked(&self) -> Result<(MutexGuard<'_, State>, Timestamp), LogError> {
        let mut state = self.lock();
        if state.down {
            return Err(LogError::Unavailable(reason("the log is down")));
        }
        let now = self.time(&mut state);
        Ok((state, now))
    }

    /// Carries out a request that may write entries, and wakes the readers.
    fn write<T>(
        &self,
        request: impl FnOnce(&mut State, Timestamp) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let answer = self.change(request);
        self.wake();
        answer
    }

    /// Carries out a request that changes something, and hands on the answer unless it is to be lost.
    fn change<T>(
        &self,
        request: impl FnOnce(&mut State, Timestamp) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let (mut state, now) = self.asked()?;
        let answer = request(&mut state, now)?;
        let lost = 0 < state.lost_answers;
        state.lost_answers = state.lost_answers.saturating_sub(1);
        if lost { Err(LogError::Indefinite(reason("the answer was lost"))) } else { Ok(answer) }
    }

    /// The partition of everything in a request, which is in one partition only.
    fn only_partition<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a HostName>,
    ) -> Result<Partition, LogError> {
        let partitions: BTreeSet<_> = hosts.into_iter().map(|host| self.partition_of(host)).collect();
        match partitions.first() {
            Some(partition) if partitions.len() == 1 => Ok(*partition),
            _ => Err(LogError::Refused {
                reason: format!("one request is about {} partitions", partitions.len()),
                source: None,
            }),
        }
    }
}

impl State {
    fn part(&mut self, partition: Partition) -> &mut Part {
        self.parts.get_mut(&partition).expect("the partition is one of this log")
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn now(&self) -> Result<Timestamp, LogError> {
        Ok(self.asked()?.1)
    }

    fn partitions(&self) -> Vec<Partition> {
        (0..self.partitions).map(Partition).collect()
    }

    fn partition_of(&self, host: &HostName) -> Partition {
        Partition::of(host, self.partitions)
    }

    async fn append(&self, events: &[Event]) -> Result<Vec<u64>, LogError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let partition = self.only_partition(events.iter().map(|event| &event.envelope.host))?;
        self.write(|state, now| Ok(state.part(partition).append(events, now)))
    }

    async fn load(&self, role: Role, subjects: &[Subject]) -> Result<Vec<Versioned>, LogError> {
        let (mut state, _) = self.asked()?;
        let load = |subject: &Subject| state.part(self.partition_of(&subject.host())).state(role, subject);
        Ok(subjects.iter().map(load).collect())
    }

    async fn load_host(&self, role: Role, host: &HostName) -> Result<Vec<(Subject, Versioned)>, LogError> {
        let (mut state, _) = self.asked()?;
        Ok(state.part(self.partition_of(host)).states_of(role, host))
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        let partitions = commits.iter().map(|commit| {
            let hosts: Vec<_> = commit.emit.iter().map(|event| &event.envelope.host).collect();
            let subject = commit.subject.host();
            let partition = self.only_partition(hosts.into_iter().chain([&subject]))?;
            match &commit.input {
                CommitInput::Entry { at, .. } if at.partition != partition => Err(LogError::Refused {
                    reason: format!("`{subject}` is not in the partition of the entry"),
                    source: None,
                }),
                _ => Ok(partition),
            }
        });
        let partitions = partitions.collect::<Result<Vec<_>, _>>()?;
        self.acknowledge_first(commits, &partitions).await?;
        self.write(|state, now| {
            let make = |(commit, partition): (&Commit, Partition)| state.part(partition).commit(commit, now);
            Ok(commits.iter().zip(partitions).map(make).collect())
        })
    }

    async fn join(&self, membership: Membership) -> Result<Box<dyn GroupReader>, LogError> {
        let (mut state, now) = self.asked()?;
        Ok(Box::new(MemoryReader::new(self.clone(), membership, &mut state, now)))
    }

    async fn advance(
        &self,
        group: Role,
        partition: Partition,
        positions: &[(StreamName, EntryId)],
    ) -> Result<(), LogError> {
        self.write(|state, now| {
            for (stream, id) in positions {
                state.part(partition).advance(group, stream, *id, now);
            }
            Ok(())
        })
    }

    async fn take_due(
        &self,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError> {
        self.change(|state, now| {
            let mut due: Vec<_> = state
                .parts
                .iter()
                .flat_map(|(partition, part)| part.due(role, now).map(|timer| (timer, *partition)))
                .filter(|(timer, _)| host.is_none_or(|host| timer.subject.host() == *host))
                .collect();
            due.sort_by(|(one, _), (other, _)| one.due.cmp(&other.due).then_with(|| one.cmp(other)));
            due.truncate(max);
            let take = |(timer, partition): (Timer, Partition)| {
                state.part(partition).take_timer(role, &timer, consumer, now + lease);
                timer
            };
            Ok(due.into_iter().map(take).collect())
        })
    }

    async fn give_back(&self, role: Role, consumer: &str, timers: &[Timer]) -> Result<(), LogError> {
        self.write(|state, _| {
            for timer in timers {
                let partition = self.partition_of(&timer.subject.host());
                state.part(partition).give_timer_back(role, timer, consumer);
            }
            Ok(())
        })
    }

    async fn bury(
        &self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &Source,
        letter: DeadLetter,
    ) -> Result<CommitAnswer, LogError> {
        self.write(|state, now| Ok(state.part(at.partition).bury(at, consumer, host, source, letter, now)))
    }

    async fn redrive(&self, letter: &EntryRef, by: &str, source: &Source) -> Result<Redriven, LogError> {
        self.write(|state, now| Ok(state.part(letter.partition).redrive(letter, by, source, now)))
    }

    async fn lease(
        &self,
        name: &str,
        host: &HostName,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, LogError> {
        self.change(|state, now| {
            let epoch = state.part(self.partition_of(host)).lease(name, owner, now, ttl);
            Ok(epoch.map(|epoch| Lease { name: name.to_owned(), host: host.clone(), epoch }))
        })
    }

    async fn release(&self, lease: &Lease, owner: &str) -> Result<(), LogError> {
        self.change(|state, _| {
            state.part(self.partition_of(&lease.host)).release(lease, owner);
            Ok(())
        })
    }

    async fn announce(&self, presence: &AgentPresence, ttl: Duration) -> Result<(), LogError> {
        self.change(|state, now| {
            state.part(self.partition_of(&presence.host)).announce(presence, now, ttl);
            Ok(())
        })
    }

    async fn agents(&self) -> Result<Vec<AgentPresence>, LogError> {
        let (state, now) = self.asked()?;
        Ok(state.parts.values().flat_map(|part| part.agents(now)).collect())
    }

    async fn streams(&self, partition: Partition) -> Result<Vec<StreamName>, LogError> {
        let (mut state, _) = self.asked()?;
        Ok(state.part(partition).streams())
    }

    async fn stored(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        let (mut state, _) = self.asked()?;
        let at = |id| EntryRef { partition, stream: stream.clone(), id };
        let part = state.part(partition);
        Ok(part
            .entries_after(stream, after)
            .take(max)
            .map(|(id, fields)| Stored { at: at(id), fields: bytes_of(fields) })
            .collect())
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, LogError> {
        let (state, _) = self.asked()?;
        Ok(state.parts.iter().flat_map(|(partition, part)| part.groups(*partition)).collect())
    }

    async fn cursors(&self, partition: Partition) -> Result<Cursors, LogError> {
        Ok(self.asked()?.0.part(partition).all_cursors())
    }

    async fn pressure(&self, _: Partition) -> Result<Pressure, LogError> {
        Ok(self.asked()?.0.pressure)
    }

    async fn trim(&self, step: &Trim) -> Result<Trimmed, LogError> {
        self.write(|state, now| Ok(state.part(step.partition).trim(step, now)))
    }

    async fn reap(&self, partition: Partition, silent: Duration) -> Result<Vec<Abandoned>, LogError> {
        self.write(|state, now| Ok(state.part(partition).reap(partition, silent, now)))
    }
}

fn reason(text: &str) -> BoxError {
    text.into()
}

fn bytes_of(fields: &[(String, Vec<u8>)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect()
}
