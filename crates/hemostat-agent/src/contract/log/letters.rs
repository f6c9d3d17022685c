//! Entries that are no events, and entries that are given up: handed out with the reason, buried, never dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use hemostat_event::codec::{self, DecodeError};
use hemostat_event::{Data, DeadLetter, EventType};

use super::commit::{one_pending, pending, pending_entries};
use super::events::{changed, changes, dealt_with, host, source};
use super::{Harness, INPUT, ROLE, all, commit, join, made, places, read, take, take_one};
use crate::log::{CommitAnswer, Entry, EntryError, EventLog, FIELD_EVENT, FIELD_SEQ, StreamName};

/// Case: bytes that are nothing.
pub async fn an_entry_that_is_no_event_is_handed_out_with_its_reason(harness: &dyn Harness) {
    let entry = put_and_take(harness, &[(FIELD_EVENT, &[0xff, 0x00, 0x9c]), ("by", b"hand")]).await;
    let reason = entry.event.expect_err("it is no event");
    assert!(matches!(reason, EntryError::Decode(DecodeError::NotAnEvent(_))), "{reason}");
    assert_eq!((entry.seq, entry.attempts), (None, 1));
    let raw =
        [(FIELD_EVENT, "ff009c"), ("by", "hand")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(entry.raw, BTreeMap::from(raw));
}

/// Case: an entry of another program.
pub async fn an_entry_without_an_event_field_is_handed_out_with_its_reason(harness: &dyn Harness) {
    let entry = put_and_take(harness, &[("message", "überfüllt".as_bytes())]).await;
    assert!(matches!(entry.event, Err(EntryError::NoEvent)), "{entry:?}");
    assert_eq!(entry.raw, BTreeMap::from([("message".to_owned(), "überfüllt".to_owned())]));
}

/// Case: a type of a later version.
pub async fn an_unknown_type_is_handed_out_with_its_name(harness: &dyn Harness) {
    let bytes = replaced(&codec::encode(&changed("db", 1)), b"container_changed", b"container_chanted");
    let entry = put_and_take(harness, &[(FIELD_EVENT, &bytes)]).await;
    let reason = entry.event.expect_err("its type is unknown");
    let unknown =
        matches!(&reason, EntryError::Decode(DecodeError::UnknownType(name)) if name == "container_chanted");
    assert!(unknown, "{reason:?}");
}

/// Case: a schema version of a later version.
pub async fn a_newer_version_is_handed_out_with_its_number(harness: &dyn Harness) {
    let version = u8::try_from(EventType::ContainerChanged.version()).expect("versions are small");
    let present = [b"version".as_slice(), &[version]].concat();
    let newer = [b"version".as_slice(), &[version + 1]].concat();
    let bytes = replaced(&codec::encode(&changed("db", 1)), &present, &newer);
    let entry = put_and_take(harness, &[(FIELD_SEQ, b"77"), (FIELD_EVENT, &bytes)]).await;
    let reason = entry.event.expect_err("its version is unknown");
    let EntryError::Decode(DecodeError::UnknownVersion { kind, version: found }) = reason else {
        panic!("{reason:?}");
    };
    assert_eq!((kind, found), (EventType::ContainerChanged, u32::from(version) + 1));
    assert_eq!((entry.seq, entry.raw.len()), (Some(77), 2));
}

/// Case: events before and after a bad entry.
pub async fn a_bad_entry_does_not_hinder_its_neighbours(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&[changed("db", 1)]).await.expect("the log is there");
    harness.put_raw(log.partition_of(&host()), &INPUT, &[("x", b"y")]).await;
    assert_eq!(log.append(&[changed("db", 2)]).await.expect("the log is there"), [2]);
    let entries = take(harness, reader.as_mut(), 3).await;
    assert_eq!(entries.iter().map(|entry| entry.event.is_ok()).collect::<Vec<_>>(), [true, false, true]);
    for (version, entry) in [(0, &entries[0]), (1, &entries[2])] {
        assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
    }
    assert_eq!(pending(&log).await, 1);
}

/// Case: readers along see them too.
pub async fn bad_entries_are_in_a_range(harness: &dyn Harness) {
    let log = harness.log();
    let id = harness.put_raw(log.partition_of(&host()), &INPUT, &[("x", b"y")]).await;
    let entries = all(&log, &INPUT).await;
    let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    assert_eq!((entry.at.id, entry.seq, entry.attempts), (id, None, 0));
    assert!(matches!(entry.event, Err(EntryError::NoEvent)) && entry.raw.len() == 1, "{entry:?}");
}

