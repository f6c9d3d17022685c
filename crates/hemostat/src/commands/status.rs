//! `hemostat status`: who runs, and what waits.

use comfy_table::Color;
use hemostat_agent::log::{AgentPresence, EventLog, GroupStatus};
use hemostat_event::{Role, Timestamp};
use serde_json::json;

use crate::cli::Output;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure};
use crate::show;

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
                "unread": group.unread, "pending": group.pending,
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
    let mut table = show::table(&["group", "stream", "unread", "oldest unread", "pending", "oldest pending"]);
    let age =
        |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| show::span(now.since(time)));
    for group in groups {
        let stream = if group.partition.0 == 0 {
            group.stream.to_string()
        } else {
            format!("{} ({})", group.stream, group.partition.0)
        };
        let unread = group.unread.map_or_else(|| "many".to_owned(), |count| count.to_string());
        let behind = (group.unread != Some(0)).then_some(Color::Yellow);
        table.add_row([
            group.role.to_string().into(),
            stream.into(),
            show::coloured(unread, behind),
            age(group.oldest_unread).into(),
            group.pending.to_string().into(),
            age(group.oldest_pending).into(),
        ]);
    }
    show::print(&table, "No groups exist: no agent has run on this log yet.")
}
