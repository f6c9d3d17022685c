//! `hemostat status`: who runs, and what waits.

use std::time::Duration;

use comfy_table::Color;
use hemostat_agent::log::{AgentPresence, EventLog, GroupStatus};
use hemostat_event::{Role, Timestamp};
use serde_json::json;

use crate::cli::Output;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure};
use crate::show;

/// Silence of a group's members that means nothing: they give a sign of life every minute.
const SILENCE_NORMAL: Duration = Duration::from_secs(180);

/// Shows agents and groups.
///
/// # Errors
/// Exit 3 when the log is out of reach; exit 1 when a role has no agent.
pub(crate) async fn run(config: &Config, output: Output) -> Result<(), Failure> {
    let log = connect::log(config).await?;
    let now = log.now().await.or_unreachable()?;
    let agents = log.agents().await.or_unreachable()?;
    let groups = log.groups().await.or_unreachable()?;
    match output {
        Output::Json => print_json(&agents, &groups, now)?,
        Output::Table => print_tables(&agents, &groups, now)?,
    }
    let missing: Vec<_> = missing(&agents).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if output == Output::Table {
        let names: Vec<_> = missing.iter().map(|role| role.as_str()).collect();
        show::line(&format!("\nNo agent runs as: {}", names.join(", ")))?;
    }
    Err(Failure::Finding)
}

/// What is known of the number of unread entries.
fn unread(group: &GroupStatus) -> String {
    match (group.exists, group.unread.exact()) {
        (true, Some(count)) => count.to_string(),
        (true, None) => format!("{} to {}", group.unread.least, group.unread.most),
        (false, _) => format!("lost; {} behind its cursor", group.unread.least),
    }
}

fn missing(agents: &[AgentPresence]) -> impl Iterator<Item = Role> {
    Role::AGENTS.into_iter().filter(|role| !agents.iter().any(|agent| agent.role == *role))
}

fn print_json(agents: &[AgentPresence], groups: &[GroupStatus], now: Timestamp) -> Result<(), Failure> {
    let agents: Vec<_> = agents
        .iter()
        .map(|agent| {
            json!({
                "role": agent.role, "instance": agent.instance, "host": agent.host,
                "version": agent.version, "started_at": agent.started_at,
            })
        })
        .collect();
    let groups: Vec<_> = groups
        .iter()
        .map(|group| {
            json!({
                "group": group.role, "partition": group.partition.0, "stream": group.stream.to_string(),
                "lag_known": group.lag_known(),
                "unread": group.unread.exact().filter(|_| group.exists),
                "unread_least": group.unread.least, "unread_most": group.unread.most,
                "pending": group.exists.then_some(group.pending),
                "lost_while_pending": group.lost,
                "retention_margin_seconds": group.retention_margin().map(|margin| margin.as_secs_f64()),
                "member_seen_seconds": group.seen.map(|time| now.since(time).as_secs_f64()),
                "oldest_unread_seconds": group.oldest_unread.map(|time| now.since(time).as_secs_f64()),
                "oldest_pending_seconds": group.oldest_pending.map(|time| now.since(time).as_secs_f64()),
            })
        })
        .collect();
    show::json(&json!({ "time": now, "agents": agents, "groups": groups }))
}

fn print_tables(agents: &[AgentPresence], groups: &[GroupStatus], now: Timestamp) -> Result<(), Failure> {
    let mut table = show::table(&["agent", "instance", "host", "version", "up for"]);
    for agent in agents {
        table.add_row([
            agent.role.to_string(),
            agent.instance.clone(),
            agent.host.to_string(),
            agent.version.clone(),
            show::span(now.since(agent.started_at)),
        ]);
    }
    show::print(&table, "No agents run.")?;
    show::line("")?;
    let mut table = show::table(&[
        "group",
        "stream",
        "unread",
        "oldest unread",
        "pending",
        "oldest pending",
        "margin",
        "lost",
        "member seen",
    ]);
    let age =
        |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| show::span(now.since(time)));
    for group in groups {
        let stream = if group.partition.0 == 0 {
            group.stream.to_string()
        } else {
            format!("{} ({})", group.stream, group.partition.0)
        };
        let behind = (group.unread.most != 0 || !group.lag_known()).then_some(Color::Yellow);
        let pending = if group.exists { group.pending.to_string() } else { "unknown".to_owned() };
        let silent = group.seen.is_none_or(|seen| SILENCE_NORMAL < now.since(seen));
        table.add_row([
            group.role.to_string().into(),
            stream.into(),
            show::coloured(unread(group), behind),
            age(group.oldest_unread).into(),
            pending.into(),
            age(group.oldest_pending).into(),
            group.retention_margin().map_or_else(|| "-".to_owned(), show::span).into(),
            show::coloured(group.lost, (group.lost != 0).then_some(Color::Red)),
            show::coloured(age(group.seen), silent.then_some(Color::Yellow)),
        ]);
    }
    show::print(&table, "No groups exist: no agent has run on this log yet.")
}
