//! `hemostat-replay what-if`: what other settings would have come to, beside what was decided.
//!
//! Each decision is made again on the state that was, so the figures say what the first step of every case would have
//! been. What would have followed from a restart that was not made, nobody knows.

use std::collections::BTreeMap;

use hemostat_core::replay::{Replay, Told};
use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Delivery, Event, EventType, Outcome};
use serde::Serialize;

use crate::cli::{FromArgs, WhatIfArgs};
use crate::rules;
use crate::screen;
use crate::source::Source;

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
struct Report {
    decisions: u64,
    different: u64,
    not_judged: u64,
    figures: BTreeMap<String, Figures>,
}

/// Compares.
///
/// # Errors
/// When there is nothing to read, or a setting does not exist.
pub(crate) async fn run(from: &FromArgs, args: &WhatIfArgs) -> anyhow::Result<bool> {
    let mut replay = Replay::new(rules::rules(&args.set)?);
    let mut source = Source::open(from, crate::source::decisions()).await?;
    let mut report = Report::default();
    // The number from which on decisions count, by partition.
    let mut begins: BTreeMap<u16, u64> = BTreeMap::new();
    let counts = |begins: &BTreeMap<u16, u64>, at: Position| {
        begins.get(&at.partition).is_some_and(|first| *first <= at.seq)
    };
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            if record.stream.event_type() == EventType::ContainerSample {
                continue;
            }
            let Some(Ok(event)) = record.event() else { continue };
            let position = Position { partition, seq: record.seq };
            if args.since.is_none_or(|since| since.millis() <= record.id.ms) {
                // A log that began anew counts from its first number.
                let first = begins.entry(partition).or_insert(record.seq);
                *first = record.seq.min(*first);
                report.count(&event);
            }
            if let Some((at, told)) = replay.event(position, &event)
                && counts(&begins, at)
            {
                report.add(&told);
            }
        }
    }
    replay.finish().iter().filter(|(at, _)| counts(&begins, *at)).for_each(|(_, told)| report.add(told));
    if args.output.is_json() { screen::json(&report) } else { report.print() }?;
    Ok(true)
}

impl Report {
    /// Counts what was decided; it holds until a difference says otherwise.
    fn count(&mut self, event: &Event) {
        for name in names(&event.data) {
            let figures = self.figures.entry(name).or_default();
            figures.recorded += 1;
            figures.decided += 1;
        }
    }

    fn add(&mut self, told: &Told) {
        self.decisions += 1;
        match told {
            Told::Same => {}
            Told::Untold(_) => self.not_judged += 1,
            Told::Different(difference) => {
                self.different += 1;
                for (all, sign) in [(&difference.recorded, -1), (&difference.decided, 1)] {
                    for name in all.iter().flat_map(names) {
                        self.figures.entry(name).or_default().decided += sign;
                    }
                }
            }
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let mut table = screen::table(&["WHAT", "WAS", "WOULD BE", "CHANGE"]);
        for (name, Figures { recorded, decided }) in &self.figures {
            let change = decided - recorded;
            table.add_row([name.clone(), recorded.to_string(), decided.to_string(), format!("{change:+}")]);
        }
        screen::line(&table.to_string())?;
        screen::line(&format!(
            "{} decisions: {} would be others, {} cannot be judged",
            self.decisions, self.different, self.not_judged
        ))
    }
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
