//! The demo's containers: made from this very binary, without any registry, and gone when the demo ends.
//!
//! Everything the demo makes carries a label that names the process which made it.
//!
//! Invariant F-1: nothing is removed but what carries the label, and of that only what this process made or what a
//! demo left behind whose process is gone.

mod owner;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::future::join_all;
use hemostat_agent::containers::EngineError;
use hemostat_core::engine::RestartPolicy;
use hemostat_docker::DockerEngine;
use hemostat_docker::image::{HealthCheck, ScratchImage, check_static, scratch_image_tar};
use hemostat_docker::workload::WorkloadSpec;
use hemostat_event::{ContainerId, Subject};

use super::scenario::{STOPPED, Scenario};
use crate::exit::{Failure, OrFailure as _};
use owner::{Life, Owner};

#[cfg(test)]
mod tests;

/// The label of everything the demo makes; its value is the [`Owner`].
const LABEL: &str = "hemostat.demo";
/// Opts the containers in.
const LABEL_ENABLE: &str = "hemostat.enable";
/// The image's name. One demo runs at a time, so it needs no more.
const IMAGE: &str = concat!("hemostat-demo:", env!("CARGO_PKG_VERSION"));
/// Where this binary is in the image.
const BINARY: &str = "/hemostat";
/// Processes and threads a container may have; the workloads have three.
const PIDS_MAX: u64 = 64;
/// Seconds from SIGTERM to SIGKILL; the workloads end at once.
const STOP_TIMEOUT_SECS: u32 = 5;

/// The containers of one run of the demo.
pub(in crate::commands) struct Fleet {
    engine: Arc<DockerEngine>,
    owner: Owner,
    running: BTreeMap<String, ContainerId>,
}

/// The name of a scenario's container.
pub(super) fn container_name(scenario: &Scenario) -> String {
    named(scenario.name)
}

fn named(scenario: &str) -> String {
    format!("hemostat-demo-{scenario}")
}

impl Fleet {
    /// Removes what crashed demos left behind and loads the image.
    ///
    /// # Errors
    /// Exit 1 when this binary cannot stand alone in an image, another demo runs or the engine refuses; exit 3 when the
    /// engine is out of reach.
    pub(super) async fn new(engine: Arc<DockerEngine>) -> Result<Self, Failure> {
        // The binary that runs, also when another one has taken its place since.
        let binary = std::fs::read("/proc/self/exe").context("cannot read this very binary")?;
        check_static(&binary).with_context(|| {
            format!(
                "the demo's containers have no file but this binary, and it does not start alone; build it with \
                 `cargo build --release --target {}-unknown-linux-musl`",
                std::env::consts::ARCH
            )
        })?;
        let owner = Owner::this().context("cannot find out who this process is")?;
        clear_leftovers(&engine, &owner).await?;
        let label = owner.to_string();
        let image = scratch_image_tar(&ScratchImage {
            reference: IMAGE,
            binary: &binary,
            path: BINARY,
            links: &[],
            entrypoint: &[BINARY, "workload"],
            cmd: &[],
            health: None,
            labels: &[(LABEL, &label)],
        });
        drop(binary);
        let image = image.context("failed to make the demo's image")?;
        engine.load_image(image).await.map_err(|error| failed("failed to load the demo's image", error))?;
        Ok(Self { engine, owner, running: BTreeMap::new() })
    }

