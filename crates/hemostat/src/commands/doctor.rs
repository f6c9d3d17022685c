//! `hemostat doctor`: is everything within reach, and what to do where it is not.

use std::time::Duration;

use comfy_table::Color;
use hemostat_agent::containers::Containers as _;
use hemostat_agent::log::EventLog as _;
use hemostat_event::Timestamp;
use serde_json::json;

use crate::cli::Output;
use crate::config::Config;
use crate::connect;
use crate::exit::Failure;
use crate::show;

/// A clock further off than this makes times in messages misleading; decisions use the log's clock anyway.
const OFFSET_MAX: Duration = Duration::from_secs(2);

/// One finding.
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// Checks everything and shows the findings.
///
/// # Errors
/// Exit 3 when something an agent needs is out of reach.
pub(crate) async fn run(config: &Config, output: Output) -> Result<(), Failure> {
    let mut checks = vec![check("configuration", Verdict::Ok, "valid")];
    engine(config, &mut checks).await;
    redis(config, &mut checks).await;
    channels(config, &mut checks);
    match output {
        Output::Json => {
            for check in &checks {
                show::json(&json!({
                    "check": check.name, "verdict": check.verdict.word(), "detail": check.detail
                }))?;
            }
        }
        Output::Table => {
            let mut table = show::table(&["check", "verdict", "detail"]);
            for check in &checks {
                let word = show::coloured(check.verdict.word(), Some(check.verdict.colour()));
                table.add_row([check.name.into(), word, check.detail.as_str().into()]);
            }
            show::print(&table, "")?;
        }
    }
    let failed: Vec<_> =
        checks.iter().filter(|check| check.verdict == Verdict::Failed).map(|check| check.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Unreachable(anyhow::anyhow!("out of reach: {}", failed.join(", "))))
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    const fn colour(self) -> Color {
        match self {
            Self::Ok => Color::Green,
            Self::Warning => Color::Yellow,
            Self::Failed => Color::Red,
        }
    }
}

fn check(name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check { name, verdict, detail: detail.into() }
}

async fn engine(config: &Config, checks: &mut Vec<Check>) {
    match connect::engine(config).await {
        Err(failure) => checks.push(check("container engine", Verdict::Failed, failure.to_string())),
        Ok((engine, host)) => {
            let detail = match engine.info().await {
                Ok(info) => format!(
                    "{}, API {}, cgroup v{}, {} processors, host `{host}`",
                    info.version, info.api_version, info.cgroup_version, info.cpus
                ),
                Err(error) => error.to_string(),
            };
            checks.push(check("container engine", Verdict::Ok, detail));
        }
    }
}

async fn redis(config: &Config, checks: &mut Vec<Check>) {
    let log = match connect::log(config).await {
        Ok(log) => log,
        Err(failure) if config.redis.url.is_none() => {
            checks.push(check("event log", Verdict::Warning, failure.to_string()));
            return;
        }
        Err(failure) => {
            checks.push(check("event log", Verdict::Failed, failure.to_string()));
            return;
        }
    };
    let partitions = log.partitions().len();
    checks.push(check("event log", Verdict::Ok, format!("{}, {partitions} partition(s)", log.found())));
    for warning in log.warnings() {
        checks.push(check("event log", Verdict::Warning, warning.clone()));
    }
    match log.now().await {
        Ok(now) => checks.push(clock(now)),
        Err(error) => checks.push(check("clock", Verdict::Failed, error.to_string())),
    }
    if let Ok(agents) = log.agents().await {
        let verdict = if agents.is_empty() { Verdict::Warning } else { Verdict::Ok };
        checks.push(check("agents", verdict, format!("{} run", agents.len())));
    }
}

fn clock(log_time: Timestamp) -> Check {
    let own = Timestamp::from_micros(chrono::Utc::now().timestamp_micros());
    let offset = own.since(log_time).max(log_time.since(own));
    let verdict = if offset <= OFFSET_MAX { Verdict::Ok } else { Verdict::Warning };
    check("clock", verdict, format!("{} off the log's clock", show::span(offset)))
}

fn channels(config: &Config, checks: &mut Vec<Check>) {
    let channels = &config.alert.notify.channels;
    let names: Vec<_> = channels.iter().map(|channel| channel.as_str()).collect();
    let (verdict, detail) = if !config.alert.enabled || names.is_empty() {
        (Verdict::Warning, "nobody is told anything; set alert.slack_url or alert.webhook_url".to_owned())
    } else {
        (Verdict::Ok, format!("configured: {} (not tried: that would send a message)", names.join(", ")))
    };
    checks.push(check("notification channels", verdict, detail));
}
