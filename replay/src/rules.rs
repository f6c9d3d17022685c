//! The rules by which is decided again: today's, with some settings as the user gives them.
//!
//! Keys and forms are those of the agents' configuration, so that what was tried here can be put there.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hemostat_core::detect::Levels;
use hemostat_core::remediate::StillSick;
use hemostat_core::replay::Rules;

/// The keys there are.
const KEYS: [&str; 18] = [
    "alert.dedup_window",
    "analyzer.plan_ttl",
    "analyzer.plans_max",
    "monitor.clear_after",
    "monitor.cpu_percent",
    "monitor.disk_bytes",
    "monitor.memory_percent",
    "monitor.pids_percent",
    "monitor.realert_after",
    "monitor.stable_for",
    "responder.breaker_failures",
    "responder.breaker_open",
    "responder.budget",
    "responder.budget_window",
    "responder.confidence_min",
    "responder.cooldown",
    "responder.dry_run",
    "responder.stabilise",
];
/// How the keys of the monitor begin.
const MONITOR: &str = "monitor.";

/// A setting that was given and is none, or cannot have that value: wrong usage, and not a failure of what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("--set {0}")]
pub(crate) struct WrongSetting(String);

/// Today's rules with `given`, each `key=value`.
///
/// # Errors
/// For a key that does not exist, and a value that it cannot have.
pub(crate) fn rules(given: &[String]) -> anyhow::Result<Rules> {
    let mut rules = Rules::default();
    for setting in given {
        let wrong = || WrongSetting(setting.clone());
        let (key, value) =
            setting.split_once('=').ok_or_else(|| anyhow!("expected key=value").context(wrong()))?;
        set(&mut rules, key.trim(), value.trim()).with_context(wrong)?;
    }
    rules.responder.policy.still_sick = StillSick::from(&rules.monitor);
    let problems = rules.monitor.validate();
    if !problems.is_empty() {
        return Err(anyhow!(problems.join("; ")).context(WrongSetting(given.join(" "))));
    }
    Ok(rules)
}

/// The same for who decides again and does not detect again.
///
/// # Errors
/// As for [`rules`], and for a key of the monitor.
pub(crate) fn rules_of_decisions(given: &[String]) -> anyhow::Result<Rules> {
    match given.iter().find(|setting| setting.trim_start().starts_with(MONITOR)) {
        Some(setting) => Err(anyhow!("what the monitor detects is not decided again; `what-if` does that")
            .context(WrongSetting(setting.clone()))),
        None => rules(given),
    }
}

/// Whether under these settings other incidents may be detected than were: where one is of the monitor, and where nothing
/// is set, because then the rules themselves are tried.
pub(crate) fn detects_otherwise(given: &[String]) -> bool {
    given.is_empty() || given.iter().any(|setting| setting.trim_start().starts_with(MONITOR))
}

fn set(rules: &mut Rules, key: &str, value: &str) -> anyhow::Result<()> {
    let (analyzer, policy) = (&mut rules.analyzer.settings, &mut rules.responder.policy);
    let monitor = &mut rules.monitor;
    match key {
        "monitor.cpu_percent" => monitor.cpu = monitor.cpu.firing_at(number(value, 1.0, 100.0)?),
        "monitor.memory_percent" => monitor.memory = monitor.memory.firing_at(number(value, 1.0, 100.0)?),
        "monitor.pids_percent" => monitor.pids = monitor.pids.firing_at(number(value, 1.0, 100.0)?),
        "monitor.disk_bytes" => monitor.disk_bytes = Some(Levels::of_bytes(number(value, 1.0, f64::MAX)?)),
        "monitor.clear_after" => monitor.clear_after = number(value, 1, 1_000)?,
        "monitor.stable_for" => monitor.stable_for = span(value)?,
        "monitor.realert_after" => monitor.realert_after = span(value)?,
        "analyzer.plan_ttl" => analyzer.plan_ttl = span(value)?,
        "analyzer.plans_max" => analyzer.plans_max = number(value, 0, 1_000)?,
        "responder.cooldown" => policy.cooldown = span(value)?,
        "responder.budget" => policy.budget = number(value, 1, 64)?,
        "responder.budget_window" => policy.window = span(value)?,
        "responder.breaker_failures" => policy.breaker.failures = number(value, 1, 64)?,
        "responder.breaker_open" => policy.breaker.open_for = span(value)?,
        "responder.confidence_min" => policy.confidence_min = number(value, 0.0, 1.0)?,
        "responder.stabilise" => policy.stabilise = span(value)?,
        "responder.dry_run" => policy.dry_run = value.parse().context("expected true or false")?,
        "alert.dedup_window" => rules.alerter.settings.dedup_window = span(value)?,
        _ => bail!("there is no such setting here; there are {}", KEYS.join(", ")),
    }
    Ok(())
}

fn span(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text).context("expected a time span such as 90s, 5m or 1h")
}

fn number<T: FromStr + PartialOrd + Display + Copy>(text: &str, least: T, most: T) -> anyhow::Result<T> {
    match text.parse() {
        Ok(number) if least <= number && number <= most => Ok(number),
        _ => Err(anyhow!("expected a number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_be_set() {
        for key in KEYS {
            let value = match key {
                "responder.dry_run" => "true",
                "responder.confidence_min" => "0.5",
                key if key.ends_with("percent") || key.ends_with("bytes") => "70",
                key if key.ends_with("after") && key != "monitor.realert_after" => "7",
                key if key.ends_with("failures") || key.ends_with("budget") || key.ends_with("max") => "7",
                _ => "90s",
            };
            let set = rules(&[format!("{key}={value}")]).unwrap();
            assert_ne!(format!("{set:?}"), format!("{:?}", Rules::default()), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        for (given, says) in [
            ("responder.cooldwn=1h", "there is no such setting"),
            ("responder.cooldown", "expected key=value"),
            ("responder.cooldown=soon", "expected a time span"),
            ("responder.budget=0", "expected a number from 1 to 64"),
            ("responder.confidence_min=NaN", "expected a number from 0 to 1"),
            ("responder.dry_run=maybe", "expected true or false"),
        ] {
            let error = format!("{:#}", rules(&[given.to_owned()]).unwrap_err());
            assert!(error.contains(says), "{error}");
        }
    }
}
