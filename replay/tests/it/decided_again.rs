//! `test` and `what-if`.

use hemostat_core::diagnose::{Analyzer, Settings};
use hemostat_core::role::{Decide as _, Input};
use hemostat_event::{Envelope, Event, EventId, Role, Source, cloudevents};
use serde_json::Value;

use crate::made::{archive, complained, replay, said};

/// An alert, and what today's analyzer makes of it.
fn log() -> Vec<Event> {
    let example = include_str!("../../../schemas/v1/examples/health_alert.json");
    let alert = cloudevents::from_json(&serde_json::from_str(example).expect("JSON")).expect("an event");
    let subject = alert.envelope.subject.clone().expect("it is about a container");
    let analyzer = Analyzer { settings: Settings::default() };
    let now = alert.envelope.time;
    let decision = analyzer.decide(&subject, &Default::default(), Input::Event(&alert), now);
    let [emit] = &decision.emit[..] else { panic!("one verdict") };
    let envelope = Envelope {
        id: EventId::derive(alert.envelope.id, Role::Analyzer, &emit.step(), 0),
        source: Source { role: Role::Analyzer, instance: "one".to_owned() },
        incident: emit.incident,
        cause: Some(alert.envelope.id),
        ..alert.envelope.clone()
    };
    vec![alert, Event { envelope, data: emit.data.clone() }]
}

#[tokio::test]
async fn the_rules_of_today_decide_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    archive(folder.path(), &log(), 1).await;
    let place = folder.path().to_str().expect("a path");
    let output = replay(&["test", "--archive", place]);
    assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
    let said = said(&output);
    assert!(said.contains("1 decisions in 2 events: 1 the same, 0 different"), "{said}");
    assert!(said.contains("never exercised: ") && said.contains("responder/budget_spent"), "{said}");
}

#[tokio::test]
async fn another_rule_is_a_finding_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    archive(folder.path(), &log(), 2).await;
    let place = folder.path().to_str().expect("a path");
    let output = replay(&["test", "--archive", place, "--set", "analyzer.plan_ttl=1m"]);
    assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
    let text = said(&output);
    assert!(text.contains("different  0/2  analyzer"), "{text}");
    assert!(text.contains("at   [0].remediation_needed.plan.expires_at"), "{text}");

    let output = replay(&["test", "--archive", place, "--set", "analyzer.plan_ttl=1m", "-o", "json"]);
    let report: Value = serde_json::from_str(&said(&output)).expect("JSON");
    assert_eq!((&report["decisions"], &report["different"]), (&1.into(), &1.into()));
    assert_eq!(report["differences"][0]["at"], serde_json::json!([0, 2]));
}

#[tokio::test]
async fn what_if_shows_the_figures_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    archive(folder.path(), &log(), 2).await;
    let place = folder.path().to_str().expect("a path");
    let output = replay(&["what-if", "--archive", place, "--set", "analyzer.plan_ttl=1m", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
    let report: Value = serde_json::from_str(&said(&output)).expect("JSON");
    assert_eq!(report["different"], 1);
    assert_eq!(report["figures"]["plans"], serde_json::json!({ "recorded": 1, "decided": 1 }));
}

#[tokio::test]
async fn what_if_counts_what_was_decided_since() {
    let folder = tempfile::tempdir().expect("a folder");
    archive(folder.path(), &log(), 2).await;
    let place = folder.path().to_str().expect("a path");
    let since = |since: &str| -> Value {
        let set = ["--set", "analyzer.plan_ttl=1m", "--since", since, "-o", "json"];
        let output = replay(&[&["what-if", "--archive", place][..], &set].concat());
        assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
        serde_json::from_str(&said(&output)).expect("JSON")
    };
    assert_eq!(since("2020-01-01")["different"], 1);
    let later = since("1s");
    assert_eq!((&later["different"], &later["decisions"]), (&0.into(), &0.into()));
    assert_eq!(later["figures"], serde_json::json!({}));
}

#[test]
fn what_cannot_be_read_or_set_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("a path");
    for (args, code, says) in [
        (&["test"][..], 3, "name an archive (--archive)"),
        (&["test", "--archive", place][..], 3, "there are no events"),
        (&["test", "--archive", "s4://bucket"][..], 3, "is not a place for an archive"),
        (&["test", "--archive", place, "--set", "responder.cooldwn=1h"][..], 2, "there is no such setting"),
    ] {
        let output = replay(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", complained(&output));
        assert!(complained(&output).contains(says), "{args:?}: {}", complained(&output));
    }
}
