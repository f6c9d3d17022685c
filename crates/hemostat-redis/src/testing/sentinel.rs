//! A throw-away primary with replicas, and sentinels that look after them.

use std::time::Duration;

use redis::FromRedisValue;
use tempfile::TempDir;

use super::cluster::{says, wait};
use super::{TestRedis, TestRedisError, free_port};
use crate::server::{self, Launch, Server, quoted};
use crate::{ConnectError, RedisLog, RedisSettings};

/// What the sentinels call the primary.
const NAME: &str = "log";

/// One primary, two replicas, three sentinels.
pub struct TestSentinel {
    sentinels: Vec<Sentinel>,
    servers: Vec<TestRedis>,
    ports: Vec<u16>,
}

struct Sentinel {
    /// Before the folder, into which it writes.
    _server: Server,
    port: u16,
    _folder: TempDir,
}

impl TestSentinel {
    /// Starts all of them and waits until they know each other. A primary counts as dead when it says nothing for
    /// `down_after`.
    ///
    /// # Errors
    /// [`TestRedisError`] when they do not start or do not find each other.
    pub async fn start(down_after: Duration) -> Result<Self, TestRedisError> {
        let (mut servers, mut ports): (Vec<TestRedis>, Vec<u16>) = (Vec::new(), Vec::new());
        for _server in 0..3 {
            let port = free_port()?;
            let port_text = port.to_string();
            let follow = ports.first().map(|primary| format!("127.0.0.1 {primary}"));
            let mut lines = vec![
                ("port", port_text.as_str()),
                ("bind", "127.0.0.1"),
                ("repl-diskless-sync-delay", "0"),
                ("repl-ping-replica-period", "1"),
            ];
            lines.extend(follow.as_deref().map(|primary| ("replicaof", primary)));
            servers.push(TestRedis::start_with(&lines).await?);
            ports.push(port);
        }
        for replica in &servers[1..] {
            says(replica, &["INFO", "replication"], "master_link_status:up").await?;
        }
        let mut sentinels = Vec::new();
        for _sentinel in 0..3 {
            sentinels.push(Sentinel::start(ports[0], down_after)?);
        }
        let sentinel = Self { sentinels, servers, ports };
        for Sentinel { port, .. } in &sentinel.sentinels {
            wait("find the others", || knows_all(*port)).await?;
        }
        Ok(sentinel)
    }

    /// How to reach the primary.
    #[must_use]
    pub fn url(&self) -> String {
        let all: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}/{NAME}", all.join(","))
    }

    /// Opens the log `hemostat` on it, with one partition.
    ///
    /// # Errors
    /// Those of [`RedisLog::connect`].
    pub async fn log(&self) -> Result<RedisLog, ConnectError> {
        let settings = RedisSettings { url: self.url(), namespace: "hemostat".to_owned(), partitions: None };
        RedisLog::connect(settings).await
    }

    /// The servers: first the one that began as the primary.
    #[must_use]
    pub fn servers(&self) -> &[TestRedis] {
        &self.servers
    }

    /// The port of each server.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Kills a server, as a power cut does.
    ///
    /// # Errors
    /// As for [`TestRedis::kill`].
    pub async fn kill(&mut self, place: usize) -> Result<(), TestRedisError> {
        self.servers[place].kill().await
    }

    /// Makes the sentinels promote a replica while the primary lives, and waits until that is one.
    ///
    /// # Errors
    /// [`TestRedisError::Slow`] when they do not.
    pub async fn fail_over(&self) -> Result<(), TestRedisError> {
        wait("begin a failover", || async {
            self.ask_sentinel::<()>(&["SENTINEL", "FAILOVER", NAME]).await.is_ok()
        })
        .await?;
        says(&self.servers[0], &["INFO", "replication"], "role:slave").await
    }

    async fn ask_sentinel<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        ask_sentinel(self.sentinels[0].port, words).await
    }
}

impl Sentinel {
    fn start(primary: u16, down_after: Duration) -> Result<Self, TestRedisError> {
        let program = server::find_program().ok_or(TestRedisError::NoProgram)?;
        let folder = tempfile::Builder::new().prefix("hemostat-sentinel-").tempdir()?;
        let port = free_port()?;
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndaemonize no\ndir {}\n\
             sentinel monitor {NAME} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {NAME} {}\n\
             sentinel failover-timeout {NAME} 2000\n",
            quoted(folder.path()),
            down_after.as_millis(),
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, config)?;
        let server = Launch::sentinel(program, file)?.start()?;
        Ok(Self { _server: server, port, _folder: folder })
    }
}

async fn ask_sentinel<T: FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (name, arguments) = words.split_first().unwrap_or((&"", &[]));
    redis::cmd(name).arg(arguments).query_async(&mut connection).await
}

/// Whether a sentinel knows the two others and both replicas.
async fn knows_all(port: u16) -> bool {
    let state: Result<Vec<String>, _> = ask_sentinel(port, &["SENTINEL", "MASTER", NAME]).await;
    let Ok(state) = state else { return false };
    let has = |wanted: &str, value: &str| state.chunks(2).any(|pair| pair[0] == wanted && pair[1] == value);
    has("num-other-sentinels", "2") && has("num-slaves", "2")
}
