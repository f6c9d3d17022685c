//! `hemostat-replay rebuild`: the states of all roles from the log, beside those that are stored (L-3).

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_agent::log::{EventLog as _, Partition};
use hemostat_archive::Record;
use hemostat_core::project::visible;
use hemostat_core::remediate::Responder;
use hemostat_event::{Role, Subject, Timestamp};
use hemostat_redis::{RedisLog, RedisSettings, Snapshot};
use serde::Serialize;

use super::projection::Projection;
use super::restore::last_life;
use crate::cli::{FromArgs, OutputArgs};
use crate::source::{Source, decisions, open_archive};
use crate::{rules, screen};

/// Only compared, or put right.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat-replay rebuild --check --redis redis://127.0.0.1:6379
  hemostat-replay rebuild --check --archive /var/lib/hemostat/archive --redis redis://127.0.0.1:6379
  hemostat-replay rebuild --archive … --redis …

The states are made of all events: where Redis has been trimmed, name the archive too. Stop the agents before states are
put right: a replica decides on what it remembers of them.

Exit codes: 0 they are the same (now), 1 they were not, 2 usage, 3 something cannot be read.")]
pub(crate) struct RebuildArgs {
    /// Only compare, and change nothing
    #[arg(long)]
    check: bool,
    /// A setting of the agents that is not the default: `responder.stabilise=60s`. May be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How it is shown.
    #[command(flatten)]
    output: OutputArgs,
}

/// The roles that keep states.
const ROLES: [Role; 4] = [Role::Monitor, Role::Analyzer, Role::Responder, Role::Alert];
/// Times a log may go on while states are put in their place before that is given up.
const TRIES_MAX: usize = 20;
/// Differences that are shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// What is otherwise in the log than it was worked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    partition: u16,
    role: Role,
    container: Subject,
    what: String,
}

/// Compares, and puts right where that is wanted. `false` when something was otherwise.
///
/// # Errors
/// When the log cannot be read from its beginning, or goes on too fast to be put right.
pub(crate) async fn run(from: &FromArgs, args: &RebuildArgs) -> anyhow::Result<bool> {
    let Some(url) = &from.redis else { bail!("name the live log (--redis) whose states are compared") };
    from.refuse_recording("rebuild")?;
    let settings = RedisSettings { url: url.clone(), namespace: from.namespace.clone(), partitions: None };
    let log = RedisLog::connect(settings).await.context("failed to open the event log at --redis")?;
    let responder = rules::rules(&args.set)?.responder;
    let mut snapshots = Vec::new();
    for partition in log.partitions() {
        snapshots.push((partition, log.snapshot(partition, &ROLES).await?));
    }
    let mut made = Made::open(from).await?;
    let mut differences = Vec::new();
    let compared: usize = snapshots.iter().map(|(_, snapshot)| snapshot.states.len()).sum();
    made.read_on(&snapshots.iter().map(|(partition, snapshot)| (partition.0, snapshot.seq)).collect())
        .await?;
    for (partition, snapshot) in snapshots {
        made.must_be_of_this_log(&log, partition).await?;
        let found = compare(partition, made.of(partition), &snapshot, &responder);
        if !found.is_empty() && !args.check {
            made.must_be_whole(partition)?;
            put_right(&log, partition, &mut made, &responder).await?;
        }
        differences.extend(found);
    }
    made.say_what_is_missing();
    show(&differences, compared, args)?;
    Ok(differences.is_empty())
}

/// Puts the states of a partition in the place of those that are stored.
async fn put_right(
    log: &RedisLog,
    partition: Partition,
    made: &mut Made,
    responder: &Responder,
) -> anyhow::Result<()> {
    for _try in 0..TRIES_MAX {
        let snapshot = log.snapshot(partition, &ROLES).await?;
        made.read_on(&[(partition.0, snapshot.seq)].into()).await?;
        let states = made.of(partition).states.stored();
        let timers = made.of(partition).states.deadlines(responder);
        if log.swap(partition, snapshot.seq, &ROLES, &states, &timers).await? {
            return Ok(());
        }
    }
    bail!("the log goes on too fast for its states to be put right: stop the agents first")
}

/// What is otherwise in `snapshot` than in `made`.
fn compare(
    partition: Partition,
    made: &Projection,
    snapshot: &Snapshot,
    responder: &Responder,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |role: Role, container: &Subject, what: String| {
        found.push(Difference { partition: partition.0, role, container: container.clone(), what });
    };
    let stored = made.states.stored();
    for ((role, subject), state) in &snapshot.states {
        match stored.get(&(*role, subject.clone())) {
            _ if made.states.say(*role, subject, state) => {}
            None => {
                differs(*role, subject, format!("version {} is stored, and no event made it", state.version));
            }
            Some(of_events) if of_events.version != state.version => differs(
                *role,
                subject,
                format!("version {} is stored, and the log has {} events", state.version, of_events.version),
            ),
            Some(_) => {
                differs(*role, subject, format!("version {} is not the fold of its events", state.version));
            }
        }
    }
    for ((role, subject), of_events) in &stored {
        if !snapshot.states.contains_key(&(*role, subject.clone())) {
            differs(
                *role,
                subject,
                format!("nothing is stored, and the log has {} events", of_events.version),
            );
        }
    }
    for (role, timer) in made.states.deadlines(responder) {
        let member = (role, timer.subject.clone(), timer.name.clone(), timer.cause);
        if !snapshot.timers.contains(&member) {
            differs(
                role,
                &timer.subject,
                format!("the deadline `{}` of plan {} is not set", timer.name, timer.cause),
            );
        }
    }
    found
}

