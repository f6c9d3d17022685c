//! The report for people.

use hemostat_core::project::visible;
use hemostat_core::replay::Change;

use super::golden::{Held, State};
use super::provider::Asked;
use super::run::Found;
use super::{Recorded, Report};
use crate::screen;

/// Prints it: what was found first, the sum last.
///
/// # Errors
/// When standard output is closed.
pub(super) fn report(report: &Report) -> anyhow::Result<()> {
    for found in &report.differences {
        difference(found)?;
    }
    let hidden = report.counts.different.saturating_sub(report.differences.len() as u64);
    if 0 < hidden {
        screen::line(&format!("and {hidden} more"))?;
    }
    for recorded in &report.recordings {
        recording(recorded)?;
    }
    let never: Vec<_> = report.rules.iter().filter(|rule| rule.times == 0).collect();
    if !never.is_empty() {
        let names: Vec<_> = never.iter().map(|rule| format!("{}/{}", rule.role, rule.rule)).collect();
        screen::line(&format!("never exercised: {}", names.join(", ")))?;
    }
    for (reason, count) in &report.counts.untold {
        screen::line(&format!("not judged: {count}, because {reason}"))?;
    }
    if 0 < report.counts.unreadable {
        screen::line(&format!("not readable: {} entries", report.counts.unreadable))?;
    }
    if let Some(Asked { asked, failed, first_failure }) = &report.provider {
        let why = first_failure.as_ref().map(|why| format!(", first because {}", visible(why)));
        let why = why.unwrap_or_default();
        screen::line(&format!("provider: asked about {asked} alerts, no answer to {failed}{why}"))?;
    }
    let accepted = match report.accepted {
        0 => String::new(),
        count => format!(", {count} accepted"),
    };
    screen::line(&format!(
        "{} decisions in {} events: {} the same, {} different{accepted}",
        report.counts.decisions, report.counts.events, report.counts.same, report.counts.different
    ))
}

fn difference(Found { file, difference }: &Found) -> anyhow::Result<()> {
    let subject = difference.subject.as_ref().map_or("-", |subject| subject.as_str());
    let (partition, seq) = difference.at;
    let within = file.as_ref().map(|file| format!("{}  ", file.display())).unwrap_or_default();
    screen::line(&format!(
        "different  {within}{partition}/{seq}  {} on {}, answering {} {}",
        difference.role, subject, difference.input_type, difference.input
    ))?;
    screen::line(&format!(
        "  rule {}, now {}",
        rules(&difference.rules_recorded),
        rules(&difference.rules_decided)
    ))?;
    screen::line(&format!("  at   {}", difference.first.path))?;
    screen::line(&format!("  was  {}", screen::value(difference.first.recorded.as_ref())))?;
    screen::line(&format!("  now  {}", screen::value(difference.first.decided.as_ref())))
}

fn rules(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn recording(Recorded { file, golden: Held { state, changes }, .. }: &Recorded) -> anyhow::Result<()> {
    let file = file.display();
    match state {
        State::Missing | State::Agrees => return Ok(()),
        State::Differs => screen::line(&format!("golden     {file}: came out otherwise"))?,
        State::ToReview => screen::line(&format!(
            "golden     {file}: would be written so; nothing is, as long as --reason does not say why"
        ))?,
        State::Written => screen::line(&format!("golden     {file}: written"))?,
    }
    for Change { path, recorded, decided } in changes {
        let (was, now) = (screen::value(recorded.as_ref()), screen::value(decided.as_ref()));
        screen::line(&format!("  {path}: {was}, now {now}"))?;
    }
    Ok(())
}
