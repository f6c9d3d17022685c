//! Making a log anew from what is known of it elsewhere, and putting states right.
//!
//! A log is made in a shadow ([`RedisLog::shadow`]) and takes its place in one step per partition: its keys are renamed.
//! So agents never meet half a log, and nothing that was there is overwritten.
//!
//! Invariant RE-1: what is put in place has the ids that the entries had. Every stream goes on behind the last entry it ever
//! had, whatever the clock of the server says, so no id is given twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hemostat_agent::log::{
    Cursors, EntryId, EventLog as _, LogError, Partition, Stored, StreamName, Versioned,
};
use hemostat_core::role::Timer;
use hemostat_event::{EventId, Role, Subject, Timestamp};
use redis::{Cmd, Pipeline};

use crate::commit::{self, timer_member};
use crate::connect::{ConnectError, record};
use crate::fault::{self, Effect};
use crate::keys::Keys;
use crate::log::RedisLog;
use crate::reply;
use crate::scripts::{ADOPT, SNAPSHOT, SWAP};
use crate::shadow::META;

/// Seconds in one bucket of known ids, as in `events.lua`.
const BUCKET_SECS: u64 = 43_200;
/// How long ids are known, at most: three buckets.
pub const KNOWN_FOR: Duration = Duration::from_secs(3 * BUCKET_SECS);
/// Commands sent in one go.
const BATCH: usize = 500;

/// What a partition holds beside its entries and states.
#[derive(Debug, Clone, Default)]
pub struct Bookkeeping {
    /// The number of the last event and the cursors of the groups.
    pub cursors: Cursors,
    /// The last entry that each stream ever had.
    pub ends: BTreeMap<StreamName, EntryId>,
    /// The last entry about each container in each stream.
    pub latest: BTreeMap<(StreamName, Subject), EntryId>,
    /// Ids of events and commits, with the log time from which on they are known. Those that are older than
    /// [`KNOWN_FOR`] may be left out.
    pub known: Vec<(EventId, Timestamp)>,
    /// Deadlines.
    pub timers: Vec<(Role, Timer)>,
    /// Dead letters that were handed out once more, with the time of their entry.
    pub redriven: Vec<(EventId, Timestamp)>,
}

/// The states and deadlines of a partition at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The number of the last event.
    pub seq: u64,
    /// The states of each role.
    pub states: BTreeMap<(Role, Subject), Versioned>,
    /// The deadlines of each role: container, name and cause.
    pub timers: BTreeSet<(Role, Subject, String, EventId)>,
}

