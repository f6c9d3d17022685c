//! `hemostat-replay restore`: an empty Redis becomes what the log was when its last segment was sealed.
//!
//! The log is made in a shadow beside its place and put there in one step per partition, so no agent meets half of it.
//!
//! What was written after the last segment is lost, and so is what it said of actions. Where the archive does not tell
//! whether a plan was begun, the plan is ended: it is not carried out, and the entry that ends it says why.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_agent::janitor;
use hemostat_agent::log::{Cursors, EntryId, EntryRef, EventLog as _, Partition, Stored, StreamName};
use hemostat_archive::{Archive, Head, Loss, Reader, Record, Sealer, Selection, Signed};
use hemostat_event::{EventType, Role, Source, Timestamp};
use hemostat_redis::{KNOWN_FOR, RedisLog, RedisSettings};
use serde::Serialize;

use super::old_keys;
use super::projection::{Projection, needed_after};
use crate::cli::{FromArgs, OutputArgs};
use crate::source::{decisions, open_archive};
use crate::{rules, screen};

/// What is restored, and how much of it.
#[derive(Debug, Args)]
#[command(
    after_help = "The Redis at --redis must not hold a log in that namespace yet. Agents that wait for it go on by themselves;
those that have begun a log of their own there have to be stopped, and that log removed, first.

Examples:
  hemostat-replay restore --archive /var/lib/hemostat/archive --redis redis://127.0.0.1:6379
  hemostat-replay restore --archive … --redis … --dry-run
  hemostat-replay restore --archive … --redis … --keep-samples 2h --set responder.stabilise=60s

Verify the archive first (hemostat-replay verify): what is restored is acted on."
)]
pub(crate) struct RestoreArgs {
    /// Age up to which events are put back into Redis; those that a group has not dealt with are, whatever their age. What
    /// is older stays in the archive
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    keep: Option<Duration>,
    /// Age up to which samples are put back
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    keep_samples: Option<Duration>,
    /// Partitions of the log, where they cannot be told from the archive
    #[arg(long, value_name = "NUMBER")]
    partitions: Option<u16>,
    /// Only these partitions; all where it is not given
    #[arg(long = "partition", value_name = "NUMBER")]
    only: Vec<u16>,
    /// Restore although entries are missing: the states lack what they changed
    #[arg(long)]
    with_gaps: bool,
    /// Only say what would be restored
    #[arg(long)]
    dry_run: bool,
    /// A setting of the agents that is not the default: `responder.stabilise=60s`. May be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How it is shown.
    #[command(flatten)]
    output: OutputArgs,
}

/// What was restored of a partition.
#[derive(Debug, Serialize)]
struct Restored {
    partition: u16,
    /// The number of the last event.
    seq: u64,
    /// Log time of the last event in the archive.
    until: String,
    entries: u64,
    states: usize,
    deadlines: usize,
    groups: usize,
    /// Ids by which repetitions are known.
    known_ids: usize,
    /// Plans that are not carried out, because the archive does not tell whether they were begun.
    plans_ended: usize,
    /// Entries that cannot be read any more: what they changed is in no state.
    without_body: u64,
    /// Events from which the keys of the Python HemoStat were made, where there was a bridge.
    old_keys_from: u64,
}

