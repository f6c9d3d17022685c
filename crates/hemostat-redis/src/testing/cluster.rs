//! A throw-away cluster, each node a [`TestRedis`] that listens on a free port too.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, sleep};

use super::{LOOK_EVERY, TestRedis, TestRedisError, WAIT_MAX, free_port};
use crate::{ConnectError, RedisLog, RedisSettings};

/// Slots of every cluster.
const SLOTS: usize = 16_384;
/// Tries to start a node: another process may take its port first.
const STARTS_MAX: usize = 5;

/// Some primaries, and replicas of them.
pub struct TestCluster {
    nodes: Vec<TestRedis>,
    ports: Vec<u16>,
    ids: Vec<String>,
    primaries: usize,
}

impl TestCluster {
    /// Starts primaries, each with the same number of replicas. A node counts as dead when it says nothing for
    /// `node_timeout`. The primaries have the places from 0, the first replica of each follows in the same order.
    ///
    /// # Errors
    /// [`TestRedisError`] when they do not start or do not find each other.
    pub async fn start(
        primaries: usize,
        replicas_of_each: usize,
        node_timeout: Duration,
    ) -> Result<Self, TestRedisError> {
        let mut cluster = Self { nodes: Vec::new(), ports: Vec::new(), ids: Vec::new(), primaries };
        for place in 0..primaries * (1 + replicas_of_each) {
            let (node, port, bus) = start_node(node_timeout).await?;
            if place < primaries {
                let (first, end) = (place * SLOTS / primaries, (place + 1) * SLOTS / primaries);
                let (first, last) = (first.to_string(), (end - 1).to_string());
                node.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
                node.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]).await?;
            }
            cluster.ids.push(node.command(&["CLUSTER", "MYID"]).await?);
            if let Some(known) = cluster.nodes.first() {
                let (port, bus) = (port.to_string(), bus.to_string());
                known.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await?;
            }
            cluster.nodes.push(node);
            cluster.ports.push(port);
        }
        let all = format!("cluster_known_nodes:{}", cluster.nodes.len());
        cluster.each_says(&["CLUSTER", "INFO"], &all).await?;
        for (place, node) in cluster.nodes.iter().enumerate().skip(primaries) {
            node.command::<()>(&["CLUSTER", "REPLICATE", &cluster.ids[place % primaries]]).await?;
        }
        cluster.each_says(&["CLUSTER", "INFO"], "cluster_state:ok").await?;
        for node in cluster.nodes.iter().skip(primaries) {
            says(node, &["INFO", "replication"], "master_link_status:up").await?;
        }
        cluster.agree().await?;
        Ok(cluster)
    }

    /// How to reach it: some of its nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The URL of one node, as if it were alone.
    #[must_use]
    pub fn url_of(&self, place: usize) -> String {
        format!("redis://127.0.0.1:{}", self.ports[place])
    }

    /// Opens a log on it.
    ///
    /// # Errors
    /// Those of [`RedisLog::connect`].
    pub async fn log(&self, namespace: &str, partitions: Option<u16>) -> Result<RedisLog, ConnectError> {
        let settings = RedisSettings { url: self.url(), namespace: namespace.to_owned(), partitions };
        RedisLog::connect(settings).await
    }

    /// Its nodes, to be asked over their sockets.
    #[must_use]
    pub fn nodes(&self) -> &[TestRedis] {
        &self.nodes
    }

    /// Those that began as primaries.
    #[must_use]
    pub fn primaries(&self) -> &[TestRedis] {
        &self.nodes[..self.primaries]
    }

    /// The place of the primary that has the slot of `key`, as the first node sees it.
    ///
    /// # Errors
    /// Those of the node.
    pub async fn owner(&self, key: &str) -> Result<usize, TestRedisError> {
        let slot: u16 = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await?;
        let ranges: Vec<(u16, u16, Value)> = ranges(&self.nodes[0]).await?;
        let of_slot = ranges.into_iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        let port = of_slot.and_then(|(_, _, node)| match node {
            Value::Array(parts) => parts.into_iter().nth(1),
            _ => None,
        });
        let place = self.ports.iter().position(|known| port == Some(Value::Int(i64::from(*known))));
        place.ok_or(TestRedisError::Slow("own the slot"))
    }

    /// Moves the slot to another primary with all it holds, as `redis-cli --cluster reshard` does.
    ///
    /// # Errors
    /// Those of the nodes.
    pub async fn move_slot(&self, slot: usize, from: usize, to: usize) -> Result<(), TestRedisError> {
        self.begin_move(slot, from, to).await?;
        while self.move_keys(slot, from, to, 100).await? != 0 {}
        self.end_move(slot, from, to).await
    }

    /// The first step of a move: both nodes know of it, nothing is moved.
    ///
    /// # Errors
    /// Those of the nodes.
    pub async fn begin_move(&self, slot: usize, from: usize, to: usize) -> Result<(), TestRedisError> {
        let slot = slot.to_string();
        let words = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.ids[from]];
        self.nodes[to].command::<()>(&words).await?;
        let words = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.ids[to]];
        Ok(self.nodes[from].command::<()>(&words).await?)
    }

    /// Moves some keys; answers with how many.
    ///
    /// # Errors
    /// Those of the nodes.
    pub async fn move_keys(
        &self,
        slot: usize,
        from: usize,
        to: usize,
        most: usize,
    ) -> Result<usize, TestRedisError> {
        let words = ["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), &most.to_string()];
        let keys: Vec<String> = self.nodes[from].command(&words).await?;
        if !keys.is_empty() {
            let port = self.ports[to].to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            self.nodes[from].command::<()>(&words).await?;
        }
        Ok(keys.len())
    }

    /// The last step of a move: the slot is the other's.
    ///
    /// # Errors
    /// Those of the nodes.
    pub async fn end_move(&self, slot: usize, from: usize, to: usize) -> Result<(), TestRedisError> {
        let slot = slot.to_string();
        let others = (0..self.primaries).filter(|place| *place != to && *place != from);
        for place in [to, from].into_iter().chain(others) {
            let words = ["CLUSTER", "SETSLOT", &slot, "NODE", &self.ids[to]];
            self.nodes[place].command::<()>(&words).await?;
        }
        Ok(())
    }

    /// Moves every slot to the primary after the one that has it. Those that hold nothing are only given a new owner,
    /// many at a time.
    ///
    /// # Errors
    /// Those of the nodes.
    pub async fn move_all_slots(&self) -> Result<(), TestRedisError> {
        for from in 0..self.primaries {
            let to = (from + 1) % self.primaries;
            // As they were at the start.
            let slots = from * SLOTS / self.primaries..(from + 1) * SLOTS / self.primaries;
            // Whoever says it has a slot is believed by the age of what it says.
            self.nodes[to].command::<Value>(&["CLUSTER", "BUMPEPOCH"]).await?;
            let mut counts = redis::pipe();
            for slot in slots.clone() {
                counts.cmd("CLUSTER").arg("COUNTKEYSINSLOT").arg(slot);
            }
            let counts: Vec<u64> = counts.query_async(&mut self.nodes[from].connection().await?).await?;
            let mut empty = Vec::new();
            for (slot, count) in slots.zip(counts) {
                if count == 0 {
                    empty.push(slot);
                } else {
                    self.move_slot(slot, from, to).await?;
                }
            }
            let others = (0..self.primaries).filter(|place| *place != to && *place != from);
            for place in [to, from].into_iter().chain(others) {
                let mut connection = self.nodes[place].connection().await?;
                for slots in empty.chunks(500) {
                    let mut set = redis::pipe();
                    for slot in slots {
                        set.cmd("CLUSTER").arg("SETSLOT").arg(*slot).arg("NODE").arg(&self.ids[to]).ignore();
                    }
                    set.query_async::<()>(&mut connection).await?;
                }
            }
        }
        self.agree().await
    }

    /// Waits until all nodes that live say the same of who has which slot.
    ///
    /// # Errors
    /// [`TestRedisError::Slow`] when they do not.
    pub async fn agree(&self) -> Result<(), TestRedisError> {
        wait("agree on the slots", || async {
            let mut shapes = BTreeSet::new();
            for node in &self.nodes {
                let Ok(ranges) = ranges(node).await else { continue };
                let mut ranges: Vec<_> = ranges.iter().map(|range| format!("{range:?}")).collect();
                ranges.sort();
                shapes.insert(ranges);
            }
            shapes.len() == 1
        })
        .await
    }

    /// Kills a node, as a power cut does.
    ///
    /// # Errors
    /// As for [`TestRedis::kill`].
    pub async fn kill(&mut self, place: usize) -> Result<(), TestRedisError> {
        self.nodes[place].kill().await
    }

    /// Waits until all nodes that live know that another has the slots of one that is dead.
    ///
    /// # Errors
    /// [`TestRedisError::Slow`] when none takes them.
    pub async fn taken_over(&self, dead: usize) -> Result<(), TestRedisError> {
        let port = Value::Int(i64::from(self.ports[dead]));
        wait("take over", || async {
            for (_, node) in self.nodes.iter().enumerate().filter(|(place, _)| *place != dead) {
                let Ok(ranges) = ranges(node).await else { return false };
                let has = |node: &Value| matches!(node, Value::Array(parts) if parts.get(1) == Some(&port));
                if ranges.iter().any(|(_, _, node)| has(node)) {
                    return false;
                }
            }
            true
        })
        .await?;
        for (_, node) in self.nodes.iter().enumerate().filter(|(place, _)| *place != dead) {
            says(node, &["CLUSTER", "INFO"], "cluster_state:ok").await?;
        }
        Ok(())
    }

    /// Starts a node again after it was killed, empty. As long as nobody has taken its place it is still a primary,
    /// and its replica throws away what it has; see [`TestCluster::taken_over`].
    ///
    /// # Errors
    /// As for [`TestRedis::start_again`].
    pub async fn start_again(&mut self, place: usize) -> Result<(), TestRedisError> {
        self.nodes[place].start_again().await
    }

    async fn each_says(&self, words: &[&str], wanted: &str) -> Result<(), TestRedisError> {
        for node in &self.nodes {
            says(node, words, wanted).await?;
        }
        Ok(())
    }
}

