use hemostat_event::{EventId, Timestamp};

use super::*;
use crate::hold::{Covers, HoldOrder};
use crate::testing::{START_MS, Sealed, event, of_type};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: u64 = 86_400_000;
const SAMPLES: Keep = Keep { samples: Some(DAY), observations: None, decisions: None };

/// Segment 4: samples and alerts in turn, 31 to 40.
async fn given() -> Sealed {
    let sealed = Sealed::new().await;
    let kinds = [EventType::ContainerSample, EventType::HealthAlert];
    let entries: Vec<_> = (31..=40).map(|seq| of_type(seq, kinds[seq as usize % 2])).collect();
    sealed.seal(&entries).await;
    sealed
}

async fn all_due(sealed: &Sealed, keep: &Keep, now_ms: u64) -> Vec<Due> {
    let holds = sealed.archive.holds().await.unwrap();
    due(&sealed.archive, 0, keep, &holds, now_ms).await.unwrap()
}

async fn expire_all(sealed: &Sealed, keep: &Keep, now_ms: u64) -> Expired {
    let holds = sealed.archive.holds().await.unwrap();
    let mut sum = Expired::default();
    for due in all_due(sealed, keep, now_ms).await {
        let with = Some(sealed.revision(now_ms));
        let expired = expire(&sealed.archive, &due, keep, &holds, now_ms, with).await.unwrap();
        sum.revised.expired += expired.revised.expired;
        sum.held += expired.held;
    }
    sum
}

#[test]
fn every_type_but_orders_of_people_has_a_family() {
    let all = Keep { samples: Some(DAY), observations: Some(2 * DAY), decisions: Some(3 * DAY) };
    for kind in EventType::ALL {
        assert_eq!(all.of(kind).is_none(), kind == EventType::OperatorCommand, "{kind}");
        assert_eq!(Keep::default().of(kind), None);
    }
    assert_eq!(all.of(EventType::ContainerSample), Some(DAY));
    assert_eq!(all.of(EventType::HealthRecovered), Some(2 * DAY));
    assert_eq!(all.of(EventType::DeadLetter), Some(3 * DAY));
}

#[tokio::test]
async fn samples_go_once_the_last_entry_of_their_segment_is_old_enough() {
    let sealed = given().await;
    let last_ms = sealed.head(4).await.statement.last_ms;
    assert!(all_due(&sealed, &SAMPLES, last_ms + DAY_MS).await.is_empty());
    let now = last_ms + DAY_MS + 1;
    let due = all_due(&sealed, &SAMPLES, now).await;
    assert_eq!(due.iter().map(|due| due.head.statement.number).collect::<Vec<_>>(), [4]);
    assert_eq!(expire_all(&sealed, &SAMPLES, now).await.revised.expired, 5);
    let said = sealed.head(4).await.statement;
    assert_eq!(said.expired, [(EventType::ContainerSample, 5)].into());
    for read in sealed.records().await {
        let is_sample = read.stream.event_type() == EventType::ContainerSample;
        assert_eq!(matches!(read.body, Body::Leaf(_)), is_sample, "{}", read.seq);
        assert_eq!(matches!(read.body, Body::Whole { .. }), !is_sample, "{}", read.seq);
    }
    sealed.is_clean().await;
    // What was done is done: nobody reads the segment again.
    assert!(all_due(&sealed, &SAMPLES, now + DAY_MS).await.is_empty());
}

#[tokio::test]
async fn the_object_is_smaller_afterwards() {
    let sealed = given().await;
    let (due, now) = (all_due(&sealed, &SAMPLES, u64::MAX).await, u64::MAX);
    let with = Some(sealed.revision(now));
    let expired = expire(&sealed.archive, &due[0], &SAMPLES, &Holds::default(), now, with).await.unwrap();
    let length = sealed.head(4).await.statement.object.bytes;
    assert_eq!(expired.revised.bytes_after, length);
    assert!(length < due[0].head.statement.object.bytes, "{expired:?}");
}

#[tokio::test]
async fn another_family_goes_at_its_own_time() {
    let sealed = given().await;
    expire_all(&sealed, &SAMPLES, START_MS + 2 * DAY_MS).await;
    let both = Keep { observations: Some(3 * DAY), ..SAMPLES };
    assert_eq!(expire_all(&sealed, &both, START_MS + 2 * DAY_MS).await, Expired::default());
    assert_eq!(expire_all(&sealed, &both, START_MS + 4 * DAY_MS).await.revised.expired, 5);
    let said = sealed.head(4).await.statement;
    assert_eq!((said.revision, said.expired.values().sum::<u64>()), (2, 10));
    // Orders are kept whatever is set.
    assert_eq!(sealed.records().await.iter().filter(|read| matches!(read.body, Body::Leaf(_))).count(), 10);
    sealed.is_clean().await;
}

#[tokio::test]
async fn what_is_held_stays_until_it_is_released() {
    let sealed = given().await;
    let hold: EventId = event(50).envelope.id;
    let covers = Covers { container: event(33).envelope.subject, ..Covers::default() };
    let at = Timestamp::from_millis(START_MS + DAY_MS);
    let placed = HoldOrder::Placed { hold, covers };
    sealed.archive.state(placed, "a dispute", "ada", at, &sealed.key).await.unwrap();
    let now = START_MS + 3 * DAY_MS;
    let expired = expire_all(&sealed, &SAMPLES, now).await;
    // Numbers are of seven containers in turn, and every second entry is a sample: one of five is held.
    assert_eq!((expired.revised.expired, expired.held), (4, 1));
    sealed.is_clean().await;
    let released = HoldOrder::Released { hold, order: event(51).envelope.id };
    let at = Timestamp::from_millis(now + 1);
    sealed.archive.state(released, "it is settled", "ada", at, &sealed.key).await.unwrap();
    let expired = expire_all(&sealed, &SAMPLES, now + 2).await;
    assert_eq!((expired.revised.expired, expired.held), (1, 0));
    assert!(all_due(&sealed, &SAMPLES, now + 3).await.is_empty());
    sealed.is_clean().await;
}

#[tokio::test]
async fn a_body_that_was_taken_out_expires_like_others() {
    let sealed = given().await;
    let judge = &mut |record: &crate::Record| match record.seq {
        32 => Fate::Taken { event: event(32).envelope.id, order: event(99).envelope.id },
        _ => Fate::Stays,
    };
    let with = Some(sealed.revision(START_MS));
    sealed.archive.revise(&sealed.head(4).await, with, judge).await.unwrap();
    assert_eq!(expire_all(&sealed, &SAMPLES, u64::MAX).await.revised.expired, 5);
    sealed.is_clean().await;
}

/// Object, head and deletion: it dies before each of them.
#[tokio::test]
async fn whoever_dies_half_way_lets_a_repetition_do_the_rest() {
    for point in 0..3 {
        let sealed = given().await;
        let due = all_due(&sealed, &SAMPLES, u64::MAX).await;
        sealed.store.dies_after(point);
        let with = Some(sealed.revision(u64::MAX));
        let nothing = Holds::default();
        expire(&sealed.archive, &due[0], &SAMPLES, &nothing, u64::MAX, with).await.unwrap_err();
        sealed.store.dies_after(i64::MAX);
        assert_eq!(sealed.found().await, []);
        expire_all(&sealed, &SAMPLES, u64::MAX).await;
        sealed.archive.sweep(0, 0, false).await.unwrap();
        sealed.is_clean().await;
        let leaves = sealed.records().await.iter().filter(|read| matches!(read.body, Body::Leaf(_))).count();
        assert_eq!((leaves, sealed.objects().await), (5, 4), "point {point}");
    }
}
