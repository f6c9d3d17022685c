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
            Self::NotListening => "start the engine (`systemctl start docker`), or correct docker.host (DOCKER_HOST)",
            Self::TooOld { .. } => "update the engine to Docker 20.10 or Podman 4, or newer",
            Self::TooNew { .. } => "update HemoStat",
            Self::Address { .. } => "use unix:///path, tcp://host:port or http://host:port (TLS and SSH are not supported)",
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
    pub(crate) fn new(settings: &EngineSettings) -> Result<Self, EngineError> {
        let texts = match &settings.host {
            Some(host) => vec![host.as_str()],
            None => std::iter::once(DEFAULT_SOCKET).chain(settings.candidates.iter().map(String::as_str)).collect(),
        };
        let parse = |text: &str| Endpoint::parse(text).map_err(|problem| unreachable(text.to_owned(), problem));
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
                    let told = worst.as_ref().is_some_and(|(_, known)| !matches!(known, ConnectProblem::NoSocket));
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

async fn negotiate(endpoint: &Endpoint) -> Result<Agreed, ConnectProblem> {
    let docker = endpoint.open()?;
    // Asked without a version: every engine answers that.
    let offer = docker.version().await.map_err(problem)?;
    let newest_known = Version(API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    let api = offer.api_version.unwrap_or_default();
    let newest = Version::parse(&api).filter(|newest| API_MIN <= *newest).ok_or(ConnectProblem::TooOld { api })?;
    let api_min = offer.min_api_version.unwrap_or_default();
    if Version::parse(&api_min).is_some_and(|oldest| newest_known < oldest) {
        return Err(ConnectProblem::TooNew { api_min });
    }
    let version = newest.min(newest_known);
    let podman = offer.components.unwrap_or_default().iter().any(|part| part.name.contains("Podman"));
    Ok(Agreed {
        docker: docker.with_request_modifier(move |request| with_version(request, version)),
        api_version: version.to_string(),
        endpoint: endpoint.to_string(),
        name: if podman { "podman" } else { "docker" },
    })
}

/// Puts the version in front of the path.
fn with_version(mut request: BollardRequest, version: Version) -> BollardRequest {
    let uri = request.uri();
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if let Ok(versioned) = format!("{scheme}://{authority}/v{version}{path}").parse() {
        *request.uri_mut() = versioned;
    }
    request
}

pub(crate) fn unreachable(endpoint: String, problem: ConnectProblem) -> EngineError {
    EngineError::Unreachable { endpoint, source: Box::new(problem) }
}

/// Finds the reason in the depth of a failed connection.
pub(crate) fn problem(error: BollardError) -> ConnectProblem {
    if let BollardError::SocketNotFoundError(_) = error {
        return ConnectProblem::NoSocket;
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
