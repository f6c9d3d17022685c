//! The port to the event log.
//!
//! The log is divided into partitions; everything about one host is in one partition. A partition has one
//! stream per event type (plans: one per host), one gap-free sequence over all of them, and the states, cursors
//! and timers of the roles. An implementation promises:
//!
//! - Append and [`EventLog::commit`] are atomic: numbers, events, state, timers and acknowledgement appear
//!   together or not at all (L-1, L-2). Numbers begin with 1.
//! - A commit is checked in this order, and the first check that fails is the answer:
//!   1. Its entry is pending for the committing consumer, its timer is taken by it, its lease has that epoch and
//!      was not released; else [`CommitAnswer::Fenced`]. That the time of any of them is over does no harm as long
//!      as nobody has taken it since.
//!   2. Its key was not committed within the last 24 h; else [`CommitAnswer::Duplicate`]: nothing is appended, no
//!      state and no timer is set, only the acknowledgement is repeated.
//!   3. The entry before it about the same container in the same stream ([`Entry::prev`]) is pending for nobody in
//!      the group; else [`CommitAnswer::Early`]. So events of one container are decided in the order of their stream
//!      by any number of replicas. A group is given entries in their order, so what is not pending any more was
//!      acknowledged, buried, or found to be trimmed away.
//!   4. The state has the expected version; else [`CommitAnswer::Conflict`].
//!
//!   So that an acknowledging commit can be repeated after an unknown outcome, it is a duplicate and not fenced
//!   when its key is known and its entry is pending for nobody (its timer is gone).
//! - A vanished group or stream is a normal state, not an error: it is made anew from the durable cursor, never
//!   from the end (which would lose the backlog) and not blindly from the start (which would repeat everything).
//!   The cursor stands before the oldest entry that is not acknowledged; without a cursor a group begins with the
//!   oldest entry of the stream. An entry that was acknowledged before an older one of its stream may come again
//!   after such a loss; the commits and burials for it are duplicates.
//! - Entries that cannot be decoded are handed out as they stand ([`Entry::event`] is an error), never dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::role::Timer;
use hemostat_event::codec::DecodeError;
use hemostat_event::{DeadLetter, Event, EventId, HostName, Role, Subject, Timestamp};

mod consumer;
mod fields;
mod lag;
mod place;
mod pressure;
mod redrive;
mod retention;

pub use consumer::{ConsumerName, ConsumerNameError};
pub use fields::{
    FIELD_EVENT, FIELD_FOR, FIELD_PREV, FIELD_REDRIVE, FIELD_SEQ, is_for_another, letter_event,
};
pub use lag::{Counted, Cursors, GroupStatus};
pub use place::{EntryId, EntryIdError, EntryRef, Partition, StreamName, crc16};
pub use pressure::{Calls, Operations, Pressure};
pub use redrive::{Redrive, Redriven, last_key, quoted_bytes};
pub use retention::{Abandoned, HeldBy, Shelter, Trim, Trimmed};

/// An error of a lower layer, kept as the source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed request to the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Nothing was done; the caller may try again once the log is back.
    #[error("the event log is unavailable")]
    Unavailable(#[source] BoxError),
    /// The connection broke after the request left: it may or may not have been done. Commits may be repeated
    /// (their key makes the repetition harmless).
    #[error("a request to the event log has an unknown outcome")]
    Indefinite(#[source] BoxError),
    /// The log refuses, and will refuse again until a person changes something.
    #[error("the event log refuses: {reason}")]
    Refused {
        /// What to change.
        reason: String,
        /// What it answered.
        #[source]
        source: Option<BoxError>,
    },
}

/// An entry as the log hands it out.
#[derive(Debug)]
pub struct Entry {
    /// Where it stands.
    pub at: EntryRef,
    /// Its number in the partition's sequence; `None` where the entry has none (it was not written by us).
    pub seq: Option<u64>,
    /// The entry before it about the same container in the same stream; `None` for the first one, for samples, and
    /// for what is about no container.
    pub prev: Option<EntryId>,
    /// The dead letter because of which the event stands here once more; see [`EventLog::redrive`].
    pub redrive: Option<EventId>,
    /// The event, or why there is none.
    pub event: Result<Event, EntryError>,
    /// How often it has been delivered to the group, this time included; 0 outside a group. Renewals do not count,
    /// and a group that was made anew counts from 1.
    pub attempts: u32,
    /// The fields as they stand, each in hexadecimal where it is not UTF-8, in all at most 256 KiB. Filled only
    /// where there is no event.
    pub raw: BTreeMap<String, String>,
}

/// Why an entry has no event.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The entry lacks the field that holds the event.
    #[error("the entry has no field `event`")]
    NoEvent,
    /// The archive, which has the entry, does not have its body any more.
    #[error("its body was taken out of the archive")]
    TakenOut,
    /// The field does not hold an event of this version.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// An entry as it stands in its stream, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it stands.
    pub at: EntryRef,
    /// Names and values of its fields, in their order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Stored {
    /// The entry, read outside any group.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry::read(self.at.clone(), 0, &self.fields)
    }
}

