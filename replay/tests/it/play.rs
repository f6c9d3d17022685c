//! `play`: on a real Redis, into a namespace of its own.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hemostat_agent::log::{Entry, EntryId, EventLog as _, Partition};
use hemostat_agent::tail::Tail;
use hemostat_core::project::Incidents;
use hemostat_event::cloudevents::{self, Position};
use hemostat_event::{Data, Event, EventId, EventType, Outcome, Role, Subject, Timestamp};
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{RedisLog, RedisSettings};
use serde_json::{Value, json};

use crate::made::{archive, complained, replay, said};

/// The log time of the first event.
const BEGINNING: Timestamp = Timestamp::EPOCH;
/// What the machine may add to one entry: it has other things to do.
const LATE_MAX_MS: f64 = 400.0;

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_time() {
    let seconds = std::env::var("HEMOSTAT_PLAY_SECONDS").map_or(6.0, |text| text.parse().expect("a number"));
    // Ten times as long, and uneven: bursts, and silences of up to five seconds.
    let (mut times, mut ms) = (Vec::new(), 0u64);
    while (ms as f64) < seconds * 10_000.0 {
        times.push(ms);
        ms += [0, 40, 7, 900, 0, 3, 5_000, 333][times.len() % 8];
    }
    times.push((seconds * 10_000.0) as u64);
    let rig = Rig::of(&times.iter().map(|ms| sample(*ms)).collect::<Vec<_>>()).await;
    let report = rig.report(&["--speed", "10"]);
    println!("{report}");

    assert_eq!(report["played"], times.len(), "{report}");
    let figures = &report["time"];
    assert_eq!(figures["planned_ms"], seconds * 1_000.0, "{report}");
    let off = figures["off_percent"].as_f64().expect("a number");
    let late = figures["late_max_ms"].as_f64().expect("a number");
    assert!((0.0..1.0).contains(&off) || late < LATE_MAX_MS && seconds < 60.0, "{report}");
    // And by another clock: that of Redis, which names the entries.
    let ids: Vec<EntryId> = rig.shadow().await.iter().map(|entry| entry.at.id).collect();
    assert_eq!(ids.len(), times.len());
    for (id, time) in ids.iter().zip(&times) {
        let is = (id.ms - ids[0].ms) as f64;
        let planned = *time as f64 / 10.0;
        assert!((is - planned).abs() < LATE_MAX_MS, "{is} for {planned}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shadow_is_a_log_with_the_same_events_in_the_same_order() {
    let rig = Rig::empty().await;
    let report = rig.play(&golden("crash-twice"), &["--speed", "max"]);
    assert_eq!(report["played"], 23, "{report}");
    assert_eq!(report["ended"], "end");
    let shadow = rig.shadow().await;
    let numbers: Vec<_> = shadow.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=23).map(Some).collect::<Vec<_>>());
    // As the recording itself tells it.
    let output = replay(&["--file", text(&golden("crash-twice")), "timeline", "-o", "json"]);
    let said_of_it = said(&output);
    let recorded = said_of_it.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut incidents = Incidents::default();
    for entry in &shadow {
        let position = Position { partition: 0, seq: entry.seq.expect("a number") };
        incidents.fold(entry.event.as_ref().expect("an event"), position);
    }
    let mut ids: Vec<_> = incidents.iter().map(|incident| incident.id.to_string()).collect();
    let mut told: Vec<_> = recorded.map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    told.sort();
    assert!(!ids.is_empty());
    assert_eq!(ids, told);
    // What reads logs reads it, by its namespace; nothing is decided on the five samples.
    let read = ["--redis", &rig.redis.url(), "--namespace", "hemostat-shadow", "test", "-o", "json"];
    let report: Value = serde_json::from_str(&said(&replay(&read))).expect("JSON");
    assert_eq!((&report["events"], &report["different"]), (&18.into(), &0.into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_into_nothing_that_it_has_not_made() {
    let rig = Rig::empty().await;
    let log = rig.redis.log().await.expect("a log");
    log.append(&[sample(1)]).await.expect("it is written");
    let file = golden("killed");
    let url = rig.redis.url();
    let refused = |args: &[&str], says: &str| {
        let output = replay(&[&["play", "--into", &url, "--speed", "max"], args].concat());
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", complained(&output));
        assert!(complained(&output).contains(says), "{args:?}: {}", complained(&output));
    };
    let recording = ["--file", text(&file)];
    refused(&[&recording[..], &["--into-namespace", "hemostat"]].concat(), "that no replay has made");
    refused(
        &[&recording[..], &["--into-namespace", "hemostat", "--replace"]].concat(),
        "that no replay has made",
    );
    // Also where what is read is what is written.
    rig.report_of(&["--redis", &url, "--speed", "max"]);
    refused(&["--redis", &url, "--into-namespace", "hemostat"], "is the namespace that is read");
    let shadow = ["--redis", &url, "--namespace", "hemostat-shadow", "--replace"];
    refused(&shadow, "is the namespace that is read");
    // What was played before stays until it is asked to go.
    refused(&recording, "something was played into `hemostat-shadow` before");
    assert_eq!(rig.shadow().await.len(), 1);
    assert_eq!(rig.play(&file, &["--speed", "max", "--replace"])["played"], 18);
    assert_eq!(rig.play(&file, &["--speed", "max", "--replace"])["repeated"], 0);
    assert_eq!(rig.shadow().await.len(), 18);
    assert_eq!(entries(log).await.len(), 1, "the log beside it is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_and_ends_where_it_is_told() {
    let events: Vec<Event> = (0..10).map(|n| sample(n * 100_000)).collect();
    let rig = Rig::of(&events).await;
    let id = events[6].envelope.id.to_string();
    for (args, rushed, played) in [
        (&["--until", "0/4"][..], 0, 4),
        (&["--until", &id], 0, 7),
        (&["--until", "1970-01-01T00:05:00Z"], 0, 4),
        (&["--until-type", "container_sample"], 0, 1),
        (&["--from", "0/4"], 3, 7),
        (&["--from", "0/4", "--until", "0/5"], 3, 2),
        (&["--from", &id, "--until-type", "container_sample"], 6, 1),
    ] {
        let report = rig.report(&[&["--speed", "max", "--replace"], args].concat());
        assert_eq!(
            (&report["rushed"], &report["played"]),
            (&rushed.into(), &played.into()),
            "{args:?}: {report}"
        );
        assert_eq!(rig.shadow().await.len(), rushed + played, "{args:?}");
    }
    for (args, says) in [
        (["--until", "3/1"], "the log does not come to 3/1"),
        (["--until-type", "diagnosis"], "there is no `diagnosis`"),
        (["--speed", "0"], "is no speed"),
        (["--speed", "step"], "needs a terminal, or --commands"),
    ] {
        let output = rig.output(&[&["--replace"], &args[..]].concat());
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        assert!(complained(&output).contains(says), "{args:?}: {}", complained(&output));
    }
    assert_eq!(rig.shadow().await.len(), 7, "what cannot be played takes nothing out");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_it_is_told_on_the_way() {
    let events: Vec<Event> = (0..10).map(|n| sample(n * 100_000)).collect();
    let rig = Rig::of(&events).await;
    for (words, rushed, played, left) in [
        // Stands still until it is told to go.
        ("step 3\nquit\n", 0, 3, 3),
        // Back: the shadow is begun anew.
        ("step 6\nseek 0/3\nstep\nquit\n", 2, 7, 3),
        ("step\nseek 1970-01-01T00:13:00Z\nstep\nquit\n", 7, 2, 9),
        // A hundred seconds between two entries: only another speed brings it to the end.
        ("resume\npause\nspeed max\nresume\n", 0, 10, 10),
    ] {
        let arguments = rig.arguments(&["--speed", "step", "--commands", "--replace"]);
        let report = told(&arguments, words);
        assert_eq!(
            (&report["rushed"], &report["played"]),
            (&rushed.into(), &played.into()),
            "{words}: {report}"
        );
        assert_eq!(report["ended"], if left == 10 { "end" } else { "quit" }, "{words}");
        let times: Vec<_> = rig.shadow().await.iter().map(time).collect();
        let expected: Vec<_> = events[..left].iter().map(|event| event.envelope.time).collect();
        assert_eq!(times, expected, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_a_terminal_say_the_same() {
    let events: Vec<Event> = (0..10).map(|n| sample(n * 100_000)).collect();
    let rig = Rig::of(&events).await;
    let report = rig.folder.path().join("report.json");
    let program = env!("CARGO_BIN_EXE_hemostat-replay");
    let arguments = rig.arguments(&["--speed", "step"]).join(" ");
    // A terminal of its own, and whether it is as it was afterwards.
    let mut command = Command::new("script");
    let line = format!("{program} {arguments} > {}; stty -a", text(&report));
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let output = fed(&mut command, "nn+g0/18\x7f\n-q");
    assert!(output.status.success(), "{}", said(&output));
    let settings = said(&output);
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("JSON");
    // Going to 0/1 emptied the shadow, and nothing was played since.
    assert_eq!((&report["played"], &report["ended"]), (&2.into(), &"quit".into()), "{report}");
    assert_eq!(rig.shadow().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_decide_anew_and_come_to_the_same() {
    let rig = Rig::empty().await;
    let report = rig.play(&golden("disk-full"), &["--speed", "50", "--agents"]);
    let decided = &report["agents"];
    // What a deadline brings has an id of its own, because it is due at another moment.
    for (kind, same_input) in [
        ("remediation_needed", 1),
        ("remediation_started", 1),
        ("remediation_complete", 1),
        ("remediation_verified", 0),
    ] {
        let beside = json!({ "recorded": 1, "decided": 1, "same_input": same_input });
        assert_eq!(decided["events"][kind], beside, "{kind}: {report:#}");
    }
    assert_eq!(decided["asked"]["actions"], 1, "{report:#}");
    assert_eq!(decided["unfinished"], 0);
    assert_ne!(report["left_to_agents"], 0);
    // The times are those of the log, not of the machine: the verdict came when the window had passed.
    let shadow = rig.shadow().await;
    let when = |kind| {
        let found = shadow.iter().find(|entry| entry.at.stream.event_type() == kind);
        time(found.unwrap_or_else(|| panic!("no {kind}")))
    };
    let window = when(EventType::RemediationVerified).since(when(EventType::RemediationComplete));
    assert!(Duration::from_secs(60) <= window && window < Duration::from_secs(90), "{window:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_was_not_taken_then_is_not_made_up() {
    let rig = Rig::empty().await;
    let report =
        rig.play(&golden("crash-twice"), &["--speed", "50", "--agents", "--set", "responder.cooldown=1s"]);
    assert_eq!(report["agents"]["asked"]["actions"], 2, "{report:#}");
    let shadow = rig.shadow().await;
    let errors = shadow.iter().filter_map(|entry| match &entry.event.as_ref().ok()?.data {
        Data::RemediationComplete(complete) => match &complete.outcome {
            Outcome::Failed { error } => Some(error.clone()),
            _ => None,
        },
        _ => None,
    });
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors, ["nothing is done in a shadow, and no such action was recorded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_engine_is_called_and_no_network_is_needed() {
    let rig = Rig::empty().await;
    let engine = rig.folder.path().join("engine.sock");
    let listener = UnixListener::bind(&engine).expect("a socket");
    listener.set_nonblocking(true).expect("a socket can be asked");
    let url = rig.redis.url();
    let file = golden("crash-twice");
    // A network namespace of its own, without even a loopback that is up; Redis is on a socket.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--", "sh", "-c", "cat /proc/net/dev >&2; exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_hemostat-replay")).args(["--file", text(&file), "play", "--into", &url]);
    command.args(["--speed", "50", "--agents", "-o", "json"]).env_clear();
    command.env("PATH", std::env::var_os("PATH").expect("a search path"));
    command.env("DOCKER_HOST", format!("unix://{}", engine.display()));
    command.env("HEMOSTAT_ENGINE_URL", format!("unix://{}", engine.display()));
    let output = command.output().expect("unshare is part of util-linux");
    assert!(output.status.success(), "{}", complained(&output));
    let complained = complained(&output);
    let devices = complained.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    assert_eq!(devices.collect::<Vec<_>>(), ["lo"], "{complained}");
    let report: Value = serde_json::from_str(&said(&output)).expect("JSON");
    assert_ne!(report["agents"]["asked"]["actions"], 0, "an action was asked for: {report:#}");
    assert_ne!(report["agents"]["asked"]["looks"], 0, "{report:#}");
    let called = listener.accept().map(drop);
    assert_eq!(called.expect_err("nobody calls").kind(), std::io::ErrorKind::WouldBlock);
}

/// A Redis, and an archive to be played into it.
struct Rig {
    redis: TestRedis,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn empty() -> Self {
        let redis = TestRedis::start().await.expect("a throw-away Redis");
        Self { redis, folder: tempfile::tempdir().expect("a folder") }
    }

    async fn of(events: &[Event]) -> Self {
        let rig = Self::empty().await;
        archive(&rig.folder.path().join("archive"), events, 100).await;
        rig
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let archive = self.folder.path().join("archive");
        let url = self.redis.url();
        let first = ["--archive", text(&archive), "play", "--into", &url, "-o", "json"];
        first.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
    }

    fn output(&self, more: &[&str]) -> Output {
        replay(&self.arguments(more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn report(&self, more: &[&str]) -> Value {
        read(&self.output(more))
    }

    fn report_of(&self, more: &[&str]) -> Value {
        read(&replay(&[&["play", "--into", &self.redis.url(), "-o", "json"], more].concat()))
    }

    fn play(&self, file: &Path, more: &[&str]) -> Value {
        self.report_of(&[&["--file", text(file)], more].concat())
    }

    async fn shadow(&self) -> Vec<Entry> {
        let namespace = "hemostat-shadow".to_owned();
        let settings = RedisSettings { url: self.redis.url(), namespace, partitions: None };
        entries(RedisLog::shadow(settings).await.expect("a shadow")).await
    }
}

async fn entries(log: RedisLog) -> Vec<Entry> {
    let mut tail = Tail::new(Arc::new(log), None, Vec::new()).only(Partition(0));
    let mut all = Vec::new();
    loop {
        let some = tail.next().await.expect("the log answers");
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// Plays with `words` on standard input, which stays open until the end.
fn told(arguments: &[String], words: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    read(&fed(command.args(arguments).env_clear(), words))
}

/// Runs a command with `words` on standard input.
fn fed(command: &mut Command, words: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("it has a standard input");
    stdin.write_all(words.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    output
}

fn read(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", complained(output));
    serde_json::from_str(&said(output)).expect("JSON")
}

fn sample(ms: u64) -> Event {
    let example = include_str!("../../../schemas/v1/examples/container_sample.json");
    let mut event = cloudevents::from_json(&serde_json::from_str(example).expect("JSON")).expect("an event");
    let subject: Subject = event.envelope.subject.clone().expect("it is about a container");
    event.envelope.time = BEGINNING + Duration::from_millis(ms);
    event.envelope.id = EventId::observed(&subject, Role::Monitor, event.envelope.time, 0);
    event
}

fn time(entry: &Entry) -> Timestamp {
    entry.event.as_ref().expect("an event").envelope.time
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/{name}.hsrec"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}