/// Why a log was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// There is a log already.
    #[error("partition {} of `{namespace}` has a log already; nothing of it was changed", partition.0)]
    NotEmpty {
        /// The log.
        namespace: String,
        /// Where.
        partition: Partition,
    },
    /// The place cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The log is away, or refuses.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl RedisLog {
    /// Writes entries as they stood into a shadow; those of each stream in their order.
    ///
    /// # Errors
    /// Those of the log; and [`LogError::Refused`] when it is no shadow.
    pub async fn put_entries(&self, partition: Partition, entries: &[Stored]) -> Result<(), LogError> {
        self.must_be_shadow().await?;
        for batch in entries.chunks(BATCH) {
            let mut requests = redis::pipe();
            for Stored { at, fields } in batch {
                let add = requests.cmd("XADD").arg(self.shared.keys.stream(partition, &at.stream));
                add.arg(at.id.to_string());
                for (name, value) in fields {
                    add.arg(name).arg(value);
                }
            }
            self.send(&requests).await?;
        }
        Ok(())
    }

    /// Writes states into a shadow.
    ///
    /// # Errors
    /// As for [`RedisLog::put_entries`].
    pub async fn put_states(
        &self,
        partition: Partition,
        states: &[(Role, Subject, Versioned)],
    ) -> Result<(), LogError> {
        self.must_be_shadow().await?;
        for batch in states.chunks(BATCH) {
            let mut requests = redis::pipe();
            for (role, subject, state) in batch {
                let set = requests.cmd("HSET").arg(self.shared.keys.state(partition, *role));
                set.arg(subject.as_str()).arg(commit::stored_state(state));
            }
            self.send(&requests).await?;
        }
        Ok(())
    }

    /// Writes the rest of a partition into a shadow, after its entries.
    ///
    /// # Errors
    /// As for [`RedisLog::put_entries`].
    pub async fn put_bookkeeping(&self, partition: Partition, books: &Bookkeeping) -> Result<(), LogError> {
        self.must_be_shadow().await?;
        let commands = books.commands(&self.shared.keys, partition, self.now().await?);
        for batch in commands.chunks(BATCH) {
            let mut requests = redis::pipe();
            for command in batch {
                requests.add_command(command.clone());
            }
            self.send(&requests).await?;
        }
        Ok(())
    }

    /// Whether there is a log `namespace` in a partition already.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn is_taken(&self, partition: Partition, namespace: &str) -> Result<bool, AdoptError> {
        let keys = Keys::new(namespace).ok_or_else(|| ConnectError::Namespace(namespace.to_owned()))?;
        let mut request = redis::cmd("EXISTS");
        request.arg(keys.seq(partition)).arg(keys.streams(partition));
        Ok(self.shared.link.query::<u64>(request, Effect::Read).await? != 0)
    }

    /// Puts a partition of this shadow in the place of that of the log `namespace`, which must not be there yet. The log has
    /// as many partitions as the shadow.
    ///
    /// # Errors
    /// [`AdoptError::NotEmpty`], and what hinders a connection.
    pub async fn adopt(&self, partition: Partition, namespace: &str) -> Result<(), AdoptError> {
        self.must_be_shadow().await?;
        let (link, shadow) = (&self.shared.link, &self.shared.keys);
        let keys = Keys::new(namespace).ok_or_else(|| ConnectError::Namespace(namespace.to_owned()))?;
        record(link, &keys, namespace, Some(self.shared.partitions)).await?;
        let names = self.names(partition).await?;
        let mut call = ADOPT.call(&keys.seq(partition));
        call.arg(shadow.named(partition, ""));
        for name in names.iter().filter(|name| *name != META) {
            call.arg(name);
        }
        match reply::integer(&link.run_one(&ADOPT, call, Effect::Write).await?)? {
            1 => Ok(()),
            _ => Err(AdoptError::NotEmpty { namespace: namespace.to_owned(), partition }),
        }
    }

    /// The states and deadlines of some roles, and the number of the last event, all of one moment.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn snapshot(&self, partition: Partition, roles: &[Role]) -> Result<Snapshot, LogError> {
        let mut call = SNAPSHOT.call(&self.shared.keys.seq(partition));
        for role in roles {
            call.arg(role.as_str());
        }
        let unexpected = || fault::unexpected("a request for all states");
        let mut told =
            reply::array(self.shared.link.run_one(&SNAPSHOT, call, Effect::Read).await?)?.into_iter();
        let seq = reply::text(told.next().unwrap_or_default())?.parse().map_err(|_other| unexpected())?;
        let mut snapshot = Snapshot { seq, ..Snapshot::default() };
        for role in roles {
            let mut flat = reply::array(told.next().unwrap_or_default())?.into_iter();
            while let (Some(subject), Some(state)) = (flat.next(), flat.next()) {
                let subject = reply::text(subject)?.parse().map_err(|_other| unexpected())?;
                snapshot.states.insert((*role, subject), commit::state(state)?);
            }
            for member in reply::array(told.next().unwrap_or_default())? {
                let timer = commit::timer(&reply::text(member)?, "0").ok_or_else(unexpected)?;
                snapshot.timers.insert((*role, timer.subject, timer.name, timer.cause));
            }
        }
        Ok(snapshot)
    }

    /// Puts all states of some roles, and deadlines that are missing, in the place of what is there, in one step; unless the
    /// partition has gone on behind the number `seq`. Answers whether it was done.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn swap(
        &self,
        partition: Partition,
        seq: u64,
        roles: &[Role],
        states: &BTreeMap<(Role, Subject), Versioned>,
        timers: &[(Role, Timer)],
    ) -> Result<bool, LogError> {
        let key = |role: Role| self.shared.keys.named(partition, &format!("rebuild:{role}"));
        let mut requests = redis::pipe();
        for role in roles {
            requests.cmd("DEL").arg(key(*role));
        }
        self.send(&requests).await?;
        let states: Vec<_> = states.iter().collect();
        for batch in states.chunks(BATCH) {
            let mut requests = redis::pipe();
            for ((role, subject), state) in batch {
                requests.cmd("HSET").arg(key(*role)).arg(subject.as_str()).arg(commit::stored_state(state));
            }
            self.send(&requests).await?;
        }
        let mut call = SWAP.call(&self.shared.keys.seq(partition));
        call.arg(seq).arg(roles.len());
        for role in roles {
            call.arg(role.as_str());
        }
        for (role, timer) in timers {
            call.arg(role.as_str()).arg(timer_member(timer)).arg(timer.due.micros());
        }
        Ok(reply::integer(&self.shared.link.run_one(&SWAP, call, Effect::Write).await?)? == 1)
    }

    /// Sends requests whose answers are of no interest.
    async fn send(&self, requests: &Pipeline) -> Result<(), LogError> {
        for answer in self.shared.link.ask(requests, Effect::Write).await? {
            answer.extract_error().map_err(|error| fault::asking(error, Effect::Write))?;
        }
        Ok(())
    }
}

