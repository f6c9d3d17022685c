use super::*;
use crate::testing::{START_MS, Sealed, event, record, subject};

fn placed(hold: EventId, covers: Covers) -> HoldOrder {
    HoldOrder::Placed { hold, covers }
}

#[test]
fn a_hold_covers_what_meets_all_that_it_names() {
    let (one, other) = (record(7), record(8));
    let about = |covers: Covers, record: &Record| covers.has(record.id.ms, About::of(record).as_ref());
    let container = Covers { container: Some(subject(7)), ..Covers::default() };
    assert!(about(container.clone(), &one) && !about(container.clone(), &other));
    let incident = Covers { incident: event(7).envelope.incident, ..Covers::default() };
    assert!(about(incident.clone(), &one) && !about(incident, &other));
    let since = Covers { since_ms: Some(other.id.ms), ..Covers::default() };
    assert!(!about(since.clone(), &one) && about(since, &other));
    let until = Covers { until_ms: Some(one.id.ms), ..Covers::default() };
    assert!(about(until.clone(), &one) && !about(until.clone(), &other));
    let both = Covers { container: Some(subject(8)), ..until };
    assert!(!about(both.clone(), &one) && !about(both, &other));
    // Of what names nothing it is the time that counts.
    let nameless = Record { body: Body::Leaf(one.leaf()), ..one.clone() };
    assert!(about(container, &nameless));
}

#[tokio::test]
async fn a_hold_holds_until_it_is_released() {
    let sealed = Sealed::new().await;
    let (hold, at) = (event(50).envelope.id, Timestamp::from_millis(START_MS + 1_000));
    let covers = Covers { container: Some(subject(7)), ..Covers::default() };
    sealed.archive.state(placed(hold, covers), "a dispute", "ada", at, &sealed.key).await.unwrap();
    let holds = sealed.archive.holds().await.unwrap();
    assert_eq!(holds.keeping(&record(7)).map(|hold| hold.id), Some(hold));
    assert_eq!(holds.keeping(&record(8)), None);
    let released = HoldOrder::Released { hold, order: event(51).envelope.id };
    let end = Timestamp::from_millis(START_MS + 2_000);
    sealed.archive.state(released, "it is settled", "ada", end, &sealed.key).await.unwrap();
    let holds = sealed.archive.holds().await.unwrap();
    assert_eq!(holds.keeping(&record(7)), None);
    let [was] = &holds.0[..] else { panic!("{holds:?}") };
    let in_force = [500, 1_500, 2_500].map(|ms| was.was_in_force(START_MS + ms));
    assert_eq!(in_force, [false, true, false]);
    sealed.is_clean().await;
}

#[tokio::test]
async fn of_statements_that_are_made_at_once_each_has_its_number() {
    let sealed = Sealed::new().await;
    let state = |seq| {
        let (archive, key) = (&sealed.archive, &sealed.key);
        let what = placed(event(seq).envelope.id, Covers { since_ms: Some(seq), ..Covers::default() });
        async move { archive.state(what, "why", "ada", Timestamp::from_millis(START_MS), key).await.unwrap() }
    };
    futures_util::future::join_all((1..=5).map(state)).await;
    let told = sealed.archive.hold_statements().await.unwrap();
    let numbers: Vec<_> = told.iter().map(|told| told.statement.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    sealed.is_clean().await;
}
