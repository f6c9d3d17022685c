//! The engine behind the port: one request per question, each with a time limit.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::SystemInfoCgroupVersionEnum;
use bollard::query_parameters::{
    EventsOptions, InspectContainerOptions, ListContainersOptions, LogsOptions, RestartContainerOptions,
    StatsOptions,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use hemostat_agent::containers::{Containers, EngineError};
use hemostat_core::engine::{Counters, EngineEvent, EngineInfo, Inspection};
use hemostat_event::{ContainerId, Timestamp};
use tokio::time::timeout;

use crate::connect::{Agreed, Connection, ConnectProblem, EngineSettings, problem, unreachable};
use crate::logs::{LINES_MAX, Tail};
use crate::{events, inspect, stats};

/// Sizes of writable layers make the engine walk folders: it may take this many usual time limits.
const DISK_USAGE_LIMITS: u32 = 6;
/// Time a stop may take when the container does not say: Docker's own default.
const STOP_TIMEOUT_DEFAULT_SECS: u32 = 10;
/// Longest time between SIGTERM and SIGKILL that we wait for; a container may ask for an endless one.
const STOP_TIMEOUT_MAX_SECS: u32 = 3_600;
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
        let connection = Arc::new(Connection::new(&settings)?);
        Ok(Self { connection, limit: settings.timeout })
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
        F: FnOnce(Docker) -> Answer + Send,
        Answer: Future<Output = Result<T, BollardError>> + Send,
    {
        let asked = async {
            let agreed = self.connection.agreed().await?;
            let answer = question(agreed.docker.clone()).await;
            answer.map_err(|error| fault(&self.connection, &agreed, operation, subject, error))
        };
        timeout(limit, asked).await.unwrap_or(Err(EngineError::Timeout { operation, limit }))
    }

    /// The time limit of a stop or restart of `id`.
    pub(crate) async fn stop_limit(
        &self,
        id: &ContainerId,
        stop_timeout_secs: Option<u32>,
    ) -> Result<Duration, EngineError> {
        let secs = match stop_timeout_secs {
            Some(secs) => secs,
            None => {
                let wanted = id.as_str().to_owned();
                let answer = self
                    .ask("inspect a container", Some(id), self.limit, |docker| async move {
                        docker.inspect_container(&wanted, None::<InspectContainerOptions>).await
                    })
                    .await?;
                match answer.config.and_then(|config| config.stop_timeout) {
                    Some(secs) => u32::try_from(secs).unwrap_or(STOP_TIMEOUT_MAX_SECS),
                    None => STOP_TIMEOUT_DEFAULT_SECS,
                }
            }
        };
        Ok(Duration::from_secs(secs.min(STOP_TIMEOUT_MAX_SECS).into()) + STOP_MARGIN)
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

#[async_trait]
impl Containers for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let info = self.ask("describe itself", None, self.limit, |docker| async move { docker.info().await });
        let info = match info.await {
            Ok(info) => info,
            // Nothing was found anywhere: say all the places, not one of them.
            Err(EngineError::Unreachable { source, .. })
                if matches!(source.downcast_ref(), Some(ConnectProblem::NoSocket)) =>
            {
                return Err(EngineError::Unreachable { endpoint: self.connection.places(), source });
            }
            Err(error) => return Err(error),
        };
        let agreed = self.connection.agreed().await?;
        Ok(EngineInfo {
            version: format!("{} {}", agreed.name, info.server_version.unwrap_or_default()),
            api_version: agreed.api_version,
            host: info.name.unwrap_or_default(),
            cpus: info.ncpu.and_then(|cpus| u64::try_from(cpus).ok()).unwrap_or(1),
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            cgroup_version: match info.cgroup_version {
                Some(SystemInfoCgroupVersionEnum::_2) => 2,
                _ => 1,
            },
        })
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let containers = self
            .ask("list containers", None, self.limit, |docker| async move {
                docker.list_containers(Some(options)).await
            })
            .await?;
        let ids = containers.into_iter().filter_map(|container| ContainerId::new(container.id?).ok());
        Ok(ids.collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, EngineError> {
        let wanted = id.as_str().to_owned();
        let answer = self.ask("inspect a container", Some(id), self.limit, |docker| async move {
            docker.inspect_container(&wanted, None::<InspectContainerOptions>).await
        });
        Ok(inspect::inspection(answer.await?))
    }

    async fn counters(&self, id: &ContainerId) -> Result<Counters, EngineError> {
        let wanted = id.as_str().to_owned();
        // Without `one-shot` the engine would measure twice, a second apart.
        let options = StatsOptions { stream: false, one_shot: true };
        let answer = self
            .ask("read statistics", Some(id), self.limit, |docker| async move {
                docker.stats(&wanted, Some(options)).next().await.transpose()
            })
            .await?;
        // Podman answers with nothing at all when the container does not run.
        let counters = answer.and_then(|answer| stats::counters(&answer, now()));
        counters.ok_or_else(|| EngineError::NotFound(id.clone()))
    }

    async fn disk_usage(&self) -> Result<Vec<(ContainerId, u64)>, EngineError> {
        // `system df` would also measure images, volumes and the build cache.
        let options = ListContainersOptions { all: true, size: true, ..Default::default() };
        let containers = self
            .ask("measure disk usage", None, self.limit * DISK_USAGE_LIMITS, |docker| async move {
                docker.list_containers(Some(options)).await
            })
            .await?;
        let sizes = containers.into_iter().filter_map(|container| {
            let id = ContainerId::new(container.id?).ok()?;
            // The engine leaves a size of 0 out, and writes -1 for one it could not measure.
            Some((id, u64::try_from(container.size_rw.unwrap_or(0)).ok()?))
        });
        Ok(sizes.collect())
    }

    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, EngineError> {
        let lines = lines.min(LINES_MAX);
        let wanted = id.as_str().to_owned();
        let options =
            LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..Default::default() };
        let tail = self.ask("read a log", Some(id), self.limit, |docker| async move {
            let mut log = std::pin::pin!(docker.logs(&wanted, Some(options)));
            let mut tail = Tail::default();
            while let Some(piece) = log.try_next().await? {
                tail.push(&piece.into_bytes());
            }
            Ok(tail)
        });
        Ok(tail.await?.text(lines))
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let engine = self.clone();
        let filters = [("type".to_owned(), vec!["container".to_owned()])].into();
        let options = EventsOptions { since: events::since(since), until: None, filters: Some(filters) };
        let open = async move {
            let limit = engine.limit;
            let agreed = timeout(limit, engine.connection.agreed()).await;
            let agreed = agreed.unwrap_or(Err(EngineError::Timeout { operation: "stream events", limit }))?;
            let messages = agreed.docker.events(Some(options));
            let connection = Arc::clone(&engine.connection);
            let failed = move |error| fault(&connection, &agreed, "stream events", None, error);
            // An engine ends the stream when it is stopped: whatever comes back is asked for its version again.
            let ended = stream::once(async move { engine.connection.forget() });
            Ok(messages
                .map_err(failed)
                .map(Some)
                .chain(ended.map(|()| None))
                .filter_map(future::ready)
                .try_filter_map(|message| future::ok(events::event(message))))
        };
        stream::once(open).try_flatten().boxed()
    }

    async fn restart(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError> {
        let limit = self.stop_limit(id, stop_timeout_secs).await?;
        let wanted = id.as_str().to_owned();
        let options = RestartContainerOptions { signal: None, t: stop_timeout_secs.map(seconds) };
        self.ask("restart a container", Some(id), limit, |docker| async move {
            docker.restart_container(&wanted, Some(options)).await
        })
        .await
    }
}

/// The host's clock, for answers without a time of their own.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH + since_epoch
}
