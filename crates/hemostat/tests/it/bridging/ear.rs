//! What the tests of the bridge need: an ear on the channels, messages, and processes that are ready.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use hemostat_core::bridge::OldChannel;
use hemostat_core::bridge::inbound::{Inbound, Settings};
use hemostat_event::{
    Action, Data, Envelope, Event, EventId, HostName, Mode, Plan, RemediationNeeded, Role, Source, Subject,
    Timestamp,
};
use hemostat_redis::testing::TestRedis;
use redis::aio::PubSub;
use serde_json::Value;

use super::CHANNELS;
use crate::rig::{LIMIT, Process, Rig};

/// A bridge as a process of its own.
pub(super) fn bridge(rig: &Rig, instance: &str) -> Command {
    let mut command = rig.command(&["bridge"]);
    command.env("HEMOSTAT_INSTANCE", instance).env("HEMOSTAT_HOST", "bridge-host");
    command
}

/// Waits until a bridge has its place in the log: what is written from now on is told.
pub(super) async fn until_it_speaks(rig: &Rig) {
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
pub(super) async fn until_it_runs(process: &Process) {
    let began = Instant::now();
    while !process.said().iter().any(|line| line.contains("health endpoints")) {
        assert!(began.elapsed() < LIMIT, "{:#?}", process.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many listen on a channel.
pub(super) async fn until_heard(rig: &Rig, channel: &str, listeners: i64) {
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

pub(super) async fn publish(rig: &Rig, channel: &str, body: &str) {
    let _heard: i64 = rig.redis.command(&["PUBLISH", channel, body]).await.expect("Redis answers");
}

pub(super) async fn value(rig: &Rig, words: &[&str]) -> Value {
    let text: String = rig.redis.command(words).await.expect("there is a value");
    serde_json::from_str(&text).expect("it is JSON")
}

/// A message as an unmodified Python agent published it.
pub(super) fn fixture(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../hemostat-core/src/bridge/fixtures");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a fixture");
    serde_json::from_str::<Value>(&text).expect("it is JSON")["message"].clone()
}

/// The metrics of a process, whose address is in its log lines.
pub(super) async fn metrics(process: &Process) -> String {
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

pub(super) fn about_web(message: &Value, name: &str) -> bool {
    let data = &message["data"];
    data["container"] == name || data["container_name"] == name
}

pub(super) fn fields(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A plan that a responder may carry out, with a reason that tells it from others.
pub(super) fn plan(name: &str, number: u64) -> Event {
    let subject: Subject = format!("test-host/{name}").parse().expect("a host and a container");
    let mut needed = heard_plan();
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
pub(super) fn heard_plan() -> RemediationNeeded {
    let settings = Settings {
        host: HostName::new("python").expect("a name"),
        instance: "test".to_owned(),
        plan_ttl: Duration::from_secs(300),
    };
    let body = fixture("remediation_needed").to_string();
    let heard = Inbound::new(settings).hear(OldChannel::RemediationNeeded, body.as_bytes(), now());
    let Data::RemediationNeeded(needed) = heard.expect("a request").data else { panic!("a request") };
    needed
}

pub(super) fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    Timestamp::from_micros(i64::try_from(now.as_micros()).expect("it is a time"))
}

/// Somebody who subscribes to the channels, as the old agents do.
pub(super) struct Ear {
    subscription: PubSub,
    pub(super) heard: Vec<(String, Value)>,
}

impl Ear {
    pub(super) async fn open(redis: &TestRedis) -> Self {
        let client = redis::Client::open(redis.url()).expect("an address");
        let mut subscription = client.get_async_pubsub().await.expect("it connects");
        for channel in CHANNELS {
            subscription.subscribe(channel).await.expect("it subscribes");
        }
        Self { subscription, heard: Vec::new() }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> (String, Value) {
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
    pub(super) async fn until(&mut self, channel: &str) -> Value {
        loop {
            let (other, message) = self.next().await;
            if other == channel {
                return message;
            }
        }
    }

    /// Everything up to the last message.
    pub(super) async fn all_until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
        while !is_last(&self.next().await.1) {}
        std::mem::take(&mut self.heard)
    }
}
