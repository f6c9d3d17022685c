//! `hemostat incidents`, and how every command finds an incident.

use anyhow::anyhow;
use hemostat_core::project::{Incident, Incidents};
use hemostat_event::Timestamp;
use hemostat_event::cloudevents::Position;
use serde_json::json;

use crate::cli::{IncidentsArgs, Output, PastArgs};
use crate::config::Config;
use crate::exit::Failure;
use crate::past::Past;
use crate::show;

/// Lists incidents, the latest last.
///
/// # Errors
/// Exit 3 when the log is out of reach.
pub(crate) async fn run(config: &Config, args: &IncidentsArgs) -> Result<(), Failure> {
    let (incidents, now) = read(config, &args.past).await?;
    let mut table = show::table(&[
        "incident",
        "opened (utc)",
        "container",
        "severity",
        "symptoms",
        "cause",
        "lasted",
        "state",
    ]);
    for incident in incidents.iter() {
        let wanted = args.container.as_ref().is_none_or(|name| is_about(incident, name));
        if !wanted || args.open && incident.closed_at.is_some() {
            continue;
        }
        match args.output.output {
            Output::Json => show::json(&to_json(incident))?,
            Output::Table => {
                let lasted = incident.closed_at.unwrap_or(now).since(incident.opened_at);
                table.add_row([
                    incident.id.short().into(),
                    show::date_time(incident.opened_at).into(),
                    incident.subject.name().into(),
                    show::coloured(
                        incident.severity.as_str(),
                        Some(show::severity_colour(incident.severity)),
                    ),
                    incident.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ").into(),
                    incident.cause().map_or("-".to_owned(), |cause| word(&cause)).into(),
                    show::span(lasted).into(),
                    word(&incident.status()).into(),
                ]);
            }
        }
    }
    match args.output.output {
        Output::Json => Ok(()),
        Output::Table => show::print(&table, "No incidents."),
    }
}

/// Every incident that log and archive tell of, and the log's time.
///
/// # Errors
/// Exit 3 when the log is out of reach.
pub(crate) async fn read(config: &Config, args: &PastArgs) -> Result<(Incidents, Timestamp), Failure> {
    let past = Past::open(config, args).await?;
    let mut incidents = Incidents::default();
    for entry in past.decisions().await? {
        if let (Ok(event), Some(seq)) = (&entry.event, entry.seq) {
            incidents.fold(event, Position { partition: entry.at.partition.0, seq });
        }
    }
    Ok((incidents, past.now))
}

/// The incident that `id` names: by its id or the beginning of it, or the latest one of a container.
///
/// # Errors
/// Exit 2 when there is none or the beginning fits several.
pub(crate) fn find<'a>(incidents: &'a Incidents, id: &str) -> Result<&'a Incident, Failure> {
    let fitting: Vec<_> =
        incidents.iter().filter(|incident| incident.id.to_string().starts_with(id)).collect();
    match fitting.as_slice() {
        [one] => return Ok(one),
        [] => {}
        several => {
            let ids: Vec<_> = several.iter().map(|incident| incident.id.to_string()).collect();
            return Err(Failure::Usage(anyhow!("`{id}` fits several incidents: {}", ids.join(", "))));
        }
    }
    incidents.iter().filter(|incident| is_about(incident, id)).last().ok_or_else(|| {
        Failure::Usage(anyhow!("no incident and no container `{id}`; see `hemostat incidents`"))
    })
}

fn is_about(incident: &Incident, name: &str) -> bool {
    incident.subject.name() == name
        || incident.subject.as_str() == name
        || 6 <= name.len() && incident.container.id.as_str().starts_with(name)
}

/// The snake-case word an enum has in the log.
#[must_use]
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "-".to_owned(),
    }
}

/// An incident for programs.
#[must_use]
pub(crate) fn to_json(incident: &Incident) -> serde_json::Value {
    json!({
        "id": incident.id,
        "subject": incident.subject,
        "container": incident.container,
        "opened_at": incident.opened_at,
        "closed_at": incident.closed_at,
        "severity": incident.severity,
        "kinds": incident.kinds,
        "cause": incident.cause(),
        "status": incident.status(),
        "alerts": incident.alerts,
        "events": incident.events.iter().map(|line| json!({
            "seq": line.position.seq, "partition": line.position.partition, "id": line.id, "causationid": line.cause,
            "type": line.kind, "time": line.time, "summary": line.summary,
        })).collect::<Vec<_>>(),
    })
}
