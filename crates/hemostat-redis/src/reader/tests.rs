use hemostat_agent::log::{EntryId, StreamName};
use hemostat_event::EventType;

use super::flight::Flight;
use super::side::merge;
use super::*;

#[test]
fn entries_of_several_streams_are_merged_by_number_and_keep_their_own_order() {
    let alerts = vec![entry(EventType::HealthAlert, 1, Some(2)), entry(EventType::HealthAlert, 2, Some(7))];
    let changes = vec![
        entry(EventType::ContainerChanged, 1, Some(1)),
        entry(EventType::ContainerChanged, 2, None),
        entry(EventType::ContainerChanged, 3, Some(5)),
        entry(EventType::ContainerChanged, 4, Some(3)),
    ];
    let merged: Vec<_> =
        merge(vec![alerts, changes]).into_iter().map(|entry| (entry.at.stream, entry.at.id.n)).collect();
    let (alert, change) =
        (StreamName::Type(EventType::HealthAlert), StreamName::Type(EventType::ContainerChanged));
    let expected = [(&change, 1), (&change, 2), (&alert, 1), (&change, 3), (&change, 4), (&alert, 2)]
        .map(|(s, n)| (s.clone(), n));
    assert_eq!(merged, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_known_until_it_is_idle_or_not_renewed() {
    let flight = Flight::default();
    let place = |n| (0, EntryId { ms: 1, n });
    flight.insert([place(1), place(2), (1, place(3).1)].into_iter(), Instant::now());
    tokio::time::advance(Duration::from_secs(20)).await;
    flight.keep([place(1), place(9)].into_iter(), Instant::now());
    assert!(flight.contains(place(1)) && !flight.contains(place(2)));
    assert!(!flight.contains(place(9)), "it was not handed out by this reader");
    tokio::time::advance(Duration::from_secs(20)).await;
    flight.forget_idle(Duration::from_secs(30));
    assert!(flight.contains(place(1)));
    tokio::time::advance(Duration::from_secs(10)).await;
    flight.forget_idle(Duration::from_secs(30));
    assert!(!flight.contains(place(1)));
}

#[test]
fn a_new_group_delivers_what_was_in_flight_under_the_old_one() {
    let flight = Flight::default();
    let id = EntryId { ms: 1, n: 0 };
    flight.insert([(0, id), (1, id), (2, id)].into_iter(), Instant::now());
    flight.forget_streams(&[0, 2]);
    assert_eq!([0, 1, 2].map(|stream| flight.contains((stream, id))), [false, true, false]);
}

fn entry(kind: EventType, n: u64, seq: Option<u64>) -> Entry {
    let at = EntryRef { partition: Partition(0), stream: StreamName::Type(kind), id: EntryId { ms: 1, n } };
    let seq = seq.map(|seq| seq.to_string()).unwrap_or_default();
    Entry::read(at, 1, &[("seq", seq)])
}
