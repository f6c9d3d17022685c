//! Runs containers of our own: the workloads of the demo, of tests and of benchmarks.
//!
//! Agents never come here; what they may do to a container is the port
//! [`Containers`](hemostat_agent::containers::Containers).

use std::collections::BTreeMap;

use bollard::body_full;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, RestartPolicy as EnginePolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, ImportImageOptions, KillContainerOptions, RemoveContainerOptions,
    RemoveImageOptions, StartContainerOptions, StopContainerOptions,
};
use futures_util::TryStreamExt;
use hemostat_agent::containers::EngineError;
use hemostat_core::engine::RestartPolicy;
use hemostat_event::ContainerId;
use serde::Deserialize;
use serde_json::json;

use crate::DockerEngine;
use crate::answer::{self, escaped};
use crate::engine::{Listed, seconds};
use crate::image::{HealthCheck, nanos};

/// Loading an image writes it to disk: it may take this many usual time limits.
const LOAD_LIMITS: u32 = 12;

/// A container to be made.
#[derive(Debug, Clone, Default)]
pub struct WorkloadSpec {
    /// Its name.
    pub name: String,
    /// The image, which has to be there.
    pub image: String,
    /// Arguments of the image's entry point; empty for the image's own.
    pub cmd: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Memory limit in bytes; swap is not allowed on top of it.
    pub memory_limit_bytes: Option<u64>,
    /// CPU quota in processors.
    pub cpu_cores: Option<f64>,
    /// Most processes and threads.
    pub pids_limit: Option<u64>,
    /// Health check; the image's own when absent.
    pub health: Option<HealthCheck>,
    /// The engine's restart policy.
    pub restart_policy: RestartPolicy,
    /// Folders in memory.
    pub tmpfs: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Seconds between SIGTERM and SIGKILL; the engine's default when absent.
    pub stop_timeout_secs: Option<u32>,
}

impl DockerEngine {
    /// Loads an image from an archive of `docker save`, such as
    /// [`scratch_image_tar`](crate::image::scratch_image_tar) makes.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine cannot read it; otherwise those of every request.
    pub async fn load_image(&self, archive: Vec<u8>) -> Result<(), EngineError> {
        let options = ImportImageOptions { quiet: true, ..Default::default() };
        self.ask("load an image", None, self.limit() * LOAD_LIMITS, |agreed| async move {
            let said = agreed.docker.import_image(options, body_full(archive.into()), None);
            said.try_for_each(|_progress| async { Ok(()) }).await
        })
        .await
    }

    /// Makes a container and starts it. It has no network: what it needs is in it.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the name is taken, the image is not there or its program cannot be started;
    /// otherwise those of every request. A container that cannot be started is removed again.
    pub async fn create_and_start(&self, spec: &WorkloadSpec) -> Result<ContainerId, EngineError> {
        let options = CreateContainerOptions { name: Some(spec.name.clone()), ..Default::default() };
        let body = body(spec);
        let made = self
            .ask("create a container", None, self.limit(), |agreed| async move {
                agreed.docker.create_container(Some(options), body).await
            })
            .await?;
        let id = ContainerId::new(made.id).map_err(|error| EngineError::Refused {
            operation: "create a container",
            message: error.to_string(),
        })?;
        if let Err(error) = self.start(&id).await {
            if let Err(left) = self.remove_container(&id, true).await {
                tracing::warn!(container = %id.short(), error = %left, "a container that did not start is left over");
            }
            return Err(error);
        }
        Ok(id)
    }

