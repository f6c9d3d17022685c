//! `hemostat bench hop`: how many hops per second go through read, decide and commit, beside what the same server
//! does in the same run when it is sent the same commands by a client without an agent.
//!
//! A hop is an alert answered by the analyzer. The rate is that of the middle of the run, between the first and the
//! last tenth of the answers, so neither the start of the replicas nor their end is in it.

pub(in crate::commands) mod ground;
mod offered;
pub(in crate::commands) mod premade;
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use hemostat_agent::log::EventLog;
use hemostat_event::codec;
use hemostat_redis::bare::Bare;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::run_agents::stop_on_signal;
use crate::cli::{HopArgs, Output};
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};
use crate::show;
use ground::{Ground, cpu_time};
use replicas::Replicas;

/// Time between two looks at how many answers there are.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest time without a new answer.
const STALL_MAX: Duration = Duration::from_secs(30);

/// One run, as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    replicas: usize,
    aof: bool,
    hops_per_second: f64,
    raw_per_second: f64,
    /// The first of the two as a share of the second.
    share: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Alerts per second while the latencies were measured, and those that were not answered in time.
    offered_per_second: u32,
    missing: usize,
    /// Bytes of an alert.
    event_bytes: usize,
    /// Processor time of the server for a hop: with no agent, and with the replicas.
    raw_server_us: f64,
    server_us: f64,
    /// Processor time of all replicas together for a hop.
    replicas_us: f64,
}

/// Measures.
///
/// # Errors
/// Exit 2 for a run of nothing; exit 3 when there is no redis-server.
pub(crate) async fn run(config: &Config, args: &HopArgs) -> Result<(), Failure> {
    if args.replicas.contains(&0) || args.events < 100 || args.containers == 0 || args.rate == 0 {
        return Err(Failure::Usage(anyhow!(
            "a run needs at least 1 replica, 100 events, 1 container and a rate"
        )));
    }
    let stop = stop_on_signal()?;
    let mut rows = Vec::new();
    for &aof in args.aof.runs() {
        let ground = Ground::start(aof).await?;
        let measured = on(&ground, aof, config, args, &stop, &mut rows).await;
        ground.close().await;
        measured?;
    }
    if args.output.output == Output::Table { print(&rows) } else { Ok(()) }
}

/// Runs one analyzer that ends with the process that started it.
///
/// # Errors
/// Those of the analyzer's own command.
pub(crate) async fn replica(config: Config) -> Result<(), Failure> {
    replicas::replica(config).await
}

/// Measures on one server; rows that are printed as JSON are printed as they come.
async fn on(
    ground: &Ground,
    aof: bool,
    config: &Config,
    args: &HopArgs,
    stop: &CancellationToken,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    for &count in &args.replicas {
        let measured = tokio::select! {
            measured = one(ground, aof, count, config, args) => measured,
            () = stop.cancelled() => return Ok(()),
        };
        let row = measured?;
        if args.output.output == Output::Json {
            show::json(&row)?;
        }
        rows.push(row);
    }
    Ok(())
}

async fn one(
    ground: &Ground,
    aof: bool,
    count: usize,
    config: &Config,
    args: &HopArgs,
) -> Result<Row, Failure> {
    // Before and after, because a machine is never the same for long.
    let before = raw(ground, args).await?;
    let hops = hops(ground, count, config, args).await?;
    let raw = before.and(&raw(ground, args).await?);
    let latency = {
        let (log, bare) = ground.empty_log(LATENCY).await?;
        let log: Arc<dyn EventLog> = Arc::new(log);
        let mut replicas = Replicas::start(ground, LATENCY, count, config)?;
        replicas.ready(log.as_ref()).await?;
        let latency = offered::run(log, &bare, args.rate, args.containers, args.run_for).await?;
        replicas.close().await?;
        latency
    };
    let micros = |span: Duration, events: f64| span.as_secs_f64() * 1e6 / events;
    Ok(Row {
        replicas: count,
        aof,
        hops_per_second: hops.answers / hops.took.as_secs_f64(),
        raw_per_second: raw.answers / raw.took.as_secs_f64(),
        share: hops.answers / hops.took.as_secs_f64() / (raw.answers / raw.took.as_secs_f64()),
        p50_ms: latency.p50.as_secs_f64() * 1_000.0,
        p99_ms: latency.p99.as_secs_f64() * 1_000.0,
        offered_per_second: args.rate,
        missing: latency.missing,
        event_bytes: raw.event_bytes,
        raw_server_us: micros(raw.server, raw.answers),
        server_us: micros(hops.server, hops.answers),
        replicas_us: micros(hops.replicas, hops.answers),
    })
}

