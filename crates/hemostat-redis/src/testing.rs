//! A throw-away redis-server for the tests of this and other crates.
//!
//! It listens on a socket in a folder of its own and ends with its handle. Needs a redis-server on the search
//! path; fails with a message that says so where there is none.

mod cluster;
mod sentinel;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::server::{self, Launch, Server, is_ready, quoted, socket_url};
use crate::{ConnectError, RedisLog, RedisSettings};

pub use cluster::TestCluster;
pub use sentinel::TestSentinel;

/// Longest wait for the server to start or to end.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at a state that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest wait for an answer on a connection of a test.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What can go wrong with a throw-away server.
#[derive(Debug, thiserror::Error)]
pub enum TestRedisError {
    /// There is no server.
    #[error("there is no redis-server on the search path; install the package redis-server")]
    NoProgram,
    /// The system does not let it run.
    #[error("the throw-away redis-server cannot be run")]
    System(#[from] io::Error),
    /// It ended by itself.
    #[error("the throw-away redis-server ended: {0}")]
    Ended(String),
    /// It did not start or end in time.
    #[error("the throw-away redis-server did not {0} in time")]
    Slow(&'static str),
    /// It does not take a command.
    #[error("the throw-away redis-server refuses")]
    Refused(#[from] redis::RedisError),
}

/// A throw-away server.
pub struct TestRedis {
    /// Before the folder: it is dropped first, and writes nothing into a folder that is being removed.
    server: Option<Server>,
    launch: Launch,
    folder: TempDir,
}

impl TestRedis {
    /// A server that keeps nothing on disk.
    ///
    /// # Errors
    /// [`TestRedisError`] when there is none or it does not start.
    pub async fn start() -> Result<Self, TestRedisError> {
        Self::start_with(&[]).await
    }

    /// A server that writes every command to disk before it answers.
    ///
    /// # Errors
    /// As for [`TestRedis::start`].
    pub async fn start_durable() -> Result<Self, TestRedisError> {
        Self::start_with(&[("appendonly", "yes"), ("appendfsync", "always")]).await
    }

    /// A server with these lines of configuration besides.
    ///
    /// # Errors
    /// As for [`TestRedis::start`].
    pub async fn start_with(config: &[(&str, &str)]) -> Result<Self, TestRedisError> {
        let program = server::find_program().ok_or(TestRedisError::NoProgram)?;
        let folder = tempfile::Builder::new().prefix("hemostat-redis-").tempdir()?;
        let mut lines = vec![
            ("port", "0".to_owned()),
            ("dir", quoted(folder.path())),
            ("unixsocket", quoted(&folder.path().join(SOCKET))),
            ("daemonize", "no".to_owned()),
            ("save", "\"\"".to_owned()),
        ];
        lines.extend(config.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let launch = Launch::new(program, &lines)?;
        let mut redis = Self { folder, launch, server: None };
        redis.start_again().await?;
        Ok(redis)
    }

    /// How to reach it; stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        socket_url(&self.folder.path().join(SOCKET))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Opens the log `hemostat` on it, with one partition.
    ///
    /// # Errors
    /// Those of [`RedisLog::connect`].
    pub async fn log(&self) -> Result<RedisLog, ConnectError> {
        let settings = RedisSettings { url: self.url(), namespace: "hemostat".to_owned(), partitions: None };
        RedisLog::connect(settings).await
    }

    /// A connection past the log.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_MAX));
        redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Sends one command past the log.
    ///
    /// # Errors
    /// Those of the client and of Redis.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let (name, arguments) = words.split_first().unwrap_or((&"", &[]));
        redis::cmd(name).arg(arguments).query_async(&mut self.connection().await?).await
    }

    /// Ends it in order and starts it again.
    ///
    /// # Errors
    /// As for [`TestRedis::start`].
    pub async fn restart(&mut self) -> Result<(), TestRedisError> {
        self.stop().await?;
        self.start_again().await
    }

    /// Ends it in order. Without persistence everything is gone.
    ///
    /// # Errors
    /// [`TestRedisError::Slow`] when it does not end.
    pub async fn stop(&mut self) -> Result<(), TestRedisError> {
        self.end(Signal::TERM).await
    }

    /// Kills it, as a power cut does.
    ///
    /// # Errors
    /// [`TestRedisError::Slow`] when it does not end.
    pub async fn kill(&mut self) -> Result<(), TestRedisError> {
        self.end(Signal::KILL).await
    }

    /// Makes it stand still, as an overloaded machine does, until [`TestRedis::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it after [`TestRedis::stop`] or [`TestRedis::kill`] and waits until it is ready.
    ///
    /// # Errors
    /// As for [`TestRedis::start`].
    pub async fn start_again(&mut self) -> Result<(), TestRedisError> {
        if self.server.is_none() {
            self.server = Some(self.launch.start()?);
        }
        let url = self.url();
        let began = Instant::now();
        while !is_ready(&url).await {
            if let Some(server) = &mut self.server
                && server.has_ended()?
            {
                return Err(TestRedisError::Ended(server.output().last_lines()));
            }
            if WAIT_MAX <= began.elapsed() {
                return Err(TestRedisError::Slow("start"));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn end(&mut self, how: Signal) -> Result<(), TestRedisError> {
        self.signal(how);
        let began = Instant::now();
        while let Some(server) = &mut self.server {
            if server.has_ended()? {
                self.server = None;
            } else if WAIT_MAX <= began.elapsed() {
                return Err(TestRedisError::Slow("end"));
            } else {
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            server::signal(server.pid(), signal);
        }
    }
}

/// A port that nobody listens on.
///
/// # Errors
/// Those of the system.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

const SOCKET: &str = "redis.sock";
