//! Writes that count only once they are on a replica or on the disk; and that nobody acts on one before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::{CommitAnswer, EventLog, LogError, StreamName};
use hemostat_agent::run::{Agent, Perform, Settings};
use hemostat_agent::telemetry::{Telemetry, chain};
use hemostat_core::engine::Inspection;
use hemostat_core::remediate::{self, Policy, Responder};
use hemostat_event::{Action, Data, Event, EventType, IncidentId, Mode, RunState, Subject, Timestamp};
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{ConnectError, Durability, DurabilitySettings, RedisLog};
use tokio_util::sync::CancellationToken;

use crate::given::{
    ROLE, all, changed, changes, commit_one, dealt_with, eventually, host, join, sample, stateless, subject,
    take,
};
use crate::pair::Pair;

/// Too short a wait on a loaded machine to count on: for writes that are meant to fall short.
const QUICK: Duration = Duration::from_millis(150);
/// Long enough.
const PATIENT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_commit_counts_once_a_replica_has_it() {
    let pair = Pair::start().await;
    let log = on_replica(&pair.primary, QUICK).await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 2)).await.expect("changes need no replica here");
    let entries = take(reader.as_mut(), 2).await;
    // The answer may have come too late for the first try.
    let first = commit_one(&log, stateless(&entries[0], "a")).await;
    assert!(matches!(first, CommitAnswer::Committed(_) | CommitAnswer::Duplicate), "{first:?}");
    pair.replica.pause();
    let step = dealt_with(&entries[1], "a", 0);
    fails_short(log.commit(std::slice::from_ref(&step)).await);
    // It stands in the primary, and a repetition that writes nothing waits for it all the same: on the same
    // connection, on a new one, and from another process.
    fails_short(log.commit(std::slice::from_ref(&step)).await);
    let other = on_replica(&pair.primary, QUICK).await;
    fails_short(other.commit(std::slice::from_ref(&step)).await);
    // What was written so cannot be decided on either.
    fails_short(other.load(ROLE, &[subject("db")]).await);
    // Everything else goes on.
    log.append(&[changed("db", 7), sample(1)]).await.expect("they need no replica");
    pair.replica.resume();
    assert_eq!(commit_one(&log, step).await, CommitAnswer::Duplicate);
    assert_eq!(log.load(ROLE, &[subject("db")]).await.expect("it is safe now")[0].version, 1);
}

#[tokio::test]
async fn a_lost_replica_is_waited_for() {
    let mut pair = Pair::start().await;
    let log = on_replica(&pair.primary, QUICK).await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 1)).await.expect("changes need no replica here");
    let entries = take(reader.as_mut(), 1).await;
    pair.replica.stop().await.expect("it ends");
    let step = stateless(&entries[0], "a");
    fails_short(log.commit(std::slice::from_ref(&step)).await);
    pair.replica.start_again().await.expect("it starts");
    assert_eq!(commit_one(&log, step).await, CommitAnswer::Duplicate);
}

#[tokio::test]
async fn waiting_for_a_replica_holds_nobody_else_up() {
    let pair = Pair::start().await;
    let log = on_replica(&pair.primary, Duration::from_secs(5)).await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 1)).await.expect("changes need no replica here");
    let entries = take(reader.as_mut(), 1).await;
    pair.replica.pause();
    let step = [stateless(&entries[0], "a")];
    let mut waiting = std::pin::pin!(log.commit(&step));
    let others = async {
        // Once the commit stands in the primary, it is being waited for.
        eventually("the commit is in the primary", || async {
            (!all(&log, &crate::given::OUTPUT).await.is_empty()).then_some(())
        })
        .await;
        for n in 1..50 {
            log.append(&[changed("db", n)]).await.expect("the log is there");
            reader.renew(&[entries[0].at.clone()]).await.expect("the log is there");
        }
    };
    tokio::select! {
        biased;
        answer = &mut waiting => panic!("{answer:?} came first"),
        () = others => {}
    }
    pair.replica.resume();
    assert!(matches!(waiting.await.expect("it is safe now")[0], CommitAnswer::Committed(_)));
}

