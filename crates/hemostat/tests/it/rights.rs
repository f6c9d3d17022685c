//! Every agent under a user of its own, with the rights that `hemostat acl` prints and no others.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use hemostat_agent::log::{EventLog as _, LogError};
use hemostat_docker::testing::Lab;
use hemostat_event::{
    Action, Basis, Cause, Channel, ContainerId, ContainerRef, Data, Envelope, Event, EventId, FalseAlarm,
    RemediationStarted, Role, Source, Subject, Timestamp, Verdict, Verification,
};
use hemostat_redis::acl::User;
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{RedisLog, RedisSettings};

use crate::archiving::archived;
use crate::metrics::Exporter;
use crate::rig::{LIMIT, Process, Rig, hemostat, run};

const PASSWORD: &str = "open sesame";

#[tokio::test(flavor = "multi_thread")]
async fn every_agent_works_under_its_own_user() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = with_users().await;
    let lab = Lab::start().await.expect("a container engine");
    let folder = tempfile::tempdir().expect("a folder");
    let _agents: Vec<_> = Role::AGENTS
        .into_iter()
        .chain([Role::Archiver, Role::Bridge])
        .map(|role| {
            let mut command = hemostat(&[role.as_str()]);
            command
                .env("HEMOSTAT_REDIS_URL", url(&rig, role))
                .env("HEMOSTAT_HOST", "closed-host")
                .env("HEMOSTAT_DATA_DIR", folder.path())
                .env("HEMOSTAT_ARCHIVE_SEAL_AFTER", "200ms")
                .env("HEMOSTAT_MONITOR_INTERVAL", "1s")
                .env("HEMOSTAT_MONITOR_STABLE_FOR", "2s")
                .env("HEMOSTAT_RESPONDER_STABILISE", "2s");
            Process::start(&mut command)
        })
        .collect();
    let script = "test -e /seen && exec tail -f /dev/null; : > /seen; exit 3";
    let enable = |spec: &mut hemostat_docker::workload::WorkloadSpec| {
        spec.labels.insert("hemostat.enable".to_owned(), "true".to_owned());
    };
    lab.run("web", script, enable).await.expect("a container");
    let healed_and_told = |data: &Data| match data {
        Data::RemediationVerified(verified) => verified.verdict == Verification::Verified,
        Data::Notification(told) => told.channel == Channel::Terminal,
        _ => false,
    };
    rig.until("healing and news of it", LIMIT, |events| {
        2 <= events.iter().filter(|(_, event)| healed_and_told(&event.data)).count()
    })
    .await;
    archived(folder.path(), "what there was", |head| 10 <= head.last_seq).await;
    let told: i64 =
        rig.redis.command(&["LLEN", "hemostat:events:remediation_complete"]).await.expect("a list");
    assert_eq!(told, 1, "the bridge says what came of it");
    // The operator reads along.
    for command in [&["log"][..], &["status"], &["incidents"]] {
        let answer = run(hemostat(command).env("HEMOSTAT_REDIS_URL", url(&rig, Role::Operator)));
        assert_eq!(answer.code, 0, "{command:?}: {}", answer.err);
    }
    // Only the responder may trim; the janitors beside the others ask for its lease and stand back.
    let denied: Vec<HashMap<String, redis::Value>> =
        rig.redis.command(&["ACL", "LOG", "64"]).await.expect("Redis answers");
    let object = |denial: &HashMap<String, redis::Value>| format!("{:?}", denial.get("object"));
    let others: Vec<_> = denied.iter().filter(|denial| !object(denial).contains("lease:janitor")).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_responder_writes_intents_and_a_monitor_writes_no_decisions() {
    let rig = with_users().await;
    for role in Role::ALL {
        let settings =
            RedisSettings { url: url(&rig, role), namespace: "hemostat".to_owned(), partitions: None };
        let log = RedisLog::connect(settings).await.expect("every role can open the log");
        for (data, allowed) in
            [(Data::from(intent()), Role::Responder), (Data::from(decision()), Role::Analyzer)]
        {
            let event = event(role, data);
            let kind = event.event_type();
            match log.append(&[event]).await {
                Ok(_) => assert_eq!(role, allowed, "the {role} may write {kind}"),
                Err(LogError::Refused { reason, .. }) => {
                    assert!(role != allowed && reason.contains("hemostat acl"), "{role} {kind}: {reason}");
                }
                Err(error) => panic!("{role} {kind}: {error:?}"),
            }
        }
    }
    // Nothing of what was refused is in the log, not even a number.
    let events = rig.until("what was allowed", Duration::from_secs(5), |events| events.len() == 2).await;
    assert_eq!(events.iter().map(|(position, _)| position.seq).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_shows_everything_under_its_user_who_may_write_nothing() {
    let rig = with_users().await;
    let analyzer =
        Process::start(hemostat(&["analyzer"]).env("HEMOSTAT_REDIS_URL", url(&rig, Role::Analyzer)));
    let exporter = Exporter::start(&url(&rig, User::Metrics));
    let shown = exporter.until("agents and groups", |text| {
        text.contains("hemostat_agents{role=\"analyzer\"} 1\n") && text.contains("group=\"analyzer\"")
    });
    for metric in
        ["hemostat_log_up 1\n", "hemostat_redis_operations_total{", "hemostat_log_memory_used_bytes{"]
    {
        assert!(shown.contains(metric), "{metric} in {shown}");
    }
    drop(analyzer);
    let denied: Vec<redis::Value> = rig.redis.command(&["ACL", "LOG", "64"]).await.expect("Redis answers");
    assert!(!format!("{denied:?}").contains("hemostat-metrics"), "{denied:#?}");

    // Those of the log and of the Python HemoStat, and what somebody could find a use for.
    let refused = [
        "XADD hemostat:{0}:operator_order * event x",
        "XADD hemostat:{0}:container_sample * event x",
        "XDEL hemostat:{0}:health_alert 1-1",
        "XTRIM hemostat:{0}:health_alert MAXLEN 0",
        "XACK hemostat:{0}:health_alert analyzer 1-1",
        "XGROUP DESTROY hemostat:{0}:health_alert analyzer",
        "XREADGROUP GROUP analyzer me STREAMS hemostat:{0}:health_alert >",
        "SET hemostat:{0}:seq 9",
        "INCRBY hemostat:{0}:seq 9",
        "DEL hemostat:{0}:meta",
        "HSET hemostat:{0}:meta layout 9",
        "HSET hemostat:{0}:lease:janitor owner me",
        "HSET hemostat:{0}:agents responder/x y",
        "EVAL redis.call('SET',KEYS[1],9) 1 hemostat:{0}:seq",
        "SET other x",
        "GET other",
        "PUBLISH hemostat:remediation_needed x",
        "SUBSCRIBE hemostat:health_alert",
        "FLUSHALL",
        "CONFIG GET requirepass",
        "ACL LIST",
    ];
    let client = redis::Client::open(url(&rig, User::Metrics)).expect("a URL");
    for words in refused {
        let mut connection = client.get_multiplexed_async_connection().await.expect("it may log in");
        let mut command = redis::Cmd::new();
        command.arg(words.split(' ').collect::<Vec<_>>());
        let answer: Result<redis::Value, _> = command.query_async(&mut connection).await;
        let error = answer.expect_err("it is refused").to_string();
        let is_denial = ["permission", "NOPERM", "The user executing the script can't run this command"]
            .iter()
            .any(|said| error.contains(said));
        assert!(is_denial, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_comes_first_waits_for_the_log() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let printed = run(&mut hemostat(&["acl", "--role", "metrics", "-o", "json"]));
    set_user(&redis, &printed.out).await;
    let exporter = Exporter::start(&user_url(&redis, User::Metrics));
    let began = Instant::now();
    while !exporter.0.said().iter().any(|line| line.contains("waiting") && line.contains("no log `hemostat`"))
    {
        assert!(began.elapsed() < LIMIT, "it said {:#?}", exporter.0.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    redis.log().await.expect("somebody else makes the log");
    exporter.until("the end of the log", |text| text.contains("hemostat_log_up 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_takes_only_what_it_was_told_to_listen_to() {
    let rig = Rig::start().await;
    let answer =
        run(&mut hemostat(&["acl", "--role", "bridge", "-o", "json", "--set", "bridge.inbound=false_alarm"]));
    set_user(&rig.redis, &answer.out).await;
    let settings =
        RedisSettings { url: url(&rig, Role::Bridge), namespace: "hemostat".to_owned(), partitions: None };
    let log = RedisLog::connect(settings).await.expect("it opens the log");
    log.append(&[event(Role::Bridge, Data::from(decision()))]).await.expect("it was told to listen to these");
    let refused = log.append(&[event(Role::Bridge, Data::from(intent()))]).await;
    assert!(matches!(refused, Err(LogError::Refused { .. })), "{refused:?}");
}

#[test]
fn rules_are_printed_for_programs_and_a_password_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("the folder can be written to");
    let file = file.to_str().expect("a path in UTF-8");
    for form in ["commands", "aclfile"] {
        let answer =
            run(&mut hemostat(&["acl", "--role", "monitor", "--form", form, "--password-file", file]));
        assert_eq!(answer.code, 0, "{}", answer.err);
        assert!(answer.out.contains("hemostat-monitor") && answer.out.contains('#'), "{}", answer.out);
        assert!(!answer.out.contains(PASSWORD), "{}", answer.out);
    }
    let answer = run(&mut hemostat(&["acl", "--password-file", "/nowhere"]));
    assert!(answer.code == 2 && answer.err.contains("/nowhere"), "{}", answer.err);
}

/// A Redis with a user for every role, made of what the command prints.
async fn with_users() -> Rig {
    let rig = Rig::start().await;
    let answer = run(&mut hemostat(&["acl", "-o", "json"]));
    assert_eq!(answer.code, 0, "{}", answer.err);
    for line in answer.out.lines() {
        set_user(&rig.redis, line).await;
    }
    rig
}

/// Makes the user of a line that the command printed.
async fn set_user(redis: &TestRedis, line: &str) {
    let user: serde_json::Value = serde_json::from_str(line).expect("a line is an object");
    let name = user["user"].as_str().expect("a user has a name");
    let rules = user["rules"].as_array().expect("a user has rules");
    let password = format!(">{PASSWORD}");
    let mut words = vec!["ACL", "SETUSER", name, "reset", &password];
    words.extend(rules.iter().map(|rule| rule.as_str().expect("a rule is a text")));
    let _ok: redis::Value = redis.command(&words).await.expect("Redis takes the rules");
}

fn url(rig: &Rig, user: impl Display) -> String {
    user_url(&rig.redis, user)
}

fn user_url(redis: &TestRedis, user: impl Display) -> String {
    format!("{}?user=hemostat-{user}&pass={}", redis.url(), PASSWORD.replace(' ', "%20"))
}

fn subject() -> Subject {
    "closed-host/web".parse().expect("a host and a container")
}

/// An event of `role`.
pub(crate) fn event(role: Role, data: impl Into<Data>) -> Event {
    let data = data.into();
    let subject = subject();
    let envelope = Envelope {
        id: EventId::observed(&subject, role, Timestamp::from_millis(1), data.event_type() as usize),
        source: Source { role, instance: "test".to_owned() },
        time: Timestamp::from_millis(1),
        host: subject.host(),
        subject: Some(subject),
        incident: None,
        cause: None,
        traceparent: None,
    };
    Event { envelope, data }
}

fn intent() -> RemediationStarted {
    RemediationStarted {
        container: container(),
        plan: EventId::observed(&subject(), Role::Analyzer, Timestamp::from_millis(1), 0),
        action: Action::Restart { stop_timeout_secs: None },
        target: container().id,
        kinds: Vec::new(),
        run_started_at: None,
        attempt: 1,
        budget: 3,
        probe: false,
        dry_run: true,
    }
}

/// A decision that only the analyzer writes.
pub(crate) fn decision() -> FalseAlarm {
    let verdict = Verdict {
        cause: Cause::Unknown,
        confidence: 0.9,
        basis: Basis::Rule { rule: "a test".to_owned() },
        cited: Vec::new(),
        reason: "nothing is wrong".to_owned(),
    };
    FalseAlarm { container: container(), kinds: Vec::new(), verdict }
}

fn container() -> ContainerRef {
    ContainerRef {
        id: ContainerId::new("0123456789ab").expect("an id"),
        name: "web".to_owned(),
        image: "web:1".to_owned(),
        project: None,
        service: None,
    }
}
