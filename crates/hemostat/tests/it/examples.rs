//! The agents in `examples/`, as processes of their own on a real log; `docs/agents.md` shows their code.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    ContainerId, Data, Event, EventId, EventType, HostName, IncidentId, Role, Subject, Timestamp,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::crashes::{container, crash, observed};
use crate::rig::{LIMIT, Rig, about, example};

#[tokio::test(flavor = "multi_thread")]
async fn an_analyzer_of_ones_own_counts_every_alert_once_with_any_number_of_replicas() {
    let rig = Rig::start().await;
    let now = rig.log.now().await.expect("the log's clock");
    let alerts = alerts(now, &["web", "db", "web", "web", "db"]);
    rig.log.append(&alerts).await.expect("the log is there");
    let one = Running::start(&rig, "count_alerts");
    let two = Running::start(&rig, "count_alerts");
    members(&rig, 2).await;
    let events = rig.until("five answers", LIMIT, |events| answers(events).len() == 5).await;
    // Each answers the alert that it is about, in the order of the alerts of its container.
    for (name, counts) in [("web", 1..=3), ("db", 1..=2)] {
        let about = about(&events, name);
        let asked: Vec<_> = about.iter().filter(|event| is(event, EventType::HealthAlert)).collect();
        let told: Vec<_> = about.iter().filter(|event| is(event, EventType::FalseAlarm)).collect();
        for ((asked, told), count) in asked.iter().zip(&told).zip(counts.clone()) {
            assert_eq!(told.envelope.cause, Some(asked.envelope.id));
            assert!(reason(told).starts_with(&format!("alert {count} about it")), "{}", reason(told));
        }
        assert_eq!(told.len(), counts.count(), "{name}");
    }
    one.end();
    two.end();
    // The count is in the log, and not in who has ended.
    let three = Running::start(&rig, "count_alerts");
    let later = now + Duration::from_secs(1);
    rig.log.append(&self::alerts(later, &["web"])).await.expect("the log is there");
    let events = rig.until("the sixth answer", LIMIT, |events| answers(events).len() == 6).await;
    let last = answers(&events)[5];
    assert!(reason(last).starts_with("alert 4 about it"), "{}", reason(last));
    three.end();
    let groups = rig.log.groups().await.expect("the log is there");
    let own: Vec<_> = groups.iter().filter(|group| group.role == Role::Analyzer).collect();
    assert!(!own.is_empty() && own.iter().all(|group| group.unread.exact() == Some(0)), "{own:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logbook_prints_what_was_and_what_comes_in_order_and_leaves_no_trace() {
    let rig = Rig::start().await;
    let now = rig.log.now().await.expect("the log's clock");
    let alerts = alerts(now, &["web", "db", "web", "cache"]);
    rig.log.append(&alerts[..3]).await.expect("the log is there");
    let logbook = Running::start(&rig, "logbook");
    logbook.printed(3);
    rig.log.append(&alerts[3..]).await.expect("the log is there");
    let lines = logbook.printed(4);
    let names = ["web", "db", "web", "cache"];
    for (line, name) in lines.iter().zip(names) {
        let said = format!(" health_alert nowhere/{name}: ");
        assert!(line.contains(&said) && line.contains("exit code 1"), "{line}");
    }
    assert_eq!(lines.len(), names.len(), "{lines:#?}");
    logbook.end();
    assert!(rig.log.groups().await.expect("the log is there").is_empty());
    assert!(rig.log.agents().await.expect("the log is there").is_empty());
}

#[test]
fn the_document_shows_the_code_of_the_examples() {
    let document = read("docs/agents.md");
    let code: Vec<String> =
        ["count_alerts", "logbook"].map(|name| read(&format!("crates/hemostat/examples/{name}.rs"))).into();
    let blocks: Vec<&str> = document
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the block ends").0)
        .collect();
    assert!(3 <= blocks.len(), "the document was read");
    for block in blocks {
        assert!(code.iter().any(|code| code.contains(block)), "no example has this code:\n{block}");
    }
}

/// Waits until the group has so many members.
async fn members(rig: &Rig, count: usize) {
    let began = Instant::now();
    loop {
        // There is no group before the first has joined.
        let words = ["XINFO", "CONSUMERS", "hemostat:{0}:health_alert", "analyzer"];
        let answer: Result<redis::Value, _> = rig.redis.command(&words).await;
        let said = format!("{answer:?}");
        if said.matches("pending").count() == count {
            return;
        }
        assert!(began.elapsed() < LIMIT, "no {count} members: {said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Alerts about containers of these names, in this order.
fn alerts(now: Timestamp, names: &[&str]) -> Vec<Event> {
    let host = HostName::new("nowhere").expect("a host name");
    let alert = |(index, name): (usize, &&str)| {
        let container = container(ContainerId::new("0123456789ab").expect("an id"), name);
        let subject = Subject::new(&host, name).expect("a subject");
        let incident = IncidentId::opened(&subject, now);
        observed(subject, index, incident, now, crash(container, now))
    };
    let alerts: Vec<_> = names.iter().enumerate().map(alert).collect();
    let mut ids: Vec<EventId> = alerts.iter().map(|alert| alert.envelope.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), names.len(), "each is another event");
    alerts
}

fn answers(events: &[(Position, Event)]) -> Vec<&Event> {
    events.iter().map(|(_, event)| event).filter(|event| is(event, EventType::FalseAlarm)).collect()
}

fn is(event: &Event, kind: EventType) -> bool {
    event.event_type() == kind
}

fn reason(event: &Event) -> &str {
    let Data::FalseAlarm(alarm) = &event.data else { panic!("{event:?}") };
    &alarm.verdict.reason
}

/// An example that runs until it is dropped.
struct Running {
    child: Child,
    out: PathBuf,
    _folder: TempDir,
}

impl Running {
    fn start(rig: &Rig, name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let child = Command::new(example(name))
            .env_clear()
            .env("HEMOSTAT_REDIS_URL", rig.redis.url())
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("it can be written"))
            .spawn()
            .expect("it starts");
        Self { child, out, _folder: folder }
    }

    /// What it has printed, once that is so many lines.
    fn printed(&self, count: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let said = std::fs::read_to_string(&self.out).expect("it can be read");
            if count <= said.lines().count() {
                return said.lines().map(str::to_owned).collect();
            }
            assert!(began.elapsed() < LIMIT, "no {count} lines: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(began.elapsed() < LIMIT, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
