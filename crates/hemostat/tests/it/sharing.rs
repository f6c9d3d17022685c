//! Two replicas of the analyzer and two of the responder share the work: every alert gets exactly one decision and
//! no container is restarted twice, also while one of each is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hemostat_agent::containers::Containers;
use hemostat_docker::testing::Lab;
use hemostat_event::cloudevents::Position;
use hemostat_event::{
    ContainerId, Data, Event, EventType, HostName, IncidentId, Outcome, RunState, Subject, Timestamp,
};
use rustix::process::Signal;

use crate::crashes::{container, crash, observed};
use crate::rig::{LIMIT, Process, Rig, count};

const ALERTS: usize = 200;
const CONTAINERS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_alerts_get_one_decision_each_and_no_container_is_restarted_twice() {
    share(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_while_one_replica_of_each_is_killed() {
    share(true).await;
}

async fn share(kill: bool) {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let engine = lab.engine();
    let host = HostName::new("shared-host").expect("a host name");
    let mut containers = Vec::new();
    for number in 0..CONTAINERS {
        // Crashes in its first run and stays in the second, which a restart brings.
        let script = "test -e /seen && exec tail -f /dev/null; : > /seen; exit 1";
        let id = lab.run(&format!("c{number}"), script, |_| {}).await.expect("a container");
        containers.push((id, lab.container_name(&format!("c{number}"))));
    }
    for (id, _) in &containers {
        until_ended(&*engine, id).await;
    }
    let command = |role: &str, name: &str| {
        let mut command = rig.command(&[role]);
        command
            .env("HEMOSTAT_HOST", host.as_str())
            .env("HEMOSTAT_INSTANCE", name)
            .env("HEMOSTAT_AGENT_CLAIM_AFTER", "2s")
            // Many small steps, so that the kill comes in the midst of the work.
            .env("HEMOSTAT_AGENT_CONCURRENCY", "4");
        command
    };
    let mut doomed: Vec<Process> =
        ["analyzer", "responder"].map(|role| Process::start(&mut command(role, "one"))).into();
    let mut others: Vec<Process> =
        ["analyzer", "responder"].map(|role| Process::start(&mut command(role, "two"))).into();

    // All of them are there before there is anything to share.
    let all = || async { (rig.log.agents().await.expect("the log is there").len() == 4).then_some(()) };
    hemostat_docker::testing::eventually("two of each agent", LIMIT, all).await;
    let now = rig.log.now().await.expect("the log's clock");
    let alerts: Vec<Event> =
        (0..ALERTS).map(|number| alert(&host, &containers[number % CONTAINERS], number, now)).collect();
    for part in alerts.chunks(20) {
        rig.log.append(part).await.expect("the alerts are written");
    }
    if kill {
        rig.until("some decisions", LIMIT, |events| 20 <= decisions(events).len()).await;
        for process in &doomed {
            process.signal(Signal::KILL);
        }
    }
    let events = rig
        .until("an outcome of every plan", LIMIT, |events| {
            let plans = count(events, |data| matches!(data, Data::RemediationNeeded(_)));
            let outcomes = count(events, |data| matches!(data, Data::RemediationComplete(_)));
            decisions(events).len() == ALERTS && plans == outcomes
        })
        .await;

    // Exactly one decision for every alert, and one outcome for every plan.
    let decided = decisions(&events);
    let causes: BTreeSet<_> = decided.iter().map(|event| event.envelope.cause).collect();
    assert_eq!((decided.len(), causes.len()), (ALERTS, ALERTS));
    assert!(alerts.iter().all(|alert| causes.contains(&Some(alert.envelope.id))));
    let plans: BTreeSet<_> =
        of(&events, EventType::RemediationNeeded).map(|event| event.envelope.id).collect();
    let outcomes: Vec<_> = of(&events, EventType::RemediationComplete).collect();
    let ended: BTreeSet<_> = outcomes.iter().filter_map(|event| event.envelope.cause).collect();
    assert_eq!((outcomes.len(), ended.len()), (plans.len(), plans.len()));
    // Every container was restarted once: what the log says and what the engine says agree.
    let mut healed: BTreeMap<&Subject, usize> = BTreeMap::new();
    for event in &outcomes {
        if let (Data::RemediationComplete(complete), Some(subject)) = (&event.data, &event.envelope.subject)
            && complete.outcome == Outcome::Success
        {
            *healed.entry(subject).or_default() += 1;
        }
    }
    assert_eq!(healed.values().copied().collect::<Vec<_>>(), vec![1; CONTAINERS]);
    for (id, name) in &containers {
        let inspection = engine.inspect(id).await.expect("the container is there");
        assert_eq!(inspection.state, RunState::Running, "{name}");
        assert_eq!(starts(&lab, id).await, 2, "{name}: its first start and one restart");
    }
    // No sequence number is missing, and no id is there twice.
    let ids: BTreeSet<_> = events.iter().map(|(_, event)| event.envelope.id).collect();
    assert_eq!(ids.len(), events.len());
    assert!(events.windows(2).all(|pair| pair[0].0.seq < pair[1].0.seq));
    if !kill {
        let writers: BTreeSet<_> =
            decided.iter().map(|event| event.envelope.source.instance.clone()).collect();
        assert_eq!(writers.len(), 2, "both analyzers did some of the work: {writers:?}");
    }
    for process in others.iter_mut().chain(&mut doomed) {
        if process.is_running() {
            let (code, took) = process.terminate();
            assert_eq!(code, Some(0));
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
    }
    lab.cleanup().await.expect("the lab is cleaned up");
}

fn of(events: &[(Position, Event)], kind: EventType) -> impl Iterator<Item = &Event> {
    events.iter().map(|(_, event)| event).filter(move |event| event.event_type() == kind)
}

fn decisions(events: &[(Position, Event)]) -> Vec<&Event> {
    let decided = |event: &&Event| matches!(event.data, Data::RemediationNeeded(_) | Data::FalseAlarm(_));
    events.iter().map(|(_, event)| event).filter(decided).collect()
}

async fn until_ended(engine: &dyn Containers, id: &ContainerId) {
    hemostat_docker::testing::eventually("an ended container", LIMIT, || async {
        let inspection = engine.inspect(id).await.expect("the container is there");
        (inspection.state == RunState::Exited).then_some(())
    })
    .await;
}

/// How often the engine says that it started the container.
async fn starts(lab: &Lab, id: &ContainerId) -> usize {
    use futures_util::StreamExt as _;
    let mut events = lab.engine().events(Timestamp::from_micros(1));
    let mut starts = 0;
    // The past comes at once; what follows it is silence.
    while let Ok(Some(Ok(event))) = tokio::time::timeout(Duration::from_millis(500), events.next()).await {
        starts += usize::from(event.id == *id && event.kind == hemostat_core::engine::EngineEventKind::Start);
    }
    starts
}

fn alert(host: &HostName, (id, name): &(ContainerId, String), number: usize, now: Timestamp) -> Event {
    let subject = Subject::new(host, name).expect("a subject");
    // Every alert is an incident of its own: the analyzer's limit of plans per incident does not step in.
    let incident = IncidentId::opened(&subject, now + Duration::from_secs(number as u64));
    observed(subject, number, incident, now, crash(container(id.clone(), name), now))
}
