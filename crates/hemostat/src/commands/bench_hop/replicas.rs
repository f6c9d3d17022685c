//! Analyzers as processes of their own: the same program, the same run loop as in production.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hemostat_agent::log::EventLog;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::ground::{Ground, cpu_time};
use super::premade::HOST;
use crate::commands::run_agents;
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};

/// Longest wait for the replicas to be there or to be gone.
const LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Processes that end with their handle, and with this process whatever becomes of it.
pub(super) struct Replicas(Vec<Child>);

impl Replicas {
    /// Starts `count` analyzers on the log `namespace` of `ground`, with the settings of `config` for agents.
    ///
    /// # Errors
    /// When the program cannot be started once more.
    pub(super) fn start(
        ground: &Ground,
        namespace: &str,
        count: usize,
        config: &Config,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let start = |number: usize| {
            let mut command = Command::new(&program);
            command.args(["bench", "replica"]).env_clear();
            command.env("HEMOSTAT_REDIS_URL", ground.url()).env("HEMOSTAT_REDIS_NAMESPACE", namespace);
            command.env("HEMOSTAT_HOST", HOST).env("HEMOSTAT_INSTANCE", number.to_string());
            command.env("HEMOSTAT_HTTP_LISTEN", "off").env("HEMOSTAT_LOG_LEVEL", "error");
            command.env("HEMOSTAT_AGENT_CONCURRENCY", config.agent.concurrency.to_string());
            command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
            command.spawn().context("cannot start a replica")
        };
        let started: Result<_, anyhow::Error> = (1..=count).map(start).collect();
        Ok(Self(started?))
    }

    /// Waits until all of them are announced in the log.
    ///
    /// # Errors
    /// When they are not in time.
    pub(super) async fn ready(&mut self, log: &dyn EventLog) -> Result<(), Failure> {
        let began = Instant::now();
        while log.agents().await.or_unreachable()?.len() < self.0.len() {
            for child in &mut self.0 {
                if let Some(status) = child.try_wait().context("a replica cannot be waited for")? {
                    return Err(anyhow!("a replica ended before it was ready ({status})").into());
                }
            }
            if LIMIT < began.elapsed() {
                return Err(anyhow!("the replicas were not ready in {LIMIT:?}").into());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Processor time all of them have used.
    ///
    /// # Errors
    /// When one is gone.
    pub(super) fn cpu_time(&self) -> Result<Duration, Failure> {
        self.0.iter().filter_map(Child::id).map(cpu_time).sum()
    }

    /// Ends them in order.
    ///
    /// # Errors
    /// When one does not end.
    pub(super) async fn close(mut self) -> Result<(), Failure> {
        for child in &self.0 {
            let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            if let Some(pid) = pid {
                let _gone = kill_process(pid, Signal::TERM);
            }
        }
        for child in &mut self.0 {
            child.wait().await.context("a replica cannot be waited for")?;
        }
        Ok(())
    }
}

/// Runs one analyzer that ends with the process that started it.
///
/// # Errors
/// Those of the analyzer's own command.
pub(super) async fn replica(config: Config) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the parent process")?;
    run_agents::one(config, hemostat_event::Role::Analyzer).await
}
