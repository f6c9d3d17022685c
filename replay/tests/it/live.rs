//! The export of a log that somebody goes on writing to.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hemostat_agent::log::EventLog;
use hemostat_event::{Envelope, Event, EventId, Role, cloudevents};
use hemostat_redis::testing::TestRedis;
use serde_json::Value;

/// Longest wait for anything here.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_ends_where_the_log_was_and_goes_on_after_it_was_killed() {
    let redis = TestRedis::start().await.expect("a server");
    let log: Arc<dyn EventLog> = Arc::new(redis.log().await.expect("a log"));
    for begin in (0..20_000).step_by(500) {
        log.append(&events(begin, 500)).await.expect("it is written");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
        async move {
            let mut written = 20_000;
            while !stop.load(Ordering::Relaxed) {
                log.append(&events(written, 50)).await.expect("it is written");
                written += 50;
            }
            written as u64
        }
    });

    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("export");
    let mut child = export(&redis, &to).stdout(Stdio::null()).spawn().expect("it runs");
    let state = to.join("unfinished.json");
    let began = Instant::now();
    let has_come_far = || {
        let state = fs::read(&state).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        state.is_some_and(|state| 0 < state["position"].as_object().map_or(0, serde_json::Map::len))
    };
    while !has_come_far() {
        assert!(began.elapsed() < WAIT_MAX, "no checkpoint in a minute");
        assert!(child.try_wait().expect("a child").is_none(), "the export ended before it could be killed");
        std::thread::yield_now();
    }
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    assert!(!to.join("manifest.json").exists());

    // The writer goes on all the time: an export that followed it would never end.
    let mut child = export(&redis, &to).arg("--resume").stdout(Stdio::null()).spawn().expect("it runs");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if WAIT_MAX < began.elapsed() {
            child.kill().expect("it is there");
            panic!("the export does not end");
        }
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.expect("it ends");

    let manifest: Value =
        serde_json::from_slice(&fs::read(to.join("manifest.json")).expect("it is there")).expect("JSON");
    let manifest = &manifest["statement"];
    let exported = manifest["exported"].as_u64().expect("a number");
    assert!(20_000 <= exported && exported < written, "{exported} of {written}");
    let live: u64 = manifest["partitions"]
        .as_object()
        .expect("partitions")
        .values()
        .map(|partition| partition["live"].as_u64().expect("a number"))
        .sum();
    assert_eq!(live, exported, "what was read is exported, and nothing twice");
    let text = fs::read_to_string(to.join("events.jsonl")).expect("text");
    let numbers = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64().expect("a number"));
    assert!(numbers.eq(1..=exported), "each number once, in order");
    let checked = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"))
        .arg("check-export")
        .arg(&to)
        .output()
        .expect("it runs");
    assert!(checked.status.success(), "{checked:?}");
    // Complete: what was written since is for the next export.
    assert!(export(&redis, &to).arg("--resume").output().expect("it runs").status.success());
}

fn export(redis: &TestRedis, to: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    command.env_clear().args(["--redis", &redis.url(), "--namespace", "hemostat"]);
    command.args(["export", "--format", "jsonl", "--checkpoint", "1000", "--to"]).arg(to);
    command
}

/// Alerts of one container, so that all stand in one partition.
fn events(begin: usize, count: usize) -> Vec<Event> {
    let example = include_str!("../../../schemas/v1/examples/health_alert.json");
    let alert = cloudevents::from_json(&serde_json::from_str(example).expect("JSON")).expect("an event");
    let subject = alert.envelope.subject.clone().expect("it is about a container");
    let event = |number| {
        let id = EventId::observed(&subject, Role::Monitor, alert.envelope.time, number);
        Event { envelope: Envelope { id, ..alert.envelope.clone() }, data: alert.data.clone() }
    };
    (begin..begin + count).map(event).collect()
}
