//! `hemostat bench reaction`: how fast a real container that dies is seen, restarted and verified.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hemostat_agent::containers::Containers as _;
use hemostat_agent::tail::Tail;
use hemostat_event::{Change, ContainerId, Data, EventType, Outcome, RunState, Timestamp};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::demo::SCENARIOS;
use super::demo::stage::{Stage, hurried};
use super::run_agents::stop_on_signal;
use crate::cli::{Output, ReactionArgs};
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// Time between two polls; deaths are told by the engine's events and do not wait for it.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a container must run to be verified.
const STABLE: Duration = Duration::from_secs(1);
/// Longest wait for one container.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(20);

/// When something happened to one container.
#[derive(Debug, Clone, Copy, Default)]
struct Story {
    died: Option<Timestamp>,
    alerted: Option<Timestamp>,
    restarted: Option<Timestamp>,
    verified: Option<Timestamp>,
    action: Option<Duration>,
}

/// Lets containers die one after the other and shows how long everything took.
///
/// # Errors
/// Exit 1 when a container was not healed in time; exit 3 when the engine or Redis is out of reach.
pub(crate) async fn run(config: Config, args: &ReactionArgs) -> Result<(), Failure> {
    let stop = stop_on_signal()?;
    let mut stage = Stage::open(hurried(config, INTERVAL, STABLE), &stop).await?;
    let measured = measure(&mut stage, args.runs, args.output.output, &stop).await;
    let ended = stage.close(false).await;
    let rows = measured?;
    ended?;
    print(&rows, args.output.output)
}

/// The measured spans by name, in the order in which they are shown.
type Rows = Vec<(&'static str, Vec<Duration>)>;

async fn measure(
    stage: &mut Stage,
    runs: usize,
    output: Output,
    stop: &CancellationToken,
) -> Result<Rows, Failure> {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "crash");
    let scenario = scenario.context("the demo has a container that crashes")?;
    let mut tail = Tail::new(Arc::clone(&stage.log), None, vec![EventType::ContainerSample]);
    let mut stories: BTreeMap<ContainerId, Story> = BTreeMap::new();
    let mut rows: Rows =
        ["die → alert", "die → restarted", "die → verified", "the restart alone", "engine's own restart"]
            .map(|name| (name, Vec::new()))
            .into();
    for number in 1..=runs {
        if stop.is_cancelled() {
            break;
        }
        if output == Output::Table {
            eprint!("\r{number} of {runs}");
        }
        let own = engine_restart(stage, scenario, number).await?;
        let id = stage.fleet.start_as(scenario, &format!("bench-{number}"), true).await?;
        let story = timeout(LIMIT, follow(&mut tail, &mut stories, &id)).await;
        let story = story.map_err(|_elapsed| anyhow!("container {number} was not healed in {LIMIT:?}"))??;
        let since = |time: Option<Timestamp>| time.zip(story.died).map(|(time, died)| time.since(died));
        let spans =
            [since(story.alerted), since(story.restarted), since(story.verified), story.action, Some(own)];
        for ((_, row), span) in rows.iter_mut().zip(spans) {
            row.extend(span);
        }
    }
    if output == Output::Table {
        eprintln!();
    }
    Ok(rows)
}

/// What the engine needs for the same restart when it is asked directly.
async fn engine_restart(
    stage: &mut Stage,
    scenario: &super::demo::Scenario,
    number: usize,
) -> Result<Duration, Failure> {
    let id = stage.fleet.start_as(scenario, &format!("bench-{number}-alone"), false).await?;
    let began = Instant::now();
    while stage.engine.inspect(&id).await.or_unreachable()?.state != RunState::Exited {
        if LIMIT < began.elapsed() {
            return Err(anyhow!("container {number} did not die in {LIMIT:?}").into());
        }
        sleep(POLL).await;
    }
    let began = Instant::now();
    stage.engine.restart(&id, None).await.or_unreachable()?;
    let took = began.elapsed();
    stage.engine.remove_container(&id, true).await.or_unreachable()?;
    Ok(took)
}

/// Reads the log until the container is verified.
async fn follow(
    tail: &mut Tail,
    stories: &mut BTreeMap<ContainerId, Story>,
    id: &ContainerId,
) -> Result<Story, Failure> {
    loop {
        let entries = tail.next().await.or_unreachable()?;
        if entries.is_empty() {
            sleep(POLL).await;
        }
        for entry in entries {
            let Ok(event) = &entry.event else { continue };
            let Some(container) = event.data.container() else { continue };
            let story = stories.entry(container.id.clone()).or_default();
            // Log time of the append: what a consumer could have seen at the earliest.
            let at = Some(entry.at.id.time());
            match &event.data {
                Data::ContainerChanged(changed) if matches!(changed.change, Change::Died { .. }) => {
                    story.died = story.died.or(Some(changed.at));
                }
                Data::HealthAlert(_) => story.alerted = story.alerted.or(at),
                Data::RemediationComplete(complete) if complete.outcome == Outcome::Success => {
                    story.restarted = at;
                    story.action = complete.duration_ms.map(Duration::from_millis);
                }
                Data::RemediationVerified(_) => story.verified = at,
                _ => {}
            }
        }
        if let Some(story) = stories.get(id)
            && story.verified.is_some()
        {
            return Ok(*story);
        }
    }
}

fn print(rows: &Rows, output: Output) -> Result<(), Failure> {
    let mut table = show::table(&["span", "runs", "min", "median", "p95", "max"]);
    for (name, spans) in rows {
        let mut spans = spans.clone();
        spans.sort_unstable();
        let Some(last) = spans.len().checked_sub(1) else { continue };
        let at = |share: f64| spans[(last as f64 * share).round() as usize];
        let figures = [at(0.0), at(0.5), at(0.95), at(1.0)];
        match output {
            Output::Table => {
                let mut row = vec![(*name).to_owned(), spans.len().to_string()];
                row.extend(figures.map(show::span));
                table.add_row(row);
            }
            Output::Json => {
                let [min, median, p95, max] = figures.map(|span| span.as_secs_f64() * 1_000.0);
                show::json(&json!({
                    "span": name, "runs": spans.len(), "min_ms": min, "median_ms": median, "p95_ms": p95, "max_ms": max,
                }))?;
            }
        }
    }
    match output {
        Output::Table => show::print(&table, "Nothing was measured."),
        Output::Json => Ok(()),
    }
}
