//! What every container engine must do, as tests that run on each of them.
//!
//! An implementation brings a [`Harness`] that makes containers behave, and calls
//! [`containers_contract!`](crate::containers_contract) with an expression that makes one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use hemostat_core::engine::{EngineEvent, EngineEventKind, Inspection};
use hemostat_event::{ContainerId, Health, RunState, Timestamp};
use tokio::time::{sleep, timeout};

use crate::containers::{Containers, EngineError};

/// Longest wait for a state: an engine on a loaded machine takes seconds to start a container.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at a state that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Makes containers that behave in a known way. What it makes is removed when it is dropped.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The engine under test.
    fn engine(&self) -> Arc<dyn Containers>;
    /// The engine's time.
    async fn now(&self) -> Timestamp;
    /// A container that was started and runs on.
    async fn running(&self) -> ContainerId;
    /// A container that was started and ends by itself with `exit_code`, at once or soon.
    async fn exiting(&self, exit_code: u8) -> ContainerId;
    /// A container that writes `lines` and runs on.
    async fn printing(&self, lines: &[String]) -> ContainerId;
    /// A container that runs and whose health check prints `output` and fails.
    async fn unhealthy(&self, output: &str) -> ContainerId;
    /// Takes a container away, also while it runs.
    async fn remove(&self, id: &ContainerId);
}

/// Runs every case of the contract as a test of its own, on a harness made by the given expression, a future.
#[macro_export]
macro_rules! containers_contract {
    ($harness:expr) => {
        $crate::containers_contract! { @cases $harness;
            list_contains_containers_in_every_state,
            info_describes_the_host,
            inspection_of_a_running_container_has_its_start_and_no_exit_code,
            inspection_of_an_ended_container_has_its_exit_code_and_end,
            inspection_of_a_gone_container_is_not_found,
            inspection_of_an_unhealthy_container_has_the_output_of_its_check,
            counters_of_a_running_container_are_given,
            counters_of_an_ended_container_are_not_found,
            counters_of_a_gone_container_are_not_found,
            log_tail_has_the_last_lines_in_order,
            log_tail_is_bounded_and_keeps_the_end,
            log_tail_of_a_gone_container_is_not_found,
            events_since_the_past_tell_of_the_end_with_its_exit_code,
            events_since_later_leave_out_what_was_before,
            events_tell_of_a_health_change_and_of_removal,
            restart_starts_a_new_run,
            restart_starts_an_ended_container,
            restart_is_told_as_events,
            restart_of_a_gone_container_is_not_found,
        }
    };
    (@cases $harness:expr; $($case:ident,)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let harness = $harness.await;
                $crate::contract::containers::$case(&harness).await;
            }
        )+
    };
}

/// Case: `list` has running and ended containers, and not those that are gone.
pub async fn list_contains_containers_in_every_state(harness: &dyn Harness) {
    let (running, ended, gone) = (harness.running().await, harness.exiting(0).await, harness.running().await);
    until_state(harness, &ended, RunState::Exited).await;
    harness.remove(&gone).await;
    let listed = harness.engine().list().await.expect("the engine lists");
    assert!(listed.contains(&running) && listed.contains(&ended), "{listed:?}");
    assert!(!listed.contains(&gone), "{listed:?}");
}

/// Case: `info` has figures a host cannot lack.
pub async fn info_describes_the_host(harness: &dyn Harness) {
    let info = harness.engine().info().await.expect("the engine describes itself");
    assert!(0 < info.cpus && 0 < info.memory_bytes, "{info:?}");
    assert!(!info.host.is_empty() && !info.version.is_empty() && !info.api_version.is_empty(), "{info:?}");
    assert!(matches!(info.cgroup_version, 1 | 2), "{info:?}");
}

/// Case: a running container.
pub async fn inspection_of_a_running_container_has_its_start_and_no_exit_code(harness: &dyn Harness) {
    let id = harness.running().await;
    let inspection = until_state(harness, &id, RunState::Running).await;
    assert_eq!(inspection.id.as_ref(), Some(&id));
    assert!(!inspection.name.is_empty() && !inspection.name.starts_with('/'), "{:?}", inspection.name);
    assert!(inspection.started_at.is_some(), "{inspection:?}");
    assert_eq!((inspection.exit_code, inspection.finished_at, inspection.oom_killed), (None, None, false));
}

/// Case: a container that ended by itself.
pub async fn inspection_of_an_ended_container_has_its_exit_code_and_end(harness: &dyn Harness) {
    let id = harness.exiting(3).await;
    let inspection = until_state(harness, &id, RunState::Exited).await;
    assert_eq!(inspection.exit_code, Some(3));
    assert!(
        inspection.started_at.is_some() && inspection.started_at <= inspection.finished_at,
        "{inspection:?}"
    );
}

