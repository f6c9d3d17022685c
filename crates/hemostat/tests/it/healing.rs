//! `hemostat up` on real containers: what is sick is healed, what is not is left alone, whatever Redis does.

use std::process::Command;
use std::time::Duration;

use hemostat_docker::testing::{IDLE, Lab};
use hemostat_docker::workload::WorkloadSpec;
use hemostat_event::cloudevents::Position;
use hemostat_event::{
    AnomalyKind, Change, Data, Event, EventType, EvidenceKind, Outcome, Recovery, Verification,
};

use crate::rig::{LIMIT, Process, Rig, about};

/// Crashes in its first run and stays in the second.
pub(crate) const CRASH_ONCE: &str =
    "test -e /seen && exec tail -f /dev/null; : > /seen; echo password=hunter2; exit 3";

pub(crate) fn enabled(spec: &mut WorkloadSpec) {
    spec.labels.insert("hemostat.enable".to_owned(), "true".to_owned());
}

/// `hemostat up` at the pace of a test.
pub(crate) fn up(rig: &Rig) -> Process {
    Process::start(&mut up_command(rig))
}

/// The same, to be given more settings.
pub(crate) fn up_command(rig: &Rig) -> Command {
    let mut command = rig.command(&["up"]);
    command
        .env("HEMOSTAT_HOST", "test-host")
        .env("HEMOSTAT_MONITOR_INTERVAL", "1s")
        .env("HEMOSTAT_MONITOR_STABLE_FOR", "2s")
        .env("HEMOSTAT_MONITOR_CLEAR_AFTER", "2")
        .env("HEMOSTAT_RESPONDER_STABILISE", "2s");
    command
}

fn recovered(events: &[(Position, Event)], name: &str) -> bool {
    about(events, name).iter().any(|event| matches!(event.data, Data::HealthRecovered(_)))
}

