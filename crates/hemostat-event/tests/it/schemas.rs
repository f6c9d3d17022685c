//! The committed schemas are those of the types; the examples keep to them, and what is wrong does not.

use hemostat_event::EventType;
use hemostat_event::cloudevents::{Position, from_json, to_json};
use hemostat_event::schema::event_schema;
use jsonschema::Validator;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use serde_json::{Value, json};

use crate::arbitrary;
use crate::examples::example;
use crate::files::{assert_golden, names, read, schema_dir};
use crate::shapes::shapes;

#[test]
fn committed_schemas_are_those_of_the_types() {
    for kind in EventType::ALL {
        let path = schema_dir().join(format!("v{}/{kind}.json", kind.version()));
        assert_golden(&path, &pretty(&event_schema(kind)));
    }
}

#[test]
fn committed_examples_are_those_of_the_code() {
    for (seq, kind) in (1..).zip(EventType::ALL) {
        let path = schema_dir().join(format!("v{}/examples/{kind}.json", kind.version()));
        let mut json = to_json(&example(kind), Some(Position { partition: 0, seq }));
        json.sort_all_objects();
        assert_golden(&path, &pretty(&json));
    }
}

#[test]
fn there_is_a_schema_and_an_example_of_every_type_and_of_nothing_else() {
    let types = EventType::ALL.map(|kind| kind.to_string()).into();
    assert_eq!(names(&schema_dir().join("v1"), "json"), types);
    assert_eq!(names(&schema_dir().join("v1/examples"), "json"), types);
}

#[test]
fn committed_examples_keep_to_the_committed_schemas_and_are_events() {
    for kind in EventType::ALL {
        let file = |path: String| -> Value {
            let bytes =
                read(&schema_dir().join(&path)).unwrap_or_else(|| panic!("schemas/{path} is missing"));
            serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("schemas/{path}: {error}"))
        };
        let schema = compiled(&file(format!("v1/{kind}.json")));
        let json = file(format!("v1/examples/{kind}.json"));
        assert_valid(&schema, &json, kind.as_str());
        assert_eq!(from_json(&json).expect("an event"), example(kind));
    }
}

#[test]
fn schemas_are_valid_schemas() {
    for kind in EventType::ALL {
        jsonschema::meta::validate(&event_schema(kind)).expect("a valid schema");
    }
}

#[test]
fn every_shape_keeps_to_its_schema() {
    for (name, event) in shapes() {
        assert_valid(&schema(event.event_type()), &to_json(&event, None), &name);
    }
}

