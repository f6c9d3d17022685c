//! Writes that count only once they are safe: on replicas, or on the disk.
//!
//! An answer of Redis says that a write is in the memory of one server. Where that is not enough, the request is
//! followed, on the same connection, by a write of its own and by `WAIT` or `WAITAOF`, and the number that comes back
//! is checked: these commands end with their time and are no error when they have found too few. A shortfall is an
//! unknown outcome. Whoever asked may repeat, and must not act.
//!
//! - The write of its own moves the position that is waited for: a repeated commit changes nothing, and since Redis
//!   7.2 a wait after a request that wrote nothing is over at once.
//! - Request and wait are one exchange on one connection. If it breaks, nothing is said to be safe: behind a new
//!   connection may be another server that never had the write.
//! - Waiting stops the connection for everybody, so these have connections of their own, one for a partition.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_agent::log::{Commit, LogError, Partition};
use hemostat_event::{Event, EventType, Role};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster::{Pauses, UNSETTLED_MAX};
use crate::connect::ConnectError;
use crate::fault::{self, Effect};
use crate::link::Link;
use crate::scripts::Script;
use crate::shared::Shared;
use crate::{RedisLog, reply};

/// When a write counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Durability {
    /// When the primary has it in memory.
    #[default]
    None,
    /// When so many replicas have it in memory as the settings say.
    Replica,
    /// When it is on the primary's disk.
    Fsync,
}

/// When writes count, by family of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurabilitySettings {
    /// Measurements.
    pub samples: Durability,
    /// What the monitor decides: changes, alerts, recoveries.
    pub observations: Durability,
    /// Everything else: verdicts, plans, intents, outcomes, notifications, orders of a person, dead letters.
    pub decisions: Durability,
    /// Replicas that must have a write, for [`Durability::Replica`].
    pub replicas: u32,
    /// Longest wait for them, or for the disk.
    pub timeout: Duration,
}

impl Default for DurabilitySettings {
    fn default() -> Self {
        Self {
            samples: Durability::None,
            observations: Durability::None,
            decisions: Durability::None,
            replicas: 1,
            timeout: Duration::from_secs(1),
        }
    }
}

impl DurabilitySettings {
    fn of_event(&self, event: &Event) -> Durability {
        match event.event_type() {
            EventType::ContainerSample => self.samples,
            EventType::ContainerChanged | EventType::HealthAlert | EventType::HealthRecovered => {
                self.observations
            }
            _ => self.decisions,
        }
    }

    fn of_role(&self, role: Role) -> Durability {
        if role == Role::Monitor { self.observations } else { self.decisions }
    }

    fn strictest(&self) -> Durability {
        self.samples.max(self.observations).max(self.decisions)
    }
}

/// The connections for writes that have to be safe.
pub(crate) struct Durable {
    settings: DurabilitySettings,
    connections: BTreeMap<Partition, Mutex<Option<Safe>>>,
}

/// A connection to a server of which it is known how it makes writes safe.
struct Safe {
    connection: MultiplexedConnection,
    fsync: Option<Fsync>,
}

/// How a server puts writes on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fsync {
    /// When `WAITAOF` asks for it (Redis 7.2).
    OnDemand,
    /// Before each answer: `appendfsync always`.
    Always,
}

/// Fewer copies than there have to be.
#[derive(Debug, thiserror::Error)]
#[error("{found} of {wanted} {what} had the write after {timeout:?}; it does not count yet")]
struct Shortfall {
    found: i64,
    wanted: u32,
    what: &'static str,
    timeout: Duration,
}

impl RedisLog {
    /// Makes writes count as the settings say.
    ///
    /// # Errors
    /// [`ConnectError::Durability`] where the server cannot do that.
    pub async fn with_durability(mut self, settings: DurabilitySettings) -> Result<Self, ConnectError> {
        if settings.strictest() == Durability::None {
            return Ok(self);
        }
        let partitions = self.shared.partitions();
        let connections = partitions.map(|partition| (partition, Mutex::default())).collect();
        let durable = Durable { settings, connections };
        for partition in self.shared.partitions() {
            let safe = durable.connect(&self.shared.link, partition).await?;
            if durable.uses(Durability::Fsync) && safe.fsync.is_none() {
                return Err(ConnectError::Durability(cannot_fsync(safe.connection).await?));
            }
            if durable.uses(Durability::Replica)
                && (partition == Partition(0) || self.shared.link.is_cluster())
            {
                let replicas = info(&safe.connection, "replication", "connected_slaves").await?;
                if replicas.parse().unwrap_or(0) < settings.replicas {
                    let warning = format!(
                        "this Redis has {replicas} replica(s) and durability.replicas is {}; nothing that has to be \
                         safe is done until there are as many",
                        settings.replicas
                    );
                    // Most partitions of a cluster are together with others.
                    if !self.warnings.contains(&warning) {
                        self.warnings.push(warning);
                    }
                }
            }
        }
        let set = self.shared.durable.set(durable);
        assert!(set.is_ok(), "a log is made durable once");
        Ok(self)
    }
}

