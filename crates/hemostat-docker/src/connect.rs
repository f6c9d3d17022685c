//! Finds the engine and agrees with it on an API version.
//!
//! bollard sends its requests without a version, which an engine answers in its own newest format. We put the
//! agreed version in front of every path, so an engine newer than this client keeps to a format it knows.
//!
//! Invariant C-1: a connection is a value that may be thrown away ([`Connection::forget`]) and made again; an
//! engine that comes back updated is negotiated with anew.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hemostat_agent::containers::EngineError;
use serde::Deserialize;

use crate::answer;

#[cfg(test)]
mod tests;

/// Where Docker listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";
/// Twice what an engine under load needs for its slowest usual answer (an inspection while images are built).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Docker 20.10: the first with `one-shot` statistics, which spare the engine a second of waiting per sample.
const API_MIN: Version = Version(1, 41);
/// bollard counts whole seconds and has one limit for all requests, the event stream included. Limits are ours;
/// its own has to be out of the way: 100 years.
const NO_LIMIT_SECS: u64 = 100 * 365 * 24 * 3_600;

/// How to reach the engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The engine's address as in `DOCKER_HOST`: `unix://`, `tcp://` or `http://`. Nothing else is tried.
    pub host: Option<String>,
    /// Where else to look, after [`DEFAULT_SOCKET`], when `host` is absent: sockets of Podman or of a rootless
    /// engine, in the same syntax.
    pub candidates: Vec<String>,
    /// Time limit of a usual request.
    pub timeout: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { host: None, candidates: Vec::new(), timeout: DEFAULT_TIMEOUT }
    }
}

/// Why an engine is out of reach, and what a person can do about it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectProblem {
    /// There is no socket.
    #[error("there is no socket; {}", self.help())]
    NoSocket,
    /// The socket is there and this user may not use it.
    #[error("permission denied; {}", self.help())]
    PermissionDenied,
    /// The address is there and nobody answers.
    #[error("nothing listens there; {}", self.help())]
    NotListening,
    /// The engine's newest API is older than the oldest we can use.
    #[error("its newest API is {api}, and 1.41 is needed; {}", self.help())]
    TooOld {
        /// The engine's newest API.
        api: String,
    },
    /// The engine's oldest API is newer than the newest we know.
    #[error("its oldest API is {api_min}, which this version does not know; {}", self.help())]
    TooNew {
        /// The engine's oldest API.
        api_min: String,
    },
    /// The address is not one we can use.
    #[error("`{address}` is not an address of an engine; {}", self.help())]
    Address {
        /// The address.
        address: String,
    },
    /// The connection failed otherwise.
    #[error("the connection failed")]
    Broken(#[source] BollardError),
}

impl ConnectProblem {
    /// What to do about it; empty where the source has to speak for itself.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NoSocket => {
                "start the engine (`systemctl start docker`), or set docker.host (DOCKER_HOST) to where it listens"
            }
            Self::PermissionDenied => "add this user to the group `docker` and log in again, or run as root",
            Self::NotListening => {
                "start the engine (`systemctl start docker`), or correct docker.host (DOCKER_HOST)"
            }
            Self::TooOld { .. } => "update the engine to Docker 20.10 or Podman 4, or newer",
            Self::TooNew { .. } => "update HemoStat",
            Self::Address { .. } => {
                "use unix:///path, tcp://host:port or http://host:port (TLS and SSH are not supported)"
            }
            Self::Broken(_) => "",
        }
    }
}

/// What a person can do about an unreachable engine, where we know it.
#[must_use]
pub fn help(error: &EngineError) -> Option<&'static str> {
    let EngineError::Unreachable { source, .. } = error else {
        return None;
    };
    source.downcast_ref().map(ConnectProblem::help).filter(|help| !help.is_empty())
}

