//! Order per container, and how many inputs are dealt with at a time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hemostat_event::EventType;
use tokio::time::{Instant, sleep};

use super::script::*;

#[tokio::test(start_paused = true)]
async fn inputs_of_one_container_are_dealt_with_in_their_order_and_containers_side_by_side() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(1));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let orders: Vec<_> = (0..40_u64).map(|n| order(&format!("c{}", n % 4), n, "act")).collect();
    let began = Instant::now();
    let inputs = give(&log, &orders).await;
    until_done(&log).await;
    // Ten actions of a second in a row for each of four containers at once.
    assert!((10_000..11_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let mut by_container: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for output in events(&log, EventType::HealthRecovered).await {
        by_container
            .entry(output.envelope.subject.unwrap())
            .or_default()
            .push(output.envelope.cause.unwrap());
    }
    for (n, (_, told)) in by_container.into_iter().enumerate() {
        assert_eq!(told, inputs.iter().copied().skip(n).step_by(4).collect::<Vec<_>>());
    }
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_inputs_are_dealt_with_at_a_time_than_allowed() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(1));
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.concurrency = 3);
    let orders: Vec<_> = (0..12).map(|n| order(&format!("c{n}"), n, "ask")).collect();
    give(&log, &orders).await;
    until_done(&log).await;
    assert_eq!(hands.most.load(Ordering::Relaxed), 3);
    assert_eq!(told(&log).await.len(), 12);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_entries_are_taken_than_there_is_room_for() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(1_000));
    let orders: Vec<_> = (0..50).map(|n| order("db", n, "ask")).collect();
    give(&log, &orders).await;
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.in_flight_max = 8);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(pending(&log).await, 8);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_waits_for_another_try_lets_no_later_one_pass_and_blocks_no_other_container() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.concurrency = 1);
    let began = Instant::now();
    let inputs = give(&log, &[order("db", 1, "third"), order("db", 2, "say"), order("web", 3, "say")]).await;
    until("the other container's output", || async { !told(&log).await.is_empty() }).await;
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    until_done(&log).await;
    assert_eq!(told(&log).await, [inputs[2], inputs[0], inputs[1]]);
    assert!(Duration::from_millis(1_500) <= began.elapsed());
    replica.stop().await;
}
