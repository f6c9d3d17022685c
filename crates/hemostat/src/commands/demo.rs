//! `hemostat demo`: real sick containers, healed before your eyes.

mod fleet;
mod report;
mod scenario;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hemostat_agent::containers::Containers;
use hemostat_agent::log::EventLog;
use hemostat_agent::tail::Tail;
use hemostat_core::project::{self, Incidents};
use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventType, HostName, Mode, Role};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::run_agents;
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::exit::Failure;
use crate::{connect, show};
use fleet::Fleet;
use report::Report;
use scenario::{SCENARIOS, Scenario};

/// How long the demo waits for the last verdict.
const LIMIT: Duration = Duration::from_secs(120);
/// When the container that a person stops is stopped.
const HAND_STOP_AFTER: Duration = Duration::from_secs(5);
/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Runs the demo.
///
/// # Errors
/// Exit 1 when a container did not end as it should; exit 3 when the engine or Redis is out of reach.
pub async fn run(config: Config, args: &DemoArgs) -> Result<(), Failure> {
    let scenarios = chosen(&args.only)?;
    let stop = run_agents::stop_on_signal()?;
    let (engine, host) = connect::engine(&config).await?;
    let scratch = ScratchDir::new()?;
    let config = tuned(config, &scratch);
    let (log, managed) = connect::log_or_private(&config).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let shared = run_agents::share(config, Arc::clone(&log), Some(Arc::clone(&engine) as Arc<dyn Containers>), host.clone());

    let mut fleet = Fleet::new(engine).await?;
    let began = Instant::now();
    let agents_stop = stop.child_token();
    let agents = {
        let stop = agents_stop.clone();
        tokio::spawn(async move { run_agents::run(&shared, &Role::AGENTS, stop).await })
    };
    let told = async {
        fleet.start(&scenarios).await?;
        show::line(&format!("{} containers run; watching.\n", scenarios.len()))?;
        watch(&fleet, &scenarios, log, &host, args.run_for, began, &stop).await
    };
    let report = told.await;
    agents_stop.cancel();
    let ended = agents.await.context("the agents ended badly")?;
    if args.keep {
        show::line("The containers and their image stay (--keep).")?;
    } else {
        fleet.remove().await;
    }
    if let Some(managed) = managed {
        managed.shutdown().await;
    }
    drop(scratch);
    let report = report?;
    ended?;
    report.print()?;
    if report.all_as_expected() { Ok(()) } else { Err(Failure::Finding) }
}

fn chosen(only: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    let known: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(name.as_str())) {
        let names: Vec<_> = known.into_iter().collect();
        return Err(Failure::Usage(anyhow!("there is no scenario `{unknown}`; there are: {}", names.join(", "))));
    }
    let wanted = |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(wanted).collect())
}

/// The same rules at the pace of a demo. Containers of others are observed, never touched: the demo's own carry a
/// label.
fn tuned(mut config: Config, scratch: &ScratchDir) -> Config {
    config.data_dir = Some(scratch.path().to_owned());
    if config.redis.url.is_none() || config.redis.namespace == "hemostat" {
        // Never mixed with the log of a real installation.
        config.redis.namespace = format!("hemostat-demo-{}", std::process::id());
    }
    config.monitor.interval = Duration::from_secs(2);
    config.monitor.disk_every = 30;
    config.monitor.labels.mode = Mode::Observe;
    config.monitor.detect.clear_after = 3;
    config.monitor.detect.stable_for = Duration::from_secs(6);
    config.responder.stabilise = Duration::from_secs(6);
    config.responder.cooldown = Duration::from_secs(60);
    // The table below is the demo's own way to tell.
    config.alert.terminal = false;
    config.alert.notify.channels.retain(|channel| *channel != hemostat_event::Channel::Terminal);
    config
}

/// Follows the log until every container has its verdict or the time is over.
async fn watch(
    fleet: &Fleet,
    scenarios: &[&'static Scenario],
    log: Arc<dyn EventLog>,
    host: &HostName,
    run_for: Option<Duration>,
    began: Instant,
    stop: &CancellationToken,
) -> Result<Report, Failure> {
    let mut tail = Tail::new(log, None, vec![EventType::ContainerSample]);
    let mut incidents = Incidents::default();
    let end = began + run_for.unwrap_or(LIMIT);
    let mut hand_stop = Box::pin(sleep_until(began + HAND_STOP_AFTER));
    let mut stopped_by_hand = false;
    let mut report = Report::new(scenarios, host);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep_until(end) => break,
            () = &mut hand_stop, if !stopped_by_hand => {
                stopped_by_hand = true;
                fleet.stop_by_hand().await?;
            },
            read = tail.next() => match read {
                Ok(entries) => {
                    let none = entries.is_empty();
                    for entry in entries {
                        let (Ok(event), Some(seq)) = (&entry.event, entry.seq) else { continue };
                        incidents.fold(event, Position { partition: entry.at.partition.0, seq });
                        report.take_in(event);
                        if fleet.has(event.envelope.subject.as_ref()) {
                            tell(event, began)?;
                        }
                    }
                    report.update(&incidents);
                    if run_for.is_none() && stopped_by_hand && report.is_complete() {
                        break;
                    }
                    if none {
                        let _stopped = timeout(POLL, stop.cancelled()).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the event log is away");
                    let _stopped = timeout(POLL, stop.cancelled()).await;
                }
            },
        }
    }
    Ok(report)
}

fn tell(event: &Event, began: Instant) -> Result<(), Failure> {
    let name = event.envelope.subject.as_ref().map_or("-", |subject| subject.name());
    show::line(&format!(
        "{:>7}  {:<24} {:<21} {}",
        show::span(began.elapsed()),
        name,
        event.event_type(),
        project::summary(event)
    ))
}

/// A folder that is gone when the demo ends.
struct ScratchDir(std::path::PathBuf);

impl ScratchDir {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("hemostat-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the demo's folder");
        }
    }
}