#[tokio::test]
async fn a_forgotten_script_is_loaded_within_the_exchange() {
    let pair = Pair::start().await;
    let log = on_replica(&pair.primary, PATIENT).await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 2)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 2).await;
    for entry in &entries {
        pair.primary.command::<()>(&["SCRIPT", "FLUSH"]).await.expect("Redis answers");
        let answer = commit_one(&log, stateless(entry, "a")).await;
        assert!(matches!(answer, CommitAnswer::Committed(_)), "{answer:?}");
    }
}

#[tokio::test]
async fn no_action_is_taken_on_an_intent_that_only_the_primary_has() {
    let pair = Arc::new(Pair::start().await);
    let plain = pair.primary.log().await.expect("the log can be opened");
    let log: Arc<dyn EventLog> = Arc::new(on_replica(&pair.primary, QUICK).await);
    let now = plain.now().await.expect("the log answers");
    let acts = Arc::new(AtomicU32::new(0));
    // The replica stands still from the look before the action on.
    let hands = |pauses| Hands { acts: Arc::clone(&acts), pair: Arc::clone(&pair), pauses };
    plain.append(&[plan(now)]).await.expect("the log is there");
    let telemetry = Arc::new(Telemetry::new("test"));
    let stop = CancellationToken::new();
    let running = tokio::spawn(responder("r-1", &log, hands(true), &telemetry).run(stop.clone()));
    let intent = StreamName::Type(EventType::RemediationStarted);
    eventually("the intent stands in the primary and was tried again", || async {
        let tried = log_errors(&telemetry) >= 3.0;
        (tried && all(&plain, &intent).await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(acts.load(Ordering::Relaxed), 0);
    // The responder dies; the next one finds the intent and may not act on it either.
    stop.cancel();
    running.await.expect("it ends").expect("the log did not refuse");
    let telemetry = Arc::new(Telemetry::new("test"));
    let stop = CancellationToken::new();
    let running = tokio::spawn(responder("r-2", &log, hands(false), &telemetry).run(stop.clone()));
    eventually("the next one has tried", || async { (log_errors(&telemetry) >= 3.0).then_some(()) }).await;
    assert_eq!(acts.load(Ordering::Relaxed), 0);
    pair.replica.resume();
    let complete = StreamName::Type(EventType::RemediationComplete);
    eventually("the plan is dealt with", || async {
        (!all(&plain, &complete).await.is_empty()).then_some(())
    })
    .await;
    assert_eq!((acts.load(Ordering::Relaxed), all(&plain, &intent).await.len()), (1, 1));
    stop.cancel();
    running.await.expect("it ends").expect("the log did not refuse");
}

#[tokio::test]
async fn the_disk_cannot_be_waited_for_where_the_server_does_not_know_how() {
    let settings = DurabilitySettings { decisions: Durability::Fsync, ..DurabilitySettings::default() };
    let said = async |config: &[(&str, &str)]| {
        let redis = TestRedis::start_with(config).await.expect("a throw-away Redis");
        let log = redis.log().await.expect("the log can be opened");
        match log.with_durability(settings).await {
            Ok(_log) => "accepted".to_owned(),
            Err(ConnectError::Durability(reason)) => reason,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(said(&[]).await.contains("appendonly yes"));
    let on_demand = said(&[("appendonly", "yes"), ("appendfsync", "everysec")]).await;
    // Servers since 7.2 wait when they are asked to.
    assert!(on_demand == "accepted" || on_demand.contains("appendfsync always"), "{on_demand}");
    assert_eq!(said(&[("appendonly", "yes"), ("appendfsync", "always")]).await, "accepted");
}

#[tokio::test]
async fn what_was_put_on_the_disk_is_there_after_a_power_cut() {
    // Where the server waits on demand, it need not wait for every write.
    let mut redis = TestRedis::start_with(&[("appendonly", "yes"), ("appendfsync", "everysec")]).await;
    let on_demand = match &redis {
        Ok(redis) => has_waitaof(redis).await,
        Err(error) => panic!("{error}"),
    };
    if !on_demand {
        redis = TestRedis::start_durable().await;
    }
    let mut redis = redis.expect("a throw-away Redis");
    let settings = DurabilitySettings { decisions: Durability::Fsync, ..DurabilitySettings::default() };
    let log = redis.log().await.expect("the log can be opened");
    let log = log.with_durability(settings).await.expect("the server can do it");
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 1)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 1).await;
    commit_one(&log, stateless(&entries[0], "a")).await;
    redis.kill().await.expect("it dies");
    redis.start_again().await.expect("it starts");
    assert_eq!(commit_one(&log, stateless(&entries[0], "a")).await, CommitAnswer::Duplicate);
}

async fn has_waitaof(redis: &TestRedis) -> bool {
    redis.command::<redis::Value>(&["WAITAOF", "0", "0", "1"]).await.is_ok()
}

/// A log whose decisions have to be on one replica.
async fn on_replica(redis: &TestRedis, timeout: Duration) -> RedisLog {
    let settings =
        DurabilitySettings { decisions: Durability::Replica, timeout, ..DurabilitySettings::default() };
    let log = redis.log().await.expect("the log can be opened");
    log.with_durability(settings).await.expect("the server can do it")
}

fn fails_short<T: std::fmt::Debug>(answer: Result<T, LogError>) {
    let error = answer.expect_err("no replica has it");
    assert!(matches!(error, LogError::Indefinite(_)), "{error:?}");
    assert!(chain(&error).contains("0 of 1 replicas"), "{}", chain(&error));
}

fn log_errors(telemetry: &Telemetry) -> f64 {
    let families = telemetry.registry().gather();
    let errors = families.iter().find(|family| family.name() == "hemostat_log_errors_total");
    errors.map_or(0.0, |family| family.get_metric().iter().map(|m| m.get_counter().get_value()).sum())
}

/// Hands of a responder that find the container dead and count what they do to it.
struct Hands {
    acts: Arc<AtomicU32>,
    pair: Arc<Pair>,
    pauses: bool,
}

#[async_trait]
impl Perform<Responder> for Hands {
    async fn perform(&self, _: &Subject, effect: remediate::Effect) -> remediate::Outcome {
        match effect {
            remediate::Effect::Inspect { target, .. } => {
                if self.pauses {
                    self.pair.replica.pause();
                }
                let inspection = Inspection {
                    id: Some(target),
                    name: "db".to_owned(),
                    labels: BTreeMap::new(),
                    state: RunState::Exited,
                    exit_code: Some(1),
                    started_at: Some(Timestamp::from_millis(1_000)),
                    ..Inspection::default()
                };
                remediate::Outcome::Seen(Box::new(remediate::Seen { inspection, sample: None }))
            }
            remediate::Effect::Act { .. } => {
                self.acts.fetch_add(1, Ordering::Relaxed);
                remediate::Outcome::Done { took: Duration::ZERO, run_started_at: None }
            }
        }
    }
}

fn responder(
    instance: &str,
    log: &Arc<dyn EventLog>,
    performer: Hands,
    telemetry: &Arc<Telemetry>,
) -> Agent<Responder, Hands> {
    let streams = vec![StreamName::Plans(host())];
    Agent {
        role: Responder { policy: Policy::default() },
        performer,
        log: Arc::clone(log),
        clock: Arc::new(LogClock::new(Arc::clone(log))),
        settings: Settings {
            claim_after: Duration::from_millis(500),
            drain: Duration::from_millis(200),
            ..Settings::new(instance, host(), streams)
        },
        telemetry: Arc::clone(telemetry),
        tick: HealthBoard::new().part("responder", Duration::from_secs(5)),
    }
}

/// A plan that is good for some minutes from `now` on.
fn plan(now: Timestamp) -> Event {
    let mut plan = hemostat_agent::contract::log::events::plan(&host());
    let Data::RemediationNeeded(needed) = &mut plan.data else { panic!("it is a plan") };
    // The successor waits as long as the action could still be under way.
    needed.plan.action = Action::Restart { stop_timeout_secs: Some(0) };
    needed.plan.policy.mode = Mode::Auto;
    needed.plan.expires_at = now + Duration::from_secs(300);
    plan.envelope.time = now;
    plan.envelope.incident = Some(IncidentId::opened(&subject("db"), now));
    plan
}
