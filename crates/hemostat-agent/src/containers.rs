//! The port to a container engine.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hemostat_core::engine::{Counters, EngineEvent, EngineInfo, Inspection};
use hemostat_event::{ContainerId, Timestamp};

use crate::log::BoxError;

/// A failed request to the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be reached.
    #[error("the container engine at `{endpoint}` is unreachable")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// There is no such container.
    #[error("no such container `{0}`")]
    NotFound(ContainerId),
    /// The engine answered with an error.
    #[error("the container engine refused to {operation}: {message}")]
    Refused {
        /// What it was asked to do.
        operation: &'static str,
        /// What it answered.
        message: String,
    },
    /// No answer came in time; whether it was done is unknown.
    #[error("the container engine gave no answer in {limit:?} when asked to {operation}")]
    Timeout {
        /// What it was asked to do.
        operation: &'static str,
        /// How long it had.
        limit: Duration,
    },
}

/// A container engine: Docker, Podman.
#[async_trait]
pub trait Containers: Send + Sync {
    /// What the engine says of itself and its host.
    async fn info(&self) -> Result<EngineInfo, EngineError>;

    /// Ids of all containers, those that do not run included.
    async fn list(&self) -> Result<Vec<ContainerId>, EngineError>;

    /// What the engine knows of a container.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone.
    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, EngineError>;

    /// Counters of a running container at one moment; no waiting for a second measurement.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone or does not run.
    async fn counters(&self, id: &ContainerId) -> Result<Counters, EngineError>;

    /// Sizes of the writable layers in bytes, by container. Costly for the engine: ask seldom.
    async fn disk_usage(&self) -> Result<Vec<(ContainerId, u64)>, EngineError>;

    /// The last `lines` lines a container wrote, oldest first, at most 16 KiB.
    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, EngineError>;

    /// Container events since `since` (its own moment included), in the order of the engine, without end;
    /// [`Timestamp::EPOCH`] asks for new events only, from when the stream is first polled. The stream ends with an error
    /// when the connection breaks; the caller opens it again with the time of the last event it saw and then
    /// reconciles by listing, because the engine keeps only the last few hundred events.
    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>>;

    /// Stops and starts a container: SIGTERM, after `stop_timeout_secs` SIGKILL, then start. Returns when the
    /// engine has started the new run.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone; [`EngineError::Timeout`] when the outcome is unknown.
    async fn restart(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError>;
}
