//! The event stream of a real engine.

use futures_util::StreamExt;
use hemostat_agent::containers::Containers as _;
use hemostat_core::engine::EngineEventKind;
use hemostat_docker::testing::IDLE;
use hemostat_event::{Health, Timestamp};
use tokio::time::timeout;

use crate::laboratory::{Laboratory, WAIT_MAX, check, now};

#[tokio::test]
async fn nothing_is_lost_between_two_streams() {
    let laboratory = Laboratory::start().await;
    let engine = laboratory.docker();
    let begin = now();
    let id = laboratory.run(IDLE, |_| {}).await;
    let last = laboratory.events_until(begin, &id, &EngineEventKind::Start).await.pop().expect("the start");
    // The stream is gone; meanwhile the container is killed and started.
    engine.kill(&id, "SIGKILL").await.expect("it runs");
    laboratory.until(&id, "the end", |inspection| inspection.exit_code.is_some()).await;
    engine.start(&id).await.expect("it can be started");
    engine.remove_container(&id, true).await.expect("it can be removed");
    let events = laboratory.events_until(last.at, &id, &EngineEventKind::Destroy).await;
    let kinds: Vec<_> = events.iter().map(|event| &event.kind).collect();
    assert_eq!(
        kinds[..4],
        [
            // Its own moment included.
            &EngineEventKind::Start,
            &EngineEventKind::Kill { signal: 9 },
            &EngineEventKind::Die { exit_code: 137 },
            &EngineEventKind::Start,
        ]
    );
    assert!(events.is_sorted_by_key(|event| event.at), "{events:?}");
}

#[tokio::test]
async fn without_a_past_only_what_is_new_is_told() {
    let laboratory = Laboratory::start().await;
    let engine = laboratory.docker();
    let old = laboratory.run(IDLE, |_| {}).await;
    let mut events = engine.events(Timestamp::EPOCH);
    // The stream opens when it is polled, so a container is made and removed until the first one is seen.
    let first = async {
        loop {
            let event = events.next().await.expect("no end").expect("no break");
            if event.id == old {
                return event;
            }
        }
    };
    let signals = async {
        loop {
            engine.kill(&old, "SIGHUP").await.expect("it runs");
            tokio::task::yield_now().await;
        }
    };
    let first = timeout(WAIT_MAX, async {
        tokio::select! {
            first = first => first,
            () = signals => unreachable!("signals are sent without end"),
        }
    });
    let first = first.await.expect("a signal is seen");
    assert!(
        matches!(first.kind, EngineEventKind::Kill { signal: 1 } | EngineEventKind::Die { .. }),
        "{first:?}"
    );
}

#[tokio::test]
async fn a_health_check_that_changes_its_mind_is_told_both_times() {
    let laboratory = Laboratory::start().await;
    let since = now();
    let script =
        "trap 'echo > /well' HUP; trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done";
    let id = laboratory.run(script, |spec| spec.health = Some(check("test -f /well"))).await;
    let sick = EngineEventKind::Health(Health::Unhealthy);
    let last = laboratory.events_until(since, &id, &sick).await.pop().expect("the last one");
    laboratory.until_logged(&id, "ready").await;
    laboratory.docker().kill(&id, "SIGHUP").await.expect("it runs");
    let events = laboratory.events_until(last.at, &id, &EngineEventKind::Health(Health::Healthy)).await;
    let kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [sick, EngineEventKind::Kill { signal: 1 }, EngineEventKind::Health(Health::Healthy)]);
}
