//! A client without an agent behind it: what the server alone can do.
//!
//! For measuring. It sends what the log and its readers send, encoded beforehand and as fast as the server takes it,
//! and looks at the answers only as far as to know that they are the wanted ones. So what it needs is the time of
//! the server, and an agent cannot be faster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hemostat_agent::log::{Commit, LogError, Membership, Partition, StreamName};
use hemostat_event::{Event, codec};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::time::Instant;

use crate::RedisLog;
use crate::commit::{self, BATCH_MAX};
use crate::fault::{self, Effect};
use crate::reader::make_groups;
use crate::reply;
use crate::scripts::COMMIT;
use crate::shared::Shared;

/// Calls in one pipeline: 512 hops or appends of 64.
const CALLS: usize = 8;
/// Pipelines under way at a time, so that the server never waits for the client.
const UNDER_WAY: usize = 4;
/// Longest wait of a follower on the server.
const BLOCK: Duration = Duration::from_millis(200);
/// Most entries in one answer to a follower.
const FOLLOW_MAX: usize = 512;

/// A connection of its own to the server of a log.
pub struct Bare {
    shared: Arc<Shared>,
    connection: MultiplexedConnection,
}

impl RedisLog {
    /// A client without an agent, on the partition 0 of this log.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the server does not take connections.
    pub async fn bare(&self) -> Result<Bare, LogError> {
        let connection = self.shared.link.blocking(PARTITION, BLOCK).await?;
        Ok(Bare { shared: Arc::clone(&self.shared), connection })
    }
}

impl Bare {
    /// Reads the entries of the group and makes `commits`, the answers to them in the same order; the time that
    /// takes, without the encoding.
    ///
    /// # Errors
    /// Those of the server, and when anything else than `commits` comes of it.
    pub async fn hops(&self, membership: &Membership, commits: &[Commit]) -> Result<Duration, LogError> {
        make_groups(&self.shared, membership, PARTITION).await?;
        let mut calls = Vec::new();
        for batch in commits.chunks(BATCH_MAX) {
            let mut read = redis::cmd("XREADGROUP");
            read.arg("GROUP").arg(membership.role.as_str()).arg(&membership.consumer);
            read.arg("COUNT").arg(batch.len()).arg("STREAMS");
            for stream in &membership.streams {
                read.arg(self.shared.keys.stream(PARTITION, stream));
            }
            for _ in &membership.streams {
                read.arg(">");
            }
            let mut hop = COMMIT.call(&self.shared.keys.seq(PARTITION));
            hop.arg(batch.len());
            for commit in batch {
                commit::write(&mut hop, commit);
            }
            calls.extend([read, hop]);
        }
        self.ask(COMMIT.load()).await?;
        let (took, answers) = self.send_all(&calls).await?;
        let mut committed = 0;
        for answer in answers.into_iter().skip(1).step_by(2) {
            committed += reply::array(answer)?.iter().filter(|one| matches!(one, Value::Int(0..))).count();
        }
        if committed == commits.len() { Ok(took) } else { Err(fault::unexpected("a commit")) }
    }

    /// Adds the stored forms of `events` to a stream outside the log, each by its own command; the time that takes,
    /// without the encoding.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn adds(&self, events: &[Event]) -> Result<Duration, LogError> {
        let key = format!("{}:{{{}}}:bare", self.shared.namespace, PARTITION.0);
        let adds: Vec<Cmd> = events
            .iter()
            .map(|event| {
                let mut add = redis::cmd("XADD");
                add.arg(&key).arg("*").arg("seq").arg(1).arg("event").arg(codec::encode(event));
                add
            })
            .collect();
        Ok(self.send_all_by(&adds, BATCH_MAX).await?.0)
    }

    /// How many events the log has numbered.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn sequence(&self) -> Result<u64, LogError> {
        let mut get = redis::cmd("GET");
        get.arg(self.shared.keys.seq(PARTITION));
        match self.ask(get).await? {
            Value::Nil => Ok(0),
            number => reply::text(number)?.parse().map_err(|_other| fault::unexpected("GET")),
        }
    }

    /// Empties the server.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn empty(&self) -> Result<(), LogError> {
        self.ask(redis::cmd("FLUSHALL")).await.map(drop)
    }

    /// Sets a line of the server's configuration.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn configure(&self, name: &str, value: &str) -> Result<(), LogError> {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        self.ask(set).await.map(drop)
    }

    /// The process of the server, where it runs on this machine.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn process(&self) -> Result<u32, LogError> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let info = reply::text(self.ask(info).await?)?;
        let id = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        id.and_then(|id| id.trim().parse().ok()).ok_or_else(|| fault::unexpected("INFO"))
    }

    /// Waits for entries of `stream` after the last one seen, which is `after`, and hands out their events as they
    /// are stored; none when nothing comes for a while.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn follow(&self, stream: &StreamName, after: &mut String) -> Result<Vec<Vec<u8>>, LogError> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(FOLLOW_MAX).arg("BLOCK").arg(crate::log::millis(BLOCK));
        read.arg("STREAMS").arg(self.shared.keys.stream(PARTITION, stream)).arg(&*after);
        let answer = self.ask(read).await?;
        let mut events = Vec::new();
        if answer == Value::Nil {
            return Ok(events);
        }
        for (id, fields) in reply::streams(answer)?.into_iter().flat_map(|(_, entries)| entries) {
            *after = id.to_string();
            let fields = fields.unwrap_or_default();
            events.extend(fields.into_iter().filter(|(name, _)| name == b"event").map(|(_, event)| event));
        }
        Ok(events)
    }

    async fn ask(&self, request: Cmd) -> Result<Value, LogError> {
        let answer = request.query_async(&mut self.connection.clone()).await;
        answer.map_err(|error| fault::asking(error, Effect::Read))
    }

    async fn send_all(&self, calls: &[Cmd]) -> Result<(Duration, Vec<Value>), LogError> {
        self.send_all_by(calls, 2 * CALLS).await
    }

    /// Sends `calls`, so many in a pipeline and several pipelines at a time.
    async fn send_all_by(&self, calls: &[Cmd], size: usize) -> Result<(Duration, Vec<Value>), LogError> {
        let pipelines: Vec<Pipeline> = calls.chunks(size).map(pipeline).collect();
        let began = Instant::now();
        let mut under_way = stream::iter(&pipelines)
            .map(|pipeline| {
                let mut connection = self.connection.clone();
                async move { connection.send_packed_commands(pipeline, 0, pipeline.len()).await }
            })
            .buffered(UNDER_WAY);
        let mut answers = Vec::with_capacity(calls.len());
        while let Some(some) = under_way.next().await {
            let some = some.and_then(|some| some.into_iter().map(Value::extract_error).collect());
            let some: Vec<Value> = some.map_err(|error| fault::asking(error, Effect::Read))?;
            answers.extend(some);
        }
        Ok((began.elapsed(), answers))
    }
}

/// Everything of one host is in one partition, and a bare log has no more.
const PARTITION: Partition = Partition(0);

fn pipeline(calls: &[Cmd]) -> Pipeline {
    let mut pipeline = redis::pipe();
    for call in calls {
        pipeline.add_command(call.clone());
    }
    pipeline
}
