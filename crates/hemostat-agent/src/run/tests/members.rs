//! Leased names: a slot for each replica, and what becomes of a replica that has lost its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hemostat_event::HostName;
use tokio::time::{Instant, sleep};

use super::script::*;
use crate::interposed::Interposed;
use crate::log::EventLog;
use crate::memory::log::MemoryLog;

/// As long as a lease lasts, and a little.
const LEASE: Duration = Duration::from_secs(31);

#[tokio::test(start_paused = true)]
async fn replicas_have_the_lowest_free_slots_and_give_them_back() {
    let log = log();
    let hands = Hands::new(&log, Duration::ZERO);
    let first = start(&shared(&log), &hands, "same name").await;
    let second = start(&shared(&log), &hands, "same name").await;
    sleep(3 * LEASE).await;
    assert_eq!(free(&log).await, [false, false, true], "leases are renewed");
    first.stop().await;
    assert_eq!(free(&log).await, [true, false, true]);
    let third = start(&shared(&log), &hands, "same name").await;
    assert_eq!(free(&log).await, [false, false, true]);
    second.stop().await;
    third.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_slot_of_a_killed_replica_is_free_when_its_lease_ends_and_its_heir_has_its_inputs_at_once() {
    let log = log();
    let slow = Hands::new(&log, Duration::from_secs(600));
    let doomed = start(&shared(&log), &slow, "a").await;
    sleep(Duration::from_secs(9)).await;
    // Taken late, so that it is not idle for long when the lease of the slot ends.
    let inputs = give(&log, &[order("db", 1, "ask")]).await;
    until("the question", || async { slow.count(Effect::Ask) == 1 }).await;
    doomed.kill().await;
    until("a free slot", || async { free(&log).await[0] }).await;
    let began = Instant::now();
    let heir = start(&shared(&log), &Hands::new(&log, Duration::ZERO), "b").await;
    until_done(&log).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(told(&log).await, inputs);
    heir.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_away_for_longer_than_its_lease_is_fenced_and_goes_on_under_another_name() {
    let log = log();
    let away = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&away);
    let hanging = Interposed::over(&log, move |_| {
        let gate = Arc::clone(&gate);
        async move {
            while gate.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        }
        .boxed()
    });
    let (slow, quick) =
        (Hands::new(&log, Duration::from_secs(20)), Hands::new(&log, Duration::from_millis(1)));
    let zombie = start(&hanging, &slow, "a").await;
    let mut inputs = give(&log, &[order("db", 1, "ask")]).await;
    until("the question", || async { slow.count(Effect::Ask) == 1 }).await;
    away.store(true, Ordering::Relaxed);
    sleep(LEASE).await;
    let heir = start(&shared(&log), &quick, "b").await;
    until_done(&log).await;
    assert_eq!((told(&log).await, quick.count(Effect::Ask)), (inputs.clone(), 1));
    away.store(false, Ordering::Relaxed);
    // The zombie's answer comes too late; then it is a member again, beside the heir.
    until("both are members", || async { free(&log).await == [false, false, true] }).await;
    assert_eq!(told(&log).await, inputs);
    heir.stop().await;
    inputs.extend(give(&log, &[order("db", 2, "say"), order("web", 3, "say")]).await);
    until_done(&log).await;
    assert_eq!(counts(&log).await, inputs.into_iter().map(|input| (input, 1)).collect::<BTreeMap<_, _>>());
    assert_eq!(letters(&log).await, []);
    zombie.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_people_see_is_the_name_of_the_replica() {
    let log = log();
    let replica = start(&shared(&log), &Hands::new(&log, Duration::ZERO), "analyzer-host-77").await;
    give(&log, &[order("db", 1, "say")]).await;
    until_done(&log).await;
    let outputs = events(&log, hemostat_event::EventType::HealthRecovered).await;
    assert_eq!(outputs[0].envelope.source.instance, "analyzer-host-77");
    replica.stop().await;
}

/// A replica that is a member.
async fn start(log: &Arc<dyn EventLog>, hands: &Arc<Hands>, name: &str) -> Replica {
    let replica = Replica::start(Arc::clone(log), hands, name, |_| {});
    until("the replica reads", || async { replica.is_ready() }).await;
    replica
}

/// Which of the first three slots are free.
async fn free(log: &MemoryLog) -> [bool; 3] {
    let host = HostName::new("analyzer").expect("a word is a host name");
    let mut free = [false; 3];
    for (slot, free) in free.iter_mut().enumerate() {
        let name = format!("member:analyzer:{slot}");
        let taken = log.lease(&name, &host, "test", LEASE).await.expect("the log is there");
        if let Some(lease) = taken {
            *free = true;
            log.release(&lease, "test").await.expect("the log is there");
        }
    }
    free
}
