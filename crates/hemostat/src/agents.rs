//! Puts agents together from their parts and keeps them running.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hemostat_agent::clock::LogClock;
use hemostat_agent::containers::Containers;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::janitor::Janitor;
use hemostat_agent::log::{AgentPresence, EventLog, StreamName};
use hemostat_agent::lookout;
use hemostat_agent::monitor::{self, Monitor};
use hemostat_agent::notifier::Notifier;
use hemostat_agent::perform::{Acting, Consulting, Telling};
use hemostat_agent::run::{self, Agent};
use hemostat_agent::telemetry::{Telemetry, chain};
use hemostat_archive::{Archive, Archiver, PrivateKey};
use hemostat_core::bridge::{inbound as heard, outbound as said};
use hemostat_core::diagnose::Analyzer;
use hemostat_core::notify::{self, Alerter};
use hemostat_core::remediate::Responder;
use hemostat_event::{EventType, HostName, Role};
use hemostat_http::{SlackWebhook, Terminal, Webhook};
use hemostat_redis::bridge::{Bridge, OldSide};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::supervise::keep_running;

/// What all agents of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Its clock.
    pub clock: Arc<LogClock>,
    /// The container engine; only the monitor and the responder need it.
    pub engine: Option<Arc<dyn Containers>>,
    /// The engine's host as the log names it.
    pub host: HostName,
    /// This process, unique among those that run.
    pub instance: String,
    /// Metrics and log lines.
    pub telemetry: Arc<Telemetry>,
    /// Signs of life.
    pub board: Arc<HealthBoard>,
    /// The archive and its key; only the archiver needs them.
    pub sealing: Option<Sealing>,
    /// The Redis of the Python agents; only the bridge needs it.
    pub old_side: Option<Arc<OldSide>>,
}

/// Where the archiver puts segments, and what seals them.
#[derive(Clone)]
pub(crate) struct Sealing {
    /// The archive.
    pub archive: Archive,
    /// The key.
    pub key: Arc<PrivateKey>,
    /// Where it was read; another is there once it was rotated.
    pub key_file: PathBuf,
}

/// Starts what every process does besides: it looks at the groups and stands by as the janitor.
pub(crate) fn start_besides(shared: &Shared, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(lookout::run(Arc::clone(&shared.log), Arc::clone(&shared.telemetry), stop.clone()));
    let janitor = Janitor {
        log: Arc::clone(&shared.log),
        settings: shared.config.retention.clone(),
        instance: shared.instance.clone(),
        telemetry: Arc::clone(&shared.telemetry),
    };
    tasks.spawn(janitor.run(stop.clone()));
    tasks
}

/// Starts `roles`, each under supervision; they end when `stop` is cancelled.
pub(crate) fn start(shared: &Shared, roles: &[Role], stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for &role in roles {
        let (shared, telemetry, stop) = (shared.clone(), Arc::clone(&shared.telemetry), stop.clone());
        telemetry.begin(role);
        tasks.spawn(announce(shared.clone(), role, stop.clone()));
        tasks.spawn(async move {
            keep_running(role, telemetry, stop, |stop| run(shared.clone(), role, stop)).await;
        });
    }
    tasks
}

/// Runs one agent until `stop` is cancelled or it fails.
async fn run(shared: Shared, role: Role, stop: CancellationToken) -> anyhow::Result<()> {
    match role {
        Role::Monitor => monitor(&shared)?.run(stop).await.context("the monitor ended"),
        Role::Analyzer => analyzer(shared).run(stop).await.context("the analyzer ended"),
        Role::Responder => responder(shared)?.run(stop).await.context("the responder ended"),
        Role::Alert => alerter(shared)?.run(stop).await.context("the alert agent ended"),
        Role::Operator => anyhow::bail!("the operator is a person"),
        Role::Archiver => {
            archiver(&shared)?.run(stop).await;
            Ok(())
        }
        Role::Bridge => {
            bridge(&shared)?.run(stop).await;
            Ok(())
        }
    }
}

fn monitor(shared: &Shared) -> anyhow::Result<Monitor> {
    let config = &shared.config.monitor;
    Ok(Monitor {
        engine: shared.engine.clone().context("the monitor needs a container engine")?,
        log: Arc::clone(&shared.log),
        clock: Arc::clone(&shared.clock),
        settings: monitor::Settings {
            instance: instance(shared, Role::Monitor),
            host: shared.host.clone(),
            interval: config.interval,
            disk_every: config.disk_every,
            concurrency: config.concurrency,
            detect: config.detect.clone(),
            labels: config.labels,
            exclude: config.exclude.clone(),
            only: config.only.clone(),
            own_container: hemostat_docker::self_container_id(),
            lease: MONITOR_LEASE,
        },
        telemetry: Arc::clone(&shared.telemetry),
        tick: shared.board.part("monitor", config.interval.max(MONITOR_LEASE / 3)),
    })
}

fn analyzer(shared: Shared) -> Agent<Analyzer, Consulting> {
    let role = Analyzer { settings: shared.config.analyzer.clone() };
    // Language models come with a later version; the rules decide alone.
    let performer = Consulting { diagnostician: None };
    let streams = vec![StreamName::Type(EventType::HealthAlert)];
    let mut analyzer = agent(shared, role, performer, streams, None);
    // It waits for nothing but the log, and the more wait together, the fewer calls.
    analyzer.settings.concurrency = analyzer.settings.concurrency.max(analyzer.settings.in_flight_max);
    analyzer
}

