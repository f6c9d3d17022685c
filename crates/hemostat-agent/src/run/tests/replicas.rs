//! Several replicas, and what becomes of the work of one that dies.

use std::time::Duration;

use hemostat_event::{EventId, EventType};
use tokio::time::sleep;

use super::script::*;
use crate::log::{EventLog, Membership, StreamName};
use crate::memory::log::MemoryLog;

#[tokio::test(start_paused = true)]
async fn two_replicas_share_the_inputs_and_each_has_exactly_one_set_of_outputs() {
    let log = log();
    let hands = [Hands::new(&log, Duration::from_millis(30)), Hands::new(&log, Duration::from_millis(70))];
    let replicas = [
        Replica::start(shared(&log), &hands[0], "a", |_| {}),
        Replica::start(shared(&log), &hands[1], "b", |_| {}),
    ];
    let inputs = give_many(&log, 200).await;
    until_done(&log).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    assert_eq!(letters(&log).await, []);
    for hands in &hands {
        assert!(20 < hands.asked.lock().unwrap().len(), "both replicas work");
    }
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_replica_takes_over_what_a_killed_one_had_and_each_input_has_still_one_set_of_outputs() {
    for killed_after_ms in [1, 35, 120, 333, 1_000] {
        let log = log();
        let (slow, fast) =
            (Hands::new(&log, Duration::from_millis(50)), Hands::new(&log, Duration::from_millis(10)));
        let inputs = give_many(&log, 200).await;
        let doomed = Replica::start(shared(&log), &slow, "a", |_| {});
        sleep(Duration::from_millis(killed_after_ms)).await;
        doomed.kill().await;
        let asked = slow.asked.lock().unwrap().len();
        let heir = Replica::start(shared(&log), &fast, "b", |_| {});
        until_done(&log).await;
        let expected = inputs.into_iter().map(|input| (input, 1)).collect();
        assert_eq!(counts(&log).await, expected, "killed after {killed_after_ms} ms");
        assert_eq!(letters(&log).await, []);
        assert_eq!(slow.asked.lock().unwrap().len(), asked, "a killed replica does nothing more");
        heir.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_was_taken_over_is_left_alone() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(10));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "ask"), order("db", 2, "say")]).await;
    until("the question", || async { hands.count(Effect::Ask) == 1 }).await;
    // Somebody takes both inputs over although they are not idle for long, and does nothing with them.
    let membership = Membership {
        role: hemostat_event::Role::Analyzer,
        consumer: "thief".to_owned(),
        streams: vec![StreamName::Type(EventType::OperatorCommand)],
        batch: 10,
        block: Duration::from_millis(1),
        claim_after: Duration::from_secs(1),
    };
    let mut thief = log.join(membership).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(thief.read().await.unwrap().len(), 2);
    sleep(Duration::from_secs(20)).await;
    assert_eq!((told(&log).await, pending(&log).await), (vec![], 2));
    assert_eq!(hands.asked.lock().unwrap().len(), 1);
    // The thief has gone; what it took comes back, and is dealt with once.
    until_done(&log).await;
    assert_eq!(told(&log).await, inputs);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_takes_long_is_not_taken_over() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(200));
    let other = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "ask")]).await;
    until("the question", || async { hands.count(Effect::Ask) == 1 }).await;
    let second = Replica::start(shared(&log), &other, "b", |_| {});
    until_done(&log).await;
    assert_eq!((told(&log).await, other.count(Effect::Ask)), (inputs, 0));
    replica.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn inputs_that_wait_for_room_or_another_try_are_not_taken_over() {
    let log = log();
    let (busy, idle) = (Hands::new(&log, Duration::from_secs(90)), Hands::new(&log, Duration::ZERO));
    let replica = Replica::start(shared(&log), &busy, "a", |settings| {
        settings.in_flight_max = 4;
        settings.attempts_max = 9;
    });
    let orders =
        [order("db", 1, "ask"), order("db", 2, "ask"), order("web", 3, "again"), order("db", 4, "ask")];
    give(&log, &orders).await;
    until("all four taken", || async { pending(&log).await == 4 }).await;
    let second = Replica::start(shared(&log), &idle, "b", |_| {});
    until_done(&log).await;
    assert_eq!(idle.asked.lock().unwrap().len(), 0);
    assert_eq!((busy.count(Effect::Ask), letters(&log).await.len()), (3, 1));
    replica.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_lost_repeats_no_outputs() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_millis(20));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let mut inputs = give_many(&log, 100).await;
    sleep(Duration::from_millis(50)).await;
    log.lose_groups();
    inputs.extend(give(&log, &[order("late", 1_000, "say")]).await);
    until_done(&log).await;
    log.lose_groups();
    inputs.extend(give(&log, &[order("late", 1_001, "act")]).await);
    until_done(&log).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_was_acted_on_and_comes_again_is_acknowledged_at_once() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let slow = Hands::new(&log, Duration::from_secs(200));
    // Has no room for a second input.
    let replica = Replica::start(shared(&log), &slow, "slow", |settings| settings.in_flight_max = 1);
    let mut inputs = give(&log, &[order("web", 1, "ask")]).await;
    until("the question", || async { slow.count(Effect::Ask) == 1 }).await;
    let other = Replica::start(shared(&log), &hands, "a", |_| {});
    inputs.extend(give(&log, &[order("db", 2, "act"), order("db", 3, "say")]).await);
    until("both outputs", || async { told(&log).await.len() == 2 }).await;
    replica.kill().await;
    // The cursor stands before the question that nobody has answered: everything behind it comes again.
    log.lose_groups();
    until_done(&log).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    assert_eq!((hands.count(Effect::Act), hands.count(Effect::Look)), (1, 0));
    assert_eq!(letters(&log).await, []);
    other.stop().await;
}

/// Orders about thirty containers, of every kind that has an output.
async fn give_many(log: &MemoryLog, count: u64) -> Vec<EventId> {
    let kinds = ["say", "act", "ask"];
    let orders: Vec<_> =
        (0..count).map(|n| order(&format!("c{}", n % 30), n, kinds[(n % 7 % 3) as usize])).collect();
    give(log, &orders).await
}
