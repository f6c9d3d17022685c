//! The engine behind the port: one request per question, each with a time limit.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::RestartContainerOptions;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use hemostat_agent::containers::{Containers, EngineError};
use hemostat_core::engine::{Counters, EngineEvent, EngineInfo, Inspection};
use hemostat_event::{ContainerId, Timestamp};
use serde::Deserialize;
use tokio::time::timeout;

use crate::answer;
use crate::connect::{Agreed, ConnectProblem, Connection, EngineSettings, problem, unreachable};
use crate::logs::{Demux, LINES_MAX};
use crate::{events, inspect, stats};

#[cfg(test)]
mod tests;

/// Sizes of writable layers make the engine walk folders: it may take this many usual time limits.
const DISK_USAGE_LIMITS: u32 = 6;
/// Time a stop may take when the container does not say: Docker's own default.
const STOP_TIMEOUT_DEFAULT_SECS: u64 = 10;
/// Longest time between SIGTERM and SIGKILL that we wait for; a container may ask for an endless one.
const STOP_TIMEOUT_MAX_SECS: u64 = 3_600;
/// What a restart takes besides waiting for the process: unmounting, networks, starting, on a loaded host.
pub(crate) const STOP_MARGIN: Duration = Duration::from_secs(30);

/// A Docker engine, or a Podman one through its Docker-compatible socket.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    connection: Arc<Connection>,
    limit: Duration,
}

impl DockerEngine {
    /// Takes the settings; the engine is looked for at the first request, so it may be down now.
    /// [`Containers::info`] tells whether it is there.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] with [`ConnectProblem::Address`] when an address is none.
    pub fn connect(settings: EngineSettings) -> Result<Self, EngineError> {
        let limit = settings.timeout;
        Ok(Self { connection: Arc::new(Connection::new(settings)?), limit })
    }

    /// Time limit of a usual request.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Asks the engine something about `subject`, within `limit`.
    pub(crate) async fn ask<T, F, Answer>(
        &self,
        operation: &'static str,
        subject: Option<&ContainerId>,
        limit: Duration,
        question: F,
    ) -> Result<T, EngineError>
    where
        F: FnOnce(Agreed) -> Answer + Send,
        Answer: Future<Output = Result<T, BollardError>> + Send,
    {
        let asked = async {
            let agreed = self.connection.agreed().await?;
            let answer = question(agreed.clone()).await;
            answer.map_err(|error| fault(&self.connection, &agreed, operation, subject, error))
        };
        timeout(limit, asked).await.unwrap_or(Err(EngineError::Timeout { operation, limit }))
    }

    /// The containers in the engine's list, those that do not run included; `query` narrows it or asks for more.
    pub(crate) async fn listed(
        &self,
        operation: &'static str,
        limit: Duration,
        query: &str,
    ) -> Result<Vec<Listed>, EngineError> {
        let path = format!("/containers/json?all=true{query}");
        self.ask(operation, None, limit, |agreed| async move {
            answer::json(&agreed.docker, agreed.target(&path)).await
        })
        .await
    }

    /// The time limit of a stop or restart of `id`.
    pub(crate) async fn stop_limit(
        &self,
        id: &ContainerId,
        stop_timeout_secs: Option<u32>,
    ) -> Result<Duration, EngineError> {
        let own = match stop_timeout_secs {
            Some(secs) => Some(u64::from(secs)),
            None => self.inspect(id).await?.stop_timeout_secs,
        };
        let secs = own.unwrap_or(STOP_TIMEOUT_DEFAULT_SECS).min(STOP_TIMEOUT_MAX_SECS);
        Ok(Duration::from_secs(secs) + STOP_MARGIN)
    }
}

/// The engine's API takes seconds as a signed number; what does not fit is as good as endless.
pub(crate) fn seconds(secs: u32) -> i32 {
    i32::try_from(secs).unwrap_or(i32::MAX)
}

/// What a failed request means.
fn fault(
    connection: &Connection,
    agreed: &Agreed,
    operation: &'static str,
    subject: Option<&ContainerId>,
    error: BollardError,
) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => match subject {
            Some(id) if status_code == 404 => EngineError::NotFound(id.clone()),
            _ => {
                // The engine was updated under our feet; the next request negotiates again.
                if message.contains("client version") {
                    connection.forget();
                }
                EngineError::Refused { operation, message: message.trim().to_owned() }
            }
        },
        error @ (BollardError::HyperResponseError { .. }
        | BollardError::HyperLegacyError { .. }
        | BollardError::IOError { .. }
        | BollardError::SocketNotFoundError(_)) => {
            connection.forget();
            unreachable(agreed.endpoint.clone(), problem(error))
        }
        error => EngineError::Refused { operation, message: format!("it gave no usable answer: {error}") },
    }
}

/// A container in a list, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Listed {
    id: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    size_rw: Option<i64>,
}

impl Listed {
    /// The id, where it is one.
    pub(crate) fn id(&self) -> Option<ContainerId> {
        ContainerId::new(self.id.clone()?).ok()
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }
}

/// What the engine says of its host, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Host {
    server_version: Option<String>,
    name: Option<String>,
    #[serde(rename = "NCPU")]
    cpus: Option<u64>,
    mem_total: Option<u64>,
    cgroup_version: Option<String>,
}