impl Bookkeeping {
    /// What writes it.
    fn commands(&self, keys: &Keys, partition: Partition, now: Timestamp) -> Vec<Cmd> {
        let mut commands = Vec::new();
        // A stream without entries is made by a group, which goes again.
        for stream in self.ends.keys() {
            let key = keys.stream(partition, stream);
            let (mut make, mut unmake) = (redis::cmd("XGROUP"), redis::cmd("XGROUP"));
            make.arg("CREATE").arg(&key).arg("restore").arg("0").arg("MKSTREAM");
            unmake.arg("DESTROY").arg(&key).arg("restore");
            commands.extend([make, unmake]);
        }
        let mut put = |name: &str, key: &str, arguments: &[&[u8]]| {
            let mut command = redis::cmd(name);
            command.arg(keys.named(partition, key));
            for argument in arguments {
                command.arg(*argument);
            }
            commands.push(command);
        };
        put("SET", "seq", &[text(self.cursors.seq).as_bytes()]);
        for (stream, end) in &self.ends {
            let stream = text(stream);
            put("SADD", "streams", &[stream.as_bytes()]);
            put("XSETID", &stream, &[text(end).as_bytes()]);
        }
        for ((stream, subject), id) in &self.latest {
            put("HSET", &format!("last:{stream}"), &[subject.as_str().as_bytes(), text(id).as_bytes()]);
        }
        for ((role, stream), cursor) in &self.cursors.positions {
            let field = format!("{role} {stream}");
            put("HSET", "groups", &[field.as_bytes(), text(now.millis()).as_bytes()]);
            if *cursor != EntryId::ZERO {
                put("HSET", "cursor", &[field.as_bytes(), format!("{cursor} {cursor}").as_bytes()]);
            }
        }
        let bucket = |since: &Timestamp| since.millis() / 1_000 / BUCKET_SECS;
        for (id, since) in &self.known {
            put("SADD", &format!("seen:{}", bucket(since)), &[id.as_bytes()]);
        }
        let buckets: BTreeSet<_> = self.known.iter().map(|(_, since)| bucket(since)).collect();
        for bucket in buckets {
            put("EXPIREAT", &format!("seen:{bucket}"), &[text((bucket + 3) * BUCKET_SECS).as_bytes()]);
        }
        for (role, timer) in &self.timers {
            let (member, due) = (timer_member(timer), text(timer.due.micros()));
            put("ZADD", &format!("timers:{role}"), &[due.as_bytes(), member.as_bytes()]);
            put("HSET", &format!("timer:{role}"), &[member.as_bytes(), due.as_bytes()]);
        }
        for (letter, at) in &self.redriven {
            put("ZADD", "redriven", &[text(at.millis()).as_bytes(), text(letter).as_bytes()]);
        }
        commands
    }
}

fn text(value: impl std::fmt::Display) -> String {
    value.to_string()
}