/// An API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(usize, usize);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Where an engine may listen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    Unix(String),
    Http(String),
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, ConnectProblem> {
        let path = text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = path.filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.to_owned()));
        }
        let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://"));
        match address.map(|address| address.trim_end_matches('/')).filter(|address| !address.is_empty()) {
            Some(address) => Ok(Self::Http(address.to_owned())),
            None => Err(ConnectProblem::Address { address: text.to_owned() }),
        }
    }

    fn open(&self) -> Result<Docker, ConnectProblem> {
        match self {
            Self::Unix(path) => {
                std::fs::metadata(path).map_err(|error| of_io(&error).unwrap_or(ConnectProblem::NoSocket))?;
                Docker::connect_with_unix(path, NO_LIMIT_SECS, API_DEFAULT_VERSION)
            }
            Self::Http(address) => Docker::connect_with_http(address, NO_LIMIT_SECS, API_DEFAULT_VERSION),
        }
        .map_err(problem)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => f.write_str(path),
            Self::Http(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// An engine that was found and agreed with.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    /// The client, with the agreed version in every request.
    pub(crate) docker: Docker,
    /// The agreed version: `1.41`.
    pub(crate) api_version: String,
    /// Where the engine was found.
    pub(crate) endpoint: String,
    /// `docker` or `podman`.
    pub(crate) name: &'static str,
}

impl Agreed {
    /// Path and query of a request that agents make, in the agreed version.
    pub(crate) fn target(&self, path: &str) -> String {
        format!("/v{}{path}", self.api_version)
    }
}

/// The places to look and the engine found there, if any.
#[derive(Debug)]
pub(crate) struct Connection {
    endpoints: Vec<Endpoint>,
    agreed: Mutex<Option<Agreed>>,
}

impl Connection {
    /// Nothing is looked for yet.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] when an address is none.
    pub(crate) fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let texts = match settings.host {
            Some(host) => vec![host],
            None => std::iter::once(DEFAULT_SOCKET.to_owned()).chain(settings.candidates).collect(),
        };
        let parse = |text: String| Endpoint::parse(&text).map_err(|problem| unreachable(text, problem));
        let endpoints = texts.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, agreed: Mutex::new(None) })
    }

    /// The engine that was agreed with, or the first one that can be found now. Two callers at once may both
    /// negotiate, which is harmless.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] with a [`ConnectProblem`].
    pub(crate) async fn agreed(&self) -> Result<Agreed, EngineError> {
        let known = self.agreed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(agreed) = known {
            return Ok(agreed);
        }
        let mut worst: Option<(String, ConnectProblem)> = None;
        for endpoint in &self.endpoints {
            match negotiate(endpoint).await {
                Ok(agreed) => {
                    tracing::debug!(endpoint = agreed.endpoint, api = agreed.api_version, "engine found");
                    *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(agreed.clone());
                    return Ok(agreed);
                }
                // An engine that is there and says no explains more than a place where there is none.
                Err(problem) => {
                    let told =
                        worst.as_ref().is_some_and(|(_, known)| !matches!(known, ConnectProblem::NoSocket));
                    if !told && (worst.is_none() || !matches!(problem, ConnectProblem::NoSocket)) {
                        worst = Some((endpoint.to_string(), problem));
                    }
                }
            }
        }
        let (endpoint, problem) = worst.expect("there is at least one place to look at");
        Err(unreachable(endpoint, problem))
    }

    /// Lets the next request look for the engine anew.
    pub(crate) fn forget(&self) {
        *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// All places that are looked at, for error messages.
    pub(crate) fn places(&self) -> String {
        self.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// What an engine says of itself to everybody.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Offer {
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
    components: Option<Vec<Component>>,
}

/// A part of an engine.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Component {
    name: Option<String>,
}

impl Offer {
    /// The newest version that both sides know.
    fn agree(&self) -> Result<Version, ConnectProblem> {
        let newest_known = Version(API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
        let api = self.api_version.clone().unwrap_or_default();
        let newest = Version::parse(&api).filter(|newest| API_MIN <= *newest);
        let newest = newest.ok_or(ConnectProblem::TooOld { api })?;
        let api_min = self.min_api_version.clone().unwrap_or_default();
        if Version::parse(&api_min).is_some_and(|oldest| newest_known < oldest) {
            return Err(ConnectProblem::TooNew { api_min });
        }
        Ok(newest.min(newest_known))
    }

    fn name(&self) -> &'static str {
        let mut parts = self.components.iter().flatten().filter_map(|part| part.name.as_deref());
        if parts.any(|name| name.contains("Podman")) { "podman" } else { "docker" }
    }
}

async fn negotiate(endpoint: &Endpoint) -> Result<Agreed, ConnectProblem> {
    let docker = endpoint.open()?;
    // Asked without a version: every engine answers that.
    let offer: Offer = answer::json(&docker, "/version".to_owned()).await.map_err(problem)?;
    let version = offer.agree()?;
    Ok(Agreed {
        docker: docker.with_request_modifier(move |request| with_version(request, version)),
        api_version: version.to_string(),
        endpoint: endpoint.to_string(),
        name: offer.name(),
    })
}

/// Puts the version in front of the path.
fn with_version(request: BollardRequest, version: Version) -> BollardRequest {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target = format!("/v{version}{path}");
    answer::aim(request, &target)
}

pub(crate) fn unreachable(endpoint: String, problem: ConnectProblem) -> EngineError {
    EngineError::Unreachable { endpoint, source: Box::new(problem) }
}

/// Finds the reason in the depth of a failed connection.
pub(crate) fn problem(error: BollardError) -> ConnectProblem {
    let direct = match &error {
        BollardError::SocketNotFoundError(_) => Some(ConnectProblem::NoSocket),
        // It stands for its cause, so the cause is not among its sources.
        BollardError::IOError { err } => of_io(err),
        _ => None,
    };
    if let Some(problem) = direct {
        return problem;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(problem) = error.downcast_ref::<io::Error>().and_then(of_io) {
            return problem;
        }
        cause = error.source();
    }
    ConnectProblem::Broken(error)
}

fn of_io(error: &io::Error) -> Option<ConnectProblem> {
    match error.kind() {
        io::ErrorKind::NotFound => Some(ConnectProblem::NoSocket),
        io::ErrorKind::PermissionDenied => Some(ConnectProblem::PermissionDenied),
        io::ErrorKind::ConnectionRefused => Some(ConnectProblem::NotListening),
        _ => None,
    }
}