fn show(differences: &[Difference], compared: usize, args: &RebuildArgs) -> anyhow::Result<()> {
    let is_mended = !args.check && !differences.is_empty();
    if args.output.is_json() {
        return screen::json(&serde_json::json!({
            "states": compared,
            "differences": differences,
            "put_right": is_mended,
        }));
    }
    if differences.is_empty() {
        return screen::line(&format!("{compared} states are what their events make."));
    }
    let mut table = screen::table(&["partition", "role", "container", "difference"]);
    for difference in differences.iter().take(SHOWN_MAX) {
        table.add_row([
            difference.partition.to_string(),
            difference.role.to_string(),
            visible(difference.container.as_str()),
            difference.what.clone(),
        ]);
    }
    screen::line(&table.to_string())?;
    if SHOWN_MAX < differences.len() {
        screen::line(&format!("and {} more", differences.len() - SHOWN_MAX))?;
    }
    let said = if is_mended { "were put right" } else { "nothing was changed" };
    screen::line(&format!("{} differences in {compared} states; {said}.", differences.len()))
}

/// What was worked out so far.
struct Made {
    source: Source,
    /// Log time at which the last life of each partition begins that the archive knows of.
    begins: BTreeMap<u16, u64>,
    projections: BTreeMap<u16, Projection>,
    /// Entries that were read and stand behind the number that was asked for.
    behind: BTreeMap<u16, VecDeque<Record>>,
}

impl Made {
    async fn open(from: &FromArgs) -> anyhow::Result<Self> {
        let source = Source::open_along(from, decisions()).await?;
        let mut begins = BTreeMap::new();
        if let Some(place) = &from.archive {
            let archive = open_archive(place)?;
            for partition in archive.partitions().await.context("failed to list the archive")? {
                let heads = last_life(archive.heads(partition).await?);
                begins.extend(heads.first().map(|head| (partition, head.statement.first_ms)));
            }
        }
        Ok(Self { source, begins, projections: BTreeMap::new(), behind: BTreeMap::new() })
    }

    /// Whether the log that is stored has come as far as what was read: else it is another one.
    async fn must_be_of_this_log(&self, log: &RedisLog, partition: Partition) -> anyhow::Result<()> {
        let Some(last) = self.behind.get(&partition.0).and_then(|behind| behind.back()) else {
            return Ok(());
        };
        let there = log.cursors(partition).await?.seq;
        if there < last.seq {
            bail!(
                "the log in Redis ends with number {there} in partition {partition}, and what was read goes to {}: is it the \
                 log of this archive? One that was lost is restored first (hemostat-replay restore)",
                last.seq,
                partition = partition.0
            );
        }
        Ok(())
    }

    /// Whether every event could be read: else stored states know more than what is made of the rest.
    fn must_be_whole(&self, partition: Partition) -> anyhow::Result<()> {
        let unread = self.projections.get(&partition.0).map_or(0, |projection| projection.unread);
        if 0 < unread {
            bail!(
                "{unread} entries have no body any more (they were redacted): the stored states know what they said, and are \
                 left as they are"
            );
        }
        Ok(())
    }

    fn of(&mut self, partition: Partition) -> &Projection {
        self.projections.entry(partition.0).or_insert_with(|| Projection::new(partition.0, Timestamp::MAX))
    }

    /// Takes in what there is, of each partition up to a number, and of those that are not named nothing.
    async fn read_on(&mut self, up_to: &BTreeMap<u16, u64>) -> anyhow::Result<()> {
        for (partition, seq) in up_to {
            for record in self.behind.remove(partition).unwrap_or_default() {
                self.take(*partition, *seq, record);
            }
        }
        // On a log that goes on without end the end is where every partition is behind its number.
        while !(self.source.is_live() && up_to.keys().all(|partition| self.is_behind(*partition)))
            && let Some(read) = self.source.next().await?
        {
            for (partition, record) in read {
                self.take(partition, up_to.get(&partition).copied().unwrap_or(0), record);
            }
        }
        Ok(())
    }

    /// Whether an entry was read that stands behind the number that was asked for.
    fn is_behind(&self, partition: u16) -> bool {
        self.behind.get(&partition).is_some_and(|behind| !behind.is_empty())
    }

    fn take(&mut self, partition: u16, up_to: u64, record: Record) {
        if self.begins.get(&partition).is_some_and(|begins| record.id.ms < *begins) {
            return;
        }
        let behind = self.behind.entry(partition).or_default();
        if behind.back().is_some_and(|last| record.seq <= last.seq) {
            // The log began anew, and what was before is of no interest.
            behind.clear();
        }
        if up_to < record.seq {
            behind.push_back(record);
            return;
        }
        let fresh = || Projection::new(partition, Timestamp::MAX);
        self.projections.entry(partition).or_insert_with(fresh).take_in(&record);
    }

    fn say_what_is_missing(&self) {
        for (partition, projection) in &self.projections {
            let first = projection.numbers.map_or(1, |(first, _)| first);
            if 1 < first {
                eprintln!(
                    "hemostat-replay: partition {partition} is read from number {first} on: what stood before it, samples \
                     apart, is not in the states that are compared; name the archive too"
                );
            }
            if 0 < projection.unread {
                eprintln!(
                    "hemostat-replay: {} entries of partition {partition} have no body any more: what they changed is not in \
                     the states that are compared",
                    projection.unread
                );
            }
        }
    }
}
