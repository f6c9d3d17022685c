//! The shadow as agents see it: its clock is the time that is played.
//!
//! So windows, cooldowns and deadlines are those of the log, whatever the speed. Leases, claims and trims, which are about
//! processes and not about what is played, go by the clock of Redis.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_agent::log::{
    Abandoned, AgentPresence, Commit, CommitAnswer, Cursors, EntryId, EntryRef, EventLog, GroupReader,
    GroupStatus, Lease, LogError, Membership, Operations, Partition, Pressure, Redriven, Stored, StreamName,
    Trim, Trimmed, Versioned,
};
use hemostat_core::role::Timer;
use hemostat_event::{DeadLetter, Event, HostName, Role, Source, Subject, Timestamp};
use hemostat_redis::RedisLog;
use tokio::time::Instant;

use super::player::Shared;

/// The shadow, with the clock of the schedule.
pub(super) struct Clocked {
    /// The shadow.
    pub log: Arc<RedisLog>,
    /// Its clock.
    pub schedule: Shared,
}

impl Clocked {
    fn time(&self) -> Timestamp {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner).log_time(Instant::now())
    }
}

#[async_trait]
impl EventLog for Clocked {
    async fn now(&self) -> Result<Timestamp, LogError> {
        Ok(self.time())
    }

    async fn take_due(
        &self,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError> {
        // To Redis everything is due that was due when it was recorded.
        let taken = self.log.take_due(role, host, consumer, lease, max).await?;
        let now = self.time();
        let (due, early): (Vec<_>, Vec<_>) = taken.into_iter().partition(|timer| timer.due <= now);
        if !early.is_empty() {
            self.log.give_back(role, consumer, &early).await?;
        }
        Ok(due)
    }

    fn partitions(&self) -> Vec<Partition> {
        self.log.partitions()
    }

    fn partition_of(&self, host: &HostName) -> Partition {
        self.log.partition_of(host)
    }

    async fn append(&self, events: &[Event]) -> Result<Vec<u64>, LogError> {
        self.log.append(events).await
    }

    async fn load(&self, role: Role, subjects: &[Subject]) -> Result<Vec<Versioned>, LogError> {
        self.log.load(role, subjects).await
    }

    async fn load_host(&self, role: Role, host: &HostName) -> Result<Vec<(Subject, Versioned)>, LogError> {
        self.log.load_host(role, host).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        self.log.commit(commits).await
    }

    async fn join(&self, membership: Membership) -> Result<Box<dyn GroupReader>, LogError> {
        self.log.join(membership).await
    }

    async fn advance(
        &self,
        group: Role,
        partition: Partition,
        positions: &[(StreamName, EntryId)],
    ) -> Result<(), LogError> {
        self.log.advance(group, partition, positions).await
    }

    async fn give_back(&self, role: Role, consumer: &str, timers: &[Timer]) -> Result<(), LogError> {
        self.log.give_back(role, consumer, timers).await
    }

    async fn bury(
        &self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &Source,
        letter: DeadLetter,
    ) -> Result<CommitAnswer, LogError> {
        self.log.bury(at, consumer, host, source, letter).await
    }

    async fn redrive(&self, letter: &EntryRef, by: &str, source: &Source) -> Result<Redriven, LogError> {
        self.log.redrive(letter, by, source).await
    }

    async fn lease(
        &self,
        name: &str,
        host: &HostName,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, LogError> {
        self.log.lease(name, host, owner, ttl).await
    }

    async fn release(&self, lease: &Lease, owner: &str) -> Result<(), LogError> {
        self.log.release(lease, owner).await
    }

    async fn announce(&self, presence: &AgentPresence, ttl: Duration) -> Result<(), LogError> {
        self.log.announce(presence, ttl).await
    }

    async fn agents(&self) -> Result<Vec<AgentPresence>, LogError> {
        self.log.agents().await
    }

    async fn streams(&self, partition: Partition) -> Result<Vec<StreamName>, LogError> {
        self.log.streams(partition).await
    }

    async fn stored(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        self.log.stored(partition, stream, after, max).await
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, LogError> {
        self.log.groups().await
    }

    async fn cursors(&self, partition: Partition) -> Result<Cursors, LogError> {
        self.log.cursors(partition).await
    }

    async fn pressure(&self, partition: Partition) -> Result<Pressure, LogError> {
        self.log.pressure(partition).await
    }

    async fn operations(&self) -> Result<Operations, LogError> {
        self.log.operations().await
    }

    async fn trim(&self, step: &Trim) -> Result<Trimmed, LogError> {
        self.log.trim(step).await
    }

    async fn reap(&self, partition: Partition, silent: Duration) -> Result<Vec<Abandoned>, LogError> {
        self.log.reap(partition, silent).await
    }
}
