//! An incident as Markdown, for a report.

use std::fmt::Write as _;
use std::time::Duration;

use hemostat_core::project::{Timeline, visible};

use super::{facts, spans};
use crate::screen;

/// The incident as `CommonMark` with tables. What events say is text and nothing else: no link, no HTML, no heading.
pub(super) fn render(timeline: &Timeline) -> String {
    let mut out = String::new();
    line(&mut out, &format!("# Incident of {}\n", escaped(timeline.subject.as_str())));
    line(&mut out, "| | |\n|---|---|");
    for (name, value) in facts(timeline) {
        line(&mut out, &format!("| {name} | {} |", escaped(&value)));
    }
    for (name, value) in spans(timeline) {
        line(&mut out, &format!("| {name} | {value} |"));
    }
    line(&mut out, "\n## Causes\n");
    for step in timeline.tree() {
        let after = step.after_cause_ms.map_or(String::new(), |ms| format!(" after {}", millis(ms)));
        let indent = "  ".repeat(step.depth);
        line(&mut out, &format!("{indent}- **{}**{after}: {}", step.phase.as_str(), escaped(&step.summary)));
    }
    line(&mut out, "\n## Time line (UTC)\n");
    line(&mut out, "| time | after | step | what | where |\n|---|---|---|---|---|");
    for step in &timeline.steps {
        let row = format!(
            "| {} | +{} | {} | {} | {}/{} |",
            screen::time_of_day(step.time),
            millis(step.after_previous_ms),
            step.phase.as_str(),
            escaped(&step.summary),
            step.partition,
            step.seq
        );
        line(&mut out, &row);
    }
    line(&mut out, "\n## Reasons and evidence\n");
    for step in timeline.steps.iter().filter(|step| !step.details.is_empty()) {
        line(&mut out, &format!("### {} {}\n", screen::time_of_day(step.time), step.phase.as_str()));
        for detail in &step.details {
            let text = visible(&detail.text);
            if text.trim().contains('\n') {
                let fence = fence(&text);
                line(
                    &mut out,
                    &format!("{}:\n\n{fence}text\n{}\n{fence}\n", escaped(&detail.name), text.trim_end()),
                );
            } else {
                line(&mut out, &format!("- {}: {}", escaped(&detail.name), escaped(&text)));
            }
        }
        line(&mut out, "");
    }
    out
}

/// `text` on one line, with every character that Markdown could take for its own escaped.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '\n' | '\t' => escaped.push(' '),
            // The name of a host or an address would become a link by itself.
            ':' | '@' | '.' => {
                write!(escaped, "&#{};", u32::from(c)).expect("writing to a string does not fail");
            }
            c if c.is_ascii_punctuation() && !matches!(c, ',' | '%' | '/' | '?' | ';') => {
                escaped.extend(['\\', c]);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// A fence that the text cannot close.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

fn millis(ms: u64) -> String {
    hemostat_core::project::span(Duration::from_millis(ms))
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string does not fail");
}
