//! The container engine adapter: observes, samples and acts on Docker and Podman.
//!
//! [`DockerEngine`] is the one implementation of [`Containers`](hemostat_agent::containers::Containers) on a real
//! engine. It speaks the Docker API, from 1.41 (Docker 20.10) on, over a Unix socket or plain TCP. What an engine
//! answers is read as far as it is used and by pure functions (`inspect`, `stats`, `events`, `logs`), so each of its
//! oddities is a fixture and a test.
//!
//! Invariants:
//! - D-1: a figure the engine did not give is absent, never 0.
//! - D-2: every request has a time limit, and running into it is said ([`EngineError::Timeout`]); only the event
//!   stream has none, because silence is its normal state.
//! - D-3: the engine may be away, restarted or updated at any time: nothing but the next request is needed to
//!   find it again.
//!
//! [`EngineError::Timeout`]: hemostat_agent::containers::EngineError::Timeout

mod answer;
mod connect;
mod engine;
mod events;
#[cfg(test)]
mod fake;
pub mod image;
mod inspect;
mod logs;
mod own;
mod stats;
#[cfg(feature = "testing")]
pub mod testing;
pub mod workload;

pub use connect::{ConnectProblem, DEFAULT_SOCKET, DEFAULT_TIMEOUT, EngineSettings, help};
pub use engine::DockerEngine;
pub use own::{parse_container_id, self_container_id};