async fn start_node(node_timeout: Duration) -> Result<(TestRedis, u16, u16), TestRedisError> {
    let mut tries = 0;
    loop {
        let (port, bus) = (free_port()?, free_port()?);
        let (port_text, bus_text) = (port.to_string(), bus.to_string());
        let timeout = node_timeout.as_millis().to_string();
        let lines = [
            ("port", port_text.as_str()),
            ("bind", "127.0.0.1"),
            ("cluster-enabled", "yes"),
            ("cluster-port", &bus_text),
            ("cluster-node-timeout", &timeout),
            // A primary without slots stays one.
            ("cluster-allow-replica-migration", "no"),
            ("cluster-replica-validity-factor", "0"),
            ("repl-diskless-sync-delay", "0"),
            ("repl-ping-replica-period", "1"),
            // One entry a node of a stream, so that a trim goes exactly as far as it may.
            ("stream-node-max-entries", "1"),
        ];
        tries += 1;
        match TestRedis::start_with(&lines).await {
            Ok(node) => return Ok((node, port, bus)),
            Err(TestRedisError::Ended(_)) if tries < STARTS_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

/// Who has which slots, as a node says: the first, the last, and the primary.
async fn ranges(node: &TestRedis) -> redis::RedisResult<Vec<(u16, u16, Value)>> {
    let ranges: Vec<Vec<Value>> = node.command(&["CLUSTER", "SLOTS"]).await?;
    let read = |range: Vec<Value>| {
        let mut parts = range.into_iter();
        let mut next = || parts.next().unwrap_or_default();
        Ok((redis::from_redis_value(next())?, redis::from_redis_value(next())?, next()))
    };
    ranges.into_iter().map(read).collect()
}

/// Waits until a node's answer has a line.
pub(super) async fn says(node: &TestRedis, words: &[&str], wanted: &str) -> Result<(), TestRedisError> {
    wait("come to terms with the others", || async {
        let answer: Result<String, _> = node.command(words).await;
        answer.is_ok_and(|answer| answer.lines().any(|line| line.trim_end() == wanted))
    })
    .await
}

pub(super) async fn wait<Look: Future<Output = bool>>(
    what: &'static str,
    mut look: impl FnMut() -> Look,
) -> Result<(), TestRedisError> {
    let began = Instant::now();
    while !look().await {
        if WAIT_MAX <= began.elapsed() {
            return Err(TestRedisError::Slow(what));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
