//! The end of a replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::script::*;
use crate::interposed::{Interposed, Request};
use crate::log::{EventLog, LogError};
use crate::memory::log::MemoryLog;

/// What operators were promised.
const PROMISE: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn an_idle_replica_ends_within_one_read() {
    let log = log();
    let replica = Replica::start(shared(&log), &Hands::new(&log, Duration::ZERO), "a", |_| {});
    sleep(Duration::from_secs(3)).await;
    assert!(replica.stop().await <= Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_finished_and_nothing_new_is_begun() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(1));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "act"), order("db", 2, "act"), order("web", 3, "third")]).await;
    until("both effects", || async { hands.asked.lock().unwrap().len() == 2 }).await;
    let took = replica.stop().await;
    assert!((900..1_100).contains(&took.as_millis()), "{took:?}");
    assert_eq!(told(&log).await, [inputs[0]]);
    assert_eq!(
        (hands.count(Effect::Act), hands.count(Effect::Ask)),
        (1, 1),
        "neither a next input nor a next try"
    );
    assert_eq!(pending(&log).await, 2, "the others stay for another replica");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_cut_off_and_another_replica_goes_on() {
    let log = log();
    let slow = Hands::new(&log, Duration::from_secs(60));
    let replica = Replica::start(shared(&log), &slow, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "act")]).await;
    until("the action", || async { slow.count(Effect::Act) == 1 }).await;
    assert!(replica.stop().await < PROMISE);
    let quick = Hands::new(&log, Duration::ZERO);
    let heir = Replica::start(shared(&log), &quick, "b", |_| {});
    until_done(&log).await;
    assert_eq!((told(&log).await, quick.count(Effect::Act), quick.count(Effect::Look)), (inputs, 0, 1));
    heir.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_replica_leaves_is_with_another_at_once_and_its_tries_are_not_counted() {
    let log = log();
    let slow = Hands::new(&log, Duration::from_secs(60));
    let one_try = |settings: &mut crate::run::Settings| settings.attempts_max = 1;
    let ending = Replica::start(shared(&log), &slow, "a", one_try);
    let inputs = give(&log, &[order("db", 1, "ask"), order("web", 2, "wait say")]).await;
    until("the question", || async { slow.count(Effect::Ask) == 1 }).await;
    let quick = Hands::new(&log, Duration::ZERO);
    let heir = Replica::start(shared(&log), &quick, "b", one_try);
    ending.stop().await;
    let ended = tokio::time::Instant::now();
    until("the answer", || async { told(&log).await == inputs[..1] }).await;
    assert!(ended.elapsed() < Duration::from_millis(1_500), "{:?}", ended.elapsed());
    assert_eq!((letters(&log).await, pending(&log).await), (vec![], 0));
    heir.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_ends_in_time_although_the_log_is_away() {
    let log = log();
    let replica = busy(&log, shared(&log)).await;
    log.set_down(true);
    sleep(Duration::from_secs(30)).await;
    assert!(replica.stop().await < PROMISE);
}

#[tokio::test(start_paused = true)]
async fn a_replica_ends_in_time_although_the_log_does_not_answer() {
    let log = log();
    let hangs = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&hangs);
    let hanging = Interposed::over(&log, move |_| {
        let hangs = gate.load(Ordering::Relaxed);
        async move {
            if hangs {
                sleep(Duration::from_secs(600)).await;
            }
            Ok::<_, LogError>(())
        }
        .boxed()
    });
    let replica = busy(&log, hanging).await;
    hangs.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(30)).await;
    assert!(replica.stop().await < PROMISE);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_refuses_for_good_ends_the_replica_with_its_reason() {
    let log = log();
    let refusing = Interposed::over(&log, |request| {
        let is_join = matches!(request, Request::Other("join"));
        let refused = LogError::Refused { reason: "another version of the log".to_owned(), source: None };
        async move { if is_join { Err(refused) } else { Ok(()) } }.boxed()
    });
    let replica = Replica::start(refusing, &Hands::new(&log, Duration::ZERO), "a", |_| {});
    let answer = replica.task.await.expect("it does not panic");
    assert!(matches!(answer, Err(LogError::Refused { .. })), "{answer:?}");
}

/// A replica with an action under way, others waiting, and one that waits for another try.
async fn busy(log: &MemoryLog, through: Arc<dyn EventLog>) -> Replica {
    let hands = Hands::new(log, Duration::from_secs(10));
    let replica = Replica::start(through, &hands, "a", |_| {});
    let orders =
        [order("db", 1, "act"), order("db", 2, "act"), order("web", 3, "again"), order("cache", 4, "ask")];
    give(log, &orders).await;
    until("the action", || async { hands.count(Effect::Act) == 1 }).await;
    replica
}
