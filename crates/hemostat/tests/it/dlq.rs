//! What was given up is shown, handed out once more, and decided.

use hemostat_core::invariant::{Checker, Scope};
use hemostat_event::{Command, Data, DeadLetter, EventType, Role, Source};
use serde_json::Value;

use crate::crashes::alert_of_nobody;
use crate::rig::{LIMIT, Process, Rig, count, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_shown_redriven_once_and_decided() {
    let rig = Rig::start().await;
    let alert = alert_of_nobody(rig.log.now().await.expect("the log's clock"));
    rig.log.append(std::slice::from_ref(&alert)).await.expect("the alert is written");
    bury_the_alert(&rig).await;
    let ask = |args: &[&str], code: i32| {
        let answer = run(rig.command(args).env("USER", "ada"));
        assert_eq!(answer.code, code, "{args:?}: {} {}", answer.out, answer.err);
        answer.out
    };
    let json = |text: String| serde_json::from_str::<Value>(text.trim()).expect("one JSON object");
    // Shown, by every filter.
    let listed = json(ask(&["dlq", "ls", "-o", "json"], 0));
    assert_eq!((&listed["redriven"], &listed["attempts"]), (&false.into(), &7.into()));
    let id = listed["id"].as_str().expect("an id").to_owned();
    for (args, fits) in [
        (["--container", "nobody"], true),
        (["--container", "somebody"], false),
        (["--type", "health_alert"], true),
        (["--type", "diagnosis"], false),
        (["--group", "analyzer"], true),
        (["--group", "alert"], false),
        (["--since", "1h"], true),
        (["--since", "2100-01-01T00:00:00Z"], false),
        (["--limit", "1"], true),
        (["--limit", "0"], false),
    ] {
        let out = ask(&[&["dlq", "ls"][..], &args].concat(), 0);
        assert_eq!(out.contains(&id[..8]), fits, "{args:?}: {out}");
    }
    let shown = ask(&["dlq", "show", &id[..6]], 0);
    for word in ["too much", "the root of it", "after 7 tries", "NonZeroExit", "exit code 1", "health_alert"]
    {
        let found = shown.contains(word) || word == "NonZeroExit" && shown.contains("non_zero_exit");
        assert!(found, "`{word}` is missing in {shown}");
    }
    let shown = json(ask(&["dlq", "show", &id, "-o", "json"], 0));
    assert_eq!(shown["original"]["id"], alert.envelope.id.to_string());
    // What is not said is not done.
    let before = rig.events().await;
    assert!(ask(&["dlq", "redrive", "--group", "analyzer", "--dry-run"], 0).contains("would redrive"));
    ask(&["dlq", "redrive"], 2);
    ask(&["dlq", "redrive", &id], 2);
    ask(&["dlq", "redrive", "ffffffff", "--yes"], 2);
    assert_eq!(rig.events().await, before, "nothing was written");
    // Handed out, once.
    let done = json(ask(&["dlq", "redrive", &id[..8], "--yes", "-o", "json"], 0));
    assert_eq!((&done["result"], &done["seq"]), (&"redriven".into(), &4.into()));
    assert!(ask(&["dlq", "redrive", &id, "--yes"], 1).contains("redriven before"));
    assert!(ask(&["dlq", "redrive", "--group", "analyzer", "--yes"], 0).contains("0 handed out"));
    assert!(ask(&["dlq", "ls"], 0).contains("redriven"));
    // Decided, by an analyzer that begins where the group was.
    let mut analyzer = Process::start(&mut rig.command(&["analyzer"]));
    let decided = |data: &Data| matches!(data, Data::RemediationNeeded(_) | Data::FalseAlarm(_));
    let events = rig.until("a decision", LIMIT, |events| count(events, decided) == 1).await;
    let order = events.iter().find_map(|(_, event)| match &event.data {
        Data::OperatorCommand(order) => Some(order),
        _ => None,
    });
    let order = order.expect("the order is in the log");
    assert!(order.by.starts_with("ada@"), "{}", order.by);
    assert_eq!(order.command, Command::Redrive { event: alert.envelope.id });
    let mut checker = Checker::new(&Scope::default());
    events.iter().for_each(|(position, event)| checker.event(*position, event));
    assert_eq!(checker.finish(), []);
    assert_eq!(count(&events, |data| matches!(data, Data::HealthAlert(_))), 2, "it stands there twice");
    assert!(ask(&["incidents", "-o", "json"], 0).contains("\"alerts\":1"), "and is one alert");
    assert_eq!(analyzer.terminate().0, Some(0));
}

/// Gives the alert up, as an analyzer does that cannot handle it.
async fn bury_the_alert(rig: &Rig) {
    let membership = hemostat_agent::log::Membership {
        role: Role::Analyzer,
        consumer: "helpless".to_owned(),
        streams: vec![hemostat_agent::log::StreamName::Type(EventType::HealthAlert)],
        batch: 1,
        block: std::time::Duration::from_secs(1),
        claim_after: LIMIT,
    };
    let mut reader = rig.log.join(membership).await.expect("the group can be joined");
    let entry = reader.read().await.expect("the log is there").remove(0);
    let event = entry.event.expect("it is an event");
    let letter = DeadLetter {
        stream: entry.at.stream.to_string(),
        entry: entry.at.id.to_string(),
        group: Role::Analyzer,
        event: Some(event.envelope.id),
        incident: event.envelope.incident,
        errors: vec!["it is too much".to_owned(), "the root of it".to_owned()],
        attempts: 7,
        original: entry.raw,
    };
    let source = Source { role: Role::Analyzer, instance: "helpless".to_owned() };
    let buried = rig.log.bury(&entry.at, "helpless", &event.envelope.host, &source, letter).await;
    buried.expect("the log is there");
}