/// Namespaces of the three parts of a run.
const RAW: &str = "bench-raw";
const HOPS: &str = "bench-hops";
const LATENCY: &str = "bench-latency";

/// What was measured of one part.
struct Measured {
    answers: f64,
    took: Duration,
    server: Duration,
    replicas: Duration,
    event_bytes: usize,
}

impl Measured {
    fn and(self, other: &Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            took: self.took + other.took,
            server: self.server + other.server,
            replicas: self.replicas + other.replicas,
            event_bytes: other.event_bytes,
        }
    }
}

/// The same commands as an agent sends, with no agent.
async fn raw(ground: &Ground, args: &HopArgs) -> Result<Measured, Failure> {
    let (log, bare) = ground.empty_log(RAW).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let alerts = premade::alerts(args.events, args.containers, log.now().await.or_unreachable()?);
    premade::append(log.as_ref(), &alerts).await?;
    let commits = premade::commits(log, "raw").await?;
    let server = bare.process().await.or_unreachable()?;
    let before = cpu_time(server)?;
    let took = bare.hops(&premade::membership("raw"), &commits).await.or_unreachable()?;
    Ok(Measured {
        answers: commits.len() as f64,
        took,
        server: cpu_time(server)?.saturating_sub(before),
        replicas: Duration::ZERO,
        event_bytes: alerts.first().map_or(0, |alert| codec::encode(alert).len()),
    })
}

/// The real thing.
async fn hops(ground: &Ground, count: usize, config: &Config, args: &HopArgs) -> Result<Measured, Failure> {
    let (log, bare) = ground.empty_log(HOPS).await?;
    let alerts = premade::alerts(args.events, args.containers, log.now().await.or_unreachable()?);
    premade::append(&log, &alerts).await?;
    let server = bare.process().await.or_unreachable()?;
    let replicas = Replicas::start(ground, HOPS, count, config)?;
    // Every alert has exactly one answer, and nothing else is written.
    let tenth = args.events as u64 / 10;
    let (first, began) = answered(&bare, args.events as u64 + tenth).await?;
    let (server_before, replicas_before) = (cpu_time(server)?, replicas.cpu_time()?);
    let (last, ended) = answered(&bare, args.events as u64 + 9 * tenth).await?;
    let measured = Measured {
        answers: (last - first) as f64,
        took: ended - began,
        server: cpu_time(server)?.saturating_sub(server_before),
        replicas: replicas.cpu_time()?.saturating_sub(replicas_before),
        event_bytes: 0,
    };
    answered(&bare, 2 * args.events as u64).await?;
    replicas.close().await?;
    Ok(measured)
}

/// Waits until the log has `wanted` events; how many it has then, and when.
async fn answered(bare: &Bare, wanted: u64) -> Result<(u64, Instant), Failure> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let (number, now) = (bare.sequence().await.or_unreachable()?, Instant::now());
        if wanted <= number {
            return Ok((number, now));
        }
        if number != seen {
            (seen, moved) = (number, now);
        } else if STALL_MAX < moved.elapsed() {
            return Err(anyhow!("no answer for {STALL_MAX:?}: {number} of {wanted} events").into());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn print(rows: &[Row]) -> Result<(), Failure> {
    let mut table = show::table(&[
        "replicas",
        "aof",
        "hops/s",
        "raw/s",
        "share",
        "p50",
        "p99",
        "missing",
        "server µs/hop",
        "raw server",
        "replicas µs/hop",
    ]);
    for row in rows {
        table.add_row([
            row.replicas.to_string(),
            if row.aof { "on" } else { "off" }.to_owned(),
            format!("{:.0}", row.hops_per_second),
            format!("{:.0}", row.raw_per_second),
            format!("{:.0} %", row.share * 100.0),
            format!("{:.1} ms", row.p50_ms),
            format!("{:.1} ms", row.p99_ms),
            row.missing.to_string(),
            format!("{:.1}", row.server_us),
            format!("{:.1}", row.raw_server_us),
            format!("{:.1}", row.replicas_us),
        ]);
    }
    show::print(&table, "Nothing was measured.")
}