/// Case: a gone container.
pub async fn inspection_of_a_gone_container_is_not_found(harness: &dyn Harness) {
    let id = gone(harness).await;
    let answer = harness.engine().inspect(&id).await;
    assert!(matches!(&answer, Err(EngineError::NotFound(of)) if *of == id), "{answer:?}");
}

/// Case: a failing health check.
pub async fn inspection_of_an_unhealthy_container_has_the_output_of_its_check(harness: &dyn Harness) {
    let id = harness.unhealthy("pool exhausted").await;
    let unhealthy = |inspection: &Inspection| inspection.health == Health::Unhealthy;
    let inspection = until(harness, &id, "an unhealthy container", unhealthy).await;
    assert_eq!(inspection.health_output.as_deref(), Some("pool exhausted"));
    assert!(0 < inspection.health_failing_streak, "{inspection:?}");
}

/// Case: counters of a running container.
pub async fn counters_of_a_running_container_are_given(harness: &dyn Harness) {
    let id = harness.running().await;
    let counters = harness.engine().counters(&id).await.expect("it runs");
    assert!(counters.pids.is_none_or(|pids| 0 < pids), "{counters:?}");
    assert_ne!(counters.read_at, Timestamp::EPOCH);
}

/// Case: an ended container has no counters, not counters of 0.
pub async fn counters_of_an_ended_container_are_not_found(harness: &dyn Harness) {
    let id = harness.exiting(0).await;
    until_state(harness, &id, RunState::Exited).await;
    let answer = harness.engine().counters(&id).await;
    assert!(matches!(&answer, Err(EngineError::NotFound(of)) if *of == id), "{answer:?}");
}

/// Case: counters of a gone container.
pub async fn counters_of_a_gone_container_are_not_found(harness: &dyn Harness) {
    let id = gone(harness).await;
    let answer = harness.engine().counters(&id).await;
    assert!(matches!(&answer, Err(EngineError::NotFound(of)) if *of == id), "{answer:?}");
}

/// Case: the last lines, oldest first.
pub async fn log_tail_has_the_last_lines_in_order(harness: &dyn Harness) {
    let lines: Vec<String> = (1..=7).map(|line| format!("line {line}")).collect();
    let id = harness.printing(&lines).await;
    let tail = until_logged(harness, &id, 3, "line 7").await;
    assert_eq!(tail.lines().collect::<Vec<_>>(), ["line 5", "line 6", "line 7"]);
    let all = harness.engine().log_tail(&id, 100).await.expect("the log is there");
    assert_eq!(all.lines().collect::<Vec<_>>(), lines);
}

/// Case: 16 KiB and no more.
pub async fn log_tail_is_bounded_and_keeps_the_end(harness: &dyn Harness) {
    let mut lines = vec!["x".repeat(1_000); 30];
    lines.push("the end".to_owned());
    let id = harness.printing(&lines).await;
    let tail = until_logged(harness, &id, 100, "the end").await;
    assert!((15 * 1_024..=16 * 1_024).contains(&tail.len()), "{} bytes", tail.len());
}

/// Case: the log of a gone container.
pub async fn log_tail_of_a_gone_container_is_not_found(harness: &dyn Harness) {
    let id = gone(harness).await;
    let answer = harness.engine().log_tail(&id, 10).await;
    assert!(matches!(&answer, Err(EngineError::NotFound(of)) if *of == id), "{answer:?}");
}

/// Case: nothing is lost between a break and the next stream.
pub async fn events_since_the_past_tell_of_the_end_with_its_exit_code(harness: &dyn Harness) {
    let since = harness.now().await;
    let id = harness.exiting(3).await;
    let ended = until_state(harness, &id, RunState::Exited).await;
    let events = until_event(harness, since, &id, |kind| matches!(kind, EngineEventKind::Die { .. })).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(kinds.last(), Some(&EngineEventKind::Die { exit_code: 3 }));
    assert!(kinds.contains(&EngineEventKind::Start), "{kinds:?}");
    assert!(events.is_sorted_by_key(|event| event.at), "{events:?}");
    assert_eq!(events.last().and_then(|event| event.name.as_deref()), Some(ended.name.as_str()));
}

/// Case: `since` is precise, also within a second.
pub async fn events_since_later_leave_out_what_was_before(harness: &dyn Harness) {
    let since = harness.now().await;
    let id = harness.exiting(0).await;
    let die = |kind: &EngineEventKind| matches!(kind, EngineEventKind::Die { .. });
    let events = until_event(harness, since, &id, die).await;
    let died = events.last().expect("the die event").at;
    let later = until_event(harness, died, &id, die).await;
    assert_eq!(
        later.iter().map(|event| &event.kind).collect::<Vec<_>>(),
        [&EngineEventKind::Die { exit_code: 0 }]
    );
}

