//! The exporter, on a real Redis with a real agent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hemostat_agent::telemetry::metric::By;
use hemostat_agent::telemetry::names;
use hemostat_event::{
    Actor, Anomaly, AnomalyKind, Change, ContainerChanged, ContainerId, ContainerPolicy, ContainerRef,
    ContainerSample, Data, Envelope, Event, EventId, Evidence, Health, HealthAlert, HostName, IncidentId,
    Role, RunState, Sample, Severity, Source, Subject, Timestamp,
};

use crate::rig::{LIMIT, Process, Rig, hemostat, run};

/// Names of the Python HemoStat that Prometheus would have named otherwise.
const GIVEN: [&str; 3] = [
    "hemostat_container_cpu_percent",
    "hemostat_container_memory_percent",
    "hemostat_container_restart_count",
];

/// An exporter and what it shows.
pub(crate) struct Exporter(pub(crate) Process);

impl Exporter {
    /// One of the log at this URL of Redis.
    pub(crate) fn start(redis: &str) -> Self {
        let mut command = hemostat(&["metrics"]);
        command.env("HEMOSTAT_REDIS_URL", redis);
        command.env("HEMOSTAT_METRICS_LISTEN", "127.0.0.1:0").env("HEMOSTAT_LOG_FORMAT", "json");
        Self(Process::start(&mut command))
    }

