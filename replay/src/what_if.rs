//! `hemostat-replay what-if`: what other settings or rules would have come to, beside what was decided.
//!
//! Each decision is made again on the state that was, so the figures say what the first step of every case would have
//! been. What would have followed from a restart that was not made, nobody knows. Under other settings of the monitor the
//! samples are looked at again: incidents that would not have been take everything with them that was recorded of them, and
//! those that were not are followed in a world that does what it is asked for.

mod report;

use std::collections::BTreeMap;

use hemostat_core::replay::{Detection, Replay};
use hemostat_event::cloudevents::Position;
use hemostat_event::{EventType, Timestamp};

use crate::cli::{FromArgs, WhatIfArgs};
use crate::rules;
use crate::screen;
use crate::source::{self, Source};
use report::Report;

/// Compares.
///
/// # Errors
/// When there is nothing to read, or a setting does not exist.
pub(crate) async fn run(from: &FromArgs, args: &WhatIfArgs) -> anyhow::Result<bool> {
    let rules = rules::rules(&args.set)?;
    let mut detection = rules::detects_otherwise(&args.set).then(|| Detection::new(rules.clone()));
    let mut replay = Replay::new(rules);
    let selection = if detection.is_some() { Default::default() } else { source::decisions() };
    let mut source = Source::open(from, selection).await?;
    let mut report = Report::default();
    let mut begins = Begins { since: args.since, first: BTreeMap::new() };
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            let is_sample = record.stream.event_type() == EventType::ContainerSample;
            if is_sample && detection.is_none() {
                continue;
            }
            let Some(Ok(event)) = record.event() else { continue };
            let position = Position { partition, seq: record.seq };
            if let Some(detection) = &mut detection {
                detection.event(position, &event);
            }
            if is_sample {
                continue;
            }
            if begins.count(position, record.id.ms) {
                report.count(&event);
            }
            if let Some((at, told)) = replay.take(position, event)
                && begins.counted(at)
            {
                report.add(told);
            }
        }
    }
    replay.finish().into_iter().filter(|(at, _)| begins.counted(*at)).for_each(|(_, told)| report.add(told));
    if let Some(detection) = detection {
        report.detected(detection.finish(), args.since);
    }
    report.sort();
    if args.output.is_json() { screen::json(&report) } else { report.print() }?;
    Ok(true)
}

/// From where on decisions count.
struct Begins {
    since: Option<Timestamp>,
    /// The first number that counts, by partition.
    first: BTreeMap<u16, u64>,
}

impl Begins {
    /// Whether an entry that was appended at `millis` counts.
    fn count(&mut self, at: Position, millis: u64) -> bool {
        let counts = self.since.is_none_or(|since| since.millis() <= millis);
        if counts {
            // A log that began anew counts from its first number.
            let first = self.first.entry(at.partition).or_insert(at.seq);
            *first = at.seq.min(*first);
        }
        counts
    }

    fn counted(&self, at: Position) -> bool {
        self.first.get(&at.partition).is_some_and(|first| *first <= at.seq)
    }
}
