//! `hemostat bridge`.

use std::sync::Arc;

use hemostat_agent::log::EventLog;
use hemostat_event::Role;

use super::run_agents;
use crate::config::Config;
use crate::connect;
use crate::exit::Failure;

/// Runs the bridge as a process of its own.
///
/// # Errors
/// Exit 3 when the log or the Redis of the Python agents is out of reach at the start; later losses are waited out.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    let stop = run_agents::stop_on_signal()?;
    let log = connect::log(&config).await?;
    connect::refuse_shadow(&log).await?;
    let side = connect::old_side(&config).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let host = connect::own_host(&config);
    let mut shared = run_agents::share(config, log, None, host);
    shared.old_side = Some(side);
    run_agents::run(&shared, &[Role::Bridge], stop).await
}
