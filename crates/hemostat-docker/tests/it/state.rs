//! What an inspection says of containers in trouble.

use std::collections::BTreeMap;

use hemostat_agent::containers::Containers as _;
use hemostat_core::engine::{EngineEventKind, RestartPolicy};
use hemostat_docker::testing::IDLE;
use hemostat_event::{ContainerId, Health, RunState};

use crate::laboratory::{Laboratory, check, now};

#[tokio::test]
async fn an_oom_kill_is_an_event_and_a_flag_until_the_next_run() {
    let laboratory = Laboratory::start().await;
    let since = now();
    let id = eater(&laboratory, "exec tail /dev/zero").await;
    let events = laboratory.events_until(since, &id, &EngineEventKind::Die { exit_code: 137 }).await;
    assert!(events.iter().any(|event| event.kind == EngineEventKind::Oom), "{events:?}");
    let killed = laboratory.until(&id, "the end", |inspection| inspection.state == RunState::Exited).await;
    assert_eq!((killed.oom_killed, killed.exit_code), (true, Some(137)));
    assert_eq!(killed.memory_limit_bytes, Some(16 << 20));

    laboratory.docker().restart(&id, Some(1)).await.expect("it can be restarted");
    let again = laboratory.docker().inspect(&id).await.expect("it is there");
    assert_eq!((again.state, again.oom_killed, again.exit_code), (RunState::Running, false, None));
    assert!(killed.finished_at < again.started_at, "{:?} {:?}", killed.finished_at, again.started_at);
}

#[tokio::test]
async fn a_child_that_is_killed_for_memory_is_an_event_and_the_container_goes_on() {
    let laboratory = Laboratory::start().await;
    let since = now();
    let id = eater(&laboratory, "(tail /dev/zero)").await;
    laboratory.events_until(since, &id, &EngineEventKind::Oom).await;
    let inspection = laboratory.docker().inspect(&id).await.expect("it is there");
    assert_eq!(inspection.state, RunState::Running);
}

#[tokio::test]
async fn an_engine_that_gives_up_leaves_the_count_of_its_restarts() {
    let laboratory = Laboratory::start().await;
    let policy = RestartPolicy::OnFailure { max: 2 };
    let id = laboratory.run("exit 7", |spec| spec.restart_policy = policy).await;
    let gave_up = |inspection: &hemostat_core::engine::Inspection| {
        inspection.state == RunState::Exited && inspection.restart_count == 2
    };
    let inspection = laboratory.until(&id, "the engine giving up", gave_up).await;
    assert_eq!((inspection.exit_code, inspection.restart_policy), (Some(7), policy));
}

#[tokio::test]
async fn what_was_asked_for_is_read_back() {
    let laboratory = Laboratory::start().await;
    let id = laboratory
        .run(IDLE, |spec| {
            spec.labels = BTreeMap::from([("hemostat.enable".to_owned(), "true".to_owned())]);
            spec.memory_limit_bytes = Some(32 << 20);
            spec.cpu_cores = Some(0.5);
            spec.pids_limit = Some(40);
            spec.restart_policy = RestartPolicy::UnlessStopped;
            spec.health = Some(check("exit 0"));
        })
        .await;
    let inspection =
        laboratory.until(&id, "a healthy container", |inspection| inspection.health == Health::Healthy).await;
    assert_eq!(inspection.labels.get("hemostat.enable").map(String::as_str), Some("true"));
    assert_eq!(inspection.memory_limit_bytes, Some(32 << 20));
    assert_eq!((inspection.cpu_limit_cores, inspection.pids_limit), (Some(0.5), Some(40)));
    assert_eq!(inspection.restart_policy, RestartPolicy::UnlessStopped);
    assert_eq!((inspection.health_failing_streak, inspection.restart_count), (0, 0));
    assert!(inspection.image.starts_with("hemostat-lab-"), "{}", inspection.image);
}

/// A container of 16 MiB that was told to eat more by running `script`. The engine listens to the kernel only once it
/// has started a container; a kill before that goes unheard.
async fn eater(laboratory: &Laboratory, script: &str) -> ContainerId {
    let script = format!(
        "trap '{script}' HUP; trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done"
    );
    let id = laboratory.run(&script, |spec| spec.memory_limit_bytes = Some(16 << 20)).await;
    laboratory.until_logged(&id, "ready").await;
    laboratory.docker().kill(&id, "SIGHUP").await.expect("it runs");
    id
}
