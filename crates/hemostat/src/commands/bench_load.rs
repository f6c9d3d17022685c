//! `hemostat bench load`: how fast the analyzers answer that run on the configured log, seen from outside.
//!
//! Alerts are written faster than they are answered. When all have their answer the answers are read, and the log's own
//! times of them say how fast they came: nothing is measured while it runs, and the clock is that of the server. The rate is
//! that of the time after the last alert was written, without the first and the last tenth of the answers.

use std::collections::HashMap;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use anyhow::anyhow;
use futures_util::future::try_join_all;
use hemostat_agent::log::{EntryId, EventLog, Partition, StreamName};
use hemostat_event::{EventId, EventType, HostName, Role, Timestamp};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::bench_hop::premade;
use super::run_agents::stop_on_signal;
use crate::cli::{LoadArgs, Output};
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// What the names of the hosts begin with that there are not.
const HOSTS: &str = "bench-";
/// Alerts in one append.
const BATCH: usize = 256;
/// Answers in one reading.
const PAGE: usize = 1_000;
/// Time between two looks at how many wait.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longest time without a new answer.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Debug, Serialize)]
struct Row {
    /// Analyzers that ran.
    replicas: usize,
    partitions: usize,
    alerts: usize,
    containers: usize,
    written_per_second: f64,
    /// Alerts without an answer when the last one was written.
    backlog: usize,
    answers_per_second: f64,
    /// From the first alert to the last answer.
    seconds: f64,
    /// Whether the analyzers kept up with the writing, so that they might have been faster.
    bounded_by_writer: bool,
}

/// Measures.
///
/// # Errors
/// Exit 1 when an alert has no answer or two, exit 2 where the log is in use, exit 3 when no analyzer runs.
pub(crate) async fn run(config: &Config, args: &LoadArgs) -> Result<(), Failure> {
    if args.events < 100 || args.containers == 0 || args.replicas == Some(0) {
        return Err(Failure::Usage(anyhow!("a run needs at least 100 events, 1 container and 1 replica")));
    }
    let stop = stop_on_signal()?;
    let log = connect::log(config).await?;
    connect::refuse_shadow(&log).await?;
    if !args.anyway {
        refuse_in_use(&log).await?;
    }
    let Some(measured) = stop.run_until_cancelled(measure(&log, args)).await else { return Ok(()) };
    let row = measured?;
    if args.output.output == Output::Json { show::json(&row) } else { print(&row) }
}

/// Refuses a log that somebody looks at: these alerts would stand among the true ones.
async fn refuse_in_use(log: &dyn EventLog) -> Result<(), Failure> {
    let refuse = |found: String| {
        Err(Failure::Usage(anyhow!(
            "{found}, among which made-up alerts would be; --anyway writes them all the same"
        )))
    };
    let watching = [Role::Monitor, Role::Alert];
    if let Some(agent) =
        log.agents().await.or_unreachable()?.iter().find(|agent| watching.contains(&agent.role))
    {
        return refuse(format!("the log is in use by the {} `{}`", agent.role, agent.instance));
    }
    for partition in log.partitions() {
        for stream in log.streams(partition).await.or_unreachable()? {
            let first = log.range(partition, &stream, EntryId::ZERO, 1).await.or_unreachable()?;
            let is_ours = |host: &HostName| host.as_str().starts_with(HOSTS);
            let others = first.first().is_some_and(|entry| match &entry.event {
                Ok(event) => !is_ours(&event.envelope.host),
                Err(_unreadable) => true,
            });
            if others {
                return refuse(format!("the log has events of others in `{stream}`"));
            }
        }
    }
    Ok(())
}

async fn measure(log: &dyn EventLog, args: &LoadArgs) -> Result<Row, Failure> {
    let replicas = analyzers(log, args).await?;
    let now = log.now().await.or_unreachable()?;
    let hosts = hosts(log, now);
    let progress = Progress::new(args);
    let before = written(log).await?;
    let alerts = write(log, &hosts, args, now, &progress).await?;
    let ended = log.now().await.or_unreachable()?;
    progress.end();
    // Also where nobody looks: who holds the analyzers until then waits for it.
    eprintln!("{} alerts are written", alerts.len());
    drained(log, args.events, before, &progress).await?;
    progress.end();
    let times = answers(log, &hosts, alerts).await?;
    let count = times.len();
    let early = times.partition_point(|time| *time < ended);
    let backlog = count - early;
    let bounded_by_writer = backlog < count / 2;
    let first = if bounded_by_writer { count / 10 } else { early.max(count / 10) };
    let last = count - 1 - count / 10;
    let spent = |from: Timestamp, to: Timestamp| to.since(from).as_secs_f64().max(0.001);
    Ok(Row {
        replicas,
        partitions: hosts.len(),
        alerts: count,
        containers: args.containers,
        written_per_second: count as f64 / spent(now, ended),
        backlog,
        answers_per_second: (last - first) as f64 / spent(times[first], times[last]),
        seconds: spent(now, times[count - 1]),
        bounded_by_writer,
    })
}