/// Case: health and removal are events.
pub async fn events_tell_of_a_health_change_and_of_removal(harness: &dyn Harness) {
    let since = harness.now().await;
    let id = harness.unhealthy("down").await;
    let unhealthy = |kind: &EngineEventKind| *kind == EngineEventKind::Health(Health::Unhealthy);
    until_event(harness, since, &id, unhealthy).await;
    harness.remove(&id).await;
    until_event(harness, since, &id, |kind| *kind == EngineEventKind::Destroy).await;
}

/// Case: a restart of a running container.
pub async fn restart_starts_a_new_run(harness: &dyn Harness) {
    let id = harness.running().await;
    let before = until_state(harness, &id, RunState::Running).await;
    harness.engine().restart(&id, Some(1)).await.expect("it can be restarted");
    let after = harness.engine().inspect(&id).await.expect("it is there");
    assert_eq!(after.state, RunState::Running);
    assert!(before.started_at < after.started_at, "{:?} {:?}", before.started_at, after.started_at);
}

/// Case: a restart of a container that does not run starts it.
pub async fn restart_starts_an_ended_container(harness: &dyn Harness) {
    let id = harness.exiting(3).await;
    let before = until_state(harness, &id, RunState::Exited).await;
    harness.engine().restart(&id, None).await.expect("it can be restarted");
    let newer = |inspection: &Inspection| before.started_at < inspection.started_at;
    until(harness, &id, "a new run", newer).await;
}

/// Case: a restart tells that somebody asked for it, before the new run.
pub async fn restart_is_told_as_events(harness: &dyn Harness) {
    let id = harness.running().await;
    until_state(harness, &id, RunState::Running).await;
    let since = harness.now().await;
    harness.engine().restart(&id, Some(1)).await.expect("it can be restarted");
    let events = until_event(harness, since, &id, |kind| *kind == EngineEventKind::Restart).await;
    // The last of each: `since` includes its own moment, and with it perhaps the start of the first run.
    let at = |wanted: fn(&EngineEventKind) -> bool| events.iter().rposition(|event| wanted(&event.kind));
    let kill = at(|kind| matches!(kind, EngineEventKind::Kill { .. }));
    let die = at(|kind| matches!(kind, EngineEventKind::Die { .. }));
    let start = at(|kind| *kind == EngineEventKind::Start);
    assert!(kill.is_some() && kill < die && die < start, "{events:?}");
}

/// Case: a restart of a gone container, with a stop timeout and without.
pub async fn restart_of_a_gone_container_is_not_found(harness: &dyn Harness) {
    let id = gone(harness).await;
    for stop_timeout_secs in [Some(1), None] {
        let answer = harness.engine().restart(&id, stop_timeout_secs).await;
        assert!(matches!(&answer, Err(EngineError::NotFound(of)) if *of == id), "{answer:?}");
    }
}

async fn gone(harness: &dyn Harness) -> ContainerId {
    let id = harness.running().await;
    harness.remove(&id).await;
    id
}

async fn until_state(harness: &dyn Harness, id: &ContainerId, state: RunState) -> Inspection {
    until(harness, id, &format!("state {state:?}"), |inspection| inspection.state == state).await
}

async fn until(
    harness: &dyn Harness,
    id: &ContainerId,
    what: &str,
    wanted: impl Fn(&Inspection) -> bool,
) -> Inspection {
    let engine = harness.engine();
    look(what, || async {
        let inspection = engine.inspect(id).await.expect("the container is there");
        wanted(&inspection).then_some(inspection)
    })
    .await
}

async fn until_logged(harness: &dyn Harness, id: &ContainerId, lines: usize, end: &str) -> String {
    let engine = harness.engine();
    look("the end of the log", || async {
        let tail = engine.log_tail(id, lines).await.expect("the log is there");
        tail.ends_with(end).then_some(tail)
    })
    .await
}

/// Looks again and again until there is something to see, within the limit.
async fn look<T, Look: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> Look) -> T {
    let found = timeout(WAIT_MAX, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(LOOK_EVERY).await;
        }
    });
    found.await.unwrap_or_else(|_elapsed| panic!("{what}: not seen in {WAIT_MAX:?}"))
}

/// The container's events since `since` up to and including the first wanted one.
async fn until_event(
    harness: &dyn Harness,
    since: Timestamp,
    id: &ContainerId,
    wanted: impl Fn(&EngineEventKind) -> bool,
) -> Vec<EngineEvent> {
    let mut events = harness.engine().events(since);
    let mut seen = Vec::new();
    let found = timeout(WAIT_MAX, async {
        while let Some(event) = events.next().await {
            let event = event.expect("the stream does not break");
            if event.id == *id {
                let last = wanted(&event.kind);
                seen.push(event);
                if last {
                    return;
                }
            }
        }
        panic!("the event stream ended");
    });
    assert!(found.await.is_ok(), "the event was not seen in {WAIT_MAX:?}; seen: {seen:?}");
    seen
}
