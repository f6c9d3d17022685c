//! All agents in this process on a log of their own, with containers of the demo beside them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hemostat_agent::containers::Containers;
use hemostat_agent::log::EventLog;
use hemostat_docker::DockerEngine;
use hemostat_event::{HostName, Mode, Role};
use hemostat_redis::managed::ManagedRedis;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use crate::commands::run_agents;
use crate::commands::scratch::ScratchDir;
use crate::config::Config;
use crate::connect;
use crate::exit::Failure;

/// What runs while the demo or a measurement does.
pub(in crate::commands) struct Stage {
    /// The log.
    pub(in crate::commands) log: Arc<dyn EventLog>,
    /// The engine.
    pub(in crate::commands) engine: Arc<DockerEngine>,
    /// Its host as the log names it.
    pub(in crate::commands) host: HostName,
    /// The containers.
    pub(in crate::commands) fleet: Fleet,
    agents_stop: CancellationToken,
    agents: JoinHandle<Result<(), Failure>>,
    managed: Option<ManagedRedis>,
    scratch: ScratchDir,
}

impl Stage {
    /// Starts the agents with the settings of `config`, on a log of their own.
    ///
    /// # Errors
    /// Exit 3 when the engine or Redis is out of reach.
    pub(in crate::commands) async fn open(
        mut config: Config,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let (engine, host) = connect::engine(&config).await?;
        let scratch = ScratchDir::new("demo")?;
        config.data_dir = Some(scratch.path().to_owned());
        if config.redis.url.is_none() || config.redis.namespace == "hemostat" {
            // Never mixed with the log of a real installation.
            config.redis.namespace = format!("hemostat-demo-{}", std::process::id());
        }
        // Containers of others are none of the demo's business, whatever their labels allow.
        config.monitor.labels.mode = Mode::Observe;
        config.monitor.only = vec!["hemostat-demo-*".to_owned()];
        let fleet = Fleet::new(Arc::clone(&engine)).await?;
        let (log, managed) = connect::log_or_private(&config).await?;
        let log: Arc<dyn EventLog> = Arc::new(log);
        let watched = Arc::clone(&engine) as Arc<dyn Containers>;
        let shared = run_agents::share(config, Arc::clone(&log), Some(watched), host.clone());
        let agents_stop = stop.child_token();
        let agents = {
            let stop = agents_stop.clone();
            tokio::spawn(async move { run_agents::run(&shared, &Role::AGENTS, stop).await })
        };
        Ok(Self { log, engine, host, fleet, agents_stop, agents, managed, scratch })
    }

    /// Ends the agents and, unless they are to be kept, removes the containers.
    ///
    /// # Errors
    /// What an agent ended with.
    pub(in crate::commands) async fn close(mut self, keep: bool) -> Result<(), Failure> {
        self.agents_stop.cancel();
        let ended = self.agents.await.context("the agents ended badly")?;
        if !keep {
            self.fleet.remove().await;
        }
        if let Some(managed) = self.managed {
            managed.shutdown().await;
        }
        drop(self.scratch);
        ended
    }
}

/// The settings at the pace of a demo: `stable` is how long a container must be well.
pub(in crate::commands) fn hurried(mut config: Config, interval: Duration, stable: Duration) -> Config {
    config.monitor.interval = interval;
    config.monitor.disk_every = 30;
    config.monitor.detect.clear_after = 3;
    config.monitor.detect.stable_for = stable;
    config.responder.stabilise = stable;
    config.responder.cooldown = Duration::from_secs(60);
    // The table at the end is the demo's own way to tell.
    config.alert.terminal = false;
    config.alert.notify.channels.retain(|channel| *channel != hemostat_event::Channel::Terminal);
    config
}
