//! Containers of the contract's wishes on a real engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::StreamExt;
use hemostat_agent::containers::Containers;
use hemostat_agent::contract::containers::Harness;
use hemostat_core::engine::{EngineEvent, EngineEventKind, Inspection};
use hemostat_docker::DockerEngine;
use hemostat_docker::image::HealthCheck;
use hemostat_docker::testing::{IDLE, Lab, eventually};
use hemostat_docker::workload::WorkloadSpec;
use hemostat_event::{ContainerId, Timestamp};
use tokio::time::timeout;

/// Longest wait for a state: an engine on a loaded machine takes seconds to start a container.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// A lab that numbers its containers.
pub(crate) struct Laboratory {
    lab: Lab,
    made: AtomicU32,
}

impl Laboratory {
    pub(crate) async fn start() -> Self {
        Self { lab: Lab::start().await.expect("a lab"), made: AtomicU32::new(0) }
    }

    pub(crate) fn docker(&self) -> Arc<DockerEngine> {
        self.lab.engine()
    }

    /// Starts a container that runs `script`.
    pub(crate) async fn run(&self, script: &str, adjust: impl FnOnce(&mut WorkloadSpec)) -> ContainerId {
        let name = format!("c{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.lab.run(&name, script, adjust).await.expect("a container")
    }

    /// Waits until an inspection is as wanted.
    pub(crate) async fn until(
        &self,
        id: &ContainerId,
        what: &str,
        wanted: impl Fn(&Inspection) -> bool,
    ) -> Inspection {
        let engine = self.docker();
        eventually(what, WAIT_MAX, || async {
            Some(engine.inspect(id).await.expect("it is there")).filter(&wanted)
        })
        .await
    }

    /// Waits until a container has written this line.
    pub(crate) async fn until_logged(&self, id: &ContainerId, line: &str) {
        let engine = self.docker();
        eventually("a line of the log", WAIT_MAX, || async {
            let tail = engine.log_tail(id, 20).await.expect("the log is there");
            tail.lines().any(|of| of == line).then_some(())
        })
        .await;
    }

    /// The container's events since `since` up to and including the first of kind `last`.
    pub(crate) async fn events_until(
        &self,
        since: Timestamp,
        id: &ContainerId,
        last: &EngineEventKind,
    ) -> Vec<EngineEvent> {
        let mut events = self.docker().events(since);
        let mut seen = Vec::new();
        let found = timeout(WAIT_MAX, async {
            while seen.last().is_none_or(|event: &EngineEvent| event.kind != *last) {
                let event = events.next().await.expect("no end").expect("no break");
                if event.id == *id {
                    seen.push(event);
                }
            }
        });
        assert!(found.await.is_ok(), "{last:?} was not seen in {WAIT_MAX:?}; seen: {seen:?}");
        seen
    }
}

/// The clock of this host, which is the engine's.
pub(crate) fn now() -> Timestamp {
    Timestamp::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// A check that runs the shell command `script` five times a second.
pub(crate) fn check(script: &str) -> HealthCheck {
    HealthCheck {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        interval: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
        start_period: Duration::ZERO,
        retries: 1,
    }
}

#[async_trait]
impl Harness for Laboratory {
    fn engine(&self) -> Arc<dyn Containers> {
        self.lab.engine()
    }

    async fn now(&self) -> Timestamp {
        now()
    }

    async fn running(&self) -> ContainerId {
        self.run(IDLE, |_| {}).await
    }

    async fn exiting(&self, exit_code: u8) -> ContainerId {
        self.run(&format!("exit {exit_code}"), |_| {}).await
    }

    async fn printing(&self, lines: &[String]) -> ContainerId {
        let text = lines.join("\n");
        self.run(&format!("cat <<'END'\n{text}\nEND\n{IDLE}"), |_| {}).await
    }

    async fn unhealthy(&self, output: &str) -> ContainerId {
        let script = format!("echo '{output}'; exit 1");
        self.run(IDLE, |spec| spec.health = Some(check(&script))).await
    }

    async fn remove(&self, id: &ContainerId) {
        self.docker().remove_container(id, true).await.expect("it can be removed");
    }
}
