//! `hemostat-replay test`: every decision of a log, decided again.

use std::collections::BTreeMap;

use hemostat_core::replay::{Difference, Exercised, Replay, Told};
use hemostat_event::cloudevents::Position;
use serde::Serialize;

use crate::cli::{FromArgs, TestArgs};
use crate::rules;
use crate::screen;
use crate::source::Source;

/// Differences that are shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Events read.
    events: u64,
    /// Entries that hold no event that this version can read.
    unreadable: u64,
    /// Decisions that were made again.
    decisions: u64,
    /// Those that came out the same.
    same: u64,
    /// Those that could not be made again, by reason.
    untold: BTreeMap<&'static str, u64>,
    /// Those that came out otherwise.
    different: u64,
    /// The first of them.
    differences: Vec<Difference>,
    /// How often each rule has decided.
    rules: Vec<Exercised>,
}

impl Report {
    fn add(&mut self, (_, told): (Position, Told)) {
        self.decisions += 1;
        match told {
            Told::Same => self.same += 1,
            Told::Untold(reason) => *self.untold.entry(reason.as_str()).or_default() += 1,
            Told::Different(difference) => {
                self.different += 1;
                if self.differences.len() < SHOWN_MAX {
                    self.differences.push(*difference);
                }
            }
        }
    }
}

/// Decides again, and says whether everything came out the same.
///
/// # Errors
/// When there is nothing to read, or a setting does not exist.
pub(crate) async fn run(from: &FromArgs, args: &TestArgs) -> anyhow::Result<bool> {
    let mut replay = Replay::new(rules::rules(&args.set)?);
    let mut source = Source::open(from, crate::source::decisions()).await?;
    let mut report = Report::default();
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            match record.event() {
                Some(Ok(event)) => {
                    report.events += 1;
                    let position = Position { partition, seq: record.seq };
                    if let Some(told) = replay.event(position, &event) {
                        report.add(told);
                    }
                }
                _ => report.unreadable += 1,
            }
        }
    }
    replay.finish().into_iter().for_each(|told| report.add(told));
    report.rules = replay.coverage().rules();
    if args.output.is_json() {
        screen::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(report.different == 0)
}

fn print(report: &Report) -> anyhow::Result<()> {
    for difference in &report.differences {
        let subject = difference.subject.as_ref().map_or("-", |subject| subject.as_str());
        let (partition, seq) = difference.at;
        screen::line(&format!(
            "different  {partition}/{seq}  {} on {}, answering {} {}",
            difference.role, subject, difference.input_type, difference.input
        ))?;
        screen::line(&format!("  at   {}", difference.first.path))?;
        screen::line(&format!("  was  {}", screen::value(difference.first.recorded.as_ref())))?;
        screen::line(&format!("  now  {}", screen::value(difference.first.decided.as_ref())))?;
    }
    let hidden = report.different.saturating_sub(report.differences.len() as u64);
    if 0 < hidden {
        screen::line(&format!("and {hidden} more"))?;
    }
    let never: Vec<_> = report.rules.iter().filter(|rule| rule.times == 0).collect();
    if !never.is_empty() {
        let names: Vec<_> = never.iter().map(|rule| format!("{}/{}", rule.role, rule.rule)).collect();
        screen::line(&format!("never exercised: {}", names.join(", ")))?;
    }
    for (reason, count) in &report.untold {
        screen::line(&format!("not judged: {count}, because {reason}"))?;
    }
    if 0 < report.unreadable {
        screen::line(&format!("not readable: {} entries", report.unreadable))?;
    }
    screen::line(&format!(
        "{} decisions in {} events: {} the same, {} different",
        report.decisions, report.events, report.same, report.different
    ))
}
