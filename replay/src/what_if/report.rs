//! What came of it: figures side by side, and every case that would be another.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_core::replay::{Difference, Found, Incident, Told};
use hemostat_event::{Data, Delivery, Event, IncidentId, Outcome, Role, Subject, Timestamp};
use serde::Serialize;

use crate::screen;

/// Cases that are named; the rest is counted.
const CHANGES_MAX: usize = 10_000;
/// Cases that a person is shown.
const CHANGES_SHOWN: usize = 40;

/// Figures of one thing that is decided.
#[derive(Debug, Default, Clone, Serialize)]
struct Figures {
    /// As it was.
    recorded: i64,
    /// As it would have been.
    decided: i64,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    decisions: u64,
    different: u64,
    not_judged: u64,
    figures: BTreeMap<String, Figures>,
    /// Incidents under other settings of the monitor; absent where those were not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    incidents: Option<Incidents>,
    /// Cases that would be others, the earliest first.
    changes: Vec<Change>,
    /// Cases that are not named, because there are too many.
    changes_left_off: u64,
    /// What would be decided of the figures, by incident: goes with an incident that would not have been.
    #[serde(skip)]
    by_incident: BTreeMap<IncidentId, BTreeMap<String, i64>>,
}

/// Incidents, counted.
#[derive(Debug, Default, Serialize)]
struct Incidents {
    /// Incidents that were and would have been.
    kept: u64,
    /// Incidents that would not have been.
    gone: u64,
    /// Incidents that were not.
    new: u64,
    /// Of the new ones, those of containers whose labels the log does not tell: nothing is supposed to be done there.
    new_with_unknown_policy: u64,
}

/// A case that would be another.
#[derive(Debug, Serialize)]
struct Change {
    /// When it was decided.
    time: Timestamp,
    /// The container.
    subject: Option<Subject>,
    /// The incident.
    incident: Option<IncidentId>,
    /// Who decides.
    role: Role,
    /// What was decided, in the words of the figures.
    recorded: Vec<String>,
    /// What would be.
    decided: Vec<String>,
    /// The first field that differs, where a decision was made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
}

impl Report {
    /// Counts what was decided; it holds until a difference says otherwise.
    pub(super) fn count(&mut self, event: &Event) {
        for name in names(&event.data) {
            self.figures.entry(name.clone()).or_default().recorded += 1;
            self.decide(event.envelope.incident, name, 1);
        }
    }

    /// Takes in what came of a decision.
    pub(super) fn add(&mut self, told: Told) {
        self.decisions += 1;
        match told {
            Told::Same => {}
            Told::Untold(_) => self.not_judged += 1,
            Told::Different(difference) => {
                self.different += 1;
                for (all, sign) in [(&difference.recorded, -1), (&difference.decided, 1)] {
                    for name in all.iter().flat_map(names) {
                        self.decide(difference.incident, name, sign);
                    }
                }
                self.change(of_decision(*difference));
            }
        }
    }

    /// Takes in what would have been detected since then.
    pub(super) fn detected(&mut self, found: Found, since: Option<Timestamp>) {
        let counts = |incident: &&Incident| since.is_none_or(|since| since <= incident.opened_at);
        let Found { recorded, detected, gone, new } = found;
        let (gone, new): (BTreeSet<_>, BTreeSet<_>) = (gone.into_iter().collect(), new.into_iter().collect());
        let mut incidents = Incidents::default();
        for incident in recorded.iter().filter(counts) {
            for (name, count) in alerted(incident) {
                self.figures.entry(name).or_default().recorded += count;
            }
            if gone.contains(&incident.incident) {
                incidents.gone += 1;
                self.go(incident);
            } else {
                incidents.kept += 1;
            }
        }
        for incident in detected.iter().filter(counts) {
            for (name, count) in alerted(incident) {
                self.figures.entry(name).or_default().decided += count;
            }
            if new.contains(&incident.incident) {
                incidents.new += 1;
                incidents.new_with_unknown_policy += u64::from(!incident.is_policy_known);
                self.come(incident);
            }
        }
        self.incidents = Some(incidents);
    }

    /// Puts the cases in the order of time: partitions are read one beside the other.
    pub(super) fn sort(&mut self) {
        self.changes.sort_by_key(|change| change.time);
    }

    /// An incident would not have been, nor anything that was decided because of it.
    fn go(&mut self, incident: &Incident) {
        let decided = self.by_incident.remove(&incident.incident).unwrap_or_default();
        let mut recorded = vec![opened(incident)];
        for (name, count) in decided {
            if count != 0 {
                recorded.push(times(&name, count));
                self.figures.entry(name).or_default().decided -= count;
            }
        }
        self.change(of_incident(incident, recorded, Vec::new()));
    }

    /// An incident would have been that was not, and what would have followed.
    fn come(&mut self, incident: &Incident) {
        let mut followed: BTreeMap<String, i64> = BTreeMap::new();
        for name in incident.followed.iter().flat_map(names) {
            *followed.entry(name).or_default() += 1;
        }
        let mut decided = vec![opened(incident)];
        for (name, count) in followed {
            decided.push(times(&name, count));
            self.figures.entry(name).or_default().decided += count;
        }
        self.change(of_incident(incident, Vec::new(), decided));
    }

