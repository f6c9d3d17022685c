use proptest::prelude::*;

use super::*;
use crate::testing::{event, record};

fn written(record: &Record) -> Bytes {
    let mut frame = Vec::new();
    record.write(&mut frame);
    frame.into()
}

fn any_record() -> impl Strategy<Value = Record> {
    let ids = (any::<u64>(), any::<u64>()).prop_map(|(ms, n)| EntryId { ms, n });
    let streams = prop_oneof![
        Just("health_alert".parse().unwrap()),
        Just("container_sample".parse().unwrap()),
        Just("remediation_needed:host-1".parse().unwrap()),
    ];
    let bytes = || prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
    let digests = any::<[u8; 32]>().prop_map(Digest::from_bytes);
    let bodies = prop_oneof![
        (any::<[u8; 16]>(), bytes(), bytes()).prop_map(|(salt, header, body)| Body::Whole {
            salt,
            header,
            body
        }),
        (bytes(), digests).prop_map(|(header, digest)| Body::Taken { header, digest }),
    ];
    let redrive = prop::option::of(any::<[u8; 16]>().prop_map(EventId::from_bytes));
    let rest = (prop::option::of(ids.clone()), prop::option::of("[a-z]{0,20}"), redrive, bodies);
    (any::<u64>(), streams, ids, rest).prop_map(|(seq, stream, id, (prev, only_for, redrive, body))| Record {
        seq,
        stream,
        id,
        prev,
        only_for,
        redrive,
        body,
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(record in any_record()) {
        for record in [record.clone().only_leaf(), record] {
            let mut bytes = written(&record);
            prop_assert_eq!(Record::take(&mut bytes), Ok(record));
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _read_or_refused = Record::take(&mut bytes.into());
    }

    #[test]
    fn what_is_cut_off_is_refused(record in any_record(), share in 0.0..1.0) {
        let mut bytes = written(&record);
        bytes.truncate((bytes.len() as f64 * share) as usize);
        prop_assert_eq!(Record::take(&mut bytes), Err(RecordError::CutOff));
    }

    #[test]
    fn the_leaf_stays_when_the_body_goes(record in any_record()) {
        let leaf = record.leaf();
        prop_assert_eq!(record.clone().without_body().leaf(), leaf);
        prop_assert_eq!(record.clone().without_body().only_leaf().leaf(), leaf);
        prop_assert_eq!(record.only_leaf().leaf(), leaf);
    }

    #[test]
    fn two_entries_have_two_leaves(one in any_record(), other in any_record()) {
        prop_assert_eq!(one.leaf() == other.leaf(), one == other);
    }
}

#[test]
fn the_fields_are_those_of_the_log() {
    let mut record = record(5);
    record.prev = Some(EntryId { ms: 4, n: 2 });
    record.only_for = Some("analyzer".to_owned());
    record.redrive = Some(event(3).envelope.id);
    let Body::Whole { salt, .. } = record.body else { panic!("it is whole") };
    let fields = record.fields().unwrap();
    assert_eq!(Record::read(record.stream.clone(), record.id, &fields, salt), Some(record.clone()));
    assert_eq!(record.event().unwrap().unwrap(), event(5));
    assert_eq!(record.without_body().fields(), None);
}

#[test]
fn what_we_did_not_number_is_no_entry_of_the_archive() {
    let fields = [("event", b"text")];
    assert_eq!(Record::read("health_alert".parse().unwrap(), EntryId::ZERO, &fields, [0; 16]), None);
}

#[test]
fn bytes_that_are_no_event_are_kept() {
    let fields = [("seq", b"7".to_vec()), ("event", b"\xc1 what is this".to_vec())];
    let record = Record::read("health_alert".parse().unwrap(), EntryId::ZERO, &fields, [0; 16]).unwrap();
    assert_eq!(record.event_bytes().unwrap(), b"\xc1 what is this");
    assert!(record.event().unwrap().is_err());
}

#[test]
fn salts_differ() {
    let mut salts = Salts::default();
    let mut drawn: Vec<_> = (0..1_000).map(|_| salts.draw()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 1_000);
}
