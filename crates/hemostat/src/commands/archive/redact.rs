//! `hemostat archive redact`: bodies of events, gone for good.
//!
//! First everything is looked for, and nothing is done where something stands against it: a hold, or an entry that is not
//! archived yet. Then the order is appended to the log, and then each segment is written anew. A repetition takes an order
//! that is there already and does what is missing.

mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args;
use hemostat_agent::log::{EntryId, EventLog, Partition, StreamName};
use hemostat_archive::{Archive, Fate, PrivateKey, Revision};
use hemostat_event::{Command, EventId, HostName, Timestamp};
use serde_json::json;

use super::hold::order;
use crate::cli::{Output, OutputArgs};
use crate::commands::log::when;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};
use crate::show;
use search::{Found, State, Wanted};

/// `hemostat archive redact`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat archive redact --event 3f2a9c01,88e0d1f4 --reason 'an address in a log line' --dry-run
  hemostat archive redact --container web --since 2026-11-24T05:00:00Z --until 2026-11-24T06:00:00Z --reason 'claim 12'

The body goes as a whole, for good; header, place and digest stay, and the archive can be verified as before. Dead
letters that quote a chosen event go with it. What is held is refused, and so are orders to redact, hold and release.

What stays: the entry in Redis, until it is trimmed there; copies that were exported or recorded; words of the event
that later events repeat (a plan its evidence, a notification its text): look at what it caused, and name that too.")]
pub(crate) struct RedactArgs {
    /// Events: their ids, or the first eight digits or more of them, separated by commas.
    #[arg(long = "event", value_delimiter = ',', value_name = "ID", required_unless_present = "container")]
    events: Vec<String>,
    /// Events about this container: its name, or host/name.
    #[arg(long, value_name = "NAME", conflicts_with = "events")]
    container: Option<String>,
    /// Those since then: a time span (`1h`) or a time (`2026-11-24T05:00:00Z`).
    #[arg(long, value_name = "WHEN", requires = "container")]
    since: Option<String>,
    /// Those until then.
    #[arg(long, value_name = "WHEN", requires = "container")]
    until: Option<String>,
    /// Why; it is in the log for good.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Only show what would be taken out.
    #[arg(long)]
    dry_run: bool,
    /// Form of the output.
    #[command(flatten)]
    output: OutputArgs,
}

/// Most events that one order names: it has to fit into an event.
const PER_ORDER_MAX: usize = 1_000;

/// Takes bodies out.
///
/// # Errors
/// Exit 1 when something is held or not archived yet, 2 for what does not exist, 3 when log or archive is out of reach;
/// the call can be repeated.
pub(super) async fn run(config: &Config, args: &RedactArgs) -> Result<(), Failure> {
    let archive = super::open(config).await?;
    let (key, _path) = super::key(config, &archive).await?;
    let log: Arc<dyn EventLog> = Arc::new(connect::log(config).await?);
    // Before anybody asks what is held: a hold that is placed later is not broken.
    let now = log.now().await.or_unreachable()?;
    let holds = archive.holds().await.or_unreachable()?;
    let wanted = wanted(args, now)?;
    let mut found = Found::search(&archive, &log, &wanted, &holds).await?;
    found.check(&wanted)?;
    let is_refused = found.chosen.iter().any(|chosen| matches!(chosen.state, State::Held(_)));
    let is_done = !args.dry_run && !is_refused;
    if is_done {
        let reason = args.reason.as_deref().unwrap_or_default();
        give_orders(&log, &mut found, reason, now).await?;
        revise(&archive, &key, &found, now).await?;
    }
    tell(&found, &log, is_done, args).await?;
    if is_refused { Err(Failure::Finding) } else { Ok(()) }
}

fn wanted(args: &RedactArgs, now: Timestamp) -> Result<Wanted, Failure> {
    if args.reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err(Failure::Usage(anyhow!("--reason says nothing")));
    }
    if let Some(short) = args.events.iter().find(|id| id.len() < 8) {
        return Err(Failure::Usage(anyhow!("--event {short}: give at least eight digits of the id")));
    }
    let time = |text: &Option<String>| text.as_ref().map(|text| when(text, now)).transpose();
    Ok(Wanted {
        ids: args.events.clone(),
        container: args.container.clone(),
        since: time(&args.since)?,
        until: time(&args.until)?,
    })
}

/// Appends an order for what nobody ordered yet: one for the events of each host.
async fn give_orders(
    log: &Arc<dyn EventLog>,
    found: &mut Found,
    reason: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let by = connect::operator();
    let mut hosts: BTreeMap<HostName, BTreeSet<EventId>> = BTreeMap::new();
    for chosen in found.chosen.iter().filter(|chosen| chosen.state == State::Whole) {
        if !found.orders.contains_key(&chosen.event) {
            hosts.entry(chosen.host.clone()).or_default().insert(chosen.event);
        }
    }
    for (host, events) in hosts {
        let events: Vec<EventId> = events.into_iter().collect();
        for events in events.chunks(PER_ORDER_MAX) {
            let about: BTreeSet<_> = found
                .chosen
                .iter()
                .filter(|chosen| events.contains(&chosen.event))
                .map(|chosen| &chosen.container)
                .collect();
            let subject = match about.into_iter().collect::<Vec<_>>()[..] {
                [Some(one)] if one.host() == host => Some(one.clone()),
                _ => None,
            };
            let command = Command::Redact { events: events.to_vec(), reason: reason.to_owned() };
            let order = order(command, &by, host.clone(), subject, now);
            let id = order.envelope.id;
            log.append(&[order]).await.context("the log does not take the order").or_unreachable()?;
            found.orders.extend(events.iter().map(|event| (*event, id)));
        }
    }
    Ok(())
}

