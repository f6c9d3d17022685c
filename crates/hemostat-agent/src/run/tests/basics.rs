//! One input, one set of outputs; acknowledgement and effects in their places.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use hemostat_event::{EventType, Role};

use super::script::*;
use crate::interposed::{Interposed, Request};
use crate::log::{EventLog, Versioned};

#[tokio::test(start_paused = true)]
async fn an_input_has_one_output_that_names_it_and_the_state_is_the_fold_of_the_outputs() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "say"), order("db", 2, "nothing"), order("db", 3, "say")]).await;
    until_done(&log).await;
    assert_eq!(told(&log).await, [inputs[0], inputs[2]]);
    let subject = order("db", 1, "say").envelope.subject.unwrap();
    let states = log.load(Role::Analyzer, &[subject]).await.unwrap();
    let state: State = rmp_serde::from_slice(&states[0].bytes).unwrap();
    assert_eq!(
        (states[0].version, state.told, state.open),
        (2, vec![inputs[0], inputs[2]], Default::default())
    );
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_effect_comes_after_the_commit_of_its_intent_and_the_acknowledgement_with_the_last_commit() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(10));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "act")]).await;
    // The hands check that the intent is in the log.
    until("the action", || async { hands.count(Effect::Act) == 1 }).await;
    assert_eq!((pending(&log).await, told(&log).await), (1, vec![]));
    until("the output", || async { !told(&log).await.is_empty() }).await;
    assert_eq!((pending(&log).await, told(&log).await), (0, inputs));
    assert_eq!(events(&log, EventType::ContainerChanged).await.len(), 1);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_and_not_finished_is_finished_after_a_restart() {
    let log = log();
    let hands = Hands::new(&log, Duration::from_secs(10));
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    let inputs = give(&log, &[order("db", 1, "act"), order("web", 2, "ask")]).await;
    until("both effects", || async { hands.asked.lock().unwrap().len() == 2 }).await;
    replica.kill().await;
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    until_done(&log).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect());
    // Whoever takes an open intent over looks before anything else, and acts no second time of its own accord.
    assert_eq!((hands.count(Effect::Act), hands.count(Effect::Look)), (1, 1));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_is_loaded_once_as_long_as_nobody_else_changes_it() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let requests = std::sync::Arc::new(Mutex::new(Vec::new()));
    let journal = std::sync::Arc::clone(&requests);
    let watched = Interposed::over(&log, move |request| {
        journal.lock().unwrap().push(match request {
            Request::Commit(_) => "commit",
            Request::Other(name) => name,
        });
        async { Ok(()) }.boxed()
    });
    let replica = Replica::start(watched, &hands, "a", |_| {});
    let inputs: Vec<_> = (0..20).map(|n| order("db", n, if n % 2 == 0 { "say" } else { "act" })).collect();
    let inputs = give(&log, &inputs).await;
    until_done(&log).await;
    assert_eq!(told(&log).await, inputs);
    let count = |wanted| requests.lock().unwrap().iter().filter(|request| **request == wanted).count();
    assert_eq!(count("load"), 1);
    assert_eq!(count("commit"), 30);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_change_is_a_conflict_and_is_decided_anew_on_the_new_state() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let one = Replica::start(shared(&log), &hands, "a", |_| {});
    give(&log, &[order("db", 1, "say")]).await;
    until_done(&log).await;
    change_behind_the_back(&log).await;
    let inputs = give(&log, &[order("db", 2, "say")]).await;
    until_done(&log).await;
    let subject = order("db", 1, "say").envelope.subject.unwrap();
    let states = log.load(Role::Analyzer, &[subject]).await.unwrap();
    let state: State = rmp_serde::from_slice(&states[0].bytes).unwrap();
    // What the other one wrote is kept, and this one's output is folded over it.
    assert_eq!((states[0].version, state.told.len(), state.told[2]), (3, 3, inputs[0]));
    let conflicts = one.telemetry.registry().gather();
    let conflicts =
        conflicts.iter().find(|family| family.name() == crate::telemetry::names::CONFLICTS.name).unwrap();
    assert_eq!(conflicts.get_metric()[0].get_counter().get_value(), 1.0);
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_effect_without_a_commit_is_decided_on_what_the_log_has_now() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let replica = Replica::start(shared(&log), &hands, "a", |_| {});
    // Remembers that nobody was greeted.
    give(&log, &[order("db", 1, "nothing")]).await;
    until_done(&log).await;
    // Another replica greets.
    change_behind_the_back(&log).await;
    give(&log, &[order("db", 2, "greet")]).await;
    until_done(&log).await;
    assert_eq!(hands.count(Effect::Greet), 0, "on the remembered state it would have greeted a second time");
    replica.stop().await;
}

/// Writes one output about `db` as another replica would.
async fn change_behind_the_back(log: &crate::memory::log::MemoryLog) {
    use crate::log::{Commit, CommitInput, StateChange};
    let subject = order("db", 1, "say").envelope.subject.unwrap();
    let mut states = log.load(Role::Analyzer, std::slice::from_ref(&subject)).await.unwrap();
    let before = states.remove(0);
    let mut state: State = if before.bytes.is_empty() {
        State::default()
    } else {
        rmp_serde::from_slice(&before.bytes).unwrap()
    };
    let foreign = order("db", 777, "say");
    state.told.push(foreign.envelope.id);
    let lease = log.lease("test", &host(), "another", Duration::from_secs(60)).await.unwrap().unwrap();
    let next = Versioned { version: before.version + 1, bytes: rmp_serde::to_vec_named(&state).unwrap() };
    let commit = Commit {
        role: Role::Analyzer,
        subject,
        input: CommitInput::Lease { lease },
        key: foreign.envelope.id,
        state: Some(StateChange { expected: before.version, next }),
        emit: Vec::new(),
        timers: Vec::new(),
    };
    let answers = log.commit(&[commit]).await.unwrap();
    assert!(matches!(answers[0], crate::log::CommitAnswer::Committed(_)), "{answers:?}");
}