impl Shared {
    /// What must become of `commits` before they count; nothing where the primary's word is enough.
    pub(crate) fn durable_commits(&self, commits: &[&Commit]) -> Option<(&Durable, Durability)> {
        self.durable_where(|settings| {
            let of_events = commits.iter().flat_map(|commit| &commit.emit).map(|e| settings.of_event(e));
            // What a role decides is a decision, whatever it emits and also where it emits nothing.
            of_events.chain(commits.iter().map(|commit| settings.of_role(commit.role))).max()
        })
    }

    /// The same for events.
    pub(crate) fn durable_events(&self, events: &[Event]) -> Option<(&Durable, Durability)> {
        self.durable_where(|settings| events.iter().map(|event| settings.of_event(event)).max())
    }

    /// The same for a state that is read: a decision must not rest on what may be gone.
    pub(crate) fn durable_states(&self, role: Role) -> Option<(&Durable, Durability)> {
        self.durable_where(|settings| Some(settings.of_role(role)))
    }

    fn durable_where(
        &self,
        class: impl FnOnce(&DurabilitySettings) -> Option<Durability>,
    ) -> Option<(&Durable, Durability)> {
        let durable = self.durable.get()?;
        let class = class(&durable.settings)?;
        (class != Durability::None).then_some((durable, class))
    }
}

