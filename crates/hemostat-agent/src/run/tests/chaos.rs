//! Whatever dies, goes away or is lost, in whatever order: every input has exactly one set of outputs.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{EventId, EventType, Role};
use proptest::prelude::*;
use tokio::time::sleep;

use super::script::*;
use crate::log::EventLog;
use crate::memory::log::MemoryLog;

/// Something that happens after a while.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// A replica is killed and another one started in its place.
    Kill(usize),
    /// A replica is stopped and another one started in its place.
    Stop(usize),
    /// The log is away for so many seconds: longer than what is in flight may be idle, or shorter.
    Outage(u64),
    /// The answers to so many writes are lost.
    Answers(u32),
    /// The groups are lost.
    Groups,
}

/// What the inputs ask for; all of them have one output.
const KINDS: [&str; 5] = ["say", "act", "ask", "wait say", "third"];

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        2 => (0..2_usize).prop_map(Blow::Kill),
        1 => (0..2_usize).prop_map(Blow::Stop),
        1 => (1..100_u64).prop_map(Blow::Outage),
        2 => (1..6_u32).prop_map(Blow::Answers),
        1 => Just(Blow::Groups),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_input_has_one_set_of_outputs_and_is_acted_on_once(
        inputs in prop::collection::vec((0..6_u64, 0..KINDS.len(), 0..400_u64), 1..60),
        blows in prop::collection::vec((0..3_000_u64, blow()), 0..8),
        takes_ms in 0..3_000_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(inputs, blows, Duration::from_millis(takes_ms)));
    }
}

async fn check(inputs: Vec<(u64, usize, u64)>, blows: Vec<(u64, Blow)>, takes: Duration) {
    let log = log();
    let hands = Hands::new(&log, takes);
    let start = |name: &str| Replica::start(shared(&log), &hands, name, |_| {});
    let mut replicas = vec![start("a"), start("b")];
    let giving = tokio::spawn(give_over_time(log.clone(), inputs.clone()));
    for (n, (after_ms, blow)) in blows.into_iter().enumerate() {
        sleep(Duration::from_millis(after_ms)).await;
        match blow {
            Blow::Kill(which) => {
                replicas.swap_remove(which).kill().await;
                replicas.push(start(&format!("heir-{n}")));
            }
            Blow::Stop(which) => {
                replicas.swap_remove(which).stop().await;
                replicas.push(start(&format!("heir-{n}")));
            }
            Blow::Outage(secs) => {
                log.set_down(true);
                sleep(Duration::from_secs(secs)).await;
                log.set_down(false);
            }
            Blow::Answers(count) => log.lose_answers(count),
            Blow::Groups => log.lose_groups(),
        }
    }
    let expected = giving.await.unwrap();
    // The timers are due after a minute, what a dead replica had comes back after half of one.
    sleep(Duration::from_secs(300)).await;
    let counts: BTreeMap<EventId, usize> = counts(&log).await;
    assert_eq!(counts, expected.iter().map(|input| (*input, 1)).collect());
    assert_eq!(letters(&log).await, []);
    assert_eq!(pending(&log).await, 0);
    let acts = inputs.iter().filter(|(_, kind, _)| KINDS[*kind] == "act").count();
    assert!(hands.count(Effect::Act) <= acts, "{} actions for {acts} inputs", hands.count(Effect::Act));
    assert_eq!(events(&log, EventType::ContainerChanged).await.len(), acts);
    state_is_the_fold_of_the_outputs(&log).await;
    for replica in replicas {
        replica.stop().await;
    }
}

/// Appends the inputs with pauses between them; waits out outages.
async fn give_over_time(log: MemoryLog, inputs: Vec<(u64, usize, u64)>) -> Vec<EventId> {
    let mut given = Vec::new();
    for (n, (container, kind, pause_ms)) in inputs.into_iter().enumerate() {
        let order = order(&format!("c{container}"), n as u64, KINDS[kind]);
        while log.append(std::slice::from_ref(&order)).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        given.push(order.envelope.id);
        sleep(Duration::from_millis(pause_ms)).await;
    }
    given
}

/// L-3: version and content.
async fn state_is_the_fold_of_the_outputs(log: &MemoryLog) {
    let mut outputs = entries(log, EventType::ContainerChanged).await;
    outputs.extend(entries(log, EventType::HealthRecovered).await);
    outputs.sort_by_key(|entry| entry.seq);
    let mut folded: BTreeMap<_, (u64, State)> = BTreeMap::new();
    for entry in outputs {
        let event = entry.event.unwrap();
        let (version, state) = folded.entry(event.envelope.subject.clone().unwrap()).or_default();
        *version += 1;
        <Scripted as hemostat_core::role::Decide>::fold(state, &event);
    }
    let stored = log.load_host(Role::Analyzer, &host()).await.unwrap();
    let read = |bytes: &[u8]| rmp_serde::from_slice::<State>(bytes).unwrap();
    let stored: BTreeMap<_, _> =
        stored.into_iter().map(|(subject, state)| (subject, (state.version, read(&state.bytes)))).collect();
    assert_eq!(stored, folded);
}