#[test]
fn every_event_keeps_to_its_schema() {
    for kind in EventType::ALL {
        let schema = schema(kind);
        let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
        let outcome = runner.run(&(arbitrary::event_of(kind), 1..=u64::MAX), |(event, seq)| {
            assert_valid(&schema, &to_json(&event, Some(Position { partition: 0, seq })), kind.as_str());
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_missing_attribute_is_rejected() {
    for kind in EventType::ALL {
        for name in ["specversion", "id", "type", "source", "time", "dataschema", "host", "data"] {
            assert_rejected(kind, "", |json| {
                json.as_object_mut().expect("an object").remove(name).expect("it was there");
            });
        }
    }
}

#[test]
fn a_missing_field_of_the_payload_is_rejected() {
    for kind in EventType::ALL {
        let schema = event_schema(kind);
        let definition = schema["properties"]["data"]["$ref"].as_str().expect("a reference");
        let payload = schema.pointer(definition.strip_prefix('#').expect("local")).expect("it is there");
        let required = payload["required"].as_array().expect("every payload has something to say");
        for name in required {
            assert_rejected(kind, "/data", |json| {
                let data = json["data"].as_object_mut().expect("an object");
                data.remove(name.as_str().expect("a name")).expect("examples have every field");
            });
        }
    }
}

#[test]
fn another_types_event_is_rejected() {
    for kind in EventType::ALL {
        let schema = schema(kind);
        for other in EventType::ALL {
            let json = to_json(&example(other), None);
            assert_eq!(schema.is_valid(&json), kind == other, "{other} as {kind}");
        }
    }
}

#[test]
fn wrong_values_are_rejected_where_they_stand() {
    use EventType as T;
    let wrong = [
        (T::HealthAlert, "/specversion", json!("0.3")),
        (T::HealthAlert, "/id", json!("42")),
        (T::HealthAlert, "/type", json!("healthalert")),
        (T::HealthAlert, "/source", json!("monitor 1")),
        (T::HealthAlert, "/subject", json!("shop-api-1")),
        (T::HealthAlert, "/subject", json!("web-3/shop api")),
        (T::HealthAlert, "/host", json!("web/3")),
        (T::HealthAlert, "/time", json!(1_773_480_413_589_793_i64)),
        (T::HealthAlert, "/time", json!("2026-03-14 09:26:53")),
        (T::HealthAlert, "/time", json!("2026-13-14T09:26:53.000000Z")),
        (T::HealthAlert, "/dataschema", json!("urn:hemostat:schema:health_alert:v2")),
        (T::HealthAlert, "/datacontenttype", json!("text/plain")),
        (T::HealthAlert, "/correlationid", json!(null)),
        (T::RemediationNeeded, "/traceparent", json!("here")),
        (T::HealthAlert, "/partition", json!(65_536)),
        (T::HealthAlert, "/partition", json!(-1)),
        (T::HealthAlert, "/seq", json!(0)),
        (T::HealthAlert, "/seq", json!("42")),
        (T::HealthAlert, "/data", json!("text")),
        (T::HealthAlert, "/data/container/id", json!("4F1D2C9AB07E")),
        (T::HealthAlert, "/data/severity", json!("dreadful")),
        (T::HealthAlert, "/data/anomalies/0/kind", json!("high_fever")),
        (T::HealthAlert, "/data/sample/memory_bytes", json!(-1)),
        (T::HealthAlert, "/data/sample/cpu_percent", json!("41 %")),
        (T::HealthAlert, "/data/deaths_recent", json!(4_294_967_296_u64)),
        (T::HealthAlert, "/data/evidence/trend/0/at", json!(0)),
        (T::HealthAlert, "/data/policy/mode", json!("always")),
        (T::ContainerChanged, "/data/change", json!("forked")),
        (T::ContainerChanged, "/data/change", json!("died")),
        (T::RemediationNeeded, "/data/verdict/confidence", json!(1.5)),
        (T::RemediationNeeded, "/data/verdict/confidence", json!(-0.1)),
        (T::RemediationNeeded, "/data/verdict/basis/method", json!("oracle")),
        (T::RemediationNeeded, "/data/plan/action/action", json!("reboot")),
        (T::RemediationNeeded, "/data/plan/expires_at", json!("soon")),
        (T::RemediationComplete, "/data/status", json!("failed")),
        (T::RemediationComplete, "/data/status", json!("done")),
        (T::RemediationComplete, "/data/dry_run", json!("no")),
        (T::RemediationVerified, "/data/verdict", json!("fixed")),
        (T::Notification, "/data/delivery", json!("lost")),
        (T::OperatorCommand, "/data/command", json!("approve")),
        (T::DeadLetter, "/data/errors", json!("one")),
        (T::DeadLetter, "/data/original/event", json!(7)),
    ];
    for (kind, pointer, value) in wrong {
        assert_rejected(kind, pointer, |json| {
            *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{kind} has no {pointer}")) = value.clone();
        });
    }
}

#[test]
fn a_field_of_the_future_is_allowed() {
    for kind in EventType::ALL {
        let mut json = to_json(&example(kind), None);
        json["afieldofthefuture"] = json!("x");
        json["data"]["a_field_of_the_future"] = json!(["x"]);
        assert_valid(&schema(kind), &json, kind.as_str());
    }
}

/// Changes the example and expects a complaint about `pointer` or something in or around it.
fn assert_rejected(kind: EventType, pointer: &str, change: impl Fn(&mut Value)) {
    let schema = schema(kind);
    let mut json = to_json(&example(kind), Some(Position { partition: 0, seq: 1 }));
    assert_valid(&schema, &json, kind.as_str());
    change(&mut json);
    let complaints: Vec<String> =
        schema.iter_errors(&json).map(|error| error.instance_path().to_string()).collect();
    assert!(!complaints.is_empty(), "{kind} with a wrong `{pointer}` passes: {json:#}");
    // A tagged object is complained about as a whole.
    let near = |path: &String| pointer.starts_with(path.as_str()) || path.starts_with(pointer);
    assert!(complaints.iter().all(near), "{kind} with a wrong `{pointer}` is rejected for {complaints:?}");
}

fn assert_valid(schema: &Validator, json: &Value, what: &str) {
    let complaints: Vec<String> =
        schema.iter_errors(json).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(complaints.is_empty(), "{what}: {complaints:#?}");
}

fn schema(kind: EventType) -> Validator {
    compiled(&event_schema(kind))
}

fn compiled(schema: &Value) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("a schema that can be compiled")
}

fn pretty(json: &Value) -> String {
    let mut text = serde_json::to_string_pretty(json).expect("JSON can be written");
    text.push('\n');
    text
}