/// Restores.
///
/// # Errors
/// When archive or Redis cannot be reached, the archive has gaps, or there is a log already.
pub(crate) async fn run(from: &FromArgs, args: &RestoreArgs) -> anyhow::Result<bool> {
    let (Some(place), Some(url)) = (&from.archive, &from.redis) else {
        bail!("name the archive (--archive) and the Redis that becomes the log (--redis)");
    };
    from.refuse_recording("restore")?;
    let rules = rules::rules(&args.set)?;
    let archive = open_archive(place)?;
    let there = archive.partitions().await.context("failed to list the archive")?;
    if there.is_empty() {
        bail!("there is no archive in `{place}`: no partition has a segment");
    }
    // A log on one server has one partition; where there are others it was on a cluster.
    let usual = if there == [0] { 1 } else { there.iter().fold(16, |most, number| most.max(number + 1)) };
    let count = args.partitions.unwrap_or(usual);
    let namespace = format!("{}-restore", from.namespace);
    let settings = RedisSettings { url: url.clone(), namespace, partitions: Some(count) };
    let shadow = RedisLog::shadow(settings).await.context("failed to open the Redis at --redis")?;
    shadow.clear_shadow().await?;
    let restore =
        Restore { archive: &archive, shadow: &shadow, args, url, count, responder: rules.responder };
    let wanted = there.into_iter().filter(|number| args.only.is_empty() || args.only.contains(number));
    let wanted: Vec<_> = wanted.collect();
    let unknown = args.only.iter().find(|number| !wanted.contains(number));
    let taken = async |partition: &u16| shadow.is_taken(Partition(*partition), &from.namespace).await;
    let mut hindrance = unknown.map(|number| format!("the archive has no partition {number}"));
    for partition in &wanted {
        if hindrance.is_none() && taken(partition).await? {
            hindrance = Some(format!(
                "partition {partition} of `{}` has a log already; nothing of it was changed",
                from.namespace
            ));
        }
    }
    if let Some(hindrance) = hindrance {
        shadow.remove_shadow().await?;
        bail!(hindrance);
    }
    let restored = restore.all(&wanted, &from.namespace).await;
    shadow.remove_shadow().await?;
    show(&restored?, args)?;
    Ok(true)
}

/// A restoration under way.
struct Restore<'a> {
    archive: &'a Archive,
    shadow: &'a RedisLog,
    args: &'a RestoreArgs,
    url: &'a str,
    /// Partitions of the log.
    count: u16,
    responder: hemostat_core::remediate::Responder,
}

