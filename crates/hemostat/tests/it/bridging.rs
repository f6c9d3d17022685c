//! The bridge to the Python HemoStat: what its agents hear and read, and what becomes of what they say.

mod ear;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hemostat_docker::testing::Lab;
use hemostat_event::{Data, EventType, Mode, Role, Timestamp};
use hemostat_redis::testing::{TestCluster, TestRedis};
use serde_json::json;

use crate::healing::{CRASH_ONCE, enabled, up_command, verified};
use crate::rig::{LIMIT, Process, Rig, about, run};
use ear::{
    Ear, about_web, bridge, fields, fixture, metrics, plan, publish, until_heard, until_it_runs,
    until_it_speaks, value,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_holds_something_else_stops_nothing_but_itself() {
    let rig = Rig::start().await;
    let mut ear = Ear::open(&rig.redis).await;
    rig.redis_says(&["SET", "hemostat:events:all", "mine"]).await;
    rig.redis_says(&["RPUSH", "hemostat:state:alert_history:web", "mine"]).await;
    let bridge = Process::start(&mut bridge(&rig, "one"));
    until_it_speaks(&rig).await;
    rig.log.append(&[plan("web", 1)]).await.expect("the log is there");
    assert_eq!(ear.next().await.1["data"]["reason"], "reason 1");
    assert_eq!(value(&rig, &["LINDEX", "hemostat:events:remediation_needed", "0"]).await["agent"], "alert");
    let kept: String = rig.redis.command(&["GET", "hemostat:events:all"]).await.expect("a text");
    assert_eq!(kept, "mine");
    let metrics = metrics(&bridge).await;
    assert!(metrics.contains("hemostat_bridge_keys_failed_total 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_refused_as_the_python_side() {
    let cluster = TestCluster::start(3, 0, Duration::from_secs(5)).await.expect("a cluster");
    let rig = Rig::start().await;
    let mut command = bridge(&rig, "one");
    let answer = run(command.env("HEMOSTAT_BRIDGE_REDIS_URL", cluster.url()));
    assert!(answer.code == 2 && answer.err.contains("bridge.redis_url"), "{} {}", answer.code, answer.err);
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
