//! The janitor at work on the memory log.

use hemostat_event::{Role, Timestamp};

use super::*;
use crate::contract::log::keeping::{a_sample, an_input, deal_with};
use crate::log::{EntryId, Membership};
use crate::memory::log::MemoryLog;

const HOUR: Duration = Duration::from_secs(3_600);
const INPUT: StreamName = StreamName::Type(EventType::ContainerChanged);
const SAMPLES: StreamName = StreamName::Type(EventType::ContainerSample);

#[tokio::test]
async fn samples_go_by_age_and_other_events_later() {
    let log = log();
    log.append(&[an_input(1), a_sample(1)]).await.unwrap();
    log.advance(25 * HOUR);
    log.append(&[a_sample(2)]).await.unwrap();
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!((count(&log, &INPUT).await, count(&log, &SAMPLES).await), (1, 1));
    log.advance(30 * 24 * HOUR);
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!((count(&log, &INPUT).await, count(&log, &SAMPLES).await), (0, 0));
}

#[tokio::test]
async fn a_round_goes_on_until_nothing_is_left_to_trim() {
    let log = log();
    for n in 0..4 {
        let samples: Vec<_> = (0..STEP).map(|m| a_sample(n * STEP + m)).collect();
        log.append(&samples).await.unwrap();
    }
    log.advance(25 * HOUR);
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!(count(&log, &SAMPLES).await, 0);
}

#[tokio::test]
async fn under_pressure_younger_samples_go_and_nothing_else_does() {
    let log = log();
    for n in 0..5 {
        log.append(&[an_input(n), a_sample(n)]).await.unwrap();
        log.advance(3 * HOUR);
    }
    // Their ages: 15, 12, 9, 6 and 3 hours. Half of a day, of 12, of 6 hours, and so on.
    log.append(&[a_sample(9)]).await.unwrap();
    log.set_pressure(Pressure { used: 79, limit: Some(100) });
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!(count(&log, &SAMPLES).await, 6);
    log.set_pressure(Pressure { used: 90, limit: Some(100) });
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!((count(&log, &SAMPLES).await, count(&log, &INPUT).await), (1, 5), "the youngest stays");
}

#[tokio::test]
async fn samples_wait_for_the_archive_unless_the_log_is_nearly_full() {
    let log = log();
    let port: Arc<dyn EventLog> = Arc::new(log.clone());
    port.append(&[a_sample(1), a_sample(2), a_sample(3)]).await.unwrap();
    let ids: Vec<_> = entries(&log, &SAMPLES).await;
    port.advance(Role::Archiver, Partition(0), &[(SAMPLES, ids[1])]).await.unwrap();
    log.advance(25 * HOUR);
    log.append(&[a_sample(4)]).await.unwrap();
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!(entries(&log, &SAMPLES).await[..2], ids[1..], "the last one that is archived stays");
    log.set_pressure(Pressure { used: 90, limit: Some(100) });
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!(count(&log, &SAMPLES).await, 1, "the youngest stays");
}

#[tokio::test]
async fn old_events_wait_for_a_slow_group_and_go_when_it_is_done() {
    let log = log();
    let mut reader = log.join(membership()).await.unwrap();
    log.append(&[an_input(1), an_input(2)]).await.unwrap();
    let entries = reader.read().await.unwrap();
    // The group lives, and is behind by more than a month.
    for _day in 0..40 {
        log.advance(24 * HOUR);
        let _nothing = reader.read().await.unwrap();
        assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    }
    assert_eq!(count(&log, &INPUT).await, 2);
    for entry in &entries {
        deal_with(&log, entry).await;
    }
    assert!(janitor(&log, "a").round(&mut None).await.is_ok());
    assert_eq!(count(&log, &INPUT).await, 1, "the last one that was delivered stays");
}

#[tokio::test]
async fn a_group_without_members_ends_after_a_week_and_is_told() {
    let log = log();
    drop(log.join(membership()).await.unwrap());
    log.append(&[an_input(1)]).await.unwrap();
    let janitor = janitor(&log, "a");
    log.advance(6 * 24 * HOUR);
    assert!(janitor.round(&mut None).await.is_ok());
    assert_eq!((log.groups().await.unwrap().len(), reaped(&janitor)), (1, 0.0));
    log.advance(24 * HOUR);
    assert!(janitor.round(&mut None).await.is_ok());
    assert_eq!((log.groups().await.unwrap().len(), reaped(&janitor)), (0, 1.0));
}

#[tokio::test]
async fn one_janitor_works_at_a_time_and_another_follows_it() {
    let log = log();
    log.append(&[a_sample(1)]).await.unwrap();
    let (mut one, mut other) = (None, None);
    assert!(janitor(&log, "a").round(&mut one).await.is_ok());
    log.advance(25 * HOUR - Duration::from_secs(1));
    // The lease has ended meanwhile, and the other one takes it.
    assert!(janitor(&log, "b").round(&mut other).await.is_ok());
    assert_eq!(count(&log, &SAMPLES).await, 0);
    assert!(matches!(janitor(&log, "c").round(&mut None).await, Err(Ended::Standby)));
}

#[tokio::test]
async fn at_a_stop_the_lease_is_given_back() {
    let log = log();
    let stop = CancellationToken::new();
    let running = tokio::spawn(janitor(&log, "a").run(stop.clone()));
    while log.lease(NAME, &place(), "b", HOUR).await.unwrap().is_some() {
        // The other one was faster; it gives way.
        let lease = log.lease(NAME, &place(), "b", HOUR).await.unwrap().unwrap();
        log.release(&lease, "b").await.unwrap();
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    assert!(log.lease(NAME, &place(), "b", HOUR).await.unwrap().is_some());
}

fn log() -> MemoryLog {
    MemoryLog::manual(1, Timestamp::from_millis(1_700_000_000_000))
}

fn janitor(log: &MemoryLog, instance: &str) -> Janitor {
    Janitor {
        log: Arc::new(log.clone()),
        settings: Settings::default(),
        instance: instance.to_owned(),
        telemetry: Arc::new(Telemetry::new("test")),
    }
}

fn membership() -> Membership {
    Membership {
        role: Role::Analyzer,
        consumer: "a".to_owned(),
        streams: vec![INPUT],
        batch: 10,
        block: Duration::ZERO,
        claim_after: 1_000 * 24 * HOUR,
    }
}

async fn count(log: &MemoryLog, stream: &StreamName) -> usize {
    entries(log, stream).await.len()
}

async fn entries(log: &MemoryLog, stream: &StreamName) -> Vec<EntryId> {
    let entries = log.range(Partition(0), stream, EntryId::ZERO, 100_000).await.unwrap();
    entries.into_iter().map(|entry| entry.at.id).collect()
}

fn reaped(janitor: &Janitor) -> f64 {
    let families = janitor.telemetry.registry().gather();
    let family = families.iter().find(|family| family.name() == crate::telemetry::names::GROUPS_REAPED.name);
    family.expect("it is registered").get_metric()[0].get_counter().get_value()
}