impl Restore<'_> {
    /// Makes the partitions, and puts them in their place when all of them are made.
    async fn all(&self, partitions: &[u16], namespace: &str) -> anyhow::Result<Vec<Restored>> {
        let mut restored = Vec::new();
        for partition in partitions {
            let one = self.partition(*partition).await;
            restored.push(one.with_context(|| format!("failed to restore partition {partition}"))?);
        }
        if !self.args.dry_run {
            for partition in partitions {
                self.shadow.adopt(Partition(*partition), namespace).await?;
            }
            for one in &mut restored {
                one.old_keys_from = self.old_keys(one.partition).await?;
            }
        }
        Ok(restored)
    }

    async fn partition(&self, number: u16) -> anyhow::Result<Restored> {
        let partition = Partition(number);
        let all = self.archive.heads(number).await?;
        self.refuse_cut_end(number, all.last()).await?;
        let before: u64 = all.iter().map(|head| head.statement.count).sum();
        let heads = last_life(all);
        let count: u64 = heads.iter().map(|head| head.statement.count).sum();
        if count < before {
            let since = heads.first().map_or(0, |head| head.statement.first_ms);
            eprintln!(
                "hemostat-replay: the log of partition {number} began anew at {}: only its {count} entries since then are \
                 restored, with what states they make; the {} before stay in the archive",
                screen::date_time(Timestamp::from_millis(since)),
                before - count
            );
        }
        let last = heads.last().context("it has no segment")?.clone();
        self.refuse_gaps(&heads)?;
        let cursors = cursors(&last.statement)?;
        let now = self.shadow.now().await?;
        let mut projection = Projection::new(number, now.before(KNOWN_FOR));
        let mut restored = Restored {
            partition: number,
            seq: 0,
            until: screen::date_time(Timestamp::from_millis(last.statement.last_ms)),
            entries: 0,
            states: 0,
            deadlines: 0,
            groups: cursors.positions.len(),
            known_ids: 0,
            plans_ended: 0,
            without_body: 0,
            old_keys_from: 0,
        };
        let keep = self.args.keep.unwrap_or(janitor::Settings::default().events);
        let mut reader = Reader::of(self.archive, heads.clone(), decisions());
        while let Some(records) = reader.next().await? {
            let mut entries = Vec::new();
            // Samples stand in the same frames.
            for record in records.iter().filter(|record| !is_sample(record)) {
                self.check_place(number, record)?;
                projection.take_in(record);
                let needed = needed_after(&cursors, &record.stream).is_some_and(|after| after < record.id);
                if needed || now.before(keep) <= record.id.time() {
                    entries.extend(stored(partition, record));
                }
            }
            self.put(partition, &entries, &mut restored).await?;
        }
        let since = now.before(self.args.keep_samples.unwrap_or(janitor::Settings::default().samples));
        let samples = Selection {
            since: Some(since),
            types: [EventType::ContainerSample].into(),
            ..Selection::default()
        };
        let mut reader = Reader::of(self.archive, heads, samples);
        while let Some(records) = reader.next().await? {
            let young = records.iter().filter(|record| is_sample(record) && since <= record.id.time());
            let entries: Vec<_> = young.filter_map(|record| stored(partition, record)).collect();
            self.put(partition, &entries, &mut restored).await?;
        }
        let (positions, seq) = Sealer::new(number, Some(last)).position();
        projection.ends_at(seq, positions);
        let source = Source { role: Role::Responder, instance: "restore".to_owned() };
        let ended = projection.end_open_plans(&source, now);
        let ended: Vec<_> = ended.iter().filter_map(|record| stored(partition, record)).collect();
        self.put(partition, &ended, &mut restored).await?;
        restored.plans_ended = ended.len();
        let states: Vec<_> = projection
            .states
            .stored()
            .into_iter()
            .map(|((role, subject), state)| (role, subject, state))
            .collect();
        restored.without_body = projection.unread;
        let books = projection.bookkeeping(cursors, &self.responder);
        restored.seq = books.cursors.seq;
        (restored.states, restored.deadlines) = (states.len(), books.timers.len());
        restored.known_ids = books.known.len();
        if !self.args.dry_run {
            self.shadow.put_states(partition, &states).await?;
            self.shadow.put_bookkeeping(partition, &books).await?;
        }
        Ok(restored)
    }

    /// Behind everything else: the log is whole without them.
    async fn old_keys(&self, partition: u16) -> anyhow::Result<u64> {
        let heads = last_life(self.archive.heads(partition).await?);
        let Some(last) = heads.last() else { return Ok(0) };
        let (cursors, now) = (cursors(&last.statement)?, self.shadow.now().await?);
        old_keys::write(self.archive, &heads, &cursors, self.url, &self.responder.policy, now).await
    }

    async fn put(
        &self,
        partition: Partition,
        entries: &[Stored],
        restored: &mut Restored,
    ) -> anyhow::Result<()> {
        restored.entries += entries.len() as u64;
        if !self.args.dry_run {
            self.shadow.put_entries(partition, entries).await?;
        }
        Ok(())
    }

    /// The states are the fold of all events: they would lack what is missing.
    fn refuse_gaps(&self, heads: &[Signed<Head>]) -> anyhow::Result<()> {
        let first = heads.first().map_or(1, |head| head.statement.first_seq);
        let lost = heads.iter().flat_map(|head| &head.statement.losses);
        let missing = lost.filter(|loss| matches!(loss, Loss::Missing { .. })).count();
        let follows = |pair: &[Signed<Head>]| pair[1].statement.predecessor == Some(pair[0].digest);
        let removed = heads.windows(2).filter(|pair| !follows(pair)).count();
        if 1 < first || 0 < missing || 0 < removed {
            let said = format!(
                "the archive begins with number {first}, has {missing} gaps, and {removed} of its segments do not follow the \
                 one before them"
            );
            if !self.args.with_gaps {
                bail!("{said}: states made of it lack what is missing. To restore all the same: --with-gaps");
            }
            eprintln!("hemostat-replay: {said}: the states lack what is missing");
        }
        Ok(())
    }

    /// The tip says where the archive ended: an end that was cut off lacks the last intents.
    async fn refuse_cut_end(&self, number: u16, last: Option<&Signed<Head>>) -> anyhow::Result<()> {
        let tip = self.archive.tip(number).await.context("the tip of the archive cannot be read")?;
        let ends_at = last.map_or(0, |head| head.statement.number);
        let said = match tip {
            None => "the archive has no tip, which says where it ends".to_owned(),
            Some(tip) if ends_at < tip.statement.number => {
                format!("the archive ends with segment {ends_at}, and its tip says {}", tip.statement.number)
            }
            Some(_) => return Ok(()),
        };
        if !self.args.with_gaps {
            bail!("{said}: what is missing is not in the states. To restore all the same: --with-gaps");
        }
        eprintln!("hemostat-replay: {said}");
        Ok(())
    }

    /// Whether the log had so many partitions as is believed.
    fn check_place(&self, partition: u16, record: &Record) -> anyhow::Result<()> {
        let Some(host) = record.stream.host().cloned().or_else(|| host_of(record)) else { return Ok(()) };
        if Partition::of(&host, self.count).0 != partition {
            bail!(
                "the log did not have {} partitions: {host} is in partition {partition}. Say how many it had: --partitions",
                self.count
            );
        }
        Ok(())
    }
}

