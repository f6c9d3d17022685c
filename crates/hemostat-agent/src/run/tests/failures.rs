//! Inputs that cannot be dealt with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use hemostat_event::{EventType, Role};
use tokio::time::{Instant, sleep};

use super::script::*;
use crate::interposed::{Interposed, Request};
use crate::log::{Commit, CommitInput, EventLog, LogError, StateChange, StreamName, Versioned};

#[tokio::test(start_paused = true)]
async fn an_input_is_tried_again_with_a_growing_wait_and_then_parked_with_the_reason() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 4);
    let began = Instant::now();
    let inputs = give(&log, &[order("db", 1, "again")]).await;
    until_done(&log).await;
    // 0.5 + 1 + 2 s between four tries, and no wait after the last.
    assert!((3_500..3_600).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let letters = letters(&log).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event, letters[0].attempts), (Some(inputs[0]), 4));
    assert_eq!(letters[0].errors, ["analyzer asked for another try each time"]);
    assert_eq!(letters[0].stream, "operator_command");
    assert_eq!(letters[0].group, Role::Analyzer);
    assert_eq!(told(&log).await, []);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_try_that_works_ends_the_tries() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "third")]).await;
    until_done(&log).await;
    assert_eq!((told(&log).await, hands.count(Effect::Ask)), (inputs, 3));
    assert_eq!(letters(&log).await, []);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_only_its_own_input() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 3);
    let inputs = give(&log, &[order("db", 1, "panic"), order("db", 2, "say"), order("web", 3, "say")]).await;
    until("the other container's output", || async { !told(&log).await.is_empty() }).await;
    assert_eq!((told(&log).await, letters(&log).await), (vec![inputs[2]], vec![]));
    until_done(&log).await;
    assert_eq!(told(&log).await, [inputs[2], inputs[1]]);
    let letters = letters(&log).await;
    assert_eq!((letters.len(), letters[0].event, letters[0].attempts), (1, Some(inputs[0]), 3));
    let expected = "dealing with an input about `web-1/db` panicked: the input says so";
    assert_eq!(letters[0].errors, [expected]);
    assert!(!replica.task.is_finished());
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_parks_the_input_with_the_whole_chain_of_reasons() {
    let log = log();
    let subject = order("db", 1, "say").envelope.subject.unwrap();
    let lease = log.lease("test", &host(), "another", Duration::from_secs(60)).await.unwrap().unwrap();
    let unreadable = Versioned { version: 1, bytes: vec![0xc1] };
    let commit = Commit {
        role: Role::Analyzer,
        subject,
        input: CommitInput::Lease { lease },
        key: order("db", 777, "say").envelope.id,
        state: Some(StateChange { expected: 0, next: unreadable }),
        emit: Vec::new(),
        timers: Vec::new(),
    };
    log.commit(&[commit]).await.unwrap();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 2);
    let inputs = give(&log, &[order("db", 1, "say"), order("web", 2, "say")]).await;
    until_done(&log).await;
    assert_eq!(told(&log).await, [inputs[1]]);
    let letters = letters(&log).await;
    assert_eq!((letters.len(), letters[0].event), (1, Some(inputs[0])));
    assert_eq!(letters[0].errors[0], "the stored state of analyzer for `web-1/db` cannot be read");
    assert!(1 < letters[0].errors.len(), "{:?}", letters[0].errors);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_no_event_is_parked_and_the_next_goes_on() {
    let log = log();
    let stream = StreamName::Type(EventType::OperatorCommand);
    let partition = log.partition_of(&host());
    log.put_raw(partition, &stream, &[("event", b"\x00not an event"), ("seq", b"1")]);
    log.put_raw(partition, &stream, &[("something", b"else")]);
    let inputs = give(&log, &[order("db", 1, "say")]).await;
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let began = Instant::now();
    until_done(&log).await;
    assert!(began.elapsed() < Duration::from_secs(1), "nothing is gained by trying: {:?}", began.elapsed());
    assert_eq!(told(&log).await, inputs);
    let letters = letters(&log).await;
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter.event.is_none() && !letter.errors.is_empty()), "{letters:?}");
    assert_eq!(letters[1].original["something"], "else");
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_kills_its_replicas_is_parked_untried() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(10));
    let inputs = give(&log, &[order("db", 1, "ask")]).await;
    for _death in 0..3 {
        let before = hands.count(Effect::Ask);
        let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 3);
        until("the question", || async { before < hands.count(Effect::Ask) }).await;
        replica.kill().await;
    }
    let replica = Replica::start(shared(&log), &hands, "a", |settings| settings.attempts_max = 3);
    until_done(&log).await;
    assert_eq!((hands.count(Effect::Ask), told(&log).await), (3, vec![]));
    let letters = letters(&log).await;
    assert_eq!((letters.len(), letters[0].event, letters[0].attempts), (1, Some(inputs[0]), 3));
    assert_eq!(letters[0].errors, ["the replicas that tried before did not come back"]);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_log_refuses_does_not_take_its_neighbours_with_it() {
    let log = log();
    let batches = Arc::new(Mutex::new(Vec::new()));
    let journal = Arc::clone(&batches);
    let refusing = Interposed::over(&log, move |request| {
        let refused = match request {
            Request::Commit(commits) => {
                journal.lock().unwrap().push(commits.len());
                commits.iter().any(|commit| commit.subject.name() == "c7")
            }
            _ => false,
        };
        async move {
            // Long enough for the other commits to gather.
            sleep(Duration::from_millis(10)).await;
            let refusal = LogError::Refused { reason: "too large".to_owned(), source: None };
            if refused { Err(refusal) } else { Ok(()) }
        }
        .boxed()
    });
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(refusing, &hands, "a", |settings| settings.attempts_max = 2);
    let inputs = give(&log, &(0..10).map(|n| order(&format!("c{n}"), n, "say")).collect::<Vec<_>>()).await;
    until_done(&log).await;
    assert_eq!(batches.lock().unwrap()[0], 10, "they travel together");
    let others = inputs.iter().copied().filter(|input| *input != inputs[7]);
    assert_eq!(counts(&log).await, others.map(|input| (input, 1)).collect());
    let letters = letters(&log).await;
    assert_eq!((letters.len(), letters[0].event), (1, Some(inputs[7])));
    assert_eq!(letters[0].errors, ["failed to record a decision", "the event log refuses: too large"]);
    replica.stop().await;
}
