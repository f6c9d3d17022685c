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
    let replica = Replica::start(shared(&log), &hands, "a", |settings| {
        settings.in_flight_max = 8;
        settings.waiting_max = 0;
    });
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

#[tokio::test(start_paused = true)]
async fn replicas_together_deal_with_the_inputs_of_a_container_in_order_whoever_dies() {
    for killed_after_ms in [3, 40, 250, 700] {
        let log = log();
        let hands: Vec<_> =
            [5, 17, 61].into_iter().map(|takes| Hands::new(&log, Duration::from_millis(takes))).collect();
        // Small batches, so that the inputs of every container are spread over all replicas.
        let start = |n: usize, name| {
            Replica::start(shared(&log), &hands[n], name, |settings| settings.in_flight_max = 2)
        };
        let doomed = start(2, "doomed");
        let replicas = [start(0, "a"), start(1, "b")];
        let kinds = ["say", "act", "ask"];
        let orders: Vec<_> =
            (0..200_u64).map(|n| order(&format!("c{}", n % 5), n, kinds[(n % 7 % 3) as usize])).collect();
        let inputs = give(&log, &orders).await;
        sleep(Duration::from_millis(killed_after_ms)).await;
        doomed.kill().await;
        until_done(&log).await;
        let told = told(&log).await;
        assert_eq!(told.len(), 200, "killed after {killed_after_ms} ms");
        for n in 0..5 {
            let given: Vec<_> = inputs.iter().skip(n).step_by(5).collect();
            let told: Vec<_> = told.iter().filter(|input| given.contains(input)).collect();
            assert_eq!(told, given, "container {n}, killed after {killed_after_ms} ms");
        }
        assert_eq!(letters(&log).await, []);
        for replica in replicas {
            replica.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_replica_had_holds_up_its_own_container_only_and_costs_no_try() {
    let log = log();
    let (stuck, quick) = (Hands::new(&log, Duration::from_secs(600)), Hands::new(&log, Duration::ZERO));
    let doomed = Replica::start(shared(&log), &stuck, "doomed", |_| {});
    let first = give(&log, &[order("db", 1, "ask")]).await;
    until("the question", || async { stuck.count(Effect::Ask) == 1 }).await;
    doomed.kill().await;
    let heir = Replica::start(shared(&log), &quick, "heir", |settings| settings.attempts_max = 2);
    let began = Instant::now();
    let later = give(&log, &[order("db", 2, "say"), order("web", 3, "say"), order("db", 4, "act")]).await;
    until("the other container", || async { told(&log).await == [later[1]] }).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    until_done(&log).await;
    assert!(Duration::from_secs(25) < began.elapsed(), "it is the claim time that is waited for");
    assert_eq!(told(&log).await, [later[1], first[0], later[0], later[2]]);
    assert_eq!(letters(&log).await, []);
    heir.stop().await;
}
