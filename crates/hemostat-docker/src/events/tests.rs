use hemostat_event::Health;
use serde_json::{Value, json};

use super::*;

const ID: &str = "9c73ac2d2f8bf1eb36ddc187c5c6ab73d941f770b7579f6b3888b5a229e5c980";

#[test]
fn a_death_as_docker_tells_it() {
    // A line of Docker 20.10.
    let line = br#"{"status":"die","id":"9c73ac2d2f8bf1eb36ddc187c5c6ab73d941f770b7579f6b3888b5a229e5c980","from":"probe:1","Type":"container","Action":"die","Actor":{"ID":"9c73ac2d2f8bf1eb36ddc187c5c6ab73d941f770b7579f6b3888b5a229e5c980","Attributes":{"exitCode":"137","image":"probe:1","name":"probe3"}},"scope":"local","time":1795552739,"timeNano":1795552739004828931}"#;
    let read = event(line).expect("it is an event");
    let expected = EngineEvent {
        id: ContainerId::new(ID).expect("an id"),
        at: Timestamp::from_micros(1_795_552_739_004_828),
        kind: EngineEventKind::Die { exit_code: 137 },
        name: Some("probe3".to_owned()),
    };
    assert_eq!(read, Some(expected));
}

#[test]
fn every_action_that_is_asked_for_is_read() {
    for (action, attributes, kind) in [
        ("create", json!({}), EngineEventKind::Create),
        ("start", json!({}), EngineEventKind::Start),
        ("die", json!({ "exitCode": "0" }), EngineEventKind::Die { exit_code: 0 }),
        ("kill", json!({ "signal": "15" }), EngineEventKind::Kill { signal: 15 }),
        ("stop", json!({}), EngineEventKind::Stop),
        ("restart", json!({}), EngineEventKind::Restart),
        ("oom", json!({}), EngineEventKind::Oom),
        ("health_status: starting", json!({}), EngineEventKind::Health(Health::Starting)),
        ("health_status: healthy", json!({}), EngineEventKind::Health(Health::Healthy)),
        ("health_status: unhealthy", json!({}), EngineEventKind::Health(Health::Unhealthy)),
        ("pause", json!({}), EngineEventKind::Pause),
        ("unpause", json!({}), EngineEventKind::Unpause),
        ("rename", json!({ "oldName": "/a" }), EngineEventKind::Rename),
        ("destroy", json!({}), EngineEventKind::Destroy),
        // Podman's own words.
        ("died", json!({ "containerExitCode": "3" }), EngineEventKind::Die { exit_code: 3 }),
        ("die", json!({ "exitCode": "", "containerExitCode": "4" }), EngineEventKind::Die { exit_code: 4 }),
        ("remove", json!({}), EngineEventKind::Destroy),
        ("kill", json!({ "signal": "SIGQUIT" }), EngineEventKind::Kill { signal: 3 }),
        // What is not said is said to be so.
        ("die", json!({}), EngineEventKind::Die { exit_code: -1 }),
        ("kill", json!({}), EngineEventKind::Kill { signal: 0 }),
    ] {
        let read = read_kind(json!({ "Action": action, "Actor": { "ID": ID, "Attributes": attributes } }));
        assert_eq!(read, Some(kind), "{action} {attributes}");
        let word = action.split(':').next().unwrap_or_default();
        assert!(ACTIONS.contains(&word), "`{word}` is not asked for");
    }
}

#[test]
fn podman_says_the_health_beside_the_action() {
    let actor = json!({ "ID": ID, "Attributes": { "name": "web", "containerExitCode": "0" } });
    for (message, kind) in [
        (json!({ "HealthStatus": "unhealthy" }), Some(EngineEventKind::Health(Health::Unhealthy))),
        (json!({ "HealthStatus": "" }), None),
        (json!({}), None),
    ] {
        let mut message = message;
        message["Action"] = json!("health_status");
        message["Actor"] = actor.clone();
        assert_eq!(read_kind(message.clone()), kind, "{message}");
    }
}

#[test]
fn what_is_not_about_the_life_of_a_container_is_left_out() {
    for action in [
        "exec_create: /bin/sh -c die",
        "exec_start: kill 1",
        "exec_die",
        "attach",
        "top",
        "resize",
        "prune",
        "",
    ] {
        assert_eq!(read_kind(json!({ "Action": action, "Actor": { "ID": ID } })), None, "{action}");
    }
    for message in
        [json!({}), json!({ "Action": "die" }), json!({ "Action": "die", "Actor": { "ID": "not an id" } })]
    {
        assert_eq!(read_kind(message.clone()), None, "{message}");
    }
}

#[test]
fn the_time_is_precise_where_the_engine_is() {
    for (times, micros) in [
        (json!({ "time": 100, "timeNano": 100_000_001_999_i64 }), Some(100_000_001)),
        (json!({ "time": 100, "timeNano": 0 }), Some(100_000_000)),
        (json!({ "time": 100 }), Some(100_000_000)),
        (json!({}), None),
    ] {
        let mut message = times.clone();
        message["Action"] = json!("start");
        message["Actor"] = json!({ "ID": ID, "Attributes": null });
        let read = event(message.to_string().as_bytes()).expect("it is an event");
        assert_eq!(read.map(|event| event.at.micros()), micros, "{times}");
    }
}

#[test]
fn a_name_has_no_slash() {
    let message =
        json!({ "Action": "start", "time": 1, "Actor": { "ID": ID, "Attributes": { "name": "/web" } } });
    let read = event(message.to_string().as_bytes()).expect("it is an event");
    assert_eq!(read.and_then(|event| event.name).as_deref(), Some("web"));
}

#[test]
fn what_is_no_event_is_an_error() {
    for line in ["", "{", "7", "<html>", "{\"Actor\":7}"] {
        assert!(event(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn the_stream_is_asked_for_from_a_moment_on() {
    let path = path(Timestamp::from_micros(1_795_552_739_000_042));
    assert!(path.ends_with("&since=1795552739.000042000"), "{path}");
    assert!(path.contains("%22type%22%3A%5B%22container%22%5D"), "{path}");
}

#[test]
fn without_a_moment_new_events_are_asked_for() {
    assert!(!path(Timestamp::EPOCH).contains("since"));
}

/// What a message tells; it gets a time.
fn read_kind(mut message: Value) -> Option<EngineEventKind> {
    message["time"] = json!(1_795_552_739);
    event(message.to_string().as_bytes()).expect("it is an event").map(|event| event.kind)
}
