//! Runs agents until a signal comes: the body of `up` and of the single-agent commands.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use hemostat_agent::clock::LogClock;
use hemostat_agent::containers::Containers;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::identity;
use hemostat_agent::log::EventLog;
use hemostat_agent::telemetry::Telemetry;
use hemostat_event::{HostName, Role};
use hemostat_web::{Surface, VersionInfo};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agents::{self, Shared};
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure};

/// Runs one agent as a process of its own.
///
/// # Errors
/// Exit 3 when the log or the engine is out of reach at the start; later losses are waited out.
pub(crate) async fn one(config: Config, role: Role) -> Result<(), Failure> {
    let stop = stop_on_signal()?;
    let engine = match role {
        Role::Monitor | Role::Responder => Some(connect::engine(&config).await?),
        _ => None,
    };
    let (engine, host) = match engine {
        Some((engine, host)) => (Some(engine as Arc<dyn Containers>), host),
        None => (None, connect::own_host(&config)),
    };
    let log = connect::log(&config).await?;
    connect::refuse_shadow(&log).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let shared = share(config, log, engine, host);
    run(&shared, &[role], stop).await
}

/// What the agents of this process share.
#[must_use]
pub(crate) fn share(
    config: Config,
    log: Arc<dyn EventLog>,
    engine: Option<Arc<dyn Containers>>,
    host: HostName,
) -> Shared {
    let instance = config
        .instance
        .clone()
        .unwrap_or_else(|| identity::unique(&format!("{host}-{}", std::process::id())));
    Shared {
        clock: Arc::new(LogClock::new(Arc::clone(&log))),
        config: Arc::new(config),
        log,
        engine,
        host,
        instance,
        telemetry: Arc::new(Telemetry::new(env!("CARGO_PKG_VERSION"))),
        board: Arc::new(HealthBoard::new()),
        sealing: None,
        old_side: None,
    }
}

/// Runs `roles` and the health endpoints until `stop` is cancelled, then drains. The archiver ends last, so that it has
/// what the others wrote until their end.
///
/// # Errors
/// Exit 3 when the wanted address is taken.
pub(crate) async fn run(shared: &Shared, roles: &[Role], stop: CancellationToken) -> Result<(), Failure> {
    let serving = serve(shared, &stop).await?;
    let (last, writing): (Vec<Role>, Vec<Role>) =
        roles.iter().copied().partition(|role| *role == Role::Archiver);
    let others_ended = CancellationToken::new();
    let mut archiver = agents::start(shared, &last, &others_ended);
    let mut besides = agents::start_besides(shared, &stop);
    let mut agents = agents::start(shared, &writing, &stop);
    for tasks in [&mut besides, &mut agents] {
        join(tasks).await?;
    }
    others_ended.cancel();
    join(&mut archiver).await?;
    stop.cancel();
    serving.await;
    tracing::info!("stopped");
    Ok(())
}

async fn join(tasks: &mut JoinSet<()>) -> Result<(), Failure> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("an agent's supervisor failed")?;
    }
    Ok(())
}

/// Opens the health endpoints; the answer ends when they are closed.
async fn serve(
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let listener = connect::listener(shared.config.listen).await?;
    let task = match listener {
        None => None,
        Some(listener) => {
            let address = listener.local_addr().context("the listener has no address")?;
            tracing::info!(%address, "health endpoints and /metrics");
            let surface = Surface {
                registry: shared.telemetry.registry().clone(),
                exporter: None,
                health: Arc::clone(&shared.board) as _,
                version: VersionInfo::new("hemostat", env!("CARGO_PKG_VERSION")),
            };
            Some(tokio::spawn(hemostat_web::serve(listener, surface, stop.clone())))
        }
    };
    Ok(async move {
        if let Some(task) = task {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the health endpoints failed"),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    })
}

/// A token that SIGTERM, SIGINT and SIGHUP cancel; a second signal ends the process at once.
///
/// # Errors
/// When the system gives no signals.
pub(crate) fn stop_on_signal() -> Result<CancellationToken, Failure> {
    let mut terminate =
        signal(SignalKind::terminate()).context("cannot listen to signals").or_unreachable()?;
    let mut interrupt =
        signal(SignalKind::interrupt()).context("cannot listen to signals").or_unreachable()?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen to signals").or_unreachable()?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut any = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => "SIGHUP",
            }
        };
        let name = any().await;
        tracing::info!(signal = name, "stopping");
        token.cancel();
        any().await;
        std::process::exit(130);
    });
    Ok(stop)
}
