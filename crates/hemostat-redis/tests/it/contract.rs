//! The contract of the port, on logs of one partition and of several, and on a cluster.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_agent::contract::log::Harness;
use hemostat_agent::log::{EntryId, EventLog, Partition, StreamName};
use hemostat_redis::testing::{TestCluster, TestRedis};
use hemostat_redis::{RedisLog, RedisSettings};
use tokio::sync::Mutex;

mod one_partition {
    hemostat_agent::log_contract!(super::OnRedis::new(1));
}

mod on_a_cluster {
    hemostat_agent::log_contract!(super::OnCluster::new());
}

mod several_partitions {
    hemostat_agent::log_contract!(super::OnRedis::new(3));
}

const NAMESPACE: &str = "contract";

struct OnRedis {
    redis: TestRedis,
    partitions: u16,
    log: Arc<dyn EventLog>,
}

impl OnRedis {
    async fn new(partitions: u16) -> Self {
        // One entry a node, so that a trim goes exactly as far as it may.
        let config = [("stream-node-max-entries", "1")];
        let redis = TestRedis::start_with(&config).await.expect("a throw-away Redis");
        let log = connect(&redis, partitions).await;
        Self { redis, partitions, log }
    }

    fn key(partition: Partition, name: impl std::fmt::Display) -> String {
        format!("{NAMESPACE}:{{{}}}:{name}", partition.0)
    }
}

async fn connect(redis: &TestRedis, partitions: u16) -> Arc<dyn EventLog> {
    let settings =
        RedisSettings { url: redis.url(), namespace: NAMESPACE.to_owned(), partitions: Some(partitions) };
    Arc::new(RedisLog::connect(settings).await.expect("the log can be opened"))
}

#[async_trait]
impl Harness for OnRedis {
    fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log)
    }

    async fn second(&self) -> Arc<dyn EventLog> {
        connect(&self.redis, self.partitions).await
    }

    async fn advance(&self, by: Duration) {
        // Log time is that of the machine: it can only be waited for.
        tokio::time::sleep(by).await;
    }

    async fn put_raw(&self, partition: Partition, stream: &StreamName, fields: &[(&str, &[u8])]) -> EntryId {
        let mut connection = self.redis.connection().await.expect("Redis answers");
        let mut command = redis::cmd("XADD");
        command.arg(Self::key(partition, stream)).arg("*");
        for (name, value) in fields {
            command.arg(name).arg(value);
        }
        let id: String = command.query_async(&mut connection).await.expect("an entry can be added");
        id.parse().expect("it is an id")
    }

    async fn lose_groups(&self) {
        for partition in self.log.partitions() {
            let streams: Vec<String> = self
                .redis
                .command(&["SMEMBERS", &Self::key(partition, "streams")])
                .await
                .expect("Redis answers");
            for stream in streams {
                let key = Self::key(partition, stream);
                for role in hemostat_event::Role::AGENTS {
                    // An error where the stream was lost before.
                    let _count = self.redis.command::<i64>(&["XGROUP", "DESTROY", &key, role.as_str()]).await;
                }
            }
        }
    }

    async fn lose_stream(&self, partition: Partition, stream: &StreamName) {
        let lost: i64 =
            self.redis.command(&["DEL", &Self::key(partition, stream)]).await.expect("Redis answers");
        assert_eq!(lost, 1);
    }

    async fn lose_everything(&self) {
        self.redis.command::<()>(&["FLUSHALL"]).await.expect("Redis answers");
    }
}

/// The cluster that the cases share, as long as any of them runs.
static CLUSTER: Mutex<Weak<TestCluster>> = Mutex::const_new(Weak::new());
/// Tells the logs of the cases apart.
static CASES: AtomicU32 = AtomicU32::new(0);
/// Long: no node dies here, and a loaded machine must not look like death.
const NODE_TIMEOUT: Duration = Duration::from_secs(15);

struct OnCluster {
    cluster: Arc<TestCluster>,
    namespace: String,
    log: Arc<dyn EventLog>,
}

impl OnCluster {
    async fn new() -> Self {
        let mut shared = CLUSTER.lock().await;
        let cluster = match shared.upgrade() {
            Some(cluster) => cluster,
            None => Arc::new(TestCluster::start(3, 0, NODE_TIMEOUT).await.expect("a throw-away cluster")),
        };
        *shared = Arc::downgrade(&cluster);
        drop(shared);
        let namespace = format!("case-{}", CASES.fetch_add(1, Ordering::Relaxed));
        let log = Arc::new(cluster.log(&namespace, None).await.expect("the log can be opened"));
        assert_eq!(log.partitions().len(), 16);
        Self { cluster, namespace, log }
    }

    fn key(&self, partition: Partition, name: impl std::fmt::Display) -> String {
        format!("{}:{{{}}}:{name}", self.namespace, partition.0)
    }

    async fn command<T: redis::FromRedisValue>(&self, key: &str, words: &[&str]) -> T {
        let owner = self.cluster.owner(key).await.expect("a primary has it");
        self.cluster.nodes()[owner].command(words).await.expect("Redis answers")
    }
}

#[async_trait]
impl Harness for OnCluster {
    fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log)
    }

    async fn second(&self) -> Arc<dyn EventLog> {
        Arc::new(self.cluster.log(&self.namespace, None).await.expect("the log can be opened"))
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    async fn put_raw(&self, partition: Partition, stream: &StreamName, fields: &[(&str, &[u8])]) -> EntryId {
        let key = self.key(partition, stream);
        let owner = self.cluster.owner(&key).await.expect("a primary has it");
        let mut connection = self.cluster.nodes()[owner].connection().await.expect("Redis answers");
        let mut command = redis::cmd("XADD");
        command.arg(key).arg("*");
        for (name, value) in fields {
            command.arg(name).arg(value);
        }
        let id: String = command.query_async(&mut connection).await.expect("an entry can be added");
        id.parse().expect("it is an id")
    }

    async fn lose_groups(&self) {
        for partition in self.log.partitions() {
            let streams = self.key(partition, "streams");
            let streams: Vec<String> = self.command(&streams, &["SMEMBERS", &streams]).await;
            for stream in streams {
                let key = self.key(partition, stream);
                let owner = self.cluster.owner(&key).await.expect("a primary has it");
                for role in hemostat_event::Role::AGENTS {
                    // An error where the stream was lost before.
                    let node = &self.cluster.nodes()[owner];
                    let _count = node.command::<i64>(&["XGROUP", "DESTROY", &key, role.as_str()]).await;
                }
            }
        }
    }

    async fn lose_stream(&self, partition: Partition, stream: &StreamName) {
        let key = self.key(partition, stream);
        let lost: i64 = self.command(&key, &["DEL", &key]).await;
        assert_eq!(lost, 1);
    }

    async fn lose_everything(&self) {
        // Only of this case: others are on the same nodes.
        let all = format!("{}:*", self.namespace);
        for node in self.cluster.primaries() {
            for key in node.command::<Vec<String>>(&["KEYS", &all]).await.expect("Redis answers") {
                node.command::<i64>(&["DEL", &key]).await.expect("Redis answers");
            }
        }
    }
}