    fn decide(&mut self, incident: Option<IncidentId>, name: String, count: i64) {
        if let Some(incident) = incident {
            *self.by_incident.entry(incident).or_default().entry(name.clone()).or_default() += count;
        }
        self.figures.entry(name).or_default().decided += count;
    }

    fn change(&mut self, change: Change) {
        if self.changes.len() < CHANGES_MAX {
            self.changes.push(change);
        } else {
            self.changes_left_off += 1;
        }
    }

    /// Prints it for people.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        if !self.changes.is_empty() {
            let mut table = screen::table(&["time", "container", "who", "was", "would be"]);
            for change in self.changes.iter().take(CHANGES_SHOWN) {
                table.add_row(change.cells());
            }
            screen::line(&table.to_string())?;
            let more = self.changes.len().saturating_sub(CHANGES_SHOWN) as u64 + self.changes_left_off;
            if 0 < more {
                screen::line(&format!("and {more} more; `-o json` names up to {CHANGES_MAX}"))?;
            }
            screen::line("")?;
        }
        let mut table = screen::table(&["WHAT", "WAS", "WOULD BE", "CHANGE"]);
        for (name, Figures { recorded, decided }) in &self.figures {
            let change = decided - recorded;
            table.add_row([name.clone(), recorded.to_string(), decided.to_string(), format!("{change:+}")]);
        }
        screen::line(&table.to_string())?;
        if let Some(Incidents { kept, gone, new, new_with_unknown_policy }) = self.incidents {
            screen::line(&format!(
                "incidents: {kept} as they were, {gone} would not have been, {new} would be new"
            ))?;
            if 0 < new_with_unknown_policy {
                screen::line(&format!(
                    "of {new_with_unknown_policy} new ones the log does not tell what the labels of the container allow; \
                     they are left to people here"
                ))?;
            }
        }
        screen::line(&format!(
            "{} decisions: {} would be others, {} cannot be judged",
            self.decisions, self.different, self.not_judged
        ))
    }
}

impl Change {
    fn cells(&self) -> [String; 5] {
        let words = |all: &[String]| if all.is_empty() { "–".to_owned() } else { all.join(", ") };
        let mut decided = words(&self.decided);
        if let Some(first) = self.first.as_ref().filter(|_| self.recorded == self.decided) {
            decided = format!("another {first}");
        }
        [
            screen::date_time(self.time),
            self.subject.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
            self.role.to_string(),
            words(&self.recorded),
            decided,
        ]
    }
}

fn of_decision(difference: Difference) -> Change {
    let words = |all: &[Data]| all.iter().flat_map(names).collect();
    Change {
        time: difference.time,
        recorded: words(&difference.recorded),
        decided: words(&difference.decided),
        subject: difference.subject,
        incident: difference.incident,
        role: difference.role,
        first: Some(difference.first.path),
    }
}

fn of_incident(incident: &Incident, recorded: Vec<String>, decided: Vec<String>) -> Change {
    Change {
        time: incident.opened_at,
        subject: Some(incident.subject.clone()),
        incident: Some(incident.incident),
        role: Role::Monitor,
        recorded,
        decided,
        first: None,
    }
}

/// What the alerts of an incident count as.
fn alerted(incident: &Incident) -> Vec<(String, i64)> {
    let alerts = i64::try_from(incident.alerts).unwrap_or(i64::MAX);
    let mut counts = vec![("incidents".to_owned(), 1), ("alerts".to_owned(), alerts)];
    counts.extend(incident.kinds.iter().map(|kind| (format!("incidents: {}", kind.as_str()), 1)));
    counts
}

fn opened(incident: &Incident) -> String {
    let kinds: Vec<_> = incident.kinds.iter().map(|kind| kind.as_str()).collect();
    format!("incident ({})", kinds.join(" + "))
}

fn times(name: &str, count: i64) -> String {
    if count == 1 { name.to_owned() } else { format!("{count} × {name}") }
}

/// What an event counts as.
fn names(data: &Data) -> Vec<String> {
    match data {
        Data::RemediationNeeded(_) => vec!["plans".to_owned()],
        Data::FalseAlarm(_) => vec!["false alarms".to_owned()],
        Data::RemediationStarted(started) if started.dry_run => vec!["actions in dry run".to_owned()],
        Data::RemediationStarted(_) => vec!["actions (budget spent)".to_owned()],
        Data::RemediationComplete(complete) => match &complete.outcome {
            Outcome::Rejected { rejection, .. } => vec![format!("refused: {}", rejection.as_str())],
            _ => Vec::new(),
        },
        Data::Notification(notification) => match notification.delivery {
            Delivery::Sent { .. } => vec!["notifications sent".to_owned()],
            Delivery::Deduplicated => vec!["notifications not repeated".to_owned()],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
