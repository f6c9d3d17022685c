//! `hemostat incident show`.

use super::incidents::{find, read, to_json, word};
use crate::cli::{Output, PastArgs};
use crate::config::Config;
use crate::exit::Failure;
use crate::show;

/// Shows one incident from its first symptom to its end.
///
/// # Errors
/// Exit 2 when there is no such incident, exit 3 when the log is out of reach.
pub(crate) async fn run(config: &Config, id: &str, past: &PastArgs, output: Output) -> Result<(), Failure> {
    let (incidents, now) = read(config, past).await?;
    let incident = find(&incidents, id)?;
    if output == Output::Json {
        return show::json(&to_json(incident));
    }
    let lasted = incident.closed_at.unwrap_or(now).since(incident.opened_at);
    show::line(&format!("Incident   {}", incident.id))?;
    show::line(&format!("Container  {} ({})", incident.subject, incident.container.image))?;
    show::line(&format!("Severity   {}", incident.severity.as_str()))?;
    show::line(&format!("Opened     {} UTC", show::date_time(incident.opened_at)))?;
    show::line(&format!("State      {} after {}", word(&incident.status()), show::span(lasted)))?;
    if let Some(cause) = incident.cause() {
        show::line(&format!("Cause      {}", word(&cause)))?;
    }
    show::line("")?;
    let mut table = show::table(&["seq", "after", "event", "what"]);
    for line in &incident.events {
        table.add_row([
            line.position.seq.to_string(),
            show::span(line.time.since(incident.opened_at)),
            line.kind.to_string(),
            line.summary.clone(),
        ]);
    }
    show::print(&table, "No events are left of it.")
}