    /// The address is in its log, because the system chose the port.
    fn get(&self, path: &str) -> Option<String> {
        let line = self.0.said().into_iter().find(|line| line.contains("metrics of the log"))?;
        let line: serde_json::Value = serde_json::from_str(&line).expect("log lines are JSON");
        let address = line["address"].as_str().expect("an address").to_owned();
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_head, body)| body.to_owned())
    }

    /// Waits until it shows enough; all of it then.
    pub(crate) fn until(&self, what: &str, enough: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let text = self.get("/metrics").unwrap_or_default();
            if enough(&text) {
                return text;
            }
            assert!(began.elapsed() < LIMIT, "{what}: not shown after {LIMIT:?}; it shows {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The values by series.
fn series(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).collect()
}

fn event(subject: &Subject, at: Timestamp, data: impl Into<Data>) -> Event {
    let envelope = Envelope {
        id: EventId::observed(subject, Role::Monitor, at, 0),
        source: Source { role: Role::Monitor, instance: "test".to_owned() },
        time: at,
        host: subject.host(),
        subject: Some(subject.clone()),
        incident: Some(IncidentId::opened(subject, at)),
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: data.into() }
}

fn container(name: &str, digit: &str) -> ContainerRef {
    ContainerRef {
        id: ContainerId::new(digit.repeat(64)).expect("an id"),
        name: name.to_owned(),
        image: "with \"quotes\"\nand lines".to_owned(),
        project: Some("shop".to_owned()),
        service: None,
    }
}

fn alert(container: ContainerRef, at: Timestamp) -> HealthAlert {
    let anomaly = Anomaly {
        kind: AnomalyKind::NonZeroExit,
        severity: Severity::High,
        actual: Some(3.0),
        threshold: None,
        since: at,
        detail: "exit code 3".to_owned(),
    };
    HealthAlert {
        container,
        severity: Severity::High,
        anomalies: vec![anomaly],
        sample: Sample { state: RunState::Exited, exit_code: Some(3), ..Sample::default() },
        opened_at: at,
        engine_event_at: Some(at - Duration::from_millis(250)),
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence::default(),
        policy: ContainerPolicy::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exporters_show_what_stands_in_the_log_and_nothing_of_what_is_gone() {
    let rig = Rig::start().await;
    let host = HostName::new("h1").expect("a host");
    let [web, db] = ["web", "db"].map(|name| Subject::new(&host, name).expect("a subject"));
    let first = Exporter::start(&rig.redis.url());
    first.until("the end of an empty log", |text| text.contains("hemostat_log_up 1\n"));
    let analyzer = Process::start(&mut rig.command(&["analyzer"]));
    let now = rig.log.now().await.expect("the log is there");
    let sample = Sample {
        state: RunState::Running,
        cpu_percent: Some(12.5),
        memory_bytes: Some(1 << 20),
        health: Health::Unhealthy,
        ..Sample::default()
    };
    let measured = |container| ContainerSample { container, sample: sample.clone(), gap: None };
    let events = [
        event(&web, now, measured(container("web", "a"))),
        event(&db, now, measured(container("db", "b"))),
        event(
            &web,
            now + Duration::from_millis(1),
            alert(container("web", "a"), now + Duration::from_millis(1)),
        ),
    ];
    rig.log.append(&events).await.expect("the log is there");
    let told = |text: &str| {
        text.contains("hemostat_analysis_requests_total{result_type=\"remediation_needed\"} 1\n")
            && text.contains("hemostat_agents{role=\"analyzer\"} 1\n")
            && text.contains("group=\"analyzer\"")
    };
    let text = first.until("the analyzer's plan", told);
    let values = series(&text);
    let of = |name: &str, labels: &str| values.get(format!("{name}{{{labels}}}").as_str()).copied();
    let web_labels = "host=\"h1\",container_id=\"aaaaaaaaaaaa\",container_name=\"web\"";
    assert_eq!(of("hemostat_container_cpu_percent", web_labels), Some("12.5"));
    assert_eq!(of("hemostat_container_cpu_utilization_ratio", web_labels), Some("0.125"));
    assert_eq!(of("hemostat_container_healthy", web_labels), Some("0"));
    assert_eq!(
        of("hemostat_container_network_rx_bytes_total", web_labels),
        None,
        "what is not known is not 0"
    );
    assert_eq!(of("hemostat_container_incident_open", web_labels), Some("1"));
    let severity = "host=\"h1\",container_name=\"web\",severity=\"high\"";
    assert_eq!(of("hemostat_health_alerts_total", severity), Some("1"));
    assert_eq!(values["hemostat_time_to_detection_seconds_count"], "1");
    assert_eq!(values["hemostat_analysis_duration_seconds_count"], "1");
    let lag = "group=\"analyzer\",stream=\"health_alert\",partition=\"0\"";
    assert_eq!(of("hemostat_group_dead_letters_total", lag), Some("0"));
    assert!(values.keys().any(|name| name.starts_with("hemostat_redis_operations_total{operation=\"xadd\"")));
    is_well_formed(&text);

    // One that begins later shows the same of the log.
    let second = Exporter::start(&rig.redis.url());
    second.until("the analyzer's plan", told);
    let (one, other) =
        (first.get("/metrics").expect("it answers"), second.get("/metrics").expect("it answers"));
    assert_eq!(of_the_log(&one), of_the_log(&other));
    assert!(of_the_log(&one).len() > 100);

    // What is removed is gone with the next look; what was counted stays for those who scrape rarely.
    let change = Change::Removed;
    let removed = ContainerChanged { container: container("web", "a"), change, by: Actor::Operator, at: now };
    let gone = event(&web, now + Duration::from_secs(1), removed);
    rig.log.append(&[gone]).await.expect("the log is there");
    let text = first.until("the removal", |text| !text.contains(web_labels));
    assert!(text.contains("container_name=\"db\"") && text.contains(severity), "{text}");

    // Health as every agent has it.
    assert_eq!(first.get("/-/ready").as_deref(), Some("ready\n"));
    drop(analyzer);
    let mut first = first;
    assert_eq!(first.0.terminate().0, Some(0), "{:#?}", first.0.said());
}

/// What depends on the log alone, and not on the moment of the scrape.
fn of_the_log(text: &str) -> BTreeMap<&str, &str> {
    let momentary = [names::AGENT_UPTIME, names::LOG_READ, names::LOG_MEMORY, names::REDIS_OPERATIONS];
    let exported: BTreeSet<_> = names::ALL
        .iter()
        .filter(|of| of.by == By::Exporter && !momentary.contains(of))
        .map(|of| of.name)
        .collect();
    let mut values = series(text);
    values.retain(|series, _| {
        let name = series.split('{').next().unwrap_or_default();
        let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        exported.contains(name) || whole.is_some_and(|name| exported.contains(name))
    });
    values
}

/// Holds the text to Prometheus' own reader and its advice, but for names that are given.
fn is_well_formed(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the package prometheus");
    promtool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let answer = promtool.wait_with_output().expect("it ends");
    let said =
        String::from_utf8_lossy(&answer.stderr).into_owned() + &String::from_utf8_lossy(&answer.stdout);
    let complaints: Vec<_> =
        said.lines().filter(|line| !GIVEN.iter().any(|name| line.starts_with(&format!("{name} ")))).collect();
    assert_eq!(complaints, [""; 0]);
}

#[test]
fn the_reference_of_the_metrics_is_that_of_the_code() {
    let answer = run(&mut hemostat(&["metrics", "--reference"]));
    assert_eq!(answer.code, 0, "{}", answer.err);
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&file, &answer.out).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == answer.out, "docs/metrics.md: UPDATE_GOLDEN=1 cargo test -p hemostat reference");
}

#[test]
fn names_of_the_python_hemostat_are_all_here() {
    let old = "container_cpu_percent container_memory_percent container_memory_bytes \
        container_network_rx_bytes_total container_network_tx_bytes_total container_blkio_read_bytes_total \
        container_blkio_write_bytes_total container_restart_count health_alerts_total anomalies_detected_total \
        analysis_requests_total analysis_duration_seconds analysis_confidence remediation_attempts_total \
        remediation_duration_seconds remediation_cooldown_active alerts_sent_total alerts_deduped_total \
        agent_uptime_seconds redis_operations_total time_to_detection_seconds time_to_remediation_seconds";
    let here: BTreeSet<_> =
        names::ALL.iter().filter(|of| of.by == By::Exporter).map(|of| of.name.to_owned()).collect();
    let missing: Vec<_> = old
        .split_whitespace()
        .map(|name| format!("hemostat_{name}"))
        .filter(|name| !here.contains(name))
        .collect();
    assert_eq!((missing.len(), old.split_whitespace().count()), (0, 22), "{missing:?}");
}