/// Case: an event that nobody can handle. The letter is an event like others, and has the original.
pub async fn burial_writes_a_letter_with_the_original_and_acknowledges(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let before = log.now().await.expect("the log is there");
    assert_eq!(bury(&log, &entry, "a").await, CommitAnswer::Committed(vec![2]));
    assert_eq!(pending(&log).await, 0);
    let letters = letters(&log).await;
    let [written] = letters.as_slice() else { panic!("one letter: {letters:?}") };
    let event = written.event.as_ref().expect("a letter is an event");
    let Data::DeadLetter(found) = &event.data else { panic!("{event:?}") };
    let original = codec::encode(entry.event.as_ref().expect("it is an event"));
    let hex = original.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(found.original.get(FIELD_EVENT), Some(&hex));
    assert_eq!(found.original.get(FIELD_SEQ).map(String::as_str), Some("1"));
    assert_eq!(DeadLetter { original: BTreeMap::new(), ..found.clone() }, letter(&entry));
    assert_eq!((written.seq, &event.envelope.source, &event.envelope.host), (Some(2), &source(), &host()));
    assert_eq!(event.envelope.cause, found.event);
    assert!(before <= event.envelope.time, "{before} {}", event.envelope.time);
}

/// Case: an entry that is no event can be got rid of.
pub async fn a_bad_entry_can_be_buried(harness: &dyn Harness) {
    let entry = put_and_take(harness, &[(FIELD_EVENT, &[0xff]), ("by", b"hand")]).await;
    let log = harness.log();
    assert_eq!(bury(&log, &entry, "a").await, CommitAnswer::Committed(vec![1]));
    let letters = letters(&log).await;
    let Data::DeadLetter(found) = &letters[0].event.as_ref().expect("a letter is an event").data else {
        panic!("{letters:?}");
    };
    assert_eq!((&found.original, found.event, pending(&log).await), (&entry.raw, None, 0));
}

/// Case: entries that are not this consumer's: unread, another's, done.
pub async fn burial_of_an_entry_that_is_not_pending_is_fenced(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    log.append(&[changed("db", 3)]).await.expect("the log is there");
    let unread = all(&log, &INPUT).await.remove(2);
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    for (entry, consumer) in [(&unread, "a"), (&entries[1], "b"), (&entries[0], "a")] {
        assert_eq!(bury(&log, entry, consumer).await, CommitAnswer::Fenced);
    }
    assert!(letters(&log).await.is_empty());
    assert_eq!(pending(&log).await, 1);
}

/// Case: repeated after an unknown outcome.
pub async fn a_repeated_burial_is_a_duplicate(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&bury(&log, &entry, "a").await));
    assert_eq!(bury(&harness.second().await, &entry, "a").await, CommitAnswer::Duplicate);
    assert_eq!(letters(&log).await.len(), 1);
    assert_eq!(log.append(&changes(2)).await.expect("the log is there"), [3]);
}

/// Case: what is buried does not come again when the group is lost.
pub async fn burial_counts_as_an_acknowledgement_for_the_cursor(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    assert!(made(&bury(&log, &entries[0], "a").await));
    harness.lose_groups().await;
    let mut reader = join(&log, "b").await;
    assert_eq!(places(&take(harness, reader.as_mut(), 1).await), places(&entries[1..]));
    assert!(read(harness, reader.as_mut()).await.is_empty());
}

/// The letter of an agent that gives `entry` up.
pub(super) fn letter(entry: &Entry) -> DeadLetter {
    let event = entry.event.as_ref().ok();
    DeadLetter {
        stream: entry.at.stream.to_string(),
        entry: entry.at.id.to_string(),
        group: ROLE,
        event: event.map(|event| event.envelope.id),
        incident: event.and_then(|event| event.envelope.incident),
        errors: vec!["it is too much".to_owned()],
        attempts: 10,
        original: entry.raw.clone(),
    }
}

pub(super) async fn bury(log: &Arc<dyn EventLog>, entry: &Entry, consumer: &str) -> CommitAnswer {
    log.bury(&entry.at, consumer, &host(), &source(), letter(entry)).await.expect("the log is there")
}

pub(super) async fn letters(log: &Arc<dyn EventLog>) -> Vec<Entry> {
    all(log, &StreamName::Type(EventType::DeadLetter)).await
}

/// An entry with these fields, pending for `a`.
pub(super) async fn put_and_take(harness: &dyn Harness, fields: &[(&str, &[u8])]) -> Entry {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    let id = harness.put_raw(log.partition_of(&host()), &INPUT, fields).await;
    let entry = take_one(harness, reader.as_mut()).await;
    assert_eq!(entry.at.id, id);
    entry
}

/// `bytes` with the first `old` replaced by `new` of the same length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the old bytes are there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}