/// Waits until as many analyzers run as there should be; how many they are.
async fn analyzers(log: &dyn EventLog, args: &LoadArgs) -> Result<usize, Failure> {
    let began = Instant::now();
    loop {
        let agents = log.agents().await.or_unreachable()?;
        let count = agents.iter().filter(|agent| agent.role == Role::Analyzer).count();
        if args.replicas.map_or(0 < count, |wanted| wanted == count) {
            return Ok(count);
        }
        if args.wait < began.elapsed() {
            let wanted = args.replicas.map_or("one at least".to_owned(), |wanted| wanted.to_string());
            return Err(Failure::Unreachable(anyhow!(
                "{count} analyzers run on this log after {}, and {wanted} should",
                show::span(args.wait)
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A host in each partition, as this run alone has them.
fn hosts(log: &dyn EventLog, now: Timestamp) -> Vec<HostName> {
    let wanted = log.partitions();
    let mut found: HashMap<Partition, HostName> = HashMap::new();
    for number in 0_u32.. {
        if found.len() == wanted.len() {
            break;
        }
        let host =
            HostName::new(format!("{HOSTS}{:x}-{number}", now.millis())).expect("these letters make a name");
        found.entry(log.partition_of(&host)).or_insert(host);
    }
    wanted.iter().filter_map(|partition| found.remove(partition)).collect()
}

/// Writes the alerts, as many at a time as there are partitions; their ids.
async fn write(
    log: &dyn EventLog,
    hosts: &[HostName],
    args: &LoadArgs,
    now: Timestamp,
    progress: &Progress,
) -> Result<HashMap<EventId, usize>, Failure> {
    let mut ids = HashMap::with_capacity(args.events);
    let containers = args.containers.div_ceil(hosts.len());
    let mut of_host = 0;
    while ids.len() < args.events {
        // Only what is under way is in memory: a container has little of it.
        let size = BATCH.min((args.events - ids.len()).div_ceil(hosts.len()));
        let mut batches = Vec::new();
        for host in hosts {
            let room = size.min(args.events - ids.len());
            let batch: Vec<_> =
                (of_host..of_host + room).map(|number| premade::nth(host, number, containers, now)).collect();
            ids.extend(batch.iter().map(|alert| (alert.envelope.id, 0)));
            batches.push(batch);
        }
        of_host += size;
        try_join_all(batches.iter().map(|batch| log.append(batch))).await.or_unreachable()?;
        progress.show("written", ids.len());
    }
    Ok(ids)
}

/// Events that the log has ever had.
async fn written(log: &dyn EventLog) -> Result<u64, Failure> {
    let mut count = 0;
    for partition in log.partitions() {
        count += log.cursors(partition).await.or_unreachable()?.seq;
    }
    Ok(count)
}

/// Waits until the analyzers' group has nothing more to read and nothing pending.
async fn drained(log: &dyn EventLog, alerts: usize, before: u64, progress: &Progress) -> Result<(), Failure> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let groups = log.groups().await.or_unreachable()?;
        let ours = groups.iter().filter(|group| {
            group.role == Role::Analyzer && group.stream == StreamName::Type(EventType::HealthAlert)
        });
        if ours.map(|group| group.unread.most + group.pending).sum::<u64>() == 0 {
            return Ok(());
        }
        let count = written(log).await?;
        let answered = usize::try_from(count - before).unwrap_or(usize::MAX).saturating_sub(alerts);
        progress.show("answered", answered.min(alerts));
        if count != seen {
            (seen, moved) = (count, Instant::now());
        } else if STALL_MAX < moved.elapsed() {
            return Err(anyhow!("no answer for {}: {answered} of {alerts}", show::span(STALL_MAX)).into());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// When the answers were written, in order; each alert has to have one.
async fn answers(
    log: &dyn EventLog,
    hosts: &[HostName],
    mut alerts: HashMap<EventId, usize>,
) -> Result<Vec<Timestamp>, Failure> {
    let mut times = Vec::with_capacity(alerts.len());
    for host in hosts {
        let (partition, stream) = (log.partition_of(host), StreamName::Plans(host.clone()));
        let mut after = EntryId::ZERO;
        loop {
            let entries = log.range(partition, &stream, after, PAGE).await.or_unreachable()?;
            let Some(last) = entries.last() else { break };
            after = last.at.id;
            for entry in &entries {
                let event =
                    entry.event.as_ref().map_err(|error| anyhow!("an answer cannot be read: {error}"))?;
                if let Some(count) = event.envelope.cause.and_then(|cause| alerts.get_mut(&cause)) {
                    *count += 1;
                    times.push(entry.at.id.time());
                }
            }
        }
    }
    let without = alerts.values().filter(|count| **count == 0).count();
    let repeated = alerts.values().filter(|count| 1 < **count).count();
    if 0 < without + repeated {
        return Err(anyhow!("{without} alerts have no answer, {repeated} have more than one").into());
    }
    times.sort_unstable();
    Ok(times)
}

/// How far it is, for somebody at a terminal.
struct Progress {
    total: usize,
    is_shown: bool,
}

impl Progress {
    fn new(args: &LoadArgs) -> Self {
        Self { total: args.events, is_shown: args.output.output == Output::Table && stderr().is_terminal() }
    }

    fn show(&self, what: &str, count: usize) {
        if self.is_shown {
            eprint!("\r{count} of {} alerts {what}\x1b[K", self.total);
        }
    }

    fn end(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn print(row: &Row) -> Result<(), Failure> {
    let mut table =
        show::table(&["analyzers", "partitions", "alerts", "written/s", "backlog", "answers/s", "in all"]);
    let at_least = if row.bounded_by_writer { "at least " } else { "" };
    table.add_row([
        row.replicas.to_string(),
        row.partitions.to_string(),
        row.alerts.to_string(),
        format!("{:.0}", row.written_per_second),
        row.backlog.to_string(),
        format!("{at_least}{:.0}", row.answers_per_second),
        format!("{:.1} s", row.seconds),
    ]);
    show::print(&table, "Nothing was measured.")
}
