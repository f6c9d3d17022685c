//! What became of the demo's containers.

use comfy_table::Color;
use hemostat_core::project::Incidents;
use hemostat_event::{Data, Event, HostName, Outcome, Subject, Timestamp, Verification};

use super::fleet::container_name;
use super::scenario::{Expected, Scenario};
use crate::commands::incidents::word;
use crate::exit::Failure;
use crate::show;

/// The table of the demo.
pub(super) struct Report {
    rows: Vec<Row>,
}

/// One container.
struct Row {
    scenario: &'static Scenario,
    subject: Subject,
    symptoms: Vec<&'static str>,
    detected_at: Option<Timestamp>,
    cause: Option<String>,
    actions: u32,
    acted: Option<String>,
    verdict: Option<Verification>,
    verified_at: Option<Timestamp>,
    recovered: bool,
}

impl Report {
    pub(super) fn new(scenarios: &[&'static Scenario], host: &HostName) -> Self {
        let row = |scenario: &&'static Scenario| Row {
            scenario,
            subject: Subject::new(host, &container_name(scenario))
                .expect("a demo container has a plain name"),
            symptoms: Vec::new(),
            detected_at: None,
            cause: None,
            actions: 0,
            acted: None,
            verdict: None,
            verified_at: None,
            recovered: false,
        };
        Self { rows: scenarios.iter().map(row).collect() }
    }

    /// Takes an event of any container in.
    pub(super) fn take_in(&mut self, event: &Event) {
        let Some(subject) = &event.envelope.subject else { return };
        let Some(row) = self.rows.iter_mut().find(|row| row.subject == *subject) else { return };
        match &event.data {
            Data::HealthAlert(alert) => {
                row.detected_at.get_or_insert(event.envelope.time);
                for anomaly in &alert.anomalies {
                    let symptom = anomaly.kind.as_str();
                    if !row.symptoms.contains(&symptom) {
                        row.symptoms.push(symptom);
                    }
                }
            }
            Data::RemediationStarted(_) => row.actions += 1,
            // A success is not overwritten by the refusal of a second plan.
            Data::RemediationComplete(done) if row.acted.as_deref() != Some("success") => {
                row.acted = Some(match &done.outcome {
                    Outcome::Success => "success".to_owned(),
                    Outcome::Failed { .. } => "failed".to_owned(),
                    Outcome::Rejected { rejection, .. } => rejection.as_str().to_owned(),
                    Outcome::NotApplicable { .. } => "not applicable".to_owned(),
                    Outcome::Unknown { .. } => "unknown".to_owned(),
                });
            }
            Data::RemediationVerified(verified) => {
                row.verdict = Some(verified.verdict);
                row.verified_at = Some(event.envelope.time);
            }
            Data::HealthRecovered(_) => row.recovered = true,
            Data::RemediationNeeded(needed) => row.cause = Some(word(&needed.verdict.cause)),
            _ => {}
        }
    }

    /// Takes the incidents in as they stand.
    pub(super) fn update(&mut self, incidents: &Incidents) {
        for row in &mut self.rows {
            let last = incidents.iter().filter(|incident| incident.subject == row.subject).last();
            row.recovered = last.is_some_and(|incident| incident.closed_at.is_some());
        }
    }

    /// Whether every sick container has its verdict.
    pub(super) fn is_complete(&self) -> bool {
        self.rows
            .iter()
            .all(|row| row.scenario.expected == Expected::Untouched || row.is_as_expected() && row.recovered)
    }

    /// Whether every container ended as it should.
    pub(super) fn all_as_expected(&self) -> bool {
        self.rows.iter().all(Row::is_as_expected)
    }

    /// Prints the table.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let header = [
            "container",
            "what ails it",
            "detected",
            "cause",
            "action",
            "verified",
            "healed in",
            "as expected",
        ];
        let mut table = show::table(&header);
        for row in &self.rows {
            let healed = row.detected_at.zip(row.verified_at).map(|(from, to)| show::span(to.since(from)));
            let action = match (&row.acted, row.actions) {
                (None, _) => "none".to_owned(),
                (Some(outcome), 0) => outcome.clone(),
                (Some(outcome), count) => format!("restart ×{count}: {outcome}"),
            };
            let well = row.is_as_expected();
            table.add_row([
                container_name(row.scenario).into(),
                row.scenario.story.into(),
                if row.symptoms.is_empty() { "-".to_owned() } else { row.symptoms.join(", ") }.into(),
                row.cause.clone().unwrap_or_else(|| "-".to_owned()).into(),
                action.into(),
                row.verdict.map_or_else(|| "-".to_owned(), |verdict| word(&verdict)).into(),
                healed.unwrap_or_else(|| "-".to_owned()).into(),
                show::coloured(
                    if well { "yes" } else { "NO" },
                    Some(if well { Color::Green } else { Color::Red }),
                ),
            ]);
        }
        show::line("")?;
        show::print(&table, "No containers.")
    }
}

impl Row {
    fn is_as_expected(&self) -> bool {
        match self.scenario.expected {
            Expected::Healed => {
                self.detected_at.is_some()
                    && self.acted.as_deref() == Some("success")
                    && self.verdict == Some(Verification::Verified)
            }
            Expected::Untouched => self.symptoms.is_empty() && self.actions == 0,
        }
    }
}