    /// Starts the containers of these scenarios, all at once. When one cannot be started, none is left.
    ///
    /// # Errors
    /// The first failure: exit 3 when the engine is out of reach, exit 1 when it refuses.
    pub(super) async fn start(&mut self, scenarios: &[&'static Scenario]) -> Result<(), Failure> {
        let specs: Vec<_> = scenarios.iter().map(|scenario| spec(scenario, &self.owner)).collect();
        let started = join_all(specs.iter().map(|spec| self.engine.create_and_start(spec))).await;
        let mut first = None;
        for (spec, started) in specs.into_iter().zip(started) {
            match started {
                Ok(id) => {
                    self.running.insert(spec.name, id);
                }
                Err(error) => {
                    first.get_or_insert((spec.name, error));
                }
            }
        }
        let Some((name, error)) = first else { return Ok(()) };
        self.remove().await;
        Err(failed(&format!("failed to start `{name}`"), error))
    }

    /// Starts one container of a scenario under a name of its own.
    ///
    /// # Errors
    /// Exit 3 when it cannot be started.
    pub(in crate::commands) async fn start_as(
        &mut self,
        scenario: &Scenario,
        name: &str,
        enable: bool,
    ) -> Result<ContainerId, Failure> {
        let mut spec = WorkloadSpec { name: named(name), ..spec(scenario, &self.owner) };
        spec.labels.insert(LABEL_ENABLE.to_owned(), enable.to_string());
        let started = self.engine.create_and_start(&spec).await;
        let id = started.with_context(|| format!("failed to start `{}`", spec.name)).or_unreachable()?;
        self.running.insert(spec.name, id.clone());
        Ok(id)
    }

    /// Stops those that a person stops in their story.
    ///
    /// # Errors
    /// Exit 3 when the engine is out of reach, exit 1 when it refuses.
    pub(super) async fn stop_by_hand(&self) -> Result<(), Failure> {
        let Some(id) = self.running.get(&named(STOPPED)) else { return Ok(()) };
        let stopped = self.engine.stop(id, Some(STOP_TIMEOUT_SECS)).await;
        stopped.map_err(|error| failed("failed to stop a container by hand", error))
    }

    /// Whether a container is one of these.
    pub(super) fn has(&self, subject: Option<&Subject>) -> bool {
        subject.is_some_and(|subject| self.running.contains_key(subject.name()))
    }

    /// Removes the containers and the image. What cannot be removed is said, and the next demo tries again.
    pub(super) async fn remove(&mut self) {
        self.running.clear();
        let ours = self.owner.to_string();
        if let Err(error) = sweep(&self.engine, |owner| owner == ours).await {
            tracing::warn!(%error, "not everything of the demo could be removed; the next demo tries again");
        }
    }
}

/// Removes what demos left behind whose process is gone.
async fn clear_leftovers(engine: &DockerEngine, this: &Owner) -> Result<(), Failure> {
    let labelled = engine.containers_with_label(LABEL).await;
    let labelled =
        labelled.map_err(|error| failed("failed to look for what earlier demos left behind", error))?;
    for (id, label) in &labelled {
        match life(label, this) {
            Life::Over => {}
            Life::Runs { pid } => {
                return Err(anyhow!("another demo runs (process {pid}); wait until it ends").into());
            }
            Life::Unknown => {
                return Err(anyhow!(
                    "`{}` is of a demo on another host or in another container; wait until that ends, or remove it: \
                     docker rm --force $(docker ps --all --quiet --filter label={LABEL})",
                    id.short()
                )
                .into());
            }
        }
    }
    let over = |label: &str| life(label, this) == Life::Over;
    let swept = sweep(engine, over).await;
    swept.map_err(|error| failed("failed to remove what an earlier demo left behind", error))
}

/// What a failure of the engine means for the command.
fn failed(what: &str, error: EngineError) -> Failure {
    let out_of_reach = matches!(error, EngineError::Unreachable { .. } | EngineError::Timeout { .. });
    let error = anyhow::Error::from(error).context(what.to_owned());
    if out_of_reach { Failure::Unreachable(error) } else { Failure::Failed(error) }
}

/// What became of the process in a label. A label that is not ours to read is nobody's.
fn life(label: &str, this: &Owner) -> Life {
    label.parse().map_or(Life::Unknown, |owner: Owner| owner.life(this))
}

/// Removes the demo's containers and images whose label is wanted; tries them all and gives the first failure.
async fn sweep(engine: &DockerEngine, wanted: impl Fn(&str) -> bool) -> Result<(), EngineError> {
    let containers = engine.containers_with_label(LABEL).await?;
    let containers = containers.iter().filter(|(_, label)| wanted(label));
    let removed = join_all(containers.map(|(id, _)| engine.remove_container(id, true))).await;
    let mut result = Ok(());
    for removed in removed {
        if !matches!(removed, Err(EngineError::NotFound(_))) {
            result = result.and(removed);
        }
    }
    for (image, label) in engine.images_with_label(LABEL).await? {
        if wanted(&label) {
            result = result.and(engine.remove_image(&image).await);
        }
    }
    result
}

/// The container of a scenario.
fn spec(scenario: &Scenario, owner: &Owner) -> WorkloadSpec {
    let labels = [(LABEL_ENABLE, "true".to_owned()), (LABEL, owner.to_string())];
    WorkloadSpec {
        name: container_name(scenario),
        image: IMAGE.to_owned(),
        cmd: vec![scenario.name.to_owned()],
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        memory_limit_bytes: Some(scenario.memory_bytes),
        cpu_cores: Some(scenario.cpus),
        pids_limit: Some(PIDS_MAX),
        health: scenario.health_check.then(|| HealthCheck {
            command: [BINARY, "workload", "check"].map(str::to_owned).to_vec(),
            interval: Duration::from_secs(1),
            // The check takes milliseconds; a busy host may take seconds to start it.
            timeout: Duration::from_secs(10),
            start_period: Duration::ZERO,
            retries: 2,
        }),
        restart_policy: match scenario.engine_restarts {
            0 => RestartPolicy::No,
            max => RestartPolicy::OnFailure { max: max.into() },
        },
        tmpfs: Vec::new(),
        tty: false,
        stop_timeout_secs: Some(STOP_TIMEOUT_SECS),
    }
}