/// A replica's membership in its role's group.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The role, which is also the name of the group.
    pub role: Role,
    /// The member's name, unique among those that run; see [`ConsumerName`].
    pub consumer: String,
    /// The streams the role reads, in every partition.
    pub streams: Vec<StreamName>,
    /// Most entries handed out by one read.
    pub batch: usize,
    /// Longest wait for a new entry; at most two seconds.
    pub block: Duration,
    /// Entries of other consumers that have been idle for this long are taken over.
    pub claim_after: Duration,
}

/// One read position of a group member. Every reader has its own connection.
#[async_trait]
pub trait GroupReader: Send {
    /// Waits up to `block` for entries: first those this consumer left unfinished before it joined, then those
    /// that any consumer left idle for [`Membership::claim_after`], then new ones. Those of one stream come in its
    /// order. Each entry is handed out once: what is in flight comes again only when it has been idle for that
    /// long, to this reader too. Empty when there is nothing to hand out.
    ///
    /// Not cancel-safe: a read that is dropped half-way may have taken entries. They come back after
    /// `claim_after`.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] while the log is away; the next call reconnects.
    async fn read(&mut self) -> Result<Vec<Entry>, LogError>;

    /// Says that this consumer still works on `entries`, so that nobody takes them over. Those that are no longer
    /// pending for it are left as they are.
    ///
    /// # Errors
    /// As for [`GroupReader::read`].
    async fn renew(&mut self, entries: &[EntryRef]) -> Result<(), LogError>;

    /// Gives back whatever is pending for this consumer: other members take it at their next look, and it counts as
    /// delivered once less. What was dealt with meanwhile, or is somebody else's, stays as it is.
    ///
    /// # Errors
    /// As for [`GroupReader::read`]. What was not given back is taken over in the end.
    async fn hand_over(&mut self) -> Result<(), LogError>;
}

/// A state with its version: the number of events folded into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versioned {
    /// Events folded into it; 0 where there is no state yet.
    pub version: u64,
    /// The stored form; empty where there is no state yet.
    pub bytes: Vec<u8>,
}

impl Versioned {
    /// A state in its stored form: `MessagePack` with field names.
    ///
    /// # Panics
    /// When the state has a value that `MessagePack` cannot write; no state has one.
    #[must_use]
    pub fn of<S: serde::Serialize>(version: u64, state: &S) -> Self {
        let bytes =
            rmp_serde::to_vec_named(state).expect("a state has only values that MessagePack can write");
        Self { version, bytes }
    }
}

/// What a commit answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitInput {
    /// An entry of one of the role's streams.
    Entry {
        /// Where it stands.
        at: EntryRef,
        /// The entry before it about the same container; see [`Entry::prev`].
        prev: Option<EntryId>,
        /// The consumer for which it must be pending.
        consumer: String,
        /// Whether this is the last commit for it.
        acknowledge: bool,
    },
    /// A due timer, taken by [`EventLog::take_due`]; removed by the last commit for it, before the timers of that
    /// commit are set. A timer that was moved meanwhile is not taken any more.
    Timer {
        /// The timer.
        timer: Timer,
        /// The consumer that took it.
        consumer: String,
        /// Whether this is the last commit for it.
        acknowledge: bool,
    },
    /// An observation of the world, made under a lease.
    Lease {
        /// The lease.
        lease: Lease,
    },
}

