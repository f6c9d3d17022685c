//! The figures of `docs/sizing.md`: what a sample, an incident and a container cost, on a real Redis, in a real archive
//! and at a real exporter. Each may be off by [`FACTOR`] before the document is wrong.

use std::path::Path;
use std::time::Duration;

use hemostat_event::{
    ContainerId, ContainerRef, ContainerSample, Envelope, Event, EventId, EventType, Health, HostName, Role,
    RunState, Sample, Source, Subject, Timestamp, cloudevents,
};
use serde_json::Value;

use crate::archiving::archived;
use crate::rig::{Process, Rig, hemostat, hemostat_replay, run};

/// How far a figure of the document may be from what is measured here, up or down.
const FACTOR: f64 = 1.25;
/// Containers of a large host, and samples of each.
const CONTAINERS: u64 = 1_000;
const SAMPLES: u64 = 30;
/// Samples in one append, as the monitor's writer makes them.
const BATCH: usize = 256;
/// Incidents whose cost is measured together.
const INCIDENTS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_costs_what_the_document_says() {
    let rig = Rig::start_with(&[("appendonly", "yes"), ("appendfsync", "everysec")]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let now = rig.log.now().await.expect("the log's clock");
    let before = Server::of(&rig).await;
    let samples: Vec<_> = (0..SAMPLES)
        .flat_map(|round| (0..CONTAINERS).map(move |container| sample(container, round, now)))
        .collect();
    for batch in samples.chunks(BATCH) {
        rig.log.append(batch).await.expect("the log is there");
    }
    let after = Server::of(&rig).await;
    let count = samples.len() as f64;
    holds("a sample in Redis", (after.memory - before.memory) / count);
    holds("a sample in its append-only file", (after.file - before.file) / count);

    let mut archiver = Process::start(
        rig.command(&["archiver"])
            .env("HEMOSTAT_ARCHIVE_URL", folder.path().join("archive"))
            .env("HEMOSTAT_ARCHIVE_KEY_FILE", folder.path().join("archive.key")),
    );
    archived(folder.path(), "all", |head| samples.len() as u64 == head.last_seq).await;
    assert_eq!(archiver.terminate().0, Some(0), "{:#?}", archiver.said());
    holds("a sample in the archive", size(&folder.path().join("archive")) as f64 / count);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_costs_what_the_document_says() {
    let rig = Rig::start_with(&[("appendonly", "yes"), ("appendfsync", "everysec")]).await;
    let recording = root().join("replay/recordings/killed.hsrec");
    let played = run(hemostat_replay(&["--file"]).arg(recording).args([
        "play",
        "--speed",
        "max",
        "--into",
        &rig.redis.url(),
    ]));
    assert_eq!(played.code, 0, "{}", played.err);
    let told = run(rig.command(&["log", "-o", "json"]).env("HEMOSTAT_REDIS_NAMESPACE", "hemostat-shadow"));
    let recorded: Vec<Event> = told
        .out
        .lines()
        .map(|line| cloudevents::from_json(&serde_json::from_str(line).expect("JSON")).expect("an event"))
        .collect();
    assert!(recorded.iter().any(|event| event.event_type() == EventType::RemediationVerified));
    let before = Server::of(&rig).await;
    for index in 0..INCIDENTS {
        let another = |event: &Event| {
            let mut event = event.clone();
            event.envelope.id = EventId::derive(event.envelope.id, Role::Operator, "again", index);
            event
        };
        let events: Vec<_> = recorded.iter().map(another).collect();
        rig.log.append(&events).await.expect("the log is there");
    }
    let after = Server::of(&rig).await;
    println!("an incident has {} events", recorded.len());
    holds("an incident in Redis", (after.memory - before.memory) / INCIDENTS as f64);
}

#[test]
fn a_container_has_as_many_series_as_the_document_says() {
    let answer =
        run(&mut hemostat(&["bench", "metrics", "--containers", "200", "--scrapes", "3", "-o", "json"]));
    assert_eq!(answer.code, 0, "{}", answer.err);
    let row: Value = serde_json::from_str(&answer.out).expect("a JSON object");
    let of = |name: &str| row[name].as_f64().expect("a number") / 200.0;
    holds("series of a container", of("series"));
    holds("a scrape of a container", of("bytes"));
}

#[test]
fn the_examples_are_the_arithmetic_of_the_figures() {
    let of = |what| row(what)[0];
    for (column, containers) in [(0, 50.0), (1, 1_000.0)] {
        let a_day = containers * 86_400.0 / 30.0;
        let kept = f64::min(a_day, 1_000_000.0);
        let incidents = containers / 7.0;
        let memory = kept * of("a sample in Redis") + incidents * 30.0 * of("an incident in Redis");
        let archive = a_day * of("a sample in the archive") + incidents * of("an incident in Redis");
        for (what, worked_out) in [
            ("samples a day", a_day),
            ("samples in Redis", kept),
            ("age of the oldest sample in Redis, hours", 24.0 * kept / a_day),
            ("incidents a day", incidents),
            ("memory of Redis, MB", memory / 1e6),
            ("`maxmemory`, MB", memory / 1e6 / 0.8),
            ("archive, MB a day", archive / 1e6),
            ("archive, GB a year", archive * 365.0 / 1e9),
            ("series in Prometheus, without the 330", containers * of("series of a container")),
            ("a scrape, KB", containers * of("a scrape of a container") / 1e3),
            ("samples a second", containers / 30.0),
            ("processor of the monitor, percent of one", containers / 30.0 * 0.5 / 10.0),
            ("memory of the monitor, MiB", 17.0 + containers * 56.0 / 1_024.0),
        ] {
            let said = row(what)[column];
            assert!((said / worked_out - 1.0).abs() < 0.02, "{what}: {worked_out:.1}, not {said}");
        }
    }
}

/// The figures of a row of the document.
fn row(what: &str) -> Vec<f64> {
    let document = std::fs::read_to_string(root().join("docs/sizing.md")).expect("it can be read");
    let row = document.lines().find_map(|line| line.strip_prefix(&format!("| {what} | ")));
    let row = row.unwrap_or_else(|| panic!("docs/sizing.md has no row `{what}`"));
    let figure = |cell: &str| cell.trim().replace(',', "").parse().expect("a figure");
    row.trim_end().trim_end_matches('|').split('|').map(figure).collect()
}

/// Holds a figure of the document to what was measured.
fn holds(what: &str, measured: f64) {
    let said = row(what)[0];
    println!("{what}: {measured:.0}; the document says {said}");
    assert!(measured / said < FACTOR && said / measured < FACTOR, "{what}: {measured:.0}, not {said}");
}

/// What the server has in memory and in its append-only file, in bytes.
struct Server {
    memory: f64,
    file: f64,
}

impl Server {
    async fn of(rig: &Rig) -> Self {
        let said = rig.redis_says(&["INFO"]).await;
        let figure = |name: &str| {
            let (_, rest) = said.split_once(&format!("{name}:")).unwrap_or_else(|| panic!("no {name}"));
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().expect("a number")
        };
        Self { memory: figure("used_memory_dataset"), file: figure("aof_current_size") }
    }
}

/// A sample with every figure that an engine gives, none of them twice the same.
fn sample(number: u64, round: u64, now: Timestamp) -> Event {
    let host = HostName::new("host-1").expect("a host name");
    let name = format!("shop-service-{number}");
    let subject = Subject::new(&host, &name).expect("a subject");
    let at = now + Duration::from_secs(30 * round);
    // Neither random nor regular: multiples of a large odd number.
    let noise = (number * SAMPLES + round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let part = |bits: u32| noise.rotate_left(bits) >> 40;
    let sample = Sample {
        state: RunState::Running,
        cpu_percent: Some(part(0) as f64 / 167_772.0),
        cpu_limit_cores: Some(2.0),
        cpu_usage_ns: Some(81_000_000_123 + part(7) * 1_000 * (round + 1)),
        cpu_throttled_percent: Some(0.0),
        memory_bytes: Some((96 << 20) + part(13)),
        memory_limit_bytes: Some(256 << 20),
        memory_percent: Some(part(13) as f64 / 167_772.0),
        network_rx_bytes: Some((1 << 24) + part(19) * (round + 1)),
        network_tx_bytes: Some((1 << 23) + part(23) * (round + 1)),
        block_read_bytes: Some((1 << 22) + part(29)),
        block_write_bytes: Some((1 << 21) + part(31)),
        pids: Some(4 + part(37) % 20),
        pids_limit: Some(256),
        disk_writable_bytes: Some((1 << 20) + part(41)),
        health: Health::Healthy,
        started_at: Some(now),
        ..Sample::default()
    };
    let id =
        format!("{:064x}", u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let container = ContainerRef {
        id: ContainerId::new(id).expect("an id"),
        name,
        image: format!("shop/service:{}.4.1", number % 30),
        project: Some("shop".to_owned()),
        service: Some(format!("service-{}", number % 100)),
    };
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Monitor, at, 0),
        source: Source { role: Role::Monitor, instance: "monitor-host-1-1".to_owned() },
        time: at,
        host,
        subject: Some(subject),
        incident: None,
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: ContainerSample { container, sample, gap: None }.into() }
}

/// Bytes of all files in a folder.
fn size(folder: &Path) -> u64 {
    let entries =
        std::fs::read_dir(folder).expect("it can be listed").map(|entry| entry.expect("it is there"));
    let of = |entry: std::fs::DirEntry| {
        let about = entry.metadata().expect("it is there");
        if about.is_dir() { size(&entry.path()) } else { about.len() }
    };
    entries.map(of).sum()
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
