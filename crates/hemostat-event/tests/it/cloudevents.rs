//! The exported form keeps to `CloudEvents` 1.0 (https://github.com/cloudevents/spec, v1.0.2) and is read again.

use hemostat_event::cloudevents::{ImportError, Position, from_json, to_json};
use hemostat_event::{Data, EventType, Source};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::arbitrary;
use crate::examples::example;

/// Context attributes that the specification itself defines.
const OF_THE_SPEC: [&str; 8] =
    ["specversion", "id", "type", "source", "subject", "time", "dataschema", "datacontenttype"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_event_is_read_as_it_was_written(event in arbitrary::event(), position in position()) {
        // By way of text, as another program sees it.
        let text = to_json(&event, position).to_string();
        let json: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(from_json(&json).expect("an event"), event);
    }

    #[test]
    fn attributes_keep_to_the_specification(event in arbitrary::event(), position in position()) {
        assert_conforms(to_json(&event, position).as_object().expect("an object"));
    }

    #[test]
    fn fields_of_the_future_are_skipped_wherever_they_stand(event in arbitrary::event()) {
        let mut json = to_json(&event, None);
        add_field(&mut json);
        prop_assert_eq!(from_json(&json).expect("an event"), event);
    }

    #[test]
    fn other_json_is_no_event_and_never_a_panic(event in arbitrary::event(), at in any::<prop::sample::Index>(), junk in junk()) {
        prop_assert!(from_json(&junk).is_err());
        let mut json = to_json(&event, None);
        let map = json.as_object_mut().expect("an object");
        let name = map.keys().nth(at.index(map.len())).expect("within").clone();
        map.insert(name, junk);
        // Whatever passes must be an event that can be written.
        if let Ok(read) = from_json(&json) {
            prop_assert_eq!(from_json(&to_json(&read, None)).expect("an event"), read);
        }
    }

    #[test]
    fn sources_are_uri_references_whatever_the_instance_is_called(instance in any::<String>()) {
        let source = Source { role: hemostat_event::Role::Alert, instance };
        let uri = source.uri();
        prop_assert!(uri.strip_prefix("/alert/").expect("role first").bytes().all(is_pchar), "{}", uri);
        prop_assert_eq!(Source::from_uri(&uri), Some(source));
    }
}

#[test]
fn a_plan_reads_like_this() {
    let json = to_json(&example(EventType::RemediationNeeded), Some(Position { partition: 3, seq: 42 }));
    let mut attributes = json.as_object().expect("an object").clone();
    attributes.remove("data").expect("there is data");
    assert_eq!(
        Value::Object(attributes),
        json!({
            "specversion": "1.0",
            "id": "9f0e2d9d-ced7-554e-9ef3-d41f2dde220a",
            "type": "remediation_needed",
            "source": "/analyzer/analyzer-1",
            "subject": "web-3/shop-api-1",
            "time": "2026-03-14T09:26:56.320793Z",
            "dataschema": "urn:hemostat:schema:remediation_needed:v1",
            "datacontenttype": "application/json",
            "host": "web-3",
            "correlationid": "5ef71ed1-3fde-5d17-a6bb-fbcbb79e903f",
            "causationid": "c47df0bd-97ef-5c9f-abbf-0497e2785f55",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "partition": 3,
            "seq": 42,
        })
    );
}

#[test]
fn what_an_event_does_not_have_is_left_out() {
    let json = to_json(&example(EventType::OperatorCommand), None);
    for absent in ["subject", "correlationid", "causationid", "traceparent", "partition", "seq"] {
        assert_eq!(json.get(absent), None, "{absent}");
    }
}

#[test]
fn a_sequence_number_is_a_json_number_of_64_bits() {
    let json =
        to_json(&example(EventType::HealthAlert), Some(Position { partition: u16::MAX, seq: u64::MAX }));
    assert_eq!(json["seq"].as_u64(), Some(u64::MAX));
    assert_eq!(json["partition"].as_u64(), Some(65_535));
}

#[test]
fn a_source_that_is_not_ours_is_refused() {
    for bad in
        ["", "/", "/analyzer", "analyzer/1", "/nobody/1", "/analyzer/%", "/analyzer/%zz", "/analyzer/%ff"]
    {
        assert_eq!(Source::from_uri(bad), None, "{bad}");
    }
}