/// One atomic step of a role on one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The role whose state changes.
    pub role: Role,
    /// The container.
    pub subject: Subject,
    /// What it answers to.
    pub input: CommitInput,
    /// Identity of the step: a second commit with the same key changes nothing.
    pub key: EventId,
    /// The state the step was decided on and the one that follows; `None` where the step emits nothing.
    pub state: Option<StateChange>,
    /// Events to append, in this order.
    pub emit: Vec<Event>,
    /// Deadlines to set.
    pub timers: Vec<Timer>,
}

/// A change of a role's state of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The version that was decided on.
    pub expected: u64,
    /// What follows it.
    pub next: Versioned,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    /// Everything was written; the sequence numbers of the emitted events.
    Committed(Vec<u64>),
    /// It was written before; only the acknowledgement was repeated.
    Duplicate,
    /// The entry, timer or lease is no longer this consumer's; nothing was written. Leave it alone.
    Fenced,
    /// An earlier entry about the same container is still pending in the group; nothing was written. Wait and try
    /// again.
    Early,
    /// The state has another version; nothing was written. Load it and decide again.
    Conflict,
}

/// An exclusive right that ends by itself, for example to watch one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is for: `engine:<host>`.
    pub name: String,
    /// The host whose partition keeps it.
    pub host: HostName,
    /// Grows whenever the lease is taken and not renewed; a commit under an older epoch is fenced.
    pub epoch: u64,
}

