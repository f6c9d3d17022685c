//! A log that does something before every request: for tests of what happens between two requests, or while one
//! hangs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hemostat_core::role::Timer;
use hemostat_event::{DeadLetter, Event, HostName, Role, Source, Subject, Timestamp};

use crate::log::{
    Abandoned, AgentPresence, Commit, CommitAnswer, Cursors, Entry, EntryId, EntryRef, EventLog, GroupReader,
    GroupStatus, Lease, LogError, Membership, Partition, Pressure, Redriven, Stored, StreamName, Trim,
    Trimmed, Versioned,
};
use crate::memory::log::MemoryLog;

/// A request to the log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    /// [`EventLog::commit`].
    Commit(&'a [Commit]),
    /// Any other, by its name.
    Other(&'static str),
}

/// What is done before a request: it may wait, and may fail it.
type Before = dyn Fn(Request<'_>) -> BoxFuture<'static, Result<(), LogError>> + Send + Sync;

/// The log.
#[derive(Clone)]
pub(crate) struct Interposed {
    log: MemoryLog,
    before: Arc<Before>,
}

impl Interposed {
    /// `log`, with `before` before every request.
    pub(crate) fn over<F>(log: &MemoryLog, before: F) -> Arc<dyn EventLog>
    where
        F: Fn(Request<'_>) -> BoxFuture<'static, Result<(), LogError>> + Send + Sync + 'static,
    {
        Arc::new(Self { log: log.clone(), before: Arc::new(before) })
    }
}

#[async_trait]
impl EventLog for Interposed {
    async fn now(&self) -> Result<Timestamp, LogError> {
        (self.before)(Request::Other("now")).await?;
        self.log.now().await
    }

    fn partitions(&self) -> Vec<Partition> {
        self.log.partitions()
    }

    fn partition_of(&self, host: &HostName) -> Partition {
        self.log.partition_of(host)
    }

    async fn append(&self, events: &[Event]) -> Result<Vec<u64>, LogError> {
        (self.before)(Request::Other("append")).await?;
        self.log.append(events).await
    }

    async fn load(&self, role: Role, subjects: &[Subject]) -> Result<Vec<Versioned>, LogError> {
        (self.before)(Request::Other("load")).await?;
        self.log.load(role, subjects).await
    }

    async fn load_host(&self, role: Role, host: &HostName) -> Result<Vec<(Subject, Versioned)>, LogError> {
        (self.before)(Request::Other("load_host")).await?;
        self.log.load_host(role, host).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError> {
        (self.before)(Request::Commit(commits)).await?;
        self.log.commit(commits).await
    }

    async fn join(&self, membership: Membership) -> Result<Box<dyn GroupReader>, LogError> {
        (self.before)(Request::Other("join")).await?;
        Ok(Box::new(Reader { reader: self.log.join(membership).await?, before: Arc::clone(&self.before) }))
    }

    async fn advance(
        &self,
        group: Role,
        partition: Partition,
        positions: &[(StreamName, EntryId)],
    ) -> Result<(), LogError> {
        (self.before)(Request::Other("advance")).await?;
        EventLog::advance(&self.log, group, partition, positions).await
    }

    async fn take_due(
        &self,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError> {
        (self.before)(Request::Other("take_due")).await?;
        self.log.take_due(role, host, consumer, lease, max).await
    }

    async fn bury(
        &self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &Source,
        letter: DeadLetter,
    ) -> Result<CommitAnswer, LogError> {
        (self.before)(Request::Other("bury")).await?;
        self.log.bury(at, consumer, host, source, letter).await
    }

    async fn give_back(&self, role: Role, consumer: &str, timers: &[Timer]) -> Result<(), LogError> {
        (self.before)(Request::Other("give_back")).await?;
        self.log.give_back(role, consumer, timers).await
    }

    async fn redrive(&self, letter: &EntryRef, by: &str, source: &Source) -> Result<Redriven, LogError> {
        (self.before)(Request::Other("redrive")).await?;
        self.log.redrive(letter, by, source).await
    }

    async fn lease(
        &self,
        name: &str,
        host: &HostName,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, LogError> {
        (self.before)(Request::Other("lease")).await?;
        self.log.lease(name, host, owner, ttl).await
    }

    async fn release(&self, lease: &Lease, owner: &str) -> Result<(), LogError> {
        (self.before)(Request::Other("release")).await?;
        self.log.release(lease, owner).await
    }

    async fn announce(&self, presence: &AgentPresence, ttl: Duration) -> Result<(), LogError> {
        (self.before)(Request::Other("announce")).await?;
        self.log.announce(presence, ttl).await
    }

    async fn agents(&self) -> Result<Vec<AgentPresence>, LogError> {
        (self.before)(Request::Other("agents")).await?;
        self.log.agents().await
    }

    async fn streams(&self, partition: Partition) -> Result<Vec<StreamName>, LogError> {
        (self.before)(Request::Other("streams")).await?;
        self.log.streams(partition).await
    }

    async fn stored(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        (self.before)(Request::Other("stored")).await?;
        self.log.stored(partition, stream, after, max).await
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, LogError> {
        (self.before)(Request::Other("groups")).await?;
        self.log.groups().await
    }

    async fn cursors(&self, partition: Partition) -> Result<Cursors, LogError> {
        (self.before)(Request::Other("cursors")).await?;
        self.log.cursors(partition).await
    }

    async fn pressure(&self, partition: Partition) -> Result<Pressure, LogError> {
        (self.before)(Request::Other("pressure")).await?;
        self.log.pressure(partition).await
    }

    async fn trim(&self, step: &Trim) -> Result<Trimmed, LogError> {
        (self.before)(Request::Other("trim")).await?;
        self.log.trim(step).await
    }

    async fn reap(&self, partition: Partition, silent: Duration) -> Result<Vec<Abandoned>, LogError> {
        (self.before)(Request::Other("reap")).await?;
        self.log.reap(partition, silent).await
    }
}

struct Reader {
    reader: Box<dyn GroupReader>,
    before: Arc<Before>,
}

#[async_trait]
impl GroupReader for Reader {
    async fn read(&mut self) -> Result<Vec<Entry>, LogError> {
        (self.before)(Request::Other("read")).await?;
        self.reader.read().await
    }

    async fn renew(&mut self, entries: &[EntryRef]) -> Result<(), LogError> {
        (self.before)(Request::Other("renew")).await?;
        self.reader.renew(entries).await
    }

    async fn hand_over(&mut self) -> Result<(), LogError> {
        (self.before)(Request::Other("hand_over")).await?;
        self.reader.hand_over().await
    }
}
