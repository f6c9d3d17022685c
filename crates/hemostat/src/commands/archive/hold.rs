//! `hemostat archive hold`: what must stay until it is released.

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use hemostat_agent::log::EventLog;
use hemostat_archive::{Covers, Digest, Hold, HoldOrder};
use hemostat_event::{
    Command, Envelope, Event, EventId, HostName, IncidentId, OperatorCommand, Role, Source, Subject,
    Timestamp,
};
use serde_json::json;

use crate::cli::{Output, OutputArgs};
use crate::commands::log::when;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// `hemostat archive hold …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Place a hold over what meets all that is named
    #[command(after_help = "Examples:
  hemostat archive hold add --container host-1/web --since 2026-11-01T00:00:00Z --reason 'claim 4711'
  hemostat archive hold add --incident 6f9c0d0e-… --reason 'post mortem'

Redactions of what is held are refused, and retention leaves it alone. A hold counts for what comes later too.")]
    Add(AddArgs),
    /// List holds
    #[command(after_help = "Example:\n  hemostat archive hold ls --all")]
    Ls {
        /// Those that were released too.
        #[arg(long)]
        all: bool,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End a hold
    #[command(after_help = "Example:\n  hemostat archive hold release 3f2a --reason 'claim 4711 is settled'")]
    Release {
        /// The hold's id, or the beginning of it.
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// `hemostat archive hold add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Events about this container, as the log names it: host/name.
    #[arg(long, value_name = "HOST/NAME")]
    container: Option<Subject>,
    /// Events of this incident: its whole id.
    #[arg(long, value_name = "ID")]
    incident: Option<IncidentId>,
    /// Events since then: a time span (`1h`) or a time (`2026-11-24T05:00:00Z`).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Events until then.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Form of the output.
    #[command(flatten)]
    output: OutputArgs,
}

/// Adds, lists or releases.
///
/// # Errors
/// Exit 2 for what does not exist or covers everything, 3 when log or archive is out of reach.
pub(super) async fn run(config: &Config, command: &HoldCommand) -> Result<(), Failure> {
    match command {
        HoldCommand::Add(args) => add(config, args).await,
        HoldCommand::Ls { all, output } => {
            let holds = super::open(config).await?.holds().await.or_unreachable()?;
            list(holds.0.iter().filter(|hold| *all || hold.released_ms.is_none()), output.output)
        }
        HoldCommand::Release { id, reason, output } => release(config, id, reason, output.output).await,
    }
}

async fn add(config: &Config, args: &AddArgs) -> Result<(), Failure> {
    let archive = super::open(config).await?;
    let (key, _path) = super::key(config, &archive).await?;
    let log = connect::log(config).await?;
    let now = log.now().await.or_unreachable()?;
    let time = |text: &Option<String>| text.as_ref().map(|text| when(text, now)).transpose();
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    let covers = Covers {
        container: args.container.clone(),
        incident: args.incident,
        since_ms: since.map(Timestamp::millis),
        until_ms: until.map(Timestamp::millis),
    };
    if covers.is_everything() {
        return Err(Failure::Usage(anyhow!(
            "what is to be held? Name it with --container, --incident, --since or --until"
        )));
    }
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(Failure::Usage(anyhow!("--until is before --since")));
    }
    let by = connect::operator();
    let (container, reason) = (args.container.clone(), args.reason.clone());
    let command = Command::Hold { container, incident: args.incident, since, until, reason };
    let host = args.container.as_ref().map_or_else(|| connect::own_host(config), Subject::host);
    let order = order(command, &by, host, args.container.clone(), now);
    let hold = order.envelope.id;
    // The statement first: from here on it is held, whatever becomes of the event.
    let what = HoldOrder::Placed { hold, covers };
    archive.state(what, &args.reason, &by, now, &key).await.or_unreachable()?;
    log.append(&[order])
        .await
        .with_context(|| format!("the hold {hold} is in force, and the log does not take the event"))
        .or_unreachable()?;
    match args.output.output {
        Output::Json => show::json(&json!({ "hold": hold, "result": "placed" })),
        Output::Table => show::line(&format!("hold {hold} is in force")),
    }
}

async fn release(config: &Config, id: &str, reason: &str, output: Output) -> Result<(), Failure> {
    let archive = super::open(config).await?;
    let (key, _path) = super::key(config, &archive).await?;
    let holds = archive.holds().await.or_unreachable()?;
    let fitting: Vec<_> = holds.in_force().filter(|hold| hold.id.to_string().starts_with(id)).collect();
    let hold = match fitting.as_slice() {
        [one] => one.id,
        [] => {
            return Err(Failure::Usage(anyhow!(
                "no hold `{id}` is in force; see `hemostat archive hold ls`"
            )));
        }
        _ => return Err(Failure::Usage(anyhow!("`{id}` fits several holds; give more of it"))),
    };
    let log = connect::log(config).await?;
    let (now, by) = (log.now().await.or_unreachable()?, connect::operator());
    let container = fitting[0].covers.container.clone();
    let host = container.as_ref().map_or_else(|| connect::own_host(config), Subject::host);
    let order = order(Command::Release { hold, reason: reason.to_owned() }, &by, host, container, now);
    let released = HoldOrder::Released { hold, order: order.envelope.id };
    // The event first: until the statement is there it is held.
    log.append(&[order]).await.context("the log does not take the event").or_unreachable()?;
    archive.state(released, reason, &by, now, &key).await.or_unreachable()?;
    match output {
        Output::Json => show::json(&json!({ "hold": hold, "result": "released" })),
        Output::Table => show::line(&format!("hold {hold} is released")),
    }
}

/// The event of an order that answers to nothing in the log.
pub(super) fn order(
    command: Command,
    by: &str,
    host: HostName,
    subject: Option<Subject>,
    now: Timestamp,
) -> Event {
    let said = format!("{by} {} {command:?}", now.micros());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(said.as_bytes()).as_bytes()[..16]);
    let envelope = Envelope {
        id: EventId::derive(EventId::from_bytes(bytes), Role::Operator, "order", 0),
        source: Source { role: Role::Operator, instance: by.to_owned() },
        time: now,
        host,
        subject,
        incident: None,
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: OperatorCommand { command, by: by.to_owned() }.into() }
}

fn list<'a>(holds: impl Iterator<Item = &'a Hold>, output: Output) -> Result<(), Failure> {
    let time = |ms: u64| show::date_time(Timestamp::from_millis(ms));
    let mut table = show::table(&["hold", "placed (utc)", "by", "covers", "why", "released"]);
    for hold in holds {
        let Covers { container, incident, since_ms, until_ms } = &hold.covers;
        if output == Output::Json {
            let iso = |ms: u64| Timestamp::from_millis(ms);
            show::json(&json!({
                "hold": hold.id, "placed": iso(hold.placed_ms), "by": hold.by, "reason": hold.reason,
                "container": container, "incident": incident,
                "since": since_ms.map(iso), "until": until_ms.map(iso), "released": hold.released_ms.map(iso),
            }))?;
            continue;
        }
        let parts = [
            container.as_ref().map(ToString::to_string),
            incident.map(|incident| format!("incident {}", incident.short())),
            since_ms.map(|ms| format!("since {}", time(ms))),
            until_ms.map(|ms| format!("until {}", time(ms))),
        ];
        table.add_row([
            hold.id.short(),
            time(hold.placed_ms),
            hold.by.clone(),
            parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
            hold.reason.clone(),
            hold.released_ms.map_or_else(|| "-".to_owned(), time),
        ]);
    }
    match output {
        Output::Json => Ok(()),
        Output::Table => show::print(&table, "No holds."),
    }
}