/// A running replica, as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPresence {
    /// The role.
    pub role: Role,
    /// The replica's name.
    pub instance: String,
    /// The host it runs on.
    pub host: HostName,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// The event log. Every method may be called from many tasks at once.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The log's clock.
    async fn now(&self) -> Result<Timestamp, LogError>;

    /// The partitions of this log.
    fn partitions(&self) -> Vec<Partition>;

    /// The partition that holds everything about `host`.
    fn partition_of(&self, host: &HostName) -> Partition;

    /// Appends events that answer to nothing in the log and change no state: samples, orders of a person,
    /// imports. All events of one call are about hosts of one partition. An event whose id was appended within
    /// the last 24 h is not appended twice (samples excepted). Returns the sequence numbers of those appended.
    async fn append(&self, events: &[Event]) -> Result<Vec<u64>, LogError>;

    /// Loads a role's states; the answer has the order of `subjects`.
    async fn load(&self, role: Role, subjects: &[Subject]) -> Result<Vec<Versioned>, LogError>;

    /// Every subject for which `role` keeps a state, with that state, on `host`, in order. A step that emits
    /// nothing makes no state.
    async fn load_host(&self, role: Role, host: &HostName) -> Result<Vec<(Subject, Versioned)>, LogError>;

    /// Makes commits, each of them atomic; those of one partition travel together. The answers have the order
    /// of `commits`. After an error some may have been made: repeat them all.
    async fn commit(&self, commits: &[Commit]) -> Result<Vec<CommitAnswer>, LogError>;

    /// Joins a group, making group and streams where they are missing.
    ///
    /// A consumer with a [`ConsumerName`] takes over at once what earlier epochs of its slot left unfinished, entries
    /// and taken timers, whether idle or not: to have the lease on the slot is to know that they have ended. Consumers
    /// that have nothing pending are forgotten when their slot has another, or when they have been silent for long.
    async fn join(&self, membership: Membership) -> Result<Box<dyn GroupReader>, LogError>;

    /// Moves a group that reads along, outside any membership, up to what it is done with in each of the streams, and
    /// registers it. Where it is missing it is made, with its stream, as by [`EventLog::join`]. It has nothing pending:
    /// its position and its durable cursor are the same, and neither goes back. An id beyond the end of the stream is
    /// one of another stream that was lost; the group stays where it is then. [`EntryId::MAX`] is the end itself, for a
    /// group that begins with what comes.
    async fn advance(
        &self,
        group: Role,
        partition: Partition,
        positions: &[(StreamName, EntryId)],
    ) -> Result<(), LogError>;

    /// Takes timers of `role` that are due by the log's clock, at most `max`, for `lease` long; a timer that is not
    /// dealt with by then can be taken again, by anybody. With a `host` only those of its containers: an engine
    /// knows no others.
    async fn take_due(
        &self,
        role: Role,
        host: Option<&HostName>,
        consumer: &str,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<Timer>, LogError>;

    /// Gives timers back that `consumer` has taken: they are due again at once.
    async fn give_back(&self, role: Role, consumer: &str, timers: &[Timer]) -> Result<(), LogError>;

    /// Moves an entry of the group `letter.group` to the dead letters: appends the [`letter_event`], in whose
    /// `original` the entry's fields stand, and acknowledges. Fenced or early like a commit, and a repetition is a
    /// duplicate. The letter is about `host` and stands in the partition of the entry.
    async fn bury(
        &self,
        at: &EntryRef,
        consumer: &str,
        host: &HostName,
        source: &hemostat_event::Source,
        letter: DeadLetter,
    ) -> Result<CommitAnswer, LogError>;

    /// Hands the entry that the letter at `letter` is about to its group once more: appends it to its stream again, with
    /// the same event and a number of its own, for that group only, and before it the order of `by` that says so. A
    /// letter is redriven once; what dies again has another letter. No cursor moves.
    async fn redrive(
        &self,
        letter: &EntryRef,
        by: &str,
        source: &hemostat_event::Source,
    ) -> Result<Redriven, LogError>;

    /// Takes or renews a lease for `owner`; `None` while somebody else has it. The epoch stays while the same owner
    /// renews in time; it grows with another owner, after a release, and after the lease has ended.
    async fn lease(
        &self,
        name: &str,
        host: &HostName,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, LogError>;

    /// Gives a lease back, so that the next owner need not wait for its end; commits under it are fenced from then
    /// on. Nothing happens when it is not `owner`'s under that epoch any more.
    async fn release(&self, lease: &Lease, owner: &str) -> Result<(), LogError>;

    /// Announces a replica for `ttl`, in place of what was announced for the same role and instance.
    async fn announce(&self, presence: &AgentPresence, ttl: Duration) -> Result<(), LogError>;

    /// The replicas that are alive.
    async fn agents(&self) -> Result<Vec<AgentPresence>, LogError>;

    /// The streams that exist in a partition.
    async fn streams(&self, partition: Partition) -> Result<Vec<StreamName>, LogError>;

    /// Reads entries after `after` as they stand, oldest first, at most `max`; outside any group.
    async fn stored(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Stored>, LogError>;

    /// The same, with the events read.
    async fn range(
        &self,
        partition: Partition,
        stream: &StreamName,
        after: EntryId,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        Ok(self.stored(partition, stream, after, max).await?.iter().map(Stored::entry).collect())
    }

    /// How far every group has come, in each of its streams. Registered groups that were lost are among them.
    async fn groups(&self) -> Result<Vec<GroupStatus>, LogError>;

    /// From where the groups of a partition would go on if they were lost. One request: numbers and cursors are of the same
    /// moment.
    async fn cursors(&self, partition: Partition) -> Result<Cursors, LogError>;

    /// How much room the part of the log has that holds a partition.
    async fn pressure(&self, partition: Partition) -> Result<Pressure, LogError>;

    /// What the servers of the log have done since they started, all of them together; nothing where the log has no
    /// servers.
    async fn operations(&self) -> Result<Operations, LogError> {
        Ok(Operations::new())
    }

    /// Trims one step. May be repeated, by anybody and at any time.
    async fn trim(&self, step: &Trim) -> Result<Trimmed, LogError>;

    /// Takes away the groups of a partition of which no member has given a sign of life for `silent`, and answers
    /// with them; their cursors stay. A member is registered by joining and gives signs of life by reading. A group
    /// that nobody has registered is registered by this call, so that its time begins.
    async fn reap(&self, partition: Partition, silent: Duration) -> Result<Vec<Abandoned>, LogError>;
}