#[test]
fn every_attribute_that_is_needed_is_named_when_it_is_missing_or_malformed() {
    for name in ["specversion", "type", "dataschema", "id", "source", "time", "host"] {
        for bad in [None, Some(json!(null)), Some(json!(7)), Some(json!(["x"]))] {
            let error = refused(name, bad.clone());
            assert!(
                matches!(error, ImportError::Attribute(found) if found == name),
                "{name} {bad:?}: {error}"
            );
        }
    }
    for name in ["subject", "correlationid", "causationid", "traceparent", "datacontenttype"] {
        let error = refused(name, Some(json!("no such thing")));
        assert!(matches!(error, ImportError::Attribute(found) if found == name), "{name}: {error}");
    }
    for (name, bad) in [
        ("specversion", "0.3"),
        ("id", "42"),
        ("source", "urn:elsewhere"),
        ("time", "yesterday"),
        ("host", "a/b"),
        ("datacontenttype", "application/xml"),
    ] {
        let error = refused(name, Some(json!(bad)));
        assert!(matches!(error, ImportError::Attribute(found) if found == name), "{name}: {error}");
    }
}

#[test]
fn an_unknown_type_or_schema_is_named() {
    let error = refused("type", Some(json!("container_forked")));
    assert_eq!(error.to_string(), "`container_forked` is not an event type of this version");
    let error = refused("dataschema", Some(json!("urn:hemostat:schema:health_alert:v2")));
    assert_eq!(
        error.to_string(),
        "`health_alert` has schema `urn:hemostat:schema:health_alert:v2`; \
         this version reads `urn:hemostat:schema:health_alert:v1`"
    );
}

#[test]
fn an_event_about_a_container_of_another_host_is_refused() {
    assert!(matches!(refused("host", Some(json!("web-4"))), ImportError::HostMismatch(_)));
}

#[test]
fn a_payload_that_is_not_of_its_type_is_named() {
    for bad in [None, Some(json!(null)), Some(json!({})), Some(json!([])), Some(json!("x"))] {
        let error = refused("data", bad);
        assert!(matches!(error, ImportError::Payload { kind: EventType::HealthAlert, .. }), "{error}");
    }
}

#[test]
fn figures_that_are_no_numbers_are_left_out() {
    let mut event = example(EventType::ContainerSample);
    let Data::ContainerSample(data) = &mut event.data else { unreachable!() };
    data.sample.cpu_percent = Some(f64::NAN);
    let json = to_json(&event, None);
    assert_eq!(json["data"]["sample"].get("cpu_percent"), None);
    assert!(from_json(&json).is_ok());
}

/// What reading the alert says once `name` is `value`, or gone.
fn refused(name: &'static str, value: Option<Value>) -> ImportError {
    let mut json = to_json(&example(EventType::HealthAlert), None);
    let map = json.as_object_mut().expect("an object");
    match value {
        Some(value) => map.insert(name.to_owned(), value),
        None => map.remove(name),
    };
    from_json(&json).expect_err(name)
}

fn assert_conforms(attributes: &Map<String, Value>) {
    for needed in ["id", "source", "specversion", "type"] {
        assert!(
            attributes[needed].as_str().is_some_and(|text| !text.is_empty()),
            "{needed} is a non-empty text"
        );
    }
    assert_eq!(attributes["specversion"], "1.0");
    assert!(attributes["source"].as_str().expect("a text").split('/').all(|part| part.bytes().all(is_pchar)));
    assert!(attributes["dataschema"].as_str().expect("a text").starts_with("urn:"), "an absolute URI");
    let time = attributes["time"].as_str().expect("a text");
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    for (name, value) in attributes {
        // 3.1: "lower-case letters or digits", "SHOULD NOT exceed 20 characters".
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        assert!(plain && (1..=20).contains(&name.len()), "{name}");
        if name == "data" {
            continue;
        }
        match value {
            // 3.1.2: a String has no control characters and no noncharacters.
            Value::String(text) => assert!(!text.chars().any(disallowed), "{name}: {text:?}"),
            // 3.1.2: an Integer; `seq` may pass its 32 bits (docs/adr/0002).
            Value::Number(number) => {
                assert!(!OF_THE_SPEC.contains(&name.as_str()), "{name} is a text");
                assert!(number.as_u64().is_some_and(|n| name == "seq" || i32::try_from(n).is_ok()), "{name}");
            }
            other => panic!("{name} is {other}: neither text nor number"),
        }
    }
}

fn disallowed(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// RFC 3986, 3.3: what one segment of a path is made of.
fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@".contains(&byte)
}

fn position() -> impl Strategy<Value = Option<Position>> {
    prop::option::of((any::<u16>(), 1..=u64::MAX).prop_map(|(partition, seq)| Position { partition, seq }))
}

fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<i64>(), 0..3).prop_map(Value::from),
        any::<String>().prop_map(|name| json!({ name: 1 })),
    ]
}

/// Adds a field to every object that has field names; the quoted original of a dead letter has names of its own.
fn add_field(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if name != "original" {
                    add_field(value);
                }
            }
            map.insert("afieldofthefuture".into(), json!([{ "deep": 1 }]));
        }
        Value::Array(items) => items.iter_mut().for_each(add_field),
        _ => {}
    }
}
