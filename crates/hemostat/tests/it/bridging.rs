//! The bridge to the Python HemoStat: what its agents hear and read, and what becomes of what they say.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use hemostat_docker::testing::Lab;
use hemostat_event::{
    Action, Data, Envelope, Event, EventId, EventType, Mode, Plan, RemediationNeeded, Role, Severity, Source,
    Subject, Timestamp,
};
use hemostat_redis::testing::TestRedis;
use redis::aio::PubSub;
use serde_json::{Value, json};

use crate::healing::{CRASH_ONCE, enabled, up_command, verified};
use crate::rig::{LIMIT, Process, Rig, about, run};

const CHANNELS: [&str; 4] = [
    "hemostat:health_alert",
    "hemostat:remediation_needed",
    "hemostat:remediation_complete",
    "hemostat:false_alarm",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_to_whoever_subscribes_and_its_keys_are_there() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let mut ear = Ear::open(&rig.redis).await;
    let mut up = up_command(&rig);
    // Every health check of a container tells the same state, so one poll is enough.
    let mut hemostat = Process::start(up.env("HEMOSTAT_BRIDGE_ENABLED", "true"));
    until_it_speaks(&rig).await;
    let id = lab.run("web", CRASH_ONCE, enabled).await.expect("a container");
    let name = lab.container_name("web");
    let complete = ear.until("hemostat:remediation_complete").await;
    let heard = ear.heard.clone();
    let [alert, needed] = [CHANNELS[0], CHANNELS[1]].map(|channel| {
        let found = heard.iter().find(|(other, message)| other == channel && about_web(message, &name));
        found.unwrap_or_else(|| panic!("nothing on {channel}: {heard:#?}")).1.clone()
    });
    assert_eq!(fields(&alert), ["agent", "data", "event_type", "timestamp"]);
    assert_eq!((&alert["event_type"], &alert["agent"]), (&json!("container_unhealthy"), &json!("monitor")));
    let time = alert["timestamp"].as_str().expect("a text");
    assert!(time.ends_with("+00:00") && Timestamp::parse(time).is_ok(), "{time}");
    let data = &alert["data"];
    assert_eq!(
        fields(data),
        [
            "anomalies",
            "container_id",
            "container_name",
            "exit_code",
            "health_status",
            "image",
            "metrics",
            "restart_count",
            "status"
        ]
    );
    assert_eq!(data["container_id"], id.short());
    assert_eq!((&data["exit_code"], &data["health_status"]), (&json!(3), &json!("unknown")));
    assert_eq!(data["anomalies"], json!([{ "type": "non_zero_exit", "severity": "high", "exit_code": 3 }]));
    assert!(data["metrics"].as_object().is_some_and(|metrics| metrics.len() == 8), "{data}");
    assert_eq!(
        fields(&needed["data"]),
        ["action", "analysis_method", "confidence", "container", "metrics", "reason"]
    );
    assert_eq!(
        (&needed["data"]["action"], &needed["data"]["metrics"]),
        (&json!("restart"), &data["metrics"])
    );
    assert_eq!(
        fields(&complete["data"]),
        ["action", "confidence", "container", "dry_run", "reason", "result"]
    );
    assert_eq!(
        complete["data"]["result"],
        json!({
            "status": "success",
            "action": "restart",
            "container": name,
            "details": "Container restarted and running",
        })
    );
    rig.until("verification", LIMIT, |events| verified(events, &name)).await;

    let short = id.short();
    for (key, most) in [
        (format!("hemostat:state:container:{short}"), 300),
        (format!("hemostat:stats:{name}"), 300),
        (format!("hemostat:state:alert_history:{name}"), 3_600),
        (format!("hemostat:state:remediation_history:{name}"), 7_200),
        (format!("hemostat:state:circuit_breaker:{name}"), 7_200),
        (format!("hemostat:remediation:{name}"), 3_600),
        (format!("hemostat:audit:{name}"), 604_800),
        ("hemostat:events:remediation_complete".to_owned(), 3_600),
        ("hemostat:events:all".to_owned(), 3_600),
    ] {
        let ttl: i64 = rig.redis.command(&["TTL", &key]).await.expect("Redis answers");
        assert!((most - 60..=most).contains(&ttl), "{key}: {ttl} of {most}");
    }
    let state = value(&rig, &["GET", &format!("hemostat:state:container:{short}")]).await;
    assert_eq!((&state["container_name"], &state["health_status"]), (&json!(name), &json!("unknown")));
    let history = value(&rig, &["GET", &format!("hemostat:state:alert_history:{name}")]).await;
    assert_eq!(history["alerts"][0], *data);
    let entry = value(&rig, &["LINDEX", "hemostat:events:remediation_complete", "0"]).await;
    assert_eq!((&entry["agent"], &entry["data"]), (&json!("alert"), &complete["data"]));
    let audit = value(&rig, &["LINDEX", &format!("hemostat:audit:{name}"), "0"]).await;
    assert_eq!((&audit["result_status"], &audit["metrics"]), (&json!("success"), &data["metrics"]));
    let names: BTreeSet<String> =
        rig.redis.command(&["SMEMBERS", "hemostat:containers"]).await.expect("a set");
    assert!(names.contains(&name), "{names:?}");

    assert_eq!(hemostat.terminate().0, Some(0));
    lab.cleanup().await.expect("the lab is cleaned up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stood_in_the_log_before_the_first_start_is_not_told() {
    let rig = Rig::start().await;
    rig.log.append(&[plan("past", 1)]).await.expect("the log is there");
    let mut ear = Ear::open(&rig.redis).await;
    let _bridge = Process::start(&mut bridge(&rig, "one"));
    until_it_speaks(&rig).await;
    rig.log.append(&[plan("present", 2)]).await.expect("the log is there");
    let first = ear.next().await;
    assert_eq!(first.1["data"]["container"], "present", "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_say_everything_once_whichever_is_killed() {
    let rig = Rig::start().await;
    let mut ear = Ear::open(&rig.redis).await;
    let mut replicas = [Process::start(&mut bridge(&rig, "one")), Process::start(&mut bridge(&rig, "two"))];
    until_it_speaks(&rig).await;
    for round in 0..3_u64 {
        for n in 0..50 {
            rig.log.append(&[plan("web", round * 50 + n)]).await.expect("the log is there");
        }
        // In the middle of it, without a word; under its name the next one has its lease again.
        let name = ["one", "two"][usize::try_from(round % 2).expect("it is small")];
        replicas[usize::try_from(round % 2).expect("it is small")] = Process::start(&mut bridge(&rig, name));
    }
    rig.log.append(&[plan("last", 1_000)]).await.expect("the log is there");
    let said = ear.all_until(|message| message["data"]["container"] == "last").await;
    let reasons: Vec<_> = said.iter().map(|(_, message)| message["data"]["reason"].to_string()).collect();
    let once: BTreeSet<_> = reasons.iter().collect();
    assert_eq!((reasons.len(), once.len()), (151, 151), "none is missing, and none is said twice");
    // Half of the list's hundred would be there if the keys were written twice.
    let listed: Vec<String> = rig
        .redis
        .command(&["LRANGE", "hemostat:events:remediation_needed", "0", "-1"])
        .await
        .expect("a list");
    assert_eq!((listed.len(), listed.iter().collect::<BTreeSet<_>>().len()), (100, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_and_repeats_nothing() {
    let rig = Rig::start().await;
    let mut ear = Ear::open(&rig.redis).await;
    for round in 0..4_u64 {
        let mut bridge = Process::start(&mut bridge(&rig, "one"));
        until_it_speaks(&rig).await;
        until_it_runs(&bridge).await;
        rig.log.append(&[plan("web", round * 2)]).await.expect("the log is there");
        assert_eq!(bridge.terminate().0, Some(0));
        // While nobody speaks.
        rig.log.append(&[plan("web", round * 2 + 1)]).await.expect("the log is there");
    }
    rig.log.append(&[plan("last", 100)]).await.expect("the log is there");
    let _bridge = Process::start(&mut bridge(&rig, "one"));
    let said = ear.all_until(|message| message["data"]["container"] == "last").await;
    let reasons: Vec<_> = said.iter().map(|(_, message)| message["data"]["reason"].clone()).collect();
    let wanted: Vec<_> = (0..8).chain([100]).map(|n| json!(format!("reason {n}"))).collect();
    assert_eq!(reasons, wanted);
    // Everything it is done with may be trimmed.
    let began = Instant::now();
    loop {
        let groups = rig.log.groups().await.expect("the log is there");
        let own: Vec<_> = groups.into_iter().filter(|group| group.role == Role::Bridge).collect();
        let types: BTreeSet<_> = own.iter().map(|group| group.stream.event_type()).collect();
        if types.len() == 7 && own.iter().all(|group| group.unread.exact() == Some(0)) {
            break;
        }
        assert!(began.elapsed() < LIMIT, "{own:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_elsewhere_is_taken_once_and_never_told_back() {
    let rig = Rig::start().await;
    let mut ear = Ear::open(&rig.redis).await;
    let both = |name| {
        let mut command = bridge(&rig, name);
        command.env(
            "HEMOSTAT_BRIDGE_INBOUND",
            "health_alert,remediation_needed,remediation_complete,false_alarm",
        );
        command
    };
    let _replicas = [Process::start(&mut both("one")), Process::start(&mut both("two"))];
    until_it_speaks(&rig).await;
    until_heard(&rig, CHANNELS[0], 3).await;
    let alert = fixture("health_alert_exited");
    let request = fixture("remediation_needed");
    publish(&rig, CHANNELS[0], &alert.to_string()).await;
    publish(&rig, CHANNELS[1], &request.to_string()).await;
    // One of ours goes out, and both replicas hear it.
    rig.log.append(&[plan("ours", 1)]).await.expect("the log is there");
    let events = rig
        .until("both messages", LIMIT, |events| {
            2 <= events.iter().filter(|(_, event)| event.envelope.source.role == Role::Bridge).count()
        })
        .await;
    let heard = about(&events, "web");
    let kinds: Vec<_> = heard.iter().map(|event| event.event_type()).collect();
    assert_eq!(kinds, [EventType::HealthAlert, EventType::RemediationNeeded]);
    assert!(heard.iter().all(|event| event.envelope.host.as_str() == "python"));
    let Data::RemediationNeeded(needed) = &heard[1].data else { panic!("a request") };
    assert_eq!((needed.plan.policy.mode, needed.plan.target.as_str()), (Mode::Suggest, "0123456789ab"));
    while ear.next().await.1["data"]["container"] != "ours" {}
    // The end of it: everybody has dealt with a message that came after all of them.
    publish(&rig, CHANNELS[3], &fixture("false_alarm").to_string()).await;
    rig.until("the last message", LIMIT, |events| !about(events, "loop").is_empty()).await;
    let said = ear.all_until(|message| message["data"]["container"] == "loop").await;
    let channels: Vec<_> = said.iter().map(|(channel, _)| channel.as_str()).collect();
    assert_eq!(said.len(), 4, "two of theirs, one of ours, and the last: {channels:?}");
    let events = rig.events().await;
    let ours = about(&events, "ours");
    assert_eq!(ours.len(), 1, "it did not come back");
    let scope = hemostat_core::invariant::Scope { every_event: false, ..Default::default() };
    let heard = events.iter().filter(|(_, event)| event.envelope.source.role == Role::Bridge);
    let broken = hemostat_core::invariant::check(&scope, heard.map(|(at, event)| (*at, event)), []);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_is_refused_and_what_cannot_be_read_is_a_dead_letter() {
    let rig = Rig::start().await;
    let mut command = bridge(&rig, "one");
    let mut bridge = Process::start(command.env("HEMOSTAT_BRIDGE_INBOUND", "remediation_needed"));
    until_heard(&rig, CHANNELS[1], 1).await;
    let mut exec = fixture("remediation_needed");
    exec["data"]["action"] = json!("exec");
    exec["data"]["command"] = json!("cat /etc/shadow");
    for body in [exec.to_string().as_str(), exec.to_string().as_str(), "{", "\u{0}", "[[[[", "{\"data\":{}}"]
    {
        publish(&rig, CHANNELS[1], body).await;
    }
    // Nobody listens to this one.
    publish(&rig, CHANNELS[3], &fixture("false_alarm").to_string()).await;
    publish(&rig, CHANNELS[1], &fixture("remediation_needed").to_string()).await;
    let events = rig.until("the last message", LIMIT, |events| !about(events, "web").is_empty()).await;
    let letters: Vec<_> = events
        .iter()
        .filter_map(|(_, event)| match &event.data {
            Data::DeadLetter(letter) => Some(letter),
            _ => None,
        })
        .collect();
    assert_eq!(letters.len(), 5, "{letters:#?}");
    assert!(letters[0].errors[0].contains("exec"), "{:?}", letters[0]);
    assert_eq!(letters[0].stream, "pubsub:hemostat:remediation_needed");
    assert_eq!(events.len(), 6, "and nothing else: {events:#?}");
    assert!(bridge.is_running());
    assert!(bridge.said().iter().any(|line| line.contains("exec")), "{:#?}", bridge.said());
    let answer = run(&mut rig.command(&["dlq", "ls"]));
    assert!(answer.code == 0 && answer.out.contains("bridge"), "{} {}", answer.out, answer.err);
    let metrics = metrics(&bridge).await;
    for line in [
        r#"hemostat_bridge_heard_total{channel="remediation_needed",outcome="refused"} 1"#,
        r#"hemostat_bridge_heard_total{channel="remediation_needed",outcome="malformed"} 4"#,
        r#"hemostat_bridge_heard_total{channel="remediation_needed",outcome="repeated"} 1"#,
        r#"hemostat_bridge_heard_total{channel="remediation_needed",outcome="taken"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_side_may_be_another_redis_and_may_be_away() {
    let rig = Rig::start().await;
    let mut other = TestRedis::start_durable().await.expect("a redis-server");
    let mut command = bridge(&rig, "one");
    let _bridge = Process::start(command.env("HEMOSTAT_BRIDGE_REDIS_URL", other.url()));
    until_it_speaks(&rig).await;
    other.stop().await.expect("it ends");
    rig.log.append(&[plan("web", 1)]).await.expect("the log is there");
    // Keys of other programs stand in the way of some of its own.
    other.start_again().await.expect("it starts");
    let began = Instant::now();
    loop {
        let said: i64 = other.command(&["LLEN", "hemostat:events:all"]).await.unwrap_or(0);
        if said == 1 {
            break;
        }
        assert!(began.elapsed() < LIMIT, "it was not said");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let none: i64 = rig.redis.command(&["LLEN", "hemostat:events:all"]).await.expect("Redis answers");
    assert_eq!(none, 0);
}

#[test]
fn wrong_settings_are_told() {
    for (setting, told) in [
        ("bridge.channels=health_alerts", "not a channel"),
        ("bridge.keys=archiver", "not one of monitor"),
        ("bridge.inbound=exec", "not a channel"),
        ("bridge.host=a/b", "not a host name"),
    ] {
        let answer = run(&mut crate::rig::hemostat(&["bridge", "--set", setting]));
        assert!(answer.code == 2 && answer.err.contains(told), "{setting}: {}", answer.err);
    }
}

/// A bridge as a process of its own.
fn bridge(rig: &Rig, instance: &str) -> Command {
    let mut command = rig.command(&["bridge"]);
    command.env("HEMOSTAT_INSTANCE", instance).env("HEMOSTAT_HOST", "bridge-host");
    command
}

/// Waits until a bridge has its place in the log: what is written from now on is told.
async fn until_it_speaks(rig: &Rig) {
    let began = Instant::now();
    loop {
        let groups = rig.log.groups().await.expect("the log is there");
        if groups.iter().any(|group| group.role == Role::Bridge) {
            return;
        }
        assert!(began.elapsed() < LIMIT, "no bridge has come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a process is up and takes signals.
async fn until_it_runs(process: &Process) {
    let began = Instant::now();
    while !process.said().iter().any(|line| line.contains("health endpoints")) {
        assert!(began.elapsed() < LIMIT, "{:#?}", process.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many listen on a channel.
async fn until_heard(rig: &Rig, channel: &str, listeners: i64) {
    let began = Instant::now();
    loop {
        let (_, count): (String, i64) =
            rig.redis.command(&["PUBSUB", "NUMSUB", channel]).await.expect("Redis answers");
        if listeners <= count {
            return;
        }
        assert!(began.elapsed() < LIMIT, "{count} of {listeners} listen on {channel}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn publish(rig: &Rig, channel: &str, body: &str) {
    let _heard: i64 = rig.redis.command(&["PUBLISH", channel, body]).await.expect("Redis answers");
}

async fn value(rig: &Rig, words: &[&str]) -> Value {
    let text: String = rig.redis.command(words).await.expect("there is a value");
    serde_json::from_str(&text).expect("it is JSON")
}

/// A message as an unmodified Python agent published it.
fn fixture(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../hemostat-core/src/bridge/fixtures");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a fixture");
    serde_json::from_str::<Value>(&text).expect("it is JSON")["message"].clone()
}

/// The metrics of a process, whose address is in its log lines.
async fn metrics(process: &Process) -> String {
    let line = process.said().into_iter().find(|line| line.contains("health endpoints")).expect("an address");
    let address = line
        .split(|c: char| c == '"' || c == '=' || c.is_whitespace())
        .find(|word| word.parse::<std::net::SocketAddr>().is_ok());
    let address: std::net::SocketAddr = address.and_then(|word| word.parse().ok()).expect("an address");
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    });
    answer.await.expect("it ends").expect("it answers")
}

fn about_web(message: &Value, name: &str) -> bool {
    let data = &message["data"];
    data["container"] == name || data["container_name"] == name
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A plan that a responder may carry out, with a reason that tells it from others.
fn plan(name: &str, number: u64) -> Event {
    let subject: Subject = format!("test-host/{name}").parse().expect("a host and a container");
    let Data::RemediationNeeded(needed) = heard_plan() else { unreachable!("it is one") };
    let mut needed = RemediationNeeded { severity: Severity::High, ..needed };
    name.clone_into(&mut needed.container.name);
    needed.verdict.reason = format!("reason {number}");
    let mut policy = needed.plan.policy.clone();
    policy.mode = Mode::Auto;
    needed.plan = Plan {
        action: Action::Restart { stop_timeout_secs: None },
        policy,
        expires_at: Timestamp::MAX,
        ..needed.plan
    };
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Analyzer, Timestamp::from_millis(number), 0),
        source: Source { role: Role::Analyzer, instance: "test".to_owned() },
        time: now(),
        host: subject.host(),
        subject: Some(subject),
        incident: None,
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: needed.into() }
}

/// A plan to begin with.
fn heard_plan() -> Data {
    use hemostat_core::bridge::OldChannel;
    use hemostat_core::bridge::inbound::{Inbound, Settings};
    let settings = Settings {
        host: hemostat_event::HostName::new("python").expect("a name"),
        instance: "test".to_owned(),
        plan_ttl: Duration::from_secs(300),
    };
    let body = fixture("remediation_needed").to_string();
    let heard = Inbound::new(settings).hear(OldChannel::RemediationNeeded, body.as_bytes(), now());
    heard.expect("a request").data
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    Timestamp::from_micros(i64::try_from(now.as_micros()).expect("it is a time"))
}

/// Somebody who subscribes to the channels, as the old agents do.
struct Ear {
    subscription: PubSub,
    heard: Vec<(String, Value)>,
}

impl Ear {
    async fn open(redis: &TestRedis) -> Self {
        let client = redis::Client::open(redis.url()).expect("an address");
        let mut subscription = client.get_async_pubsub().await.expect("it connects");
        for channel in CHANNELS {
            subscription.subscribe(channel).await.expect("it subscribes");
        }
        Self { subscription, heard: Vec::new() }
    }

    /// The next message.
    async fn next(&mut self) -> (String, Value) {
        let mut messages = self.subscription.on_message();
        let message = tokio::time::timeout(LIMIT, messages.next()).await.unwrap_or_else(|_late| {
            panic!("nothing was said; before: {:#?}", self.heard);
        });
        drop(messages);
        let message = message.expect("the subscription lasts");
        let body = serde_json::from_slice(message.get_payload_bytes()).expect("it is JSON");
        self.heard.push((message.get_channel_name().to_owned(), body));
        self.heard.last().cloned().expect("it was just put there")
    }

    /// The first message on a channel.
    async fn until(&mut self, channel: &str) -> Value {
        loop {
            let (other, message) = self.next().await;
            if other == channel {
                return message;
            }
        }
    }

    /// Everything up to the last message.
    async fn all_until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
        while !is_last(&self.next().await.1) {}
        std::mem::take(&mut self.heard)
    }
}