    /// Starts a container; one that runs already is left alone.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone; otherwise those of every request.
    pub async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let wanted = id.as_str().to_owned();
        self.ask("start a container", Some(id), self.limit(), |agreed| async move {
            agreed.docker.start_container(&wanted, None::<StartContainerOptions>).await
        })
        .await
    }

    /// Stops a container as a person would: SIGTERM, and SIGKILL after `stop_timeout_secs`.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone; otherwise those of every request.
    pub async fn stop(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError> {
        let limit = self.stop_limit(id, stop_timeout_secs).await?;
        let wanted = id.as_str().to_owned();
        let options = StopContainerOptions { signal: None, t: stop_timeout_secs.map(seconds) };
        self.ask("stop a container", Some(id), limit, |agreed| async move {
            agreed.docker.stop_container(&wanted, Some(options)).await
        })
        .await
    }

    /// Sends a container's first process a signal: `SIGKILL`.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone, [`EngineError::Refused`] when it does not run.
    pub async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let wanted = id.as_str().to_owned();
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.ask("signal a container", Some(id), self.limit(), |agreed| async move {
            agreed.docker.kill_container(&wanted, Some(options)).await
        })
        .await
    }

    /// Removes a container with its anonymous volumes; one that runs only when `force` is set.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when it is gone; otherwise those of every request.
    pub async fn remove_container(&self, id: &ContainerId, force: bool) -> Result<(), EngineError> {
        let wanted = id.as_str().to_owned();
        let options = RemoveContainerOptions { v: true, force, link: false };
        self.ask("remove a container", Some(id), self.limit(), |agreed| async move {
            agreed.docker.remove_container(&wanted, Some(options)).await
        })
        .await
    }

    /// Removes an image's name, and the image with its last name. One that is not there is no error.
    ///
    /// # Errors
    /// [`EngineError::Refused`] while a container uses it; otherwise those of every request.
    pub async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let wanted = reference.to_owned();
        self.ask("remove an image", None, self.limit(), |agreed| async move {
            let gone = agreed.docker.remove_image(&wanted, None::<RemoveImageOptions>, None).await;
            match gone {
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
                gone => gone.map(drop),
            }
        })
        .await
    }

    /// Ids of all containers with this label, those that do not run included: `key` or `key=value`.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn list_by_label(&self, label: &str) -> Result<Vec<ContainerId>, EngineError> {
        let listed = self.listed("list containers", self.limit(), &label_filter(label)).await?;
        Ok(listed.iter().filter_map(Listed::id).collect())
    }

    /// All containers with the label `key`, those that do not run included, and its value.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn containers_with_label(&self, key: &str) -> Result<Vec<(ContainerId, String)>, EngineError> {
        let listed = self.listed("list containers", self.limit(), &label_filter(key)).await?;
        Ok(listed
            .iter()
            .filter_map(|container| Some((container.id()?, container.label(key)?.to_owned())))
            .collect())
    }

    /// Ids of all images with the label `key`, and its value.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn images_with_label(&self, key: &str) -> Result<Vec<(String, String)>, EngineError> {
        let path = format!("/images/json?all=false{}", label_filter(key));
        let listed: Vec<ListedImage> = self
            .ask("list images", None, self.limit(), |agreed| async move {
                answer::json(&agreed.docker, agreed.target(&path)).await
            })
            .await?;
        Ok(listed.into_iter().filter_map(|image| Some((image.id?, image.labels?.remove(key)?))).collect())
    }
}

/// An image in a list, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ListedImage {
    id: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

fn label_filter(label: &str) -> String {
    format!("&filters={}", escaped(&json!({ "label": [label] }).to_string()))
}

fn body(spec: &WorkloadSpec) -> ContainerCreateBody {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let memory = spec.memory_limit_bytes.map(signed);
    let health = spec.health.as_ref().map(|health| HealthConfig {
        test: Some(health.test()),
        interval: Some(nanos(health.interval)),
        timeout: Some(nanos(health.timeout)),
        retries: Some(health.retries.into()),
        start_period: Some(nanos(health.start_period)),
        ..Default::default()
    });
    let policy = EnginePolicy {
        name: Some(match spec.restart_policy {
            RestartPolicy::No => RestartPolicyNameEnum::NO,
            RestartPolicy::OnFailure { .. } => RestartPolicyNameEnum::ON_FAILURE,
            RestartPolicy::Always => RestartPolicyNameEnum::ALWAYS,
            RestartPolicy::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
        }),
        maximum_retry_count: match spec.restart_policy {
            RestartPolicy::OnFailure { max } if max != 0 => Some(signed(max)),
            _ => None,
        },
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: (!spec.cmd.is_empty()).then(|| spec.cmd.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        healthcheck: health,
        tty: Some(spec.tty),
        stop_timeout: spec.stop_timeout_secs.map(i64::from),
        host_config: Some(HostConfig {
            memory,
            memory_swap: memory,
            nano_cpus: spec.cpu_cores.map(|cores| (cores * 1e9) as i64),
            pids_limit: spec.pids_limit.map(signed),
            restart_policy: Some(policy),
            tmpfs: Some(spec.tmpfs.iter().map(|folder| (folder.clone(), String::new())).collect()),
            network_mode: Some("none".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}
