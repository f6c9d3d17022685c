//! The connection that all requests share, except those that wait on the server.
//!
//! It is made when it is needed and given up when it fails; the next request makes a new one. While Redis is
//! away, requests fail at once or after [`CONNECT_MAX`]; nothing is queued.

use std::time::Duration;

use hemostat_agent::log::LogError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::{self, Effect};
use crate::scripts::Script;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for an answer. An fsync of a busy disk stops Redis for a second or two.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// After a failed try, others that wait for a connection are told of that failure for so long.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// The shared connection.
pub(crate) struct Link {
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tells connections apart, so that one is given up only once.
    generation: u64,
    connection: Option<MultiplexedConnection>,
    failed: Option<(Instant, RedisError)>,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, state: Mutex::default() }
    }

    /// A connection of one's own, for requests that wait up to `block` on the server.
    pub(crate) async fn blocking(&self, block: Duration) -> Result<MultiplexedConnection, LogError> {
        connect(&self.client, block + ANSWER_MAX).await.map_err(fault::connecting)
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

    /// Sends one request.
    pub(crate) async fn query<T: FromRedisValue>(&self, request: Cmd, effect: Effect) -> Result<T, LogError> {
        let mut requests = redis::pipe();
        requests.add_command(request);
        let answer = self.ask(&requests, effect).await?.pop().unwrap_or_default();
        let answer = answer.extract_error().map_err(|error| fault::asking(error, effect))?;
        T::from_redis_value(answer).map_err(|_other| fault::unexpected("a command"))
    }

    /// Calls a script, several times in one go. What was not run because the server does not know it is sent again
    /// in full.
    pub(crate) async fn run(
        &self,
        script: &Script,
        calls: &Pipeline,
        effect: Effect,
    ) -> Result<Vec<Value>, LogError> {
        let mut answers = self.ask(calls, effect).await?;
        let missed: Vec<usize> =
            (0..answers.len()).filter(|place| fault::is_unknown_script(&answers[*place])).collect();
        if !missed.is_empty() {
            let mut again = redis::pipe();
            for (place, call) in calls.cmd_iter().enumerate() {
                if missed.binary_search(&place).is_ok() {
                    again.add_command(script.in_full(call));
                }
            }
            for (place, answer) in missed.into_iter().zip(self.ask(&again, effect).await?) {
                answers[place] = answer;
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.extract_error().map_err(|error| fault::asking(error, effect)))
            .collect()
    }

    /// Calls a script once.
    pub(crate) async fn run_one(
        &self,
        script: &Script,
        call: Cmd,
        effect: Effect,
    ) -> Result<Value, LogError> {
        let mut calls = redis::pipe();
        calls.add_command(call);
        Ok(self.run(script, &calls, effect).await?.pop().unwrap_or_default())
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
        match connect(&self.client, ANSWER_MAX).await {
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
}

async fn connect(client: &Client, answer_max: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_response_timeout(Some(answer_max));
    client.get_multiplexed_async_connection_with_config(&config).await
}
