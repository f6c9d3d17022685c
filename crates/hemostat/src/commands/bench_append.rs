//! `hemostat bench append`: the monitor's append path beside plain XADD, on the same server in the same run.

use std::time::Duration;

use anyhow::anyhow;
use hemostat_agent::log::EventLog as _;
use hemostat_event::{
    ContainerSample, Envelope, Event, EventId, Health, Role, RunState, Sample, Source, Subject, Timestamp,
    codec,
};
use serde::Serialize;
use tokio::time::Instant;

use super::bench_hop::ground::{Ground, cpu_time};
use super::bench_hop::premade::{container, host};
use super::run_agents::stop_on_signal;
use crate::cli::{AppendArgs, Output};
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// Samples in one append, as the monitor's writer makes them.
const BATCH: usize = 256;
/// Containers of a large host.
const CONTAINERS: usize = 1_000;

/// One run, as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    aof: bool,
    appends_per_second: f64,
    raw_per_second: f64,
    /// The first of the two as a share of the second.
    share: f64,
    /// Bytes of an event.
    event_bytes: usize,
    /// Processor time of the server for an event: with plain XADD, and with the log's appends.
    raw_server_us: f64,
    server_us: f64,
}

/// Measures.
///
/// # Errors
/// Exit 2 for a run of nothing; exit 3 when there is no redis-server.
pub(crate) async fn run(args: &AppendArgs) -> Result<(), Failure> {
    if args.events == 0 {
        return Err(Failure::Usage(anyhow!("a run needs at least 1 event")));
    }
    let stop = stop_on_signal()?;
    let mut rows = Vec::new();
    for &aof in args.aof.runs() {
        let ground = Ground::start(aof).await?;
        let measured = tokio::select! {
            measured = one(&ground, aof, args) => Some(measured),
            () = stop.cancelled() => None,
        };
        ground.close().await;
        let Some(measured) = measured else { break };
        let row = measured?;
        if args.output.output == Output::Json {
            show::json(&row)?;
        }
        rows.push(row);
    }
    if args.output.output == Output::Table { print(&rows) } else { Ok(()) }
}

async fn one(ground: &Ground, aof: bool, args: &AppendArgs) -> Result<Row, Failure> {
    let (log, bare) = ground.empty_log("bench-append").await?;
    let samples = samples(args.events, log.now().await.or_unreachable()?);
    let server = bare.process().await.or_unreachable()?;
    let started = cpu_time(server)?;
    let raw = bare.adds(&samples).await.or_unreachable()?;
    let between = cpu_time(server)?;
    let began = Instant::now();
    for batch in samples.chunks(BATCH) {
        log.append(batch).await.or_unreachable()?;
    }
    let took = began.elapsed();
    let ended = cpu_time(server)?;
    let count = samples.len() as f64;
    let micros = |span: Duration| span.as_secs_f64() * 1e6 / count;
    Ok(Row {
        aof,
        appends_per_second: count / took.as_secs_f64(),
        raw_per_second: count / raw.as_secs_f64(),
        share: raw.as_secs_f64() / took.as_secs_f64(),
        event_bytes: samples.first().map_or(0, |sample| codec::encode(sample).len()),
        raw_server_us: micros(between.saturating_sub(started)),
        server_us: micros(ended.saturating_sub(between)),
    })
}

/// Samples of running containers, in turn.
fn samples(count: usize, now: Timestamp) -> Vec<Event> {
    let host = host();
    let sample = |number: usize| {
        let container = container(number % CONTAINERS);
        let subject = Subject::new(&host, &container.name).expect("a host and a word make a subject");
        let at = now + Duration::from_secs((number / CONTAINERS) as u64);
        let sample = Sample {
            state: RunState::Running,
            cpu_percent: Some(12.5),
            cpu_limit_cores: Some(2.0),
            cpu_usage_ns: Some(81_000_000_000),
            memory_bytes: Some(96 << 20),
            memory_limit_bytes: Some(256 << 20),
            memory_percent: Some(37.5),
            network_rx_bytes: Some(1 << 24),
            network_tx_bytes: Some(1 << 23),
            pids: Some(12),
            pids_limit: Some(256),
            health: Health::Healthy,
            started_at: Some(now),
            ..Sample::default()
        };
        let envelope = Envelope {
            id: EventId::observed(&subject, Role::Monitor, at, 0),
            source: Source { role: Role::Monitor, instance: "bench".to_owned() },
            time: at,
            host: host.clone(),
            subject: Some(subject),
            incident: None,
            cause: None,
            traceparent: None,
        };
        Event { envelope, data: ContainerSample { container, sample, gap: None }.into() }
    };
    (0..count).map(sample).collect()
}

fn print(rows: &[Row]) -> Result<(), Failure> {
    let mut table = show::table(&["aof", "appends/s", "raw/s", "share", "server µs/event", "raw server"]);
    for row in rows {
        table.add_row([
            if row.aof { "on" } else { "off" }.to_owned(),
            format!("{:.0}", row.appends_per_second),
            format!("{:.0}", row.raw_per_second),
            format!("{:.0} %", row.share * 100.0),
            format!("{:.1}", row.server_us),
            format!("{:.1}", row.raw_server_us),
        ]);
    }
    show::print(&table, "Nothing was measured.")
}
