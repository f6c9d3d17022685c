//! `hemostat-replay timeline`: an incident as a tree of causes and a time line, for the terminal, a program, a report
//! or a browser.

mod chart;
mod html;
mod markdown;
#[cfg(test)]
mod tests;
mod text;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use hemostat_archive::Selection;
use hemostat_core::project::{Incident, Incidents, Phase, Timeline, timeline, visible};
use hemostat_event::cloudevents::Position;
use hemostat_event::{ContainerSample, Data, Event, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::cli::FromArgs;
use crate::record::{AROUND, Told, find, incidents};
use crate::screen;
use crate::source::Source;

/// Which incident, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct TimelineArgs {
    /// The incident: its id or the beginning of it. Without it the incidents are listed.
    incident: Option<String>,
    /// For people or for programs.
    #[arg(short, long, default_value = "table", value_name = "FORM")]
    output: Output,
    /// As what an incident is shown.
    #[arg(long, default_value = "text", value_name = "FORMAT", conflicts_with = "output")]
    format: Format,
}

/// For whom something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs: one JSON object per line.
    Json,
}

/// As what an incident is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// On the terminal.
    Text,
    /// For a report.
    Markdown,
    /// One page that needs nothing else.
    Html,
}

/// An incident with what its container showed around it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Story {
    #[serde(flatten)]
    timeline: Timeline,
    /// Measurements, from ten minutes before to ten minutes after.
    samples: Vec<Point>,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Point {
    at: Timestamp,
    cpu_percent: Option<f64>,
    memory_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
}

/// Shows an incident, or which ones there are. `false` when there is no such incident.
///
/// # Errors
/// Those of the source, and when the beginning of an id fits several incidents.
pub(crate) async fn run(from: &FromArgs, args: &TimelineArgs) -> anyhow::Result<bool> {
    let incidents = incidents(from).await?;
    let Some(id) = &args.incident else {
        list(&incidents, args.output)?;
        return Ok(true);
    };
    let Some(incident) = find(&incidents, id)? else {
        eprintln!(
            "hemostat-replay: there is no incident `{id}`; `hemostat-replay timeline` lists those there are"
        );
        return Ok(false);
    };
    let story = read(from, incident).await?;
    match (args.output, args.format) {
        (Output::Json, _) => screen::json(&story)?,
        (Output::Table, Format::Text) => screen::line(&text::render(&story.timeline, screen::colour()))?,
        (Output::Table, Format::Markdown) => screen::line(&markdown::render(&story.timeline))?,
        (Output::Table, Format::Html) => screen::line(&html::render(&story))?,
    }
    Ok(true)
}

/// Reads the events of an incident, and what its container showed.
async fn read(from: &FromArgs, incident: &Incident) -> anyhow::Result<Story> {
    let told = Told::of(incident);
    let selection = Selection { since: Some(told.from), until: Some(told.to), ..Selection::default() };
    let mut source = Source::open(from, selection).await?;
    let mut events: Vec<(Position, Event)> = Vec::new();
    let mut samples = Vec::new();
    let mut unreadable = 0u64;
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            if !told.has(&record) {
                continue;
            }
            let Some(Ok(event)) = record.event() else {
                unreadable += 1;
                continue;
            };
            match &event.data {
                Data::ContainerSample(sample) => samples.push(measured(event.envelope.time, sample)),
                _ => events.push((Position { partition, seq: record.seq }, event)),
            }
        }
    }
    if 0 < unreadable {
        eprintln!(
            "hemostat-replay: {unreadable} entries of the incident are not shown: their bodies were taken out, or \
             cannot be read by this version"
        );
    }
    let timeline = timeline(incident, &events);
    let (begin, end) = span_of(&timeline);
    samples.retain(|point| begin <= point.at && point.at <= end);
    samples.sort_by_key(|point| point.at);
    Ok(Story { timeline, samples })
}

fn measured(at: Timestamp, event: &ContainerSample) -> Point {
    let sample = &event.sample;
    Point {
        at,
        cpu_percent: sample.cpu_percent.filter(|percent| percent.is_finite()),
        memory_bytes: sample.memory_bytes,
        memory_limit_bytes: sample.memory_limit_bytes,
    }
}

/// From ten minutes before the first thing that is known of an incident to ten minutes after the last.
fn span_of(timeline: &Timeline) -> (Timestamp, Timestamp) {
    let times = || timeline.steps.iter().map(|step| step.time).chain([timeline.opened_at]);
    let first = times().min().unwrap_or(timeline.opened_at);
    let last = times().max().unwrap_or(timeline.opened_at);
    (first - AROUND, last + AROUND)
}

/// What is measured of the work on an incident, in words; a dash where it is not recorded.
fn spans(timeline: &Timeline) -> [(&'static str, String); 6] {
    let spans = &timeline.spans;
    let words = |ms: Option<u64>| {
        ms.map_or("-".to_owned(), |ms| hemostat_core::project::span(std::time::Duration::from_millis(ms)))
    };
    [
        ("time to detect", words(spans.detect_ms)),
        ("time to decide", words(spans.decide_ms)),
        ("time to act", words(spans.act_ms)),
        ("time to repair", words(spans.repair_ms)),
        ("time to recover", words(spans.recover_ms)),
        ("time to notify", words(spans.notify_ms)),
    ]
}

/// What an incident is, in words.
fn facts(timeline: &Timeline) -> Vec<(&'static str, String)> {
    let container = &timeline.container;
    let mut facts = vec![
        ("Incident", timeline.id.to_string()),
        ("Container", format!("{} ({})", timeline.subject, container.image)),
        ("Severity", timeline.severity.as_str().to_owned()),
        ("Symptoms", timeline.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")),
        ("Opened", format!("{} UTC", screen::date_time(timeline.opened_at))),
    ];
    facts.extend(timeline.closed_at.map(|closed| ("Closed", format!("{} UTC", screen::date_time(closed)))));
    facts.push(("State", screen::word(&timeline.status)));
    facts.extend(timeline.cause.map(|cause| ("Cause", screen::word(&cause))));
    facts
}

/// Lists the incidents to choose from.
fn list(incidents: &Incidents, output: Output) -> anyhow::Result<()> {
    let mut table = screen::table(&["incident", "container", "opened (utc)", "state"]);
    for incident in incidents.iter() {
        match output {
            Output::Json => screen::json(&json!({
                "id": incident.id,
                "subject": incident.subject,
                "opened_at": incident.opened_at,
                "closed_at": incident.closed_at,
                "status": incident.status(),
            }))?,
            Output::Table => {
                table.add_row([
                    incident.id.to_string(),
                    visible(incident.subject.as_str()),
                    screen::date_time(incident.opened_at),
                    screen::word(&incident.status()),
                ]);
            }
        }
    }
    match output {
        Output::Json => Ok(()),
        Output::Table if table.is_empty() => screen::line("No incidents."),
        Output::Table => screen::line(&table.to_string()).context("failed to list the incidents"),
    }
}

/// Steps that a chart marks.
fn is_marked(phase: Phase) -> bool {
    matches!(phase, Phase::Detection | Phase::Attempt | Phase::Verification | Phase::Recovery)
}
