//! Deadlines.

use std::time::Duration;

use hemostat_event::HostName;
use tokio::time::{Instant, sleep};

use super::script::*;
use crate::log::StreamName;

#[tokio::test(start_paused = true)]
async fn a_timer_is_dealt_with_when_it_is_due_and_once() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let began = Instant::now();
    let inputs = give(&log, &[order("db", 1, "wait say")]).await;
    until_done(&log).await;
    assert_eq!(told(&log).await, []);
    until("the output", || async { !told(&log).await.is_empty() }).await;
    assert!((60_000..60_600).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    sleep(Duration::from_secs(300)).await;
    assert_eq!(told(&log).await, inputs);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_outlives_its_replica() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "wait say")]).await;
    until_done(&log).await;
    replica.kill().await;
    sleep(Duration::from_secs(600)).await;
    let began = Instant::now();
    let replica = Replica::start(shared(&log), &hands, "b", |_| {});
    until("the output", || async { !told(&log).await.is_empty() }).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(told(&log).await, inputs);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_a_dead_replica_took_is_taken_again() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let inputs = give(&log, &[order("db", 1, "act"), order("db", 2, "wait say")]).await;
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    until_done(&log).await;
    // Takes the timer with it into its death: the lane of the container is busy with an action.
    let slow = Hands::new(&log, Duration::from_secs(600));
    replica.kill().await;
    give(&log, &[order("db", 3, "act")]).await;
    let replica = Replica::start(shared(&log), &slow, "a", |_| {});
    sleep(Duration::from_secs(70)).await;
    assert_eq!(slow.count(Effect::Act), 1);
    replica.kill().await;
    let replica = Replica::start(shared(&log), &hands, "b", |_| {});
    until("three outputs", || async { told(&log).await.len() == 3 }).await;
    assert_eq!(counts(&log).await.get(&inputs[1]), Some(&1));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_sets_itself_again_answers_to_the_same_cause_every_time() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "wait thrice")]).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(told(&log).await, [inputs[0]; 3]);
    let ids: std::collections::BTreeSet<_> = events(&log, hemostat_event::EventType::HealthRecovered)
        .await
        .into_iter()
        .map(|event| event.envelope.id)
        .collect();
    assert_eq!(ids.len(), 3);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_waits_behind_earlier_inputs_of_its_container_and_is_done_once_however_long_that_takes() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(200));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs =
        give(&log, &[order("db", 1, "wait say"), order("db", 2, "ask"), order("db", 3, "say")]).await;
    until("three outputs", || async { told(&log).await.len() == 3 }).await;
    // The timer came after the third input: its lease ends six times before its turn, and it is not taken twice.
    assert_eq!(told(&log).await, [inputs[1], inputs[2], inputs[0]]);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(told(&log).await.len(), 3);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_cannot_be_dealt_with_is_parked_and_the_state_stays() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 3);
    let inputs =
        give(&log, &[order("db", 1, "wait panic"), order("db", 2, "wait again"), order("db", 3, "wait say")])
            .await;
    until("the output", || async { !told(&log).await.is_empty() }).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(told(&log).await, [inputs[2]]);
    let letters = letters(&log).await;
    assert_eq!(letters.len(), 2);
    for (letter, (input, error)) in letters.iter().zip([
        (inputs[1], "analyzer asked for another try each time"),
        (inputs[0], "dealing with an input about `web-1/db` panicked: the timer says so"),
    ]) {
        assert_eq!(
            (letter.event, letter.attempts, letter.stream.as_str()),
            (Some(input), 3, "timers:analyzer")
        );
        assert_eq!(letter.errors, [error]);
    }
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_reads_the_plans_for_a_host_leaves_the_timers_of_others() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "wait say")]).await;
    until_done(&log).await;
    replica.kill().await;
    let of = |name: &'static str, place: HostName| {
        Replica::start(shared(&log), &hands, name, |settings| settings.streams.push(StreamName::Plans(place)))
    };
    let other = of("b", HostName::new("web-2").unwrap());
    sleep(Duration::from_secs(600)).await;
    assert_eq!(told(&log).await, []);
    let own = of("c", host());
    until("the output", || async { !told(&log).await.is_empty() }).await;
    assert_eq!(told(&log).await, inputs);
    other.stop().await;
    own.stop().await;
}
