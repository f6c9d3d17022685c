//! `hemostat up`: everything in one process.

use std::sync::Arc;

use hemostat_agent::containers::Containers;
use hemostat_agent::log::EventLog;
use hemostat_event::Role;
use tokio::time::timeout;

use super::{archiver, demo, metrics, run_agents};
use crate::cli::{DemoArgs, UpArgs};
use crate::config::Config;
use crate::connect;
use crate::exit::Failure;

/// Runs all agents until a signal comes or the time is over.
///
/// # Errors
/// Exit 2 when the key of the archive or the Redis of the bridge cannot be used, 3 when the engine, Redis or the archive
/// is out of reach at the start.
pub(crate) async fn run(config: Config, args: &UpArgs) -> Result<(), Failure> {
    if args.demo {
        return demo::run(config, &DemoArgs { run_for: args.run_for, only: Vec::new(), keep: false }).await;
    }
    let stop = run_agents::stop_on_signal()?;
    let (engine, host) = connect::engine(&config).await?;
    let (log, managed) = connect::log_or_private(&config).await?;
    connect::refuse_shadow(&log).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let mut shared = run_agents::share(config, log, Some(engine as Arc<dyn Containers>), host);
    let mut roles = Role::AGENTS.to_vec();
    if shared.config.archive.url.is_some() {
        shared.sealing = Some(archiver::open(&shared.config).await?);
        roles.push(Role::Archiver);
    }
    if shared.config.bridge.enabled {
        shared.old_side = Some(connect::old_side(&shared.config).await?);
        roles.push(Role::Bridge);
    }
    tracing::info!(host = %shared.host, instance = shared.instance, "all agents start");
    if let Some(span) = args.run_for {
        let stop = stop.clone();
        tokio::spawn(async move {
            let _stopped = timeout(span, stop.cancelled()).await;
            stop.cancel();
        });
    }
    let exporting = match shared.config.metrics.listen {
        Some(address) => Some(metrics::start(&shared, address, &stop).await?),
        None => None,
    };
    let ended = run_agents::run(&shared, &roles, stop).await;
    if let Some(exporting) = exporting {
        exporting.join_all().await;
    }
    if let Some(managed) = managed {
        managed.shutdown().await;
    }
    ended
}
