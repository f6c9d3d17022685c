//! The stored form: what is written is read again, and what is not an event has a name.

use hemostat_event::codec::{
    DecodeError, EVENT_BYTES_MAX, decode, decode_parts, encode, payload_start, terms,
};
use hemostat_event::{Data, Event, EventType, Outcome, Subject, Timestamp};
use proptest::prelude::*;
use rmpv::Value;

use crate::arbitrary;
use crate::examples::{caused, complete, example, plan, plan_id};
use crate::shapes::shapes;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_event_is_read_as_it_was_written(event in arbitrary::event()) {
        let bytes = encode(&event);
        let read = decode(&bytes).expect("an event");
        prop_assert_eq!(&encode(&read), &bytes);
        prop_assert_eq!(&read, &event);
        let (header, payload) = bytes.split_at(payload_start(&bytes).expect("it begins with a map"));
        let found = terms(header).expect("a header");
        prop_assert_eq!(found.subject, event.envelope.subject.as_ref().map(Subject::as_str));
        prop_assert_eq!(found.incident, event.envelope.incident);
        prop_assert_eq!(decode_parts(header, payload).expect("an event"), event);
        let more = [payload, &[0xc0]].concat();
        prop_assert!(matches!(decode_parts(header, &more), Err(DecodeError::TrailingBytes(1))));
    }

    #[test]
    fn fields_of_the_future_are_skipped_wherever_they_stand(event in arbitrary::event(), more in any::<i64>()) {
        let (mut header, mut payload) = trees(&encode(&event));
        add_field(&mut header, &Value::from(more));
        add_field(&mut payload, &Value::Map(vec![(Value::from("deep"), Value::Array(vec![Value::from(more)]))]));
        prop_assert_eq!(decode(&written(&header, &payload)).expect("an event"), event);
    }

    #[test]
    fn the_order_of_fields_does_not_matter(event in arbitrary::event()) {
        let (mut header, mut payload) = trees(&encode(&event));
        reverse(&mut header);
        reverse(&mut payload);
        prop_assert_eq!(decode(&written(&header, &payload)).expect("an event"), event);
    }

    #[test]
    fn random_bytes_are_no_event(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn damaged_events_never_panic(
        event in arbitrary::event(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&event);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Apart or not: the same event, or the same thing wrong with it.
        for start in [payload_start(&bytes).unwrap_or(0), bytes.len() / 2] {
            let (header, payload) = bytes.split_at(start);
            let (apart, together) = (decode_parts(header, payload), decode(&bytes));
            prop_assert_eq!(format!("{apart:?}"), format!("{together:?}"));
        }
        // Damage inside a text or a number makes another event; that one must be whole.
        if let Ok(read) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&read)).expect("an event"), read);
        }
    }

    #[test]
    fn a_payload_of_another_type_does_not_pass_for_it(event in arbitrary::event(), other in arbitrary::event()) {
        let (header, _) = trees(&encode(&event));
        let (_, payload) = trees(&encode(&other));
        // An event that says less than another, of whose fields it has all, is that other event.
        match decode(&written(&header, &payload)) {
            Ok(read) => prop_assert_eq!(read.event_type(), event.event_type()),
            Err(DecodeError::Payload { kind, .. }) => prop_assert_eq!(kind, event.event_type()),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn every_prefix_of_an_event_is_refused() {
    for (name, event) in shapes() {
        let bytes = encode(&event);
        for end in 0..bytes.len() {
            let error = decode(&bytes[..end]).expect_err(&name);
            assert!(
                matches!(error, DecodeError::NotAnEvent(_) | DecodeError::Payload { .. }),
                "{name} cut at {end}: {error}"
            );
        }
    }
}

#[test]
fn bytes_after_the_payload_are_refused() {
    let mut bytes = encode(&example(EventType::HealthAlert));
    bytes.extend([0x80, 0xc0]);
    assert!(matches!(decode(&bytes), Err(DecodeError::TrailingBytes(2))));
}

#[test]
fn an_unknown_type_is_named() {
    let bytes = with_header(|field, value| {
        if field == "type" {
            *value = Value::from("container_forked");
        }
    });
    let error = decode(&bytes).expect_err("unknown");
    assert!(matches!(&error, DecodeError::UnknownType(name) if name == "container_forked"));
    assert_eq!(error.to_string(), "unknown event type `container_forked`");
}

#[test]
fn a_version_that_is_not_read_is_named() {
    for version in [0_u32, 2, u32::MAX] {
        let bytes = with_header(|field, value| {
            if field == "version" {
                *value = Value::from(version);
            }
        });
        let error = decode(&bytes).expect_err("unknown");
        assert!(matches!(
            &error,
            DecodeError::UnknownVersion { kind: EventType::HealthAlert, version: found } if *found == version
        ));
        let expected = format!("`health_alert` has schema version {version}; this version reads up to 1");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_type_or_version_of_the_future_is_named_even_if_its_header_has_another_form() {
    let future = |kind: &str, version: u32| {
        let header = Value::Map(vec![
            (Value::from("type"), Value::from(kind)),
            (Value::from("version"), Value::from(version)),
            (Value::from("id"), Value::from("a new kind of id")),
        ]);
        decode(&written(&header, &Value::Map(vec![]))).expect_err("of the future")
    };
    assert!(matches!(future("container_forked", 1), DecodeError::UnknownType(_)));
    assert!(matches!(future("health_alert", 2), DecodeError::UnknownVersion { version: 2, .. }));
    assert!(matches!(future("health_alert", 1), DecodeError::NotAnEvent(_)));
}

#[test]
fn every_attribute_that_is_always_there_is_needed() {
    let bytes = encode(&example(EventType::HealthAlert));
    for needed in ["type", "version", "id", "source", "time", "host"] {
        let (mut header, payload) = trees(&bytes);
        let Value::Map(fields) = &mut header else { unreachable!("a header is a map") };
        fields.retain(|(name, _)| name.as_str() != Some(needed));
        let error = decode(&written(&header, &payload)).expect_err(needed);
        assert!(matches!(error, DecodeError::NotAnEvent(_)), "{needed}: {error}");
    }
}

#[test]
fn values_without_field_names_are_refused() {
    let event = example(EventType::RemediationVerified);
    let (header, payload) = trees(&encode(&event));
    let values = |map: &Value| {
        Value::Array(map.as_map().expect("a map").iter().map(|(_, value)| value.clone()).collect())
    };
    assert!(matches!(decode(&written(&values(&header), &payload)), Err(DecodeError::NotAnEvent(_))));
    assert!(matches!(decode(&written(&header, &values(&payload))), Err(DecodeError::Payload { .. })));
}

#[test]
fn more_bytes_than_an_event_may_have_are_refused_unread() {
    let bytes = vec![0x80; EVENT_BYTES_MAX + 1];
    assert!(matches!(decode(&bytes), Err(DecodeError::TooLarge(found)) if found == EVENT_BYTES_MAX + 1));
}

#[test]
fn endless_nesting_is_refused() {
    let nested = vec![0x91; EVENT_BYTES_MAX / 2];
    let mut unknown_field = vec![0x81, 0xa4];
    unknown_field.extend(b"deep");
    unknown_field.extend(&nested);
    assert!(matches!(decode(&unknown_field), Err(DecodeError::NotAnEvent(_))));
    let (header, _) = trees(&encode(&example(EventType::HealthAlert)));
    let mut in_the_payload = packed(&header);
    in_the_payload.extend(&unknown_field);
    assert!(matches!(decode(&in_the_payload), Err(DecodeError::Payload { .. })));
}

#[test]
fn a_length_that_is_a_lie_takes_no_memory() {
    let (header, _) = trees(&encode(&example(EventType::Diagnosis)));
    // text, bytes, sequence and map of 4 GiB, each as the value of the field `cited`
    for lie in [0xdb, 0xc6, 0xdd, 0xdf] {
        let mut bytes = packed(&header);
        bytes.extend([0x81, 0xa5]);
        bytes.extend(b"cited");
        bytes.extend([lie, 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(decode(&bytes), Err(DecodeError::Payload { kind: EventType::Diagnosis, .. })));
    }
}

#[test]
fn an_event_about_a_container_of_another_host_is_refused() {
    let bytes = with_header(|field, value| {
        if field == "host" {
            *value = Value::from("web-4");
        }
    });
    let error = decode(&bytes).expect_err("two hosts");
    assert_eq!(error.to_string(), "`web-3/shop-api-1` is not on host `web-4`");
}

#[test]
fn the_header_has_these_fields_and_no_others() {
    let names = |event: &Event| {
        let (header, _) = trees(&encode(event));
        let fields = header.as_map().expect("a map").iter();
        fields.map(|(name, _)| name.as_str().expect("a name").to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        names(&example(EventType::RemediationNeeded)),
        "type version id source time host subject incident cause traceparent"
    );
    assert_eq!(names(&example(EventType::OperatorCommand)), "type version id source time host");
}

#[test]
fn figures_that_are_no_numbers_are_written_as_absent() {
    for no_number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut event = example(EventType::ContainerSample);
        let Data::ContainerSample(data) = &mut event.data else { unreachable!() };
        data.sample.cpu_percent = Some(no_number);
        let Data::ContainerSample(read) = decode(&encode(&event)).expect("an event").data else {
            unreachable!()
        };
        assert_eq!(read.sample.cpu_percent, None);
        assert_eq!(read.sample.memory_percent, Some(95.3125));
    }
}

#[test]
fn confidence_is_written_within_0_and_1_and_unsure_where_it_is_no_number() {
    for (given, expected) in [(f64::NAN, 0.0), (f64::INFINITY, 1.0), (-0.5, 0.0), (1.5, 1.0), (0.25, 0.25)] {
        let mut complete = complete(Outcome::Success);
        complete.confidence = given;
        let event = caused(1, hemostat_event::Role::Responder, plan_id(), complete);
        let Data::RemediationComplete(read) = decode(&encode(&event)).expect("an event").data else {
            unreachable!()
        };
        assert_eq!(read.confidence, expected);
    }
}

#[test]
fn a_stored_confidence_outside_of_0_to_1_is_refused() {
    let event = caused(1, hemostat_event::Role::Analyzer, plan_id(), plan());
    for confidence in [1.5, -0.1, f64::NAN] {
        let (header, mut payload) = trees(&encode(&event));
        *field(field(&mut payload, "verdict"), "confidence") = Value::from(confidence);
        let error = decode(&written(&header, &payload)).expect_err("not a confidence");
        assert!(matches!(error, DecodeError::Payload { kind: EventType::RemediationNeeded, .. }), "{error}");
    }
}

#[test]
fn times_in_a_header_are_clamped_not_refused() {
    let bytes = with_header(|field, value| {
        if field == "time" {
            *value = Value::from(i64::MIN);
        }
    });
    assert_eq!(decode(&bytes).expect("an event").envelope.time, Timestamp::EPOCH);
}

/// The stored alert with its header changed.
fn with_header(change: impl Fn(&str, &mut Value)) -> Vec<u8> {
    let (mut header, payload) = trees(&encode(&example(EventType::HealthAlert)));
    let Value::Map(fields) = &mut header else { unreachable!("a header is a map") };
    for (name, value) in fields {
        change(name.as_str().expect("a name"), value);
    }
    written(&header, &payload)
}

/// Header and payload of a stored event.
fn trees(mut bytes: &[u8]) -> (Value, Value) {
    let header = rmpv::decode::read_value(&mut bytes).expect("a header");
    let payload = rmpv::decode::read_value(&mut bytes).expect("a payload");
    assert!(bytes.is_empty(), "two maps and nothing more");
    (header, payload)
}

fn written(header: &Value, payload: &Value) -> Vec<u8> {
    let mut bytes = packed(header);
    bytes.extend(packed(payload));
    bytes
}

fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("writing to memory does not fail");
    bytes
}

fn field<'a>(map: &'a mut Value, name: &str) -> &'a mut Value {
    let Value::Map(fields) = map else { panic!("{map} is not a map") };
    &mut fields.iter_mut().find(|(found, _)| found.as_str() == Some(name)).expect("the field is there").1
}

/// Adds a field to every map that has field names; the quoted original of a dead letter has names of its own.
fn add_field(value: &mut Value, more: &Value) {
    match value {
        Value::Map(fields) => {
            for (name, value) in fields.iter_mut() {
                if name.as_str() != Some("original") {
                    add_field(value, more);
                }
            }
            fields.insert(0, (Value::from("a_field_of_the_future"), more.clone()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| add_field(item, more)),
        _ => {}
    }
}

fn reverse(value: &mut Value) {
    match value {
        Value::Map(fields) => {
            fields.reverse();
            fields.iter_mut().for_each(|(_, value)| reverse(value));
        }
        Value::Array(items) => items.iter_mut().for_each(reverse),
        _ => {}
    }
}
