//! A server and the connection to it that requests share.
//!
//! The connection is made when it is needed and given up when it fails; the next request makes a new one. While the
//! server is away, requests fail at once or after [`CONNECT_MAX`]; nothing is queued.

use std::time::Duration;

use hemostat_agent::log::LogError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, Pipeline, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::{self, Effect};
use crate::sentinel::Sentinels;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for an answer. An fsync of a busy disk stops Redis for a second or two.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// After a failed try, others that wait for a connection are told of that failure for so long.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// A server.
pub(crate) struct Node {
    at: At,
    state: Mutex<State>,
}

/// Where a server is.
enum At {
    Address(Box<ConnectionInfo>),
    /// Wherever the sentinels say, each time it is connected to.
    Sentinels(Sentinels),
}

#[derive(Default)]
struct State {
    /// Tells connections apart, so that one is given up only once.
    generation: u64,
    connection: Option<MultiplexedConnection>,
    failed: Option<(Instant, RedisError)>,
}

impl Node {
    pub(crate) fn new(address: ConnectionInfo) -> Self {
        Self { at: At::Address(Box::new(address)), state: Mutex::default() }
    }

    /// The primary that sentinels know.
    pub(crate) fn behind(sentinels: Sentinels) -> Self {
        Self { at: At::Sentinels(sentinels), state: Mutex::default() }
    }

    /// How it is connected to, where that does not change.
    pub(crate) fn address(&self) -> Option<&ConnectionInfo> {
        match &self.at {
            At::Address(address) => Some(address),
            At::Sentinels(_) => None,
        }
    }

    /// A connection of one's own, for requests that wait up to `block` on the server.
    pub(crate) async fn blocking(&self, block: Duration) -> Result<MultiplexedConnection, LogError> {
        self.connect(block + ANSWER_MAX).await.map_err(fault::connecting)
    }

    /// Sends requests in one go. Errors of the server stand among the answers.
    pub(crate) async fn ask(&self, requests: &Pipeline, effect: Effect) -> Result<Vec<Value>, LogError> {
        let (generation, mut connection) = self.connection().await?;
        let answers = connection.send_packed_commands(requests, 0, requests.len()).await;
        match answers {
            Ok(answers) => {
                let error = |answer: &Value| match answer {
                    Value::ServerError(error) => Some(RedisError::from(error.clone())),
                    _ => None,
                };
                if answers.iter().filter_map(error).any(|error| fault::ends_connection(&error)) {
                    self.give_up(generation).await;
                }
                Ok(answers)
            }
            Err(error) => {
                if fault::ends_connection(&error) {
                    self.give_up(generation).await;
                }
                Err(fault::asking(error, effect))
            }
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), LogError> {
        let asked = Instant::now();
        // Held while connecting: those who come meanwhile want the same connection.
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((state.generation, connection.clone()));
        }
        if let Some((at, error)) = &state.failed
            && (asked <= *at || at.elapsed() < RETRY_AFTER)
        {
            return Err(fault::connecting(error.clone()));
        }
        match self.connect(ANSWER_MAX).await {
            Ok(connection) => {
                state.failed = None;
                state.generation += 1;
                state.connection = Some(connection.clone());
                Ok((state.generation, connection))
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(fault::connecting(error))
            }
        }
    }

    async fn give_up(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.connection = None;
        }
    }

    async fn connect(&self, answer_max: Duration) -> Result<MultiplexedConnection, RedisError> {
        match &self.at {
            At::Address(address) => connect(address, answer_max).await,
            At::Sentinels(sentinels) => sentinels.connect(answer_max).await,
        }
    }
}

/// Makes a connection to a server. Every connection of the log is made here.
pub(crate) async fn connect(
    to: &ConnectionInfo,
    answer_max: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_response_timeout(Some(answer_max));
    Client::open(to.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

/// The same way to connect, to another server.
pub(crate) fn elsewhere(like: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let mut address = like.addr().clone();
    match &mut address {
        redis::ConnectionAddr::TcpTls { host: to_host, port: to_port, .. } => {
            host.clone_into(to_host);
            *to_port = port;
        }
        other => *other = redis::ConnectionAddr::Tcp(host.to_owned(), port),
    }
    like.clone().set_addr(address)
}