pub(crate) fn verified(events: &[(Position, Event)], name: &str) -> bool {
    about(events, name).iter().any(
        |event| matches!(&event.data, Data::RemediationVerified(v) if v.verdict == Verification::Verified),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_container_is_healed_and_every_step_is_in_the_log() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let mut hemostat = up(&rig);
    lab.run("web", CRASH_ONCE, enabled).await.expect("a container");
    let name = lab.container_name("web");
    let events =
        rig.until("recovery", LIMIT, |events| recovered(events, &name) && verified(events, &name)).await;

    let story = about(&events, &name);
    let first = |kind: EventType| {
        let found = story.iter().find(|event| event.event_type() == kind);
        *found.unwrap_or_else(|| panic!("no {kind} in {story:#?}"))
    };
    let alert = first(EventType::HealthAlert);
    let needed = first(EventType::RemediationNeeded);
    let started = first(EventType::RemediationStarted);
    let complete = first(EventType::RemediationComplete);
    let verdict = first(EventType::RemediationVerified);
    let recovery = first(EventType::HealthRecovered);
    // One incident, and every step names the one before.
    let incident = alert.envelope.incident;
    assert!(incident.is_some());
    for event in [needed, started, complete, verdict, recovery] {
        assert_eq!(event.envelope.incident, incident, "{event:#?}");
    }
    assert_eq!(needed.envelope.cause, Some(alert.envelope.id));
    assert_eq!(started.envelope.cause, Some(needed.envelope.id));
    assert_eq!(complete.envelope.cause, Some(needed.envelope.id));
    assert_eq!(verdict.envelope.cause, Some(needed.envelope.id));
    // The intent is in the log before the outcome, and that before the verdict.
    let order: Vec<_> = [started, complete, verdict].map(|event| event.envelope.time).into();
    assert!(order.is_sorted(), "{order:?}");
    let Data::HealthAlert(alert) = &alert.data else { panic!("an alert") };
    assert_eq!(alert.anomalies[0].kind, AnomalyKind::NonZeroExit);
    let log = alert.evidence.items.iter().find(|item| item.kind == EvidenceKind::LogTail);
    let log = log.expect("the last lines it wrote are evidence");
    assert!(log.text.contains("[redacted]") && !log.text.contains("hunter2"), "{}", log.text);
    let Data::RemediationComplete(complete) = &complete.data else { panic!("an outcome") };
    assert_eq!(complete.outcome, Outcome::Success);
    let Data::HealthRecovered(recovery) = &recovery.data else { panic!("a recovery") };
    assert_eq!(recovery.reason, Recovery::Cleared);
    // Our own restart is nobody's death and no person's stop.
    let deaths = story.iter().filter(
        |event| matches!(&event.data, Data::ContainerChanged(c) if matches!(c.change, Change::Died { .. })),
    );
    assert_eq!(deaths.count(), 1);
    assert_eq!(story.iter().filter(|event| event.event_type() == EventType::RemediationStarted).count(), 1);

    let (code, took) = hemostat.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    lab.cleanup().await.expect("the lab is cleaned up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_or_not_ours_is_left_alone() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let _hemostat = up(&rig);
    let stopped = lab.run("stopped", IDLE, enabled).await.expect("a container");
    lab.run("well", IDLE, enabled).await.expect("a container");
    lab.run("job", "exit 0", enabled).await.expect("a container");
    lab.run("foreign", "exit 3", |_| {}).await.expect("a container");
    lab.run("opted-out", "exit 3", |spec| {
        spec.labels.insert("hemostat.enable".to_owned(), "false".to_owned());
    })
    .await
    .expect("a container");
    let names = ["stopped", "well", "job", "foreign", "opted-out"].map(|name| lab.container_name(name));
    rig.until("every container is known", LIMIT, |events| {
        names.iter().all(|name| !about(events, name).is_empty())
    })
    .await;
    // IDLE ends with 0; a shell that is killed ends with 137: both are what a person asked for.
    lab.engine().kill(&stopped, "SIGKILL").await.expect("it is killed");
    lab.run("last", CRASH_ONCE, enabled).await.expect("a container");
    let last = lab.container_name("last");
    let events = rig.until("the last one is healed", LIMIT, |events| verified(events, &last)).await;

    let started =
        events.iter().filter(|(_, event)| event.event_type() == EventType::RemediationStarted).count();
    assert_eq!(started, 1, "only the last container was acted on");
    for name in &names[..3] {
        let alerts = about(&events, name).iter().filter(|e| e.event_type() == EventType::HealthAlert).count();
        assert_eq!(alerts, 0, "{name}");
    }
    for name in &names[3..] {
        let refused = about(&events, name).iter().any(|event| {
            matches!(&event.data, Data::RemediationComplete(c) if matches!(c.outcome, Outcome::Rejected { .. }))
        });
        assert!(refused, "{name}: seen, told, and not touched");
    }
    lab.cleanup().await.expect("the lab is cleaned up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_redis_loses_nothing_and_the_agents_go_on() {
    let _engine = crate::rig::ENGINE.lock().await;
    let mut rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let mut hemostat = up(&rig);
    lab.run("before", CRASH_ONCE, enabled).await.expect("a container");
    let before = lab.container_name("before");
    let known = rig.until("an outcome", LIMIT, |events| verified(events, &before)).await;
    rig.redis.kill().await.expect("it ends");
    // It crashes while there is no log: the monitor has to tell of it afterwards.
    lab.run("meanwhile", CRASH_ONCE, enabled).await.expect("a container");
    rig.redis.start_again().await.expect("it starts");
    let meanwhile = lab.container_name("meanwhile");
    let events = rig.until("the second is healed", LIMIT, |events| verified(events, &meanwhile)).await;

    let kept: Vec<_> =
        events[..known.len()].iter().map(|(position, event)| (position, event.envelope.id)).collect();
    let before: Vec<_> = known.iter().map(|(position, event)| (position, event.envelope.id)).collect();
    assert_eq!(kept, before, "what was in the log is there still");
    let numbers: Vec<_> = events.iter().map(|(position, _)| position.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(hemostat.is_running());
    let (code, took) = hemostat.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    lab.cleanup().await.expect("the lab is cleaned up");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_time_while_the_log_is_away() {
    let _engine = crate::rig::ENGINE.lock().await;
    let mut rig = Rig::start().await;
    let mut hemostat = up(&rig);
    rig.until("a first event", LIMIT, |_| true).await;
    let ready = || async { (!rig.log.agents().await.ok()?.is_empty()).then_some(()) };
    hemostat_docker::testing::eventually("the agents run", LIMIT, ready).await;
    rig.redis.kill().await.expect("it ends");
    let (code, took) = hemostat.terminate();
    assert_eq!(code, Some(0), "{:#?}", hemostat.said());
    assert!(took < Duration::from_secs(2), "{took:?}");
}