/// The segments of the last life of the log.
pub(super) fn last_life(heads: Vec<Signed<Head>>) -> Vec<Signed<Head>> {
    let epoch = heads.last().map(|head| head.statement.epoch);
    heads.into_iter().filter(|head| Some(head.statement.epoch) == epoch).collect()
}

/// Where the groups were when the segment was sealed.
fn cursors(head: &Head) -> anyhow::Result<Cursors> {
    let mut cursors = Cursors { seq: head.last_seq, ..Cursors::default() };
    for (field, cursor) in &head.cursors {
        let read = || {
            let (role, stream) = field.split_once(' ')?;
            Some(((role.parse().ok()?, stream.parse().ok()?), cursor.parse().ok()?))
        };
        let (group, cursor): ((Role, StreamName), EntryId) =
            read().with_context(|| format!("a group whose place cannot be read: `{field}` at `{cursor}`"))?;
        cursors.positions.insert(group, cursor);
    }
    Ok(cursors)
}

fn is_sample(record: &Record) -> bool {
    record.stream.event_type() == EventType::ContainerSample
}

fn host_of(record: &Record) -> Option<hemostat_event::HostName> {
    record.event()?.ok().map(|event| event.envelope.host)
}

/// The entry as it stood; nothing where its body is gone.
fn stored(partition: Partition, record: &Record) -> Option<Stored> {
    let fields =
        record.fields()?.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect();
    let at = EntryRef { partition, stream: record.stream.clone(), id: record.id };
    Some(Stored { at, fields })
}

fn show(restored: &[Restored], args: &RestoreArgs) -> anyhow::Result<()> {
    if args.output.is_json() {
        return screen::json(&serde_json::json!({ "dry_run": args.dry_run, "partitions": restored }));
    }
    let mut table =
        screen::table(&["partition", "last number", "until", "entries", "states", "deadlines", "groups"]);
    for one in restored {
        table.add_row([
            one.partition.to_string(),
            one.seq.to_string(),
            one.until.clone(),
            one.entries.to_string(),
            one.states.to_string(),
            one.deadlines.to_string(),
            one.groups.to_string(),
        ]);
    }
    screen::line(&table.to_string())?;
    let plans: usize = restored.iter().map(|one| one.plans_ended).sum();
    if 0 < plans {
        screen::line(&format!(
            "{plans} plans are not carried out: the archive does not tell whether they were begun. A sickness that goes on is \
             planned for again."
        ))?;
    }
    let without: u64 = restored.iter().map(|one| one.without_body).sum();
    if 0 < without {
        screen::line(&format!("{without} entries have no body any more: what they changed is in no state."))?;
    }
    let said = if args.dry_run { "Nothing was written (--dry-run)." } else { "The log is in its place." };
    screen::line(said)
}