/// Writes every segment anew that has something of it.
async fn revise(archive: &Archive, key: &PrivateKey, found: &Found, now: Timestamp) -> Result<(), Failure> {
    let by = connect::operator();
    let mut segments: BTreeMap<(u16, u64), BTreeMap<u64, Fate>> = BTreeMap::new();
    for chosen in &found.chosen {
        let fates = segments.entry((chosen.partition, chosen.segment)).or_default();
        // What was taken out before is not again, but its segment may have an object to delete.
        if let Some(order) = found.orders.get(&chosen.event) {
            fates.insert(chosen.seq, Fate::Taken { event: chosen.event, order: *order });
        }
    }
    for ((partition, segment), fates) in segments {
        let head = &found.heads[&(partition, segment)];
        let with = Revision { key, by: &by, now_ms: now.millis() };
        let judge =
            &mut |record: &hemostat_archive::Record| fates.get(&record.seq).copied().unwrap_or(Fate::Stays);
        archive
            .revise(head, Some(with), judge)
            .await
            .with_context(|| format!("segment {segment} of partition {partition} is as it was; try again"))
            .or_unreachable()?;
    }
    Ok(())
}

async fn tell(
    found: &Found,
    log: &Arc<dyn EventLog>,
    is_done: bool,
    args: &RedactArgs,
) -> Result<(), Failure> {
    let in_redis = in_redis(found, log).await?;
    let mut table = show::table(&["seq", "time (utc)", "type", "container", "event", "state"]);
    let (mut taken, mut stay) = (0, 0);
    for chosen in &found.chosen {
        let (state, why) = match &chosen.state {
            State::Held(hold) => ("held", Some(format!("hold {hold}"))),
            State::Taken => ("redacted_before", None),
            State::Whole if is_done => ("redacted", None),
            State::Whole if args.dry_run => ("would_redact", None),
            State::Whole => ("not_redacted", Some("something else is held".to_owned())),
        };
        taken += u64::from(chosen.state == State::Whole);
        let is_in_redis = in_redis.contains(&(chosen.partition, chosen.seq));
        stay += u64::from(is_in_redis);
        if args.output.output == Output::Json {
            show::json(&json!({
                "partition": chosen.partition, "seq": chosen.seq, "event": chosen.event,
                "type": chosen.stream.event_type(), "container": chosen.container, "quotes": chosen.quotes,
                "result": state, "reason": why, "order": found.orders.get(&chosen.event),
                "still_in_redis": is_in_redis,
            }))?;
            continue;
        }
        let quotes = chosen.quotes.map(|event| format!(" (quotes {})", event.short())).unwrap_or_default();
        table.add_row([
            chosen.seq.to_string(),
            show::date_time(Timestamp::from_millis(chosen.id.ms)),
            chosen.stream.event_type().to_string(),
            chosen.container.as_ref().map_or("-", |container| container.name()).to_owned(),
            format!("{}{quotes}", chosen.event.short()),
            why.map_or_else(|| state.replace('_', " "), |why| format!("{}: {why}", state.replace('_', " "))),
        ]);
    }
    if args.output.output == Output::Json {
        return Ok(());
    }
    show::print(&table, "Nothing fits.")?;
    let what = match (is_done, args.dry_run) {
        (true, _) => "bodies are taken out of the archive",
        (false, true) => "bodies would be taken out of the archive",
        (false, false) => {
            "bodies are not taken out, because something is held: choose without it, or release the hold"
        }
    };
    show::line(&format!("{taken} {what}."))?;
    if 0 < stay {
        show::line(&format!(
            "{stay} of the entries stand in Redis too, with their bodies, until they are trimmed there (retention.*)."
        ))?;
    }
    for (event, kind) in &found.caused {
        show::line(&format!("{kind} {} was caused by it and may repeat words of it.", event.short()))?;
    }
    Ok(())
}

/// Which of the entries still stand in the log: nothing is taken out of the middle of a stream.
async fn in_redis(found: &Found, log: &Arc<dyn EventLog>) -> Result<BTreeSet<(u16, u64)>, Failure> {
    let mut oldest: BTreeMap<(u16, StreamName), Option<EntryId>> = BTreeMap::new();
    let mut there = BTreeSet::new();
    for chosen in &found.chosen {
        let place = (chosen.partition, chosen.stream.clone());
        let oldest = match oldest.get(&place) {
            Some(oldest) => *oldest,
            None => {
                let first = log.stored(Partition(chosen.partition), &chosen.stream, EntryId::ZERO, 1).await;
                let first = first.or_unreachable()?.first().map(|entry| entry.at.id);
                *oldest.entry(place).or_insert(first)
            }
        };
        if oldest.is_some_and(|oldest| oldest <= chosen.id) {
            there.insert((chosen.partition, chosen.seq));
        }
    }
    Ok(there)
}