impl Durable {
    /// Sends requests, calls of `script` where one is given, and waits until all they wrote or saw is safe.
    pub(crate) async fn ask(
        &self,
        shared: &Shared,
        partition: Partition,
        class: Durability,
        script: Option<&Script>,
        requests: &Pipeline,
    ) -> Result<Vec<Value>, LogError> {
        let place = self.connections.get(&partition).expect("there is one for every partition");
        // Held during the exchange: a wait holds the others up on the server anyway.
        let mut place = place.lock().await;
        let barrier = shared.keys.barrier(partition);
        let until = Instant::now() + UNSETTLED_MAX;
        let mut pauses = Pauses::default();
        let (safe, answers, copies) = loop {
            let mut safe = match place.take() {
                Some(safe) => safe,
                None => match self.connect(&shared.link, partition).await {
                    Ok(safe) => safe,
                    // It may be elsewhere by now.
                    Err(LogError::Unavailable(_)) if shared.link.is_cluster() && Instant::now() < until => {
                        pauses.pause().await;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            let answers = self.exchange(&mut safe, class, script, requests, &barrier).await;
            let (answers, copies) = match answers {
                Ok(answers) => answers,
                Err(error) => return Err(fault::asking(error, Effect::Write)),
            };
            // Nothing was begun: the partition is on its way to another node. Where something was, there is no telling
            // who has it, and the failed wait is an unknown outcome.
            let unsettled = answers.iter().filter(|answer| shared.link.is_unsettled(answer)).count();
            if unsettled == 0 || unsettled < answers.len() || until <= Instant::now() {
                break (safe, answers, copies);
            }
            pauses.pause().await;
        };
        let failed = answers.iter().chain([&copies]).any(|answer| match answer {
            Value::ServerError(error) => {
                fault::ends_connection(&RedisError::from(error.clone())) || shared.link.is_unsettled(answer)
            }
            _ => false,
        });
        let fsync = safe.fsync;
        if !failed {
            *place = Some(safe);
        }
        drop(place);
        let answers: Result<Vec<_>, _> = answers.into_iter().map(Value::extract_error).collect();
        let answers = answers.map_err(|error| fault::asking(error, Effect::Write))?;
        let copies = copies.extract_error().map_err(|error| LogError::Indefinite(error.into()))?;
        self.check(class, fsync, copies)?;
        Ok(answers)
    }

    async fn exchange(
        &self,
        safe: &mut Safe,
        class: Durability,
        script: Option<&Script>,
        requests: &Pipeline,
        barrier: &str,
    ) -> Result<(Vec<Value>, Value), RedisError> {
        let connection = &mut safe.connection;
        let mut answers = send(connection, requests.cmd_iter().cloned()).await?;
        let missed: Vec<usize> =
            (0..answers.len()).filter(|place| fault::is_unknown_script(&answers[*place])).collect();
        if let (Some(script), false) = (script, missed.is_empty()) {
            let calls: Vec<_> = requests.cmd_iter().collect();
            let again = missed.iter().map(|place| script.in_full(calls[*place]));
            for (place, answer) in missed.iter().zip(send(connection, again).await?) {
                answers[*place] = answer;
            }
        }
        // Where nothing was begun nothing is waited for.
        let begun = |answer: &Value| !matches!(answer, Value::ServerError(_));
        if !answers.is_empty() && !answers.iter().any(begun) {
            return Ok((answers, Value::Nil));
        }
        // Apart from the requests: what had to be sent in full would have been waited for twice.
        let write = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '')";
        let mut barrier_write = redis::cmd("EVAL");
        barrier_write.arg(write).arg(1).arg(barrier);
        let waited = [barrier_write, self.wait(class, safe.fsync)];
        let mut waited = send(connection, waited.into_iter()).await?.into_iter();
        let copies = match (waited.next(), waited.next()) {
            // Nothing was written, so there was nothing to wait for.
            (Some(refused @ Value::ServerError(_)), _) => refused,
            (_, copies) => copies.unwrap_or_default(),
        };
        Ok((answers, copies))
    }

    /// What is sent to wait.
    fn wait(&self, class: Durability, fsync: Option<Fsync>) -> Cmd {
        let timeout = u64::try_from(self.settings.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut wait;
        match (class, fsync) {
            (Durability::Replica, _) => {
                wait = redis::cmd("WAIT");
                wait.arg(self.settings.replicas).arg(timeout);
            }
            (_, Some(Fsync::OnDemand)) => {
                wait = redis::cmd("WAITAOF");
                wait.arg(1).arg(0).arg(timeout);
            }
            // Each answer waits for the disk by itself.
            (_, Some(Fsync::Always) | None) => wait = redis::cmd("PING"),
        }
        wait
    }

    fn check(&self, class: Durability, fsync: Option<Fsync>, copies: Value) -> Result<(), LogError> {
        let (found, wanted, what) = match (class, fsync) {
            (Durability::Replica, _) => (reply::integer(&copies)?, self.settings.replicas, "replicas"),
            (_, Some(Fsync::OnDemand)) => {
                let [local, _replicas] = reply::parts(copies)?;
                (reply::integer(&local)?, 1, "disks")
            }
            (_, Some(Fsync::Always)) => return Ok(()),
            // The server is another than at the start, and does not do what that one did.
            (_, None) => (0, 1, "disks"),
        };
        if i64::from(wanted) <= found {
            return Ok(());
        }
        let timeout = self.settings.timeout;
        Err(LogError::Indefinite(Shortfall { found, wanted, what, timeout }.into()))
    }

    async fn connect(&self, link: &Link, partition: Partition) -> Result<Safe, LogError> {
        let connection = link.blocking(partition, self.settings.timeout).await?;
        let fsync = if self.uses(Durability::Fsync) { fsync(&connection).await? } else { None };
        Ok(Safe { connection, fsync })
    }

    fn uses(&self, class: Durability) -> bool {
        let DurabilitySettings { samples, observations, decisions, .. } = self.settings;
        [samples, observations, decisions].contains(&class)
    }
}

/// Sends requests in one go.
async fn send(
    connection: &mut MultiplexedConnection,
    requests: impl Iterator<Item = Cmd>,
) -> Result<Vec<Value>, RedisError> {
    let mut pipeline = redis::pipe();
    for request in requests {
        pipeline.add_command(request);
    }
    connection.send_packed_commands(&pipeline, 0, pipeline.len()).await
}

/// How the server puts writes on its disk when asked, if it does.
async fn fsync(connection: &MultiplexedConnection) -> Result<Option<Fsync>, LogError> {
    if info(connection, "persistence", "aof_enabled").await? != "1" {
        return Ok(None);
    }
    if has_waitaof(&info(connection, "server", "redis_version").await?) {
        return Ok(Some(Fsync::OnDemand));
    }
    let policy: Option<Vec<String>> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("appendfsync")
        .query_async(&mut connection.clone())
        .await
        // A user who may not look is told that it cannot be done.
        .ok();
    let always = policy.is_some_and(|pair| pair.get(1).is_some_and(|policy| policy == "always"));
    Ok(always.then_some(Fsync::Always))
}

/// Whether a server of this version knows `WAITAOF`: Redis since 7.2, and every Valkey, which calls itself 7.2.4.
fn has_waitaof(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (7, 2) <= (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What to change so that the server puts writes on its disk.
async fn cannot_fsync(connection: MultiplexedConnection) -> Result<String, LogError> {
    let version = info(&connection, "server", "redis_version").await?;
    Ok(if info(&connection, "persistence", "aof_enabled").await? != "1" {
        "it keeps no append-only file; set `appendonly yes` in redis.conf".to_owned()
    } else {
        format!(
            "it is version {version}, and waiting for the disk (WAITAOF) came with 7.2; set `appendfsync always`, \
             which makes every write wait, or use `replica`, or upgrade Redis"
        )
    })
}

/// One line of `INFO`.
async fn info(connection: &MultiplexedConnection, section: &str, name: &str) -> Result<String, LogError> {
    let info: String = redis::cmd("INFO")
        .arg(section)
        .query_async(&mut connection.clone())
        .await
        .map_err(|error| fault::asking(error, Effect::Read))?;
    let lines = info.lines().filter_map(|line| line.trim_end().split_once(':'));
    Ok(lines
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
        .next()
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::has_waitaof;

    #[test]
    fn waiting_for_the_disk_came_with_7_2() {
        for (version, has) in
            [("7.0.15", false), ("7.2.0", true), ("7.4.1", true), ("8.0.0", true), ("", false)]
        {
            assert_eq!(has_waitaof(version), has, "{version}");
        }
    }
}
