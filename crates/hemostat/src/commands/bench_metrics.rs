//! `hemostat bench metrics`: what a scrape of many containers costs, on a real Redis and a real exporter.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hemostat_agent::log::EventLog as _;
use hemostat_event::{
    ContainerSample, Envelope, Event, EventId, Health, Role, RunState, Sample, Source, Subject, Timestamp,
};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::bench_hop::ground::{Ground, cpu_time};
use super::bench_hop::premade;
use super::run_agents::stop_on_signal;
use crate::cli::{BenchMetricsArgs, Output};
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// Samples in one append, as the monitor's writer makes them.
const BATCH: usize = 256;
/// Longest wait for the exporter to have read everything.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const NAMESPACE: &str = "bench-metrics";

/// What was measured.
#[derive(Debug, Serialize)]
struct Row {
    containers: usize,
    series: usize,
    bytes: usize,
    /// Time from the request to the last byte of the answer.
    scrape_p50_ms: f64,
    scrape_max_ms: f64,
    /// Processor time of the exporter for a scrape.
    scrape_cpu_ms: f64,
    /// Most memory the exporter ever had, and what it had in the end.
    peak_mib: f64,
    resident_mib: f64,
    /// Start of the exporter to the first scrape with everything in it.
    ready_ms: f64,
}

/// Measures.
///
/// # Errors
/// Exit 2 for a run of nothing; exit 3 when there is no redis-server.
pub(crate) async fn run(args: &BenchMetricsArgs) -> Result<(), Failure> {
    if args.containers == 0 || args.samples == 0 || args.scrapes == 0 {
        return Err(Failure::Usage(anyhow!("a run needs at least 1 container, 1 sample and 1 scrape")));
    }
    let stop = stop_on_signal()?;
    let ground = Ground::start(false).await?;
    let measured = tokio::select! {
        measured = measure(&ground, args) => Some(measured),
        () = stop.cancelled() => None,
    };
    ground.close().await;
    match (measured, args.output.output) {
        (None, _) => Ok(()),
        (Some(row), Output::Json) => show::json(&row?),
        (Some(row), Output::Table) => print(&row?),
    }
}

async fn measure(ground: &Ground, args: &BenchMetricsArgs) -> Result<Row, Failure> {
    let (log, _bare) = ground.empty_log(NAMESPACE).await?;
    let now = log.now().await.or_unreachable()?;
    let alerts = premade::alerts(args.containers, args.containers, now);
    premade::append(&log, &alerts).await?;
    for round in 0..args.samples {
        let samples: Vec<_> = (0..args.containers).map(|number| sample(number, round, now)).collect();
        for batch in samples.chunks(BATCH) {
            log.append(batch).await.or_unreachable()?;
        }
    }
    let exporter = Exporting::start(ground).await?;
    let began = Instant::now();
    let last = format!("container_name=\"container-{}\"", args.containers - 1);
    loop {
        // Before it listens nothing answers.
        let text = scrape(exporter.address).await.unwrap_or_default();
        if text.contains("hemostat_log_up 1\n") && text.contains(&last) {
            break;
        }
        if WAIT_MAX < began.elapsed() {
            return Err(anyhow!("the exporter was not ready in {WAIT_MAX:?}").into());
        }
        sleep(LOOK_EVERY).await;
    }
    let ready = began.elapsed();
    let (mut times, mut text) = (Vec::new(), String::new());
    let before = cpu_time(exporter.pid()?)?;
    for _scrape in 0..args.scrapes {
        // One at a time in memory.
        drop(text);
        let asked = Instant::now();
        text = scrape(exporter.address).await.context("failed to scrape").or_unreachable()?;
        times.push(asked.elapsed());
    }
    let cpu = cpu_time(exporter.pid()?)?.saturating_sub(before);
    times.sort();
    let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
    let row = Row {
        containers: args.containers,
        series: text.lines().filter(|line| !line.starts_with('#')).count(),
        bytes: text.len(),
        scrape_p50_ms: millis(times[times.len() / 2]),
        scrape_max_ms: times.last().copied().map_or(0.0, millis),
        scrape_cpu_ms: millis(cpu) / args.scrapes as f64,
        peak_mib: exporter.memory("VmHWM:")?,
        resident_mib: exporter.memory("VmRSS:")?,
        ready_ms: millis(ready),
    };
    exporter.close().await;
    Ok(row)
}

