use std::collections::BTreeSet;

use super::*;

/// 2026-03-14T09:26:53.589793Z.
const AT: i64 = 1_773_480_413_589_793;

fn subject() -> Subject {
    "web-3/shop-api-1".parse().expect("valid")
}

fn observed(index: usize) -> EventId {
    EventId::observed(&subject(), Role::Monitor, Timestamp::from_micros(AT), index)
}

// The literal ids below were computed apart from this code (UUIDv5 over the length-prefixed parts). They are in
// every log that was ever written: a change here makes retries of old inputs emit their outputs twice.

#[test]
fn namespace_is_the_uuid_of_its_name() {
    assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"hemostat.events"));
    assert_eq!(NAMESPACE.to_string(), "0c7bb674-e234-5a4e-9170-43ff089fda0e");
}

#[test]
fn ids_of_observations_are_as_ever() {
    assert_eq!(observed(0).to_string(), "38b5c28d-54bf-50ac-8939-dd4393ca1df1");
    assert_eq!(observed(1).to_string(), "2b2f5127-385a-501f-9fd4-c87b07f3ca77");
}

#[test]
fn ids_of_derived_events_are_as_ever() {
    let derived =
        |index| EventId::derive(observed(0), Role::Analyzer, "remediation_needed", index).to_string();
    assert_eq!(derived(0), "07751778-f707-57bc-b5c1-af479a7cf10e");
    assert_eq!(derived(1), "9d786f8e-9b9b-514a-a658-03db25967b57");
}

#[test]
fn ids_of_incidents_are_as_ever() {
    let incident = IncidentId::opened(&subject(), Timestamp::from_micros(AT));
    assert_eq!(incident.to_string(), "e9308379-5748-544a-8356-ac10bd8735d4");
    assert_eq!(incident.short(), "e9308379");
}

#[test]
fn every_part_of_a_cause_makes_another_id() {
    let (one, two) = (observed(0), observed(1));
    let ids = [
        EventId::derive(one, Role::Analyzer, "ab", 0),
        EventId::derive(two, Role::Analyzer, "ab", 0),
        EventId::derive(one, Role::Responder, "ab", 0),
        EventId::derive(one, Role::Analyzer, "a", 0),
        EventId::derive(one, Role::Analyzer, "", 0),
        EventId::derive(one, Role::Analyzer, "ab", 1),
        EventId::derive(one, Role::Analyzer, "ab", 256),
    ];
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn container_ids_are_12_to_64_lower_case_hexadecimal_digits() {
    for good in ["4f1d2c9ab07e", "0123456789abcdef", &"f".repeat(64)] {
        assert_eq!(ContainerId::new(good).expect("valid").as_str(), good);
    }
    for bad in ["", "4f1d2c9ab07", &"f".repeat(65), "4F1D2C9AB07E", "4f1d2c9ab07g", "4f1d2c9ab07é"] {
        assert_eq!(ContainerId::new(bad), Err(IdError::Container(bad.to_owned())));
    }
    assert_eq!(ContainerId::new("0123456789abcdef").expect("valid").short(), "0123456789ab");
}

#[test]
fn host_names_have_only_what_keys_can_carry() {
    for good in ["a", "web-3", "db_1.example.org", &"h".repeat(253)] {
        assert_eq!(HostName::new(good).expect("valid").as_str(), good);
    }
    for bad in ["", "a/b", "a b", "a:b", "{a}", "hôte", &"h".repeat(254)] {
        assert_eq!(HostName::new(bad), Err(IdError::Host(bad.to_owned())));
    }
}

#[test]
fn subjects_are_host_and_name() {
    let host = HostName::new("web-3").expect("valid");
    let named = |name| Subject::new(&host, name).map(|subject| subject.to_string());
    assert_eq!(named("shop-api-1"), Ok("web-3/shop-api-1".to_owned()));
    assert_eq!(named("/shop-api-1"), Ok("web-3/shop-api-1".to_owned()), "as the engine writes it");
    assert_eq!(named("a/b"), Ok("web-3/a/b".to_owned()), "as links of old engines are named");
    for bad in ["", "/", "a b", "a\u{7}", "a\u{a0}b", "a\u{fffe}", "a\u{feff}", &"n".repeat(256)] {
        assert!(matches!(named(bad), Err(IdError::Subject(_))), "{bad:?}");
    }
    for bad in ["web-3", "/name", "we b/name", ""] {
        assert_eq!(bad.parse::<Subject>(), Err(IdError::Subject(bad.to_owned())));
    }
    let subject: Subject = "web-3/a/b".parse().expect("valid");
    assert_eq!((subject.host(), subject.name()), (host, "a/b"));
}

#[test]
fn trace_parents_have_the_form_of_the_w3c() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(TraceParent::new(good).expect("valid").as_str(), good);
    for bad in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
    ] {
        assert_eq!(TraceParent::new(bad), Err(IdError::TraceParent(bad.to_owned())));
    }
}

#[test]
fn roles_are_read_by_the_word_they_are_written_with() {
    for role in Role::ALL {
        assert_eq!(role.to_string().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).expect("a word"), role.as_str());
    }
    assert_eq!("Monitor".parse::<Role>(), Err(IdError::Role("Monitor".to_owned())));
}

#[test]
fn what_is_no_identity_is_refused_when_it_is_read_too() {
    assert!(serde_json::from_str::<ContainerId>(r#""nope""#).is_err());
    assert!(serde_json::from_str::<HostName>(r#""a/b""#).is_err());
    assert!(serde_json::from_str::<Subject>(r#""web-3""#).is_err());
    assert!(serde_json::from_str::<EventId>(r#""38b5c28d""#).is_err());
}