#[async_trait]
impl Containers for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let answer = self.ask("describe itself", None, self.limit, |agreed| async move {
            let host: Host = answer::json(&agreed.docker, agreed.target("/info")).await?;
            Ok((host, agreed))
        });
        let (host, agreed) = match answer.await {
            Ok(answer) => answer,
            // Nothing was found anywhere: say all the places, not one of them.
            Err(EngineError::Unreachable { source, .. })
                if matches!(source.downcast_ref(), Some(ConnectProblem::NoSocket)) =>
            {
                return Err(EngineError::Unreachable { endpoint: self.connection.places(), source });
            }
            Err(error) => return Err(error),
        };
        Ok(EngineInfo {
            version: format!("{} {}", agreed.name, host.server_version.unwrap_or_default()),
            api_version: agreed.api_version,
            host: host.name.unwrap_or_default(),
            cpus: host.cpus.unwrap_or(1),
            memory_bytes: host.mem_total.unwrap_or(0),
            cgroup_version: if host.cgroup_version.as_deref() == Some("2") { 2 } else { 1 },
        })
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        let listed = self.listed("list containers", self.limit, "").await?;
        Ok(listed.iter().filter_map(Listed::id).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, EngineError> {
        let path = format!("/containers/{}/json", id.as_str());
        let answer = self.ask("inspect a container", Some(id), self.limit, |agreed| async move {
            answer::json(&agreed.docker, agreed.target(&path)).await
        });
        Ok(inspect::inspection(answer.await?))
    }

    async fn counters(&self, id: &ContainerId) -> Result<Counters, EngineError> {
        // Without `one-shot` the engine would measure twice, a second apart. Docker 20.10 even then lets us wait for
        // its own next round, up to a second; the waits of many containers are one and the same.
        let path = format!("/containers/{}/stats?stream=false&one-shot=true", id.as_str());
        let answer = self.ask("read statistics", Some(id), self.limit, |agreed| async move {
            // Podman answers with nothing when the container ends meanwhile.
            answer::json_or_nothing(&agreed.docker, agreed.target(&path)).await
        });
        let counters = answer.await?.and_then(|answer| stats::counters(&answer, now()));
        counters.ok_or_else(|| EngineError::NotFound(id.clone()))
    }

    async fn disk_usage(&self) -> Result<Vec<(ContainerId, u64)>, EngineError> {
        // `system df` would also measure images, volumes and the build cache.
        let listed = self.listed("measure disk usage", self.limit * DISK_USAGE_LIMITS, "&size=true").await?;
        let sizes = listed.iter().filter_map(|container| {
            // The engine leaves a size of 0 out, and writes -1 for one it could not measure.
            Some((container.id()?, u64::try_from(container.size_rw.unwrap_or(0)).ok()?))
        });
        Ok(sizes.collect())
    }

    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, EngineError> {
        let lines = lines.min(LINES_MAX);
        let path = format!("/containers/{}/logs?stdout=true&stderr=true&tail={lines}", id.as_str());
        let log = self.ask("read a log", Some(id), self.limit, |agreed| async move {
            let mut pieces = answer::bytes(&agreed.docker, agreed.target(&path));
            let mut log = Demux::default();
            while let Some(piece) = pieces.try_next().await? {
                log.push(&piece);
            }
            Ok(log)
        });
        Ok(log.await?.into_tail().text(lines))
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let engine = self.clone();
        let open = async move {
            let limit = engine.limit;
            let agreed = timeout(limit, engine.connection.agreed()).await;
            let agreed = agreed.unwrap_or(Err(EngineError::Timeout { operation: EVENTS, limit }))?;
            let pieces = answer::bytes(&agreed.docker, agreed.target(&events::path(since)));
            // An engine that is stopped ends the stream as if all were said.
            let ended = stream::once(future::err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            let failed = move |error| fault(&engine.connection, &agreed, EVENTS, None, error);
            let lines = answer::lines(pieces).chain(ended).map_err(failed);
            Ok(lines.try_filter_map(|line| future::ok(read_event(&line))))
        };
        // After an error there is nothing more to say.
        let events = stream::once(open).try_flatten();
        events
            .scan(false, |broken, event| {
                let over = std::mem::replace(broken, event.is_err());
                future::ready((!over).then_some(event))
            })
            .boxed()
    }

    async fn restart(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError> {
        let limit = self.stop_limit(id, stop_timeout_secs).await?;
        let wanted = id.as_str().to_owned();
        let options = RestartContainerOptions { signal: None, t: stop_timeout_secs.map(seconds) };
        self.ask("restart a container", Some(id), limit, |agreed| async move {
            agreed.docker.restart_container(&wanted, Some(options)).await
        })
        .await
    }
}

/// What the engine is asked to do for events, in the words of an error.
const EVENTS: &str = "stream events";

/// The event in a line. What an unreadable line would have told is found by the next sample.
fn read_event(line: &[u8]) -> Option<EngineEvent> {
    events::event(line).unwrap_or_else(|error| {
        tracing::warn!(%error, "the engine sent an event that cannot be read");
        None
    })
}

/// The host's clock, for answers without a time of their own.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH + since_epoch
}
