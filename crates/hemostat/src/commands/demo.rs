//! `hemostat demo`: real sick containers, healed before your eyes.

mod fleet;
mod report;
mod scenario;
pub(in crate::commands) mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use hemostat_agent::log::EventLog;
use hemostat_agent::tail::Tail;
use hemostat_core::project::{self, Incidents};
use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventType, HostName};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::run_agents;
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::exit::Failure;
use crate::show;
use fleet::Fleet;
use report::Report;
pub(in crate::commands) use scenario::SCENARIOS;
pub(in crate::commands) use scenario::Scenario;
use stage::Stage;

/// How long the demo waits for the last verdict.
const LIMIT: Duration = Duration::from_secs(120);
/// When the container that a person stops is stopped.
const HAND_STOP_AFTER: Duration = Duration::from_secs(5);
/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Time between two polls of the monitor.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a container must be well.
const STABLE: Duration = Duration::from_secs(6);

/// Runs the demo.
///
/// # Errors
/// Exit 1 when a container did not end as it should; exit 3 when the engine or Redis is out of reach.
pub(crate) async fn run(config: Config, args: &DemoArgs) -> Result<(), Failure> {
    let scenarios = chosen(&args.only)?;
    let stop = run_agents::stop_on_signal()?;
    let mut stage = Stage::open(stage::hurried(config, INTERVAL, STABLE), &stop).await?;
    let began = Instant::now();
    let told = async {
        stage.fleet.start(&scenarios).await?;
        show::line(&format!("{} containers run; watching.\n", scenarios.len()))?;
        watch(&stage.fleet, &scenarios, Arc::clone(&stage.log), &stage.host, args.run_for, began, &stop).await
    };
    let report = told.await;
    if args.keep {
        show::line("The containers and their image stay (--keep).")?;
    }
    let ended = stage.close(args.keep).await;
    let report = report?;
    ended?;
    report.print()?;
    if report.all_as_expected() { Ok(()) } else { Err(Failure::Finding) }
}

fn chosen(only: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    let known: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(name.as_str())) {
        let names: Vec<_> = known.into_iter().collect();
        return Err(Failure::Usage(anyhow!(
            "there is no scenario `{unknown}`; there are: {}",
            names.join(", ")
        )));
    }
    let wanted = |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(wanted).collect())
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
