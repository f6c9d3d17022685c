//! An incident on the terminal.

use std::fmt::Write as _;
use std::time::Duration;

use hemostat_core::project::{Phase, Step, Timeline, visible};

use super::{facts, spans};
use crate::screen;

/// Lines of one text; the other formats have all of them.
const LINES_MAX: usize = 12;

/// The incident: what it is, its tree, its time line. Texts are freed of what could move the cursor.
pub(super) fn render(timeline: &Timeline, colour: bool) -> String {
    let mut out = String::new();
    for (name, value) in facts(timeline) {
        line(&mut out, &format!("{name:<10} {}", visible(&value)));
    }
    line(&mut out, "");
    for (name, value) in spans(timeline) {
        line(&mut out, &format!("{name:<16} {value}"));
    }
    line(&mut out, "");
    line(&mut out, &painted("CAUSES", BOLD, colour));
    let tree = timeline.tree();
    let depths: Vec<_> = tree.iter().map(|step| step.depth).collect();
    for (place, step) in tree.iter().enumerate() {
        let after = step.after_cause_ms.map_or(String::new(), |ms| format!(" after {}", millis(ms)));
        let text = format!("{}{}{after}: {}", branches(&depths, place), phase(step, colour), step.summary);
        line(&mut out, &text);
    }
    line(&mut out, "");
    line(&mut out, &painted("TIME LINE (UTC)", BOLD, colour));
    for step in &timeline.steps {
        let text = format!(
            "{}  {:>8}  {}  {}  [{}/{} {}]",
            screen::time_of_day(step.time),
            format!("+{}", millis(step.after_previous_ms)),
            phase(step, colour),
            step.summary,
            step.partition,
            step.seq,
            step.id.short()
        );
        line(&mut out, &text);
        for detail in &step.details {
            let text = visible(&detail.text);
            let mut lines = text.lines();
            line(&mut out, &format!("    {}: {}", visible(&detail.name), lines.next().unwrap_or_default()));
            for more in lines.by_ref().take(LINES_MAX - 1) {
                line(&mut out, &format!("      | {more}"));
            }
            let left = lines.count();
            if 0 < left {
                line(&mut out, &format!("      … {left} more lines; --format html has all of them"));
            }
        }
    }
    out
}

const BOLD: u8 = 1;

fn phase(step: &Step, colour: bool) -> String {
    let code = match step.phase {
        Phase::Symptom | Phase::Failure => 31,
        Phase::Detection => 33,
        Phase::Diagnosis | Phase::Decision => 35,
        Phase::Attempt | Phase::Outcome | Phase::Order | Phase::Change => 36,
        Phase::Verification | Phase::Recovery => 32,
        Phase::Notification => 34,
    };
    painted(step.phase.as_str(), code, colour)
}

/// A colour never says more than the word it is on.
fn painted(text: &str, code: u8, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The branches in front of a step of the tree, whose depths stand in the order of the tree.
fn branches(depths: &[usize], place: usize) -> String {
    let has_more = |level: usize| {
        depths[place + 1..].iter().find(|depth| **depth <= level).is_some_and(|depth| *depth == level)
    };
    let mut branches = String::new();
    for level in 1..=depths[place] {
        branches.push_str(match (level == depths[place], has_more(level)) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    branches
}

fn millis(ms: u64) -> String {
    hemostat_core::project::span(Duration::from_millis(ms))
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a string does not fail");
}
