//! Finding the primary with the help of its sentinels.
//!
//! They are asked each time a connection is made. A connection ends when the primary is gone or has become a replica
//! ([`fault::ends_connection`](crate::fault::ends_connection)), so nobody has to listen for failovers. What a sentinel
//! says is believed only when the server itself says that it is the primary: a sentinel that was cut off from the
//! others still names the old one.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisError, Value};

use crate::node::{connect, elsewhere};

/// Longest wait for the answer of a sentinel.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The sentinels of a primary.
pub(crate) struct Sentinels {
    /// User, password and database in them are the primary's.
    sentinels: Vec<ConnectionInfo>,
    name: String,
}

impl Sentinels {
    pub(crate) fn new(sentinels: Vec<ConnectionInfo>, name: String) -> Self {
        Self { sentinels, name }
    }

    /// A connection to the primary: the first server that a sentinel names and that says it is one.
    pub(crate) async fn connect(&self, answer_max: Duration) -> Result<MultiplexedConnection, RedisError> {
        self.find(answer_max).await.map(|(_, connection)| connection)
    }

    /// The same, with its address.
    pub(crate) async fn find(
        &self,
        answer_max: Duration,
    ) -> Result<(ConnectionInfo, MultiplexedConnection), RedisError> {
        let mut named: FuturesUnordered<_> =
            self.sentinels.iter().map(|sentinel| self.ask(sentinel)).collect();
        let mut tried = Vec::new();
        let mut failure = RedisError::from((ErrorKind::Io, "no sentinel answers"));
        while let Some(answer) = named.next().await {
            match answer {
                Ok(server) if tried.contains(server.addr()) => {}
                Ok(server) => match connect_to_primary(&server, answer_max).await {
                    Ok(connection) => return Ok((server, connection)),
                    Err(error) => {
                        tried.push(server.addr().clone());
                        failure = error;
                    }
                },
                // What a server said is worth more than that a sentinel is away.
                Err(error) if tried.is_empty() => failure = error,
                Err(_away) => {}
            }
        }
        Err(failure)
    }

    /// Where the primary is according to one sentinel.
    async fn ask(&self, sentinel: &ConnectionInfo) -> Result<ConnectionInfo, RedisError> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        // A sentinel has a password of its own or, mostly, none. The server's is offered only when one is wanted.
        let open = sentinel.clone().set_redis_settings(RedisConnectionInfo::default());
        let without_password = async {
            let mut connection = connect(&open, ANSWER_MAX).await?;
            question.query_async::<Value>(&mut connection).await
        };
        let answer = match without_password.await {
            Err(error) if error.code() == Some("NOAUTH") => {
                let settings = sentinel.redis_settings().clone().set_db(0);
                let known = sentinel.clone().set_redis_settings(settings);
                question.query_async::<Value>(&mut connect(&known, ANSWER_MAX).await?).await?
            }
            answer => answer?,
        };
        if answer == Value::Nil {
            let unknown = "a sentinel knows no primary of this name; see the URL of Redis";
            return Err(RedisError::from((ErrorKind::Io, unknown, self.name.clone())));
        }
        let (host, port): (String, u16) = redis::from_redis_value(answer)?;
        Ok(elsewhere(sentinel, &host, port))
    }
}

async fn connect_to_primary(
    server: &ConnectionInfo,
    answer_max: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let mut connection = connect(server, answer_max).await?;
    let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
        Some(Value::SimpleString(role)) if role == "master" => Ok(connection),
        _ => Err(RedisError::from((ErrorKind::Io, "the sentinels name a server that is not the primary"))),
    }
}
