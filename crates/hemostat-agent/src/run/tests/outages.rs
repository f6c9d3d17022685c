//! The log goes away and comes back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::script::*;

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_costs_no_input_and_no_try() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(1));
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 2);
    let orders: Vec<_> = (0..30).map(|n| order(&format!("c{}", n % 3), n, "act")).collect();
    let inputs = give(&log, &orders).await;
    sleep(Duration::from_millis(2_500)).await;
    assert!(replica.is_ready());
    log.set_down(true);
    sleep(Duration::from_secs(3_600)).await;
    let report = crate::health::HealthSource::report(&replica.board);
    assert!(report.live && !report.ready, "{report:?}");
    log.set_down(false);
    let back = Instant::now();
    until_done(&log).await;
    assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    assert_eq!(letters(&log).await, []);
    assert!(replica.is_ready());
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_starts_without_the_log_waits_for_it() {
    let log = log();
    log.set_down(true);
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    sleep(Duration::from_secs(60)).await;
    assert!(!replica.is_ready());
    log.set_down(false);
    let inputs = give(&log, &[order("db", 1, "say")]).await;
    until_done(&log).await;
    assert_eq!(told(&log).await, inputs);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_add_no_outputs_and_lose_none() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_millis(10));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let kinds = ["say", "act", "wait say"];
    let orders: Vec<_> = (0..60).map(|n| order(&format!("c{}", n % 5), n, kinds[(n % 3) as usize])).collect();
    let inputs = give(&log, &orders).await;
    for _blip in 0..20 {
        log.lose_answers(2);
        sleep(Duration::from_millis(15)).await;
    }
    // The timers are due after a minute, and what was taken with a lost answer comes back after half of one.
    sleep(Duration::from_secs(300)).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_being_dealt_with_when_the_connection_breaks_is_not_begun_a_second_time() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(10));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "ask"), order("web", 2, "ask")]).await;
    until("both questions", || async { hands.count(Effect::Ask) == 2 }).await;
    // The group hands out again what this consumer has not acknowledged.
    log.set_down(true);
    sleep(Duration::from_secs(1)).await;
    log.set_down(false);
    until_done(&log).await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    assert_eq!(hands.count(Effect::Ask), 2);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_emptied_is_gone_on_with() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    give(&log, &[order("db", 1, "say"), order("db", 2, "say")]).await;
    until_done(&log).await;
    log.lose_everything();
    // The remembered state has a version that the log does not have any more.
    let inputs = give(&log, &[order("db", 3, "say")]).await;
    until("the output", || async { told(&log).await == inputs }).await;
    replica.stop().await;
}
