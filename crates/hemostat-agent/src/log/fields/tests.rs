//! Limits of what is kept of an entry that is no event, and the identity of letters.

use hemostat_event::{EventType, Role};

use super::*;
use crate::log::{EntryId, Partition, StreamName};

#[test]
fn fields_as_text_stay_within_the_limit_and_say_what_is_cut() {
    for (bytes, shown, whole) in [
        (vec![b'x'; TEXT_BYTES_MAX], TEXT_BYTES_MAX, true),
        (vec![b'x'; TEXT_BYTES_MAX + 1], TEXT_BYTES_MAX, false),
        (vec![0xff; TEXT_BYTES_MAX / 2], TEXT_BYTES_MAX, true),
        (vec![0xff; TEXT_BYTES_MAX], TEXT_BYTES_MAX, false),
        ("ü".repeat(TEXT_BYTES_MAX).into_bytes(), TEXT_BYTES_MAX, false),
    ] {
        let texts = texts(&[("", &bytes)]);
        let text = &texts[""];
        assert_eq!(text.ends_with(&format!("… ({} bytes)", bytes.len())), !whole);
        assert_eq!(text.len() - if whole { 0 } else { text.len() - text.find('…').unwrap() }, shown);
    }
}

#[test]
fn a_letter_about_the_largest_entry_can_be_read_back() {
    let bytes = vec![0xff; codec::EVENT_BYTES_MAX + 1];
    let event = about(EntryId { ms: 7, n: 0 }, &[("event", bytes)], letter());
    assert_eq!(codec::decode(&codec::encode(&event)).expect("a letter is an event"), event);
}

#[test]
fn the_id_of_a_letter_tells_the_entry_and_the_group_whatever_the_try() {
    let id = |ms, group, attempts| {
        let letter = DeadLetter { group, attempts, ..letter() };
        about(EntryId { ms, n: 0 }, &[("x", b"y")], letter).envelope.id
    };
    assert_eq!(id(7, Role::Alert, 1), id(7, Role::Alert, 2));
    assert_ne!(id(7, Role::Alert, 1), id(8, Role::Alert, 1));
    assert_ne!(id(7, Role::Alert, 1), id(7, Role::Responder, 1));
}

#[test]
fn a_letter_about_an_entry_that_is_gone_has_what_its_writer_knew() {
    let original = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
    let fields: &[(&str, &[u8])] = &[];
    let event = about(EntryId { ms: 7, n: 0 }, fields, DeadLetter { original: original.clone(), ..letter() });
    let hemostat_event::Data::DeadLetter(letter) = event.data else { panic!("it is a letter") };
    assert_eq!(letter.original, original);
}

fn about<N: AsRef<[u8]>, V: AsRef<[u8]>>(id: EntryId, fields: &[(N, V)], letter: DeadLetter) -> Event {
    let at = EntryRef { partition: Partition(3), stream: StreamName::Type(EventType::HealthAlert), id };
    let host = HostName::new("web-1").expect("a word is a host name");
    let source = Source { role: letter.group, instance: "a".to_owned() };
    letter_event(&at, fields, &host, &source, letter, Timestamp::from_millis(9))
}

fn letter() -> DeadLetter {
    DeadLetter {
        stream: "health_alert".to_owned(),
        entry: "7-0".to_owned(),
        group: Role::Alert,
        event: None,
        incident: None,
        errors: Vec::new(),
        attempts: 1,
        original: BTreeMap::new(),
    }
}
