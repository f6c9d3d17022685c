//! A server and the connection to it that requests share.
//!
//! The connection is made when it is needed and given up when it fails; the next request makes a new one. While the
//! server is away, requests fail at once or after [`CONNECT_MAX`]; nothing is queued.
//!
//! Whoever asks may be left alone in the middle: a reader keeps its requests and goes on with them when it is next
//! read. So what others wait for, the making of the shared connection, is done by a task of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_agent::log::LogError;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, Pipeline, RedisError, Value};
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
    /// Held while connecting: those who come meanwhile want the same connection. Only ever taken by a task of its own.
    connecting: tokio::sync::Mutex<()>,
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
        Self {
            at: At::Address(Box::new(address)),
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// The primary that sentinels know.
    pub(crate) fn behind(sentinels: Sentinels) -> Self {
        Self {
            at: At::Sentinels(sentinels),
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
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

    /// A connection of one's own that is told what is published.
    pub(crate) async fn pubsub(&self) -> Result<PubSub, RedisError> {
        match &self.at {
            At::Address(address) => Client::open((**address).clone())?.get_async_pubsub().await,
            At::Sentinels(sentinels) => {
                let (primary, _) = sentinels.find(ANSWER_MAX).await?;
                Client::open(primary)?.get_async_pubsub().await
            }
        }
    }

    /// Sends requests in one go. Errors of the server stand among the answers.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        requests: &Pipeline,
        effect: Effect,
    ) -> Result<Vec<Value>, LogError> {
        let (generation, mut connection) = self.connection().await?;
        let answers = connection.send_packed_commands(requests, 0, requests.len()).await;
        match answers {
            Ok(answers) => {
                let error = |answer: &Value| match answer {
                    Value::ServerError(error) => Some(RedisError::from(error.clone())),
                    _ => None,
                };
                if answers.iter().filter_map(error).any(|error| fault::ends_connection(&error)) {
                    self.give_up(generation);
                }
                Ok(answers)
            }
            Err(error) => {
                if fault::ends_connection(&error) {
                    self.give_up(generation);
                }
                Err(fault::asking(error, effect))
            }
        }
    }

    async fn connection(self: &Arc<Self>) -> Result<(u64, MultiplexedConnection), LogError> {
        let asked = Instant::now();
        if let Some(known) = self.known(asked) {
            return known;
        }
        let node = Arc::clone(self);
        let made = tokio::spawn(async move { node.make_connection(asked).await }).await;
        made.unwrap_or_else(|ended| Err(LogError::Unavailable(ended.into())))
    }

    /// The connection, or why there is none for whoever asked at that time; nothing when one has to be made.
    fn known(&self, asked: Instant) -> Option<Result<(u64, MultiplexedConnection), LogError>> {
        let state = self.state();
        if let Some(connection) = &state.connection {
            return Some(Ok((state.generation, connection.clone())));
        }
        let (at, error) = state.failed.as_ref()?;
        (asked <= *at || at.elapsed() < RETRY_AFTER).then(|| Err(fault::connecting(error.clone())))
    }

    async fn make_connection(&self, asked: Instant) -> Result<(u64, MultiplexedConnection), LogError> {
        let _connecting = self.connecting.lock().await;
        if let Some(known) = self.known(asked) {
            return known;
        }
        let made = self.connect(ANSWER_MAX).await;
        let mut state = self.state();
        match made {
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

    fn give_up(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            state.connection = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