/// An exporter as a process.
struct Exporting {
    child: Child,
    address: SocketAddr,
}

impl Exporting {
    async fn start(ground: &Ground) -> Result<Self, Failure> {
        // Free a moment ago; a process that takes it meanwhile is an error that says so.
        let free = TcpListener::bind("127.0.0.1:0").await.context("no free port").or_unreachable()?;
        let address = free.local_addr().context("the listener has no address")?;
        drop(free);
        let program = std::env::current_exe().context("cannot find this program")?;
        let child = Command::new(program)
            .arg("metrics")
            .env_clear()
            .env("HEMOSTAT_REDIS_URL", ground.url())
            .env("HEMOSTAT_REDIS_NAMESPACE", NAMESPACE)
            .env("HEMOSTAT_METRICS_LISTEN", address.to_string())
            .env("HEMOSTAT_LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start an exporter")?;
        Ok(Self { child, address })
    }

    fn pid(&self) -> Result<u32, Failure> {
        Ok(self.child.id().context("the exporter has ended")?)
    }

    /// A figure of its memory in MiB, by its name in proc_pid_status(5).
    fn memory(&self, figure: &str) -> Result<f64, Failure> {
        let path = format!("/proc/{}/status", self.pid()?);
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        Ok(kib.with_context(|| format!("`{path}` has no {figure}"))? / 1_024.0)
    }

    async fn close(mut self) {
        let _gone = self.child.kill().await;
    }
}

/// One GET; the body.
async fn scrape(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.find("\r\n\r\n").map_or(answer.len(), |end| end + 4);
    Ok(answer.split_off(body))
}

/// A sample with every figure an engine can give.
fn sample(number: usize, round: usize, now: Timestamp) -> Event {
    let host = premade::host();
    let container = premade::container(number);
    let subject = Subject::new(&host, &container.name).expect("a host and a word make a subject");
    let at = now + Duration::from_secs(round as u64);
    let grown = ((number + 1) * (round + 1)) as u64;
    let sample = Sample {
        state: RunState::Running,
        cpu_percent: Some(12.534_216 + (number % 50) as f64),
        cpu_limit_cores: Some(2.0),
        cpu_usage_ns: Some(81_000_000_123 * grown),
        cpu_throttled_percent: Some(0.25),
        memory_bytes: Some((96 << 20) + grown),
        memory_limit_bytes: Some(256 << 20),
        memory_percent: Some(37.512_345),
        network_rx_bytes: Some((1 << 24) + grown),
        network_tx_bytes: Some((1 << 23) + grown),
        block_read_bytes: Some((1 << 22) + grown),
        block_write_bytes: Some((1 << 21) + grown),
        pids: Some(12),
        pids_limit: Some(256),
        disk_writable_bytes: Some((1 << 20) + grown),
        health: Health::Healthy,
        started_at: Some(now),
        ..Sample::default()
    };
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Monitor, at, 0),
        source: Source { role: Role::Monitor, instance: "bench".to_owned() },
        time: at,
        host,
        subject: Some(subject),
        incident: None,
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: ContainerSample { container, sample, gap: None }.into() }
}

fn print(row: &Row) -> Result<(), Failure> {
    let mut table =
        show::table(&["containers", "series", "size", "scrape p50", "max", "cpu", "peak memory", "ready"]);
    table.add_row([
        row.containers.to_string(),
        row.series.to_string(),
        format!("{:.1} MiB", row.bytes as f64 / f64::from(1 << 20)),
        format!("{:.0} ms", row.scrape_p50_ms),
        format!("{:.0} ms", row.scrape_max_ms),
        format!("{:.0} ms", row.scrape_cpu_ms),
        format!("{:.0} MiB", row.peak_mib),
        format!("{:.0} ms", row.ready_ms),
    ]);
    show::print(&table, "Nothing was measured.")
}