fn responder(shared: Shared) -> anyhow::Result<Agent<Responder, Acting>> {
    let role = Responder { policy: shared.config.responder.clone() };
    let engine = shared.engine.clone().context("the responder needs a container engine")?;
    let performer = Acting { engine, telemetry: Arc::clone(&shared.telemetry) };
    let streams = vec![StreamName::Plans(shared.host.clone())];
    Ok(agent(shared, role, performer, streams, None))
}

fn alerter(shared: Shared) -> anyhow::Result<Agent<Alerter, Telling>> {
    let alert = &shared.config.alert;
    let performer = Telling::new(notifiers(&shared.config)?);
    let settings = notify::Settings { channels: performer.channels(), ..alert.notify.clone() };
    let role = Alerter { settings };
    let streams = [
        EventType::RemediationComplete,
        EventType::RemediationVerified,
        EventType::HealthRecovered,
        EventType::DeadLetter,
    ];
    let attempts_max = alert.attempts_max;
    Ok(agent(shared, role, performer, streams.map(StreamName::Type).to_vec(), Some(attempts_max)))
}

fn archiver(shared: &Shared) -> anyhow::Result<Archiver> {
    let Sealing { archive, key, key_file } =
        shared.sealing.clone().context("the archiver needs an archive")?;
    Ok(Archiver {
        log: Arc::clone(&shared.log),
        clock: Arc::clone(&shared.clock),
        archive,
        key,
        read_key: Arc::new(move || PrivateKey::from_pem(&std::fs::read_to_string(&key_file).ok()?).ok()),
        settings: shared.config.archive.settings,
        keep: shared.config.archive.keep,
        instance: instance(shared, Role::Archiver),
        telemetry: Arc::clone(&shared.telemetry),
        board: Arc::clone(&shared.board),
    })
}

fn bridge(shared: &Shared) -> anyhow::Result<Bridge> {
    let config = &shared.config;
    let instance = instance(shared, Role::Bridge);
    Ok(Bridge {
        log: Arc::clone(&shared.log),
        clock: Arc::clone(&shared.clock),
        side: shared.old_side.clone().context("the bridge needs the Redis of the Python agents")?,
        said: said::Settings {
            channels: config.bridge.channels.clone(),
            keys: config.bridge.keys.clone(),
            budget: config.responder.budget,
            breaker_failures: config.responder.breaker.failures,
        },
        listens: config.bridge.inbound.clone(),
        heard: heard::Settings {
            host: config.bridge.host.clone(),
            instance: instance.clone(),
            plan_ttl: config.analyzer.plan_ttl,
        },
        instance,
        telemetry: Arc::clone(&shared.telemetry),
        board: Arc::clone(&shared.board),
    })
}

/// The channels that are configured.
///
/// # Errors
/// When the HTTP client cannot be made.
pub(crate) fn notifiers(config: &Config) -> anyhow::Result<Vec<Arc<dyn Notifier>>> {
    let alert = &config.alert;
    let mut notifiers: Vec<Arc<dyn Notifier>> = Vec::new();
    if !alert.enabled {
        return Ok(notifiers);
    }
    if alert.terminal {
        notifiers.push(Arc::new(Terminal::stdout()));
    }
    if let Some(url) = &alert.slack_url {
        notifiers.push(Arc::new(SlackWebhook::new(url.reveal()).context("alert.slack_url")?));
    }
    if let Some(url) = &alert.webhook_url {
        let secret = alert.webhook_secret.as_ref().map(crate::config::Secret::reveal);
        notifiers.push(Arc::new(Webhook::new(url.reveal(), secret).context("alert.webhook_url")?));
    }
    Ok(notifiers)
}

fn agent<D, P>(
    shared: Shared,
    role: D,
    performer: P,
    streams: Vec<StreamName>,
    attempts_max: Option<u32>,
) -> Agent<D, P>
where
    D: hemostat_core::role::Decide,
{
    let config = &shared.config.agent;
    let settings = run::Settings {
        concurrency: config.concurrency,
        claim_after: config.claim_after,
        attempts_max: attempts_max.unwrap_or(config.attempts_max),
        ..run::Settings::new(instance(&shared, D::ROLE), shared.host.clone(), streams)
    };
    Agent {
        role,
        performer,
        log: shared.log,
        clock: shared.clock,
        settings,
        telemetry: shared.telemetry,
        tick: shared.board.part(D::ROLE.as_str(), Duration::from_secs(5)),
    }
}

/// Tells the log that this replica lives, until `stop`.
async fn announce(shared: Shared, role: Role, stop: CancellationToken) {
    let instance = instance(&shared, role);
    let mut presence = None;
    while !stop.is_cancelled() {
        if presence.is_none() {
            presence = shared.log.now().await.ok().map(|started_at| AgentPresence {
                role,
                instance: instance.clone(),
                host: shared.host.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at,
            });
        }
        if let Some(presence) = &presence
            && let Err(error) = shared.log.announce(presence, PRESENCE).await
        {
            tracing::debug!(%role, error = chain(&error), "cannot announce this replica");
        }
        let _stopped = timeout(PRESENCE / 3, stop.cancelled()).await;
    }
}

fn instance(shared: &Shared, role: Role) -> String {
    format!("{role}-{}", shared.instance)
}

/// How long an engine's lease lasts: a monitor that dies is replaced within this time.
const MONITOR_LEASE: Duration = Duration::from_secs(9);
/// How long an announcement lasts.
const PRESENCE: Duration = Duration::from_secs(15);
