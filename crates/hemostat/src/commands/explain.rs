//! `hemostat explain`: the chain of causes of an event or incident, with the reasons in full.

use std::collections::BTreeMap;

use anyhow::anyhow;
use hemostat_core::project;
use hemostat_event::cloudevents::{self, Position};
use hemostat_event::{Data, Event, EventId, Verdict};

use super::incidents::word;
use super::log::is_about;
use crate::cli::{ExplainArgs, Output};
use crate::config::Config;
use crate::exit::Failure;
use crate::past::Past;
use crate::show;

/// An event with its position.
type Placed = (Event, Option<Position>);

/// Explains.
///
/// # Errors
/// Exit 2 when nothing has that id, exit 3 when the log is out of reach.
pub(crate) async fn run(config: &Config, args: &ExplainArgs) -> Result<(), Failure> {
    let past = Past::open(config, &args.past).await?;
    let mut events: BTreeMap<EventId, Placed> = BTreeMap::new();
    let mut order = Vec::new();
    for entry in past.decisions().await? {
        let position = entry.seq.map(|seq| Position { partition: entry.at.partition.0, seq });
        if let Ok(event) = entry.event {
            order.push(event.envelope.id);
            events.insert(event.envelope.id, (event, position));
        }
    }
    let chosen: Vec<_> =
        chain_of(&events, &order, &args.id).into_iter().filter_map(|id| events.get(&id)).collect();
    if chosen.is_empty() {
        return Err(Failure::Usage(anyhow!(
            "nothing in the log has the id `{}`; see `hemostat log -o json` or `hemostat incidents`",
            args.id
        )));
    }
    for (event, position) in chosen {
        match args.output.output {
            Output::Json => show::json(&cloudevents::to_json(event, *position))?,
            Output::Table => explain(event, &events)?,
        }
    }
    Ok(())
}

/// The events to explain: one with its causes and effects, or all of an incident or of a container's last one.
fn chain_of(events: &BTreeMap<EventId, Placed>, order: &[EventId], id: &str) -> Vec<EventId> {
    let of = |id: &EventId| &events[id].0;
    if let Some(&found) = order.iter().find(|event| event.to_string().starts_with(id)) {
        let mut chain = vec![found];
        while let Some(cause) = of(&chain[0]).envelope.cause.filter(|cause| events.contains_key(cause)) {
            chain.insert(0, cause);
        }
        // Effects come later in the log than their causes, so one pass finds all of them.
        for event in order {
            if of(event).envelope.cause.is_some_and(|cause| chain.contains(&cause)) && !chain.contains(event)
            {
                chain.push(*event);
            }
        }
        return chain;
    }
    let incident = order
        .iter()
        .rev()
        .filter_map(|event| of(event).envelope.incident)
        .find(|incident| incident.to_string().starts_with(id))
        .or_else(|| {
            order
                .iter()
                .rev()
                .map(of)
                .filter(|event| is_about(event, id))
                .find_map(|event| event.envelope.incident)
        });
    order
        .iter()
        .filter(|event| incident.is_some() && of(event).envelope.incident == incident)
        .copied()
        .collect()
}

fn explain(event: &Event, events: &BTreeMap<EventId, Placed>) -> Result<(), Failure> {
    let envelope = &event.envelope;
    show::line(&format!(
        "{}  {}  by {}  [{}]",
        show::time_of_day(envelope.time),
        event.event_type(),
        envelope.source.uri(),
        envelope.id.short()
    ))?;
    show::line(&format!("    {}", project::summary(event)))?;
    if let Some(cause) = envelope.cause {
        let what = events
            .get(&cause)
            .map_or("no longer in the log".to_owned(), |(cause, _)| cause.event_type().to_string());
        show::line(&format!("    because of: {what} [{}]", cause.short()))?;
    }
    match &event.data {
        Data::HealthAlert(alert) => {
            for anomaly in &alert.anomalies {
                show::line(&format!("    symptom: {} – {}", anomaly.kind.as_str(), anomaly.detail))?;
            }
            for item in &alert.evidence.items {
                show::line(&format!("    evidence [{}]:", item.id))?;
                for text in item.text.lines() {
                    show::line(&format!("      | {text}"))?;
                }
            }
            if 0 < alert.evidence.redactions {
                show::line(&format!("    {} secrets were taken out", alert.evidence.redactions))?;
            }
        }
        Data::RemediationNeeded(needed) => verdict(&needed.verdict)?,
        Data::FalseAlarm(alarm) => verdict(&alarm.verdict)?,
        Data::RemediationStarted(started) => {
            show::line(&format!("    attempt {} of {} within the window", started.attempt, started.budget))?;
        }
        Data::RemediationVerified(verified) => show::line(&format!("    checked: {}", verified.detail))?,
        _ => {}
    }
    show::line("")
}

fn verdict(verdict: &Verdict) -> Result<(), Failure> {
    let basis = match &verdict.basis {
        hemostat_event::Basis::Rule { rule } => format!("rule `{rule}`"),
        hemostat_event::Basis::Model { provider, model } => format!("{provider} {model}"),
    };
    show::line(&format!(
        "    cause: {} ({:.0} % sure, {basis})",
        word(&verdict.cause),
        verdict.confidence * 100.0
    ))?;
    show::line(&format!("    reason: {}", verdict.reason))?;
    show::line(&format!("    rests on: {}", verdict.cited.join(", ")))
}
